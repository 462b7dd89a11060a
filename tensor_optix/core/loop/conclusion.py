"""The end of a run: hand back the champion, let it play a report, and say what came of it."""

from __future__ import annotations

import logging
from dataclasses import KW_ONLY, dataclass

from tensor_optix.core.backoff_scheduler import BackoffScheduler
from tensor_optix.core.budget import Ledger
from tensor_optix.core.checkpoint_registry import CheckpointRegistry
from tensor_optix.core.judgement.challenges import Challenges
from tensor_optix.core.judgement.champion import Incumbent
from tensor_optix.core.judgement.looks import Shortfall
from tensor_optix.core.loop.divergence import DivergenceGuard
from tensor_optix.core.loop.outcomes import Bar
from tensor_optix.core.loop.process import REPORT_EPISODES_AFTER_INTERRUPT, StopRequest
from tensor_optix.core.loop.recorder import Recorder
from tensor_optix.core.loop.result_file import Outcome
from tensor_optix.core.loop.room import Room
from tensor_optix.core.loop.session import RunSession
from tensor_optix.core.loop.stopping import Ending
from tensor_optix.core.loop.tuning import Tuning
from tensor_optix.core.run_result import RunResult
from tensor_optix.core.types import EvaluationResult

logger = logging.getLogger(__name__)

CHOSEN_BY_SCORES = "no round of fresh episodes was paid for, so training scores alone chose the champion"
NEVER_PLAYED = "the champion that is handed back never played fresh episodes"


