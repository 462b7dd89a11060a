"""The end of a run: hand back the champion, let it play a report, and say what came of it."""

from __future__ import annotations

import logging
from dataclasses import replace

from tensor_optix.core.backoff_scheduler import BackoffScheduler
from tensor_optix.core.budget import Ledger
from tensor_optix.core.checkpoint_registry import CheckpointRegistry
from tensor_optix.core.judgement.bar import Bar
from tensor_optix.core.judgement.challenges import Challenges
from tensor_optix.core.judgement.incumbent import Incumbent
from tensor_optix.core.judgement.shortfall import Shortfall
from tensor_optix.core.loop.divergence import DivergenceGuard
from tensor_optix.core.loop.process import REPORT_EPISODES_AFTER_INTERRUPT, StopRequest
from tensor_optix.core.loop.recorder import Recorder
from tensor_optix.core.loop.result_file import Outcome
from tensor_optix.core.loop.session import RunSession
from tensor_optix.core.loop.stopping import Ending
from tensor_optix.core.run_result import RunResult
from tensor_optix.core.types import EvaluationResult

logger = logging.getLogger(__name__)


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
        report_episodes: Fresh greedy episodes of the champion; 0 for none.
        stop_request: Knows whether the user waits for the end.
        plays_elsewhere: Whether episodes are played in another environment than the pipeline's own.
    """

    def __init__(
        self,
        incumbent: Incumbent,
        registry: CheckpointRegistry,
        scheduler: BackoffScheduler,
        challenges: Challenges,
        ledger: Ledger,
        recorder: Recorder,
        session: RunSession,
        guard: DivergenceGuard,
        shortfall: Shortfall,
        report_episodes: int,
        stop_request: StopRequest,
        *,
        plays_elsewhere: bool,
    ) -> None:
        self._incumbent = incumbent
        self._registry = registry
        self._scheduler = scheduler
        self._challenges = challenges
        self._ledger = ledger
        self._recorder = recorder
        self._session = session
        self._guard = guard
        self._shortfall = shortfall
        self.report_episodes = report_episodes
        self._stop_request = stop_request
        self._plays_elsewhere = plays_elsewhere

    def draw(self, ending: Ending) -> RunResult:
        """Hand back the champion, report on it, and keep the result."""
        reason, explanation = ending.reason, ending.explanation
        self._incumbent.bring_back()
        report = self._report()
        if self._stop_request.is_interrupted:
            explanation += (
                f"; interrupted by Ctrl-C, so the report is at most {REPORT_EPISODES_AFTER_INTERRUPT} episodes"
                + (", and no last choice of a champion was made" if reason == "stopped" else "")
            )
        is_settled = reason != "stopped"
        report, notes = self._face_the_bar(report, is_settled)
        return self._conclude(reason, explanation, report, notes, is_settled)

    def _report(self) -> EvaluationResult | None:
        """Let the champion play; few episodes, where the user waits."""
        if self._incumbent.snapshot is None:
            return None
        report = None
        if not self._stop_request.is_interrupted:
            report = self._challenges.report(self.report_episodes)
        if report is None and self._stop_request.is_interrupted:
            with self._stop_request.short_report():
                report = self._challenges.report(min(self.report_episodes, REPORT_EPISODES_AFTER_INTERRUPT))
        return report

    def draw_after_lost_workers(self, error: BaseException) -> RunResult:
        """Hand back the champion after a Ctrl-C that reached the environment's processes as well."""
        self._stop_request.interrupt()
        how = f"interrupted by Ctrl-C, which ended the environment's processes, too ({type(error).__name__})"
        self._incumbent.bring_back()
        report = self._report() if self._plays_elsewhere else None
        why = "there is no report: the environment that it would have been played in ended"
        notes = () if self._plays_elsewhere else (why,)
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
            self._recorder.run_dir,
            outcome.result.reason,
            outcome.result.explanation,
        )
        try:
            self._session.open()
            result = replace(self._session.result_of(outcome), is_interrupted=False)
            self._incumbent.bring_back()
            self._ledger.go_on_from(result.env_steps, result.windows, result.seconds)
            self._recorder.go_on_after_the_last_row()
        finally:
            self._session.close()
        return result

    def draw_after_error(self, error: Exception) -> RunResult | None:
        """Hand back the champion without a report; None where not even that works."""
        try:
            self._incumbent.bring_back()
            report, notes = self._face_the_bar(None, is_settled=False)
            return self._conclude("error", f"{type(error).__name__}: {error}", report, notes, is_settled=False)
        except Exception:
            logger.exception("The champion could not be handed back after an error.")
            return None

    def _face_the_bar(
        self, report: EvaluationResult | None, is_settled: bool
    ) -> tuple[EvaluationResult | None, tuple[str, ...]]:
        """Let the champion that was handed back before the run was resumed stay, unless this one comes up to it."""
        bar = self._session.take_bar()
        if bar is None:
            return report, ()
        champion = self._incumbent.snapshot
        notes: tuple[str, ...] = ()
        if not self._is_reached(bar) and bar.stays(report, is_settled=is_settled, num_windows=self._ledger.windows):
            self._incumbent.adopt(bar.snapshot.snapshot_id)
            self._incumbent.bring_back()
            self._challenges.stand_for(bar.report)
            reached = "played no episodes" if report is None else f"reached {report}"
            own = "none" if champion is None else f"snapshot {champion.snapshot_id}, which {reached}"
            notes = (
                f"the champion of before the run was resumed, snapshot {bar.snapshot.snapshot_id}, stays: the resumed "
                f"run's own ({own}) did not come up to it",
            )
            report = bar.report
        self._registry.release()
        return report, notes

    def _is_reached(self, bar: Bar) -> bool:
        """Tell whether the champion is the very policy of the bar."""
        return self._incumbent.is_same_as(bar.snapshot.snapshot_id)

    def _conclude(
        self, reason: str, explanation: str, report: EvaluationResult | None, notes: tuple[str, ...], is_settled: bool
    ) -> RunResult:
        self._ledger.end_run()
        if is_settled:
            self._recorder.settle()
        result = RunResult(
            reason=reason,
            explanation=explanation,
            state=self._scheduler.current_state,
            champion=self._incumbent.snapshot,
            report=report,
            env_steps=dict(self._ledger.steps),
            windows=self._ledger.windows,
            seconds=self._ledger.seconds,
            run_dir=self._recorder.run_dir,
            history=self._recorder.history.columns(),
            is_interrupted=self._stop_request.is_interrupted,
            notes=(
                *self._session.notes,
                *self._challenges.notes,
                *self._guard.notes,
                *self._shortfall.notes_on(report),
                *notes,
            ),
        )
        self._session.keep_result(result, self._ledger)
        if is_settled:
            self._registry.forget_later()
        return result