@dataclass(eq=False)
class Conclusion:
    """Makes a run's result, in memory and in its folder.

    Args:
        incumbent: Holds the champion.
        registry: Knows the bar that a resumed run has to come up to.
        scheduler: Knows the state.
        challenges: Plays the report.
        ledger: Knows what was used.
        recorder: Knows the history.
        session: Writes the result, and has notes.
        guard: Has notes.
        shortfall: Has notes on the report.
        tuning: Has notes.
        room: Has notes on the budget.
        report_episodes: Fresh greedy episodes of the champion; 0 for none.
        stop_request: Knows whether the user waits for the end.
        plays_elsewhere: Whether episodes are played in another environment than the pipeline's own.
    """

    incumbent: Incumbent
    registry: CheckpointRegistry
    scheduler: BackoffScheduler
    challenges: Challenges
    ledger: Ledger
    recorder: Recorder
    session: RunSession
    guard: DivergenceGuard
    shortfall: Shortfall
    tuning: Tuning
    room: Room
    report_episodes: int
    stop_request: StopRequest
    _: KW_ONLY
    plays_elsewhere: bool

    def draw(self, ending: Ending) -> RunResult:
        """Hand back the champion, report on it, and keep the result."""
        reason, explanation = ending.reason, ending.explanation
        self.incumbent.bring_back()
        is_unproven = self.challenges.champion_is_unproven
        report = self._report()
        if is_unproven:
            explanation += f"; {CHOSEN_BY_SCORES}"
        if self.stop_request.is_interrupted:
            explanation += (
                f"; interrupted by Ctrl-C, so the report is at most {REPORT_EPISODES_AFTER_INTERRUPT} episodes"
                + (", and no last choice of a champion was made" if reason == "stopped" else "")
            )
        is_settled = reason != "stopped"
        report, notes = self._face_the_bar(report, is_settled)
        unproven = (NEVER_PLAYED,) if is_unproven and report is None else ()
        return self._conclude(reason, explanation, report, (*unproven, *notes), is_settled)

    def _report(self) -> EvaluationResult | None:
        """Let the champion play; few episodes, where the user waits."""
        if self.incumbent.snapshot is None:
            return None
        report = None
        if not self.stop_request.is_interrupted:
            report = self.challenges.report(self.report_episodes)
        if report is None and self.stop_request.is_interrupted:
            with self.stop_request.short_report():
                report = self.challenges.report(min(self.report_episodes, REPORT_EPISODES_AFTER_INTERRUPT))
        return report

    def draw_after_lost_workers(self, error: BaseException) -> RunResult:
        """Hand back the champion after a Ctrl-C that reached the environment's processes as well."""
        self.stop_request.interrupt()
        how = f"interrupted by Ctrl-C, which ended the environment's processes, too ({type(error).__name__})"
        self.incumbent.bring_back()
        report = self._report() if self.plays_elsewhere else None
        why = "there is no report: the environment that it would have been played in ended"
        notes = () if self.plays_elsewhere else (why,)
        report, more = self._face_the_bar(report, is_settled=False)
        return self._conclude("stopped", how, report, (*notes, *more), is_settled=False)

    def draw_again(self, outcome: Outcome) -> RunResult:
        """Hand back the champion of a run that is over, and what the run came to.

        Raises:
            CheckpointError: The champion is damaged.
        """
        logger.warning(
            "The run in %s had ended (%s: %s), and what it may use now would not change that: its result is returned, "
            "nothing is trained. Give a larger budget (max_env_steps, max_episodes; on the command line "
            "--max-env-steps, --max-windows) to go on with one that had used it up; to train its champion on, in "
            "Python, give the agent of load_agent to a new RLOptimizer.",
            self.recorder.run_dir,
            outcome.result.reason,
            outcome.result.explanation,
        )
        try:
            self.session.open()
            result = self.session.outcomes.hand_back(outcome, self.incumbent)
            self.incumbent.bring_back()
            self.ledger.go_on_from(result.env_steps, result.windows, result.seconds)
            self.recorder.go_on_after_the_last_row()
        finally:
            self.session.close()
        return result

    def draw_after_error(self, error: Exception) -> RunResult | None:
        """Hand back the champion without a report; None where not even that works."""
        try:
            self.incumbent.bring_back()
            report, notes = self._face_the_bar(None, is_settled=False)
            return self._conclude("error", f"{type(error).__name__}: {error}", report, notes, is_settled=False)
        except Exception:
            logger.exception("The champion could not be handed back after an error.")
            return None

    def _face_the_bar(
        self, report: EvaluationResult | None, is_settled: bool
    ) -> tuple[EvaluationResult | None, tuple[str, ...]]:
        """Let the champion that was handed back before the run was resumed stay, unless this one comes up to it."""
        bar = self.session.outcomes.take_bar()
        if bar is None:
            return report, ()
        champion = self.incumbent.snapshot
        notes: tuple[str, ...] = ()
        if not self._is_reached(bar) and bar.stays(report, is_settled=is_settled, num_windows=self.ledger.windows):
            self.incumbent.adopt(bar.snapshot.snapshot_id)
            self.incumbent.bring_back()
            self.challenges.stand_for(bar.report)
            reached = "played no episodes" if report is None else f"reached {report}"
            own = "none" if champion is None else f"snapshot {champion.snapshot_id}, which {reached}"
            notes = (
                f"the champion of before the run was resumed, snapshot {bar.snapshot.snapshot_id}, stays: the resumed "
                f"run's own ({own}) did not come up to it",
            )
            report = bar.report
        self.registry.release()
        return report, notes

    def _is_reached(self, bar: Bar) -> bool:
        """Tell whether the champion is the very policy of the bar."""
        return self.incumbent.is_same_as(bar.snapshot.snapshot_id)

    def _conclude(
        self, reason: str, explanation: str, report: EvaluationResult | None, notes: tuple[str, ...], is_settled: bool
    ) -> RunResult:
        self.ledger.end_run()
        if is_settled:
            self.recorder.settle()
        result = RunResult(
            reason=reason,
            explanation=explanation,
            state=self.scheduler.current_state,
            champion=self.incumbent.snapshot,
            report=report,
            env_steps=dict(self.ledger.steps),
            windows=self.ledger.windows,
            seconds=self.ledger.seconds,
            run_dir=self.recorder.run_dir,
            history=self.recorder.history.columns(),
            is_interrupted=self.stop_request.is_interrupted,
            training_mean=self.shortfall.training_mean_beside(report),
            notes=(
                *self.session.notes,
                *self.challenges.notes,
                *self.guard.notes,
                *self.tuning.notes,
                *self.room.notes,
                *self.shortfall.notes_on(report),
                *notes,
            ),
        )
        self.session.keep_result(result, self.ledger)
        if is_settled:
            self.registry.forget_later()
        return result
