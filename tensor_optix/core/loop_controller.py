"""The loop: windows in, a trained agent out. Knows no framework and no algorithm."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tensor_optix.core.backoff_scheduler import BackoffScheduler
from tensor_optix.core.base_agent import BaseAgent
from tensor_optix.core.base_evaluator import BaseEvaluator, check_score
from tensor_optix.core.base_optimizer import BaseOptimizer
from tensor_optix.core.base_pipeline import BasePipeline
from tensor_optix.core.budget import Ledger
from tensor_optix.core.callbacks import CallbackList, LoopCallback
from tensor_optix.core.checkpoint_registry import CheckpointRegistry
from tensor_optix.core.checks import check_flags
from tensor_optix.core.judgement.alarm import AlarmResponse
from tensor_optix.core.judgement.arena import Arena, PlayFn
from tensor_optix.core.judgement.challenges import FINAL_EPISODES, Confirmation
from tensor_optix.core.judgement.incumbent import ChampionKeeper
from tensor_optix.core.judgement.judge import Judge, Verdict
from tensor_optix.core.judgement.shortfall import Shortfall
from tensor_optix.core.judgement.track_record import TrackRecord
from tensor_optix.core.judgement.trial import BoldTrial
from tensor_optix.core.judgement.watchdog import Watchdog
from tensor_optix.core.loop.conclusion import Conclusion
from tensor_optix.core.loop.divergence import DivergenceGuard
from tensor_optix.core.loop.interrupts import StopRequest
from tensor_optix.core.loop.recorder import Recorder
from tensor_optix.core.loop.run_checkpoint import named_by_class
from tensor_optix.core.loop.session import RunSession
from tensor_optix.core.loop.tuning import Tuning
from tensor_optix.core.loop_parts import check_keepers, check_parts, check_report, check_settings
from tensor_optix.core.run_result import RunResult
from tensor_optix.core.types import EpisodeData, EvalMetrics, LoopState, PolicySnapshot
from tensor_optix.functional.seeding import derive_seed
from tensor_optix.monitoring.trend import Trend

if TYPE_CHECKING:
    from tensor_optix.core.storage.run_folder import RunFolder

__all__ = ["LoopCallback", "LoopController"]


class LoopController:
    """Runs the loop that ``tensor_optix.core`` describes.

    Args:
        agent: Acts and learns.
        evaluator: Scores each window.
        optimizer: Suggests hyperparameters.
        pipeline: Yields windows.
        checkpoint_registry: Keeps champions.
        backoff_scheduler: Counts looks, holds the state.
        rollback_on_degradation: Whether an alarm while learning brings back the champion.
        improvement_margin: What a challenger must be better by, on top of the noise.
        max_episodes: Windows of one run; None: until DORMANT.
        callbacks: Hooks, see :class:`LoopCallback`.
        seed: Source of all randomness; None draws one.
        max_env_steps: Environment steps of one run, all but the report's; None: no limit.
        target_score: End as soon as the lower confidence bound of fresh episodes reaches it.
        play_episodes: Plays greedy episodes elsewhere than in the pipeline's own environment.
        report_episodes: Fresh greedy episodes that report on the champion at the end.
        run_folder: Where the history is written; None: nowhere.
    """

    def __init__(
        self,
        agent: BaseAgent,
        evaluator: BaseEvaluator,
        optimizer: BaseOptimizer,
        pipeline: BasePipeline,
        checkpoint_registry: CheckpointRegistry,
        backoff_scheduler: BackoffScheduler,
        rollback_on_degradation: bool = False,
        improvement_margin: float = 0.0,
        max_episodes: int | None = None,
        callbacks: Iterable[LoopCallback] | None = None,
        *,
        seed: int | None = None,
        max_env_steps: int | None = None,
        target_score: float | None = None,
        play_episodes: PlayFn | None = None,
        report_episodes: int = 100,
        run_folder: RunFolder | None = None,
    ) -> None:
        check_parts(agent, evaluator, optimizer, pipeline)
        check_keepers(checkpoint_registry, backoff_scheduler, run_folder)
        check_settings(rollback_on_degradation, improvement_margin, max_episodes, max_env_steps, target_score, seed)
        check_report(report_episodes, play_episodes)
        self.agent = agent
        self.evaluator = evaluator
        self.optimizer = optimizer
        self.pipeline = pipeline
        self.registry = checkpoint_registry
        self.scheduler = backoff_scheduler
        self.rollback_on_degradation = rollback_on_degradation
        self.last_result: RunResult | None = None
        self.callbacks = CallbackList(callbacks)
        self.recorder = Recorder(run_folder)
        self._ledger = Ledger(max_episodes, max_env_steps)
        self._judge = Judge(improvement_margin, evaluator.compare)
        self._watchdog = Watchdog()
        self._keeper = ChampionKeeper(agent, checkpoint_registry)
        self._tuning = Tuning(agent, optimizer, backoff_scheduler, self.callbacks)
        self._session = RunSession(agent, pipeline, checkpoint_registry, self.recorder, seed)
        play = play_episodes or pipeline.play_episodes
        self.stop_request = StopRequest(getattr(pipeline, "request_stop", lambda: None))
        self._arena = Arena(agent, play, derive_seed(self.seed, "arena"), self._give_way)
        self._players = [] if play_episodes is None else [play_episodes]
        needs_barrier = play_episodes is None
        self._confirmation = Confirmation(
            pipeline, self._keeper, self._arena, self._ledger, needs_barrier=needs_barrier, target_score=target_score
        )
        self._trial = BoldTrial(agent, self._keeper, self._tuning, backoff_scheduler)
        self._shortfall = Shortfall(self._judge, self._confirmation, backoff_scheduler)
        self._alarm = AlarmResponse(
            agent,
            self._keeper,
            self._judge,
            backoff_scheduler,
            self._tuning,
            self._confirmation,
            self.callbacks,
            rollback_on_degradation,
        )
        self._guard = DivergenceGuard(agent, self._keeper, self._judge, self._tuning)
        self._conclusion = Conclusion(
            self._keeper,
            checkpoint_registry,
            backoff_scheduler,
            self._confirmation,
            self._ledger,
            self.recorder,
            self._session,
            self._guard,
            self._shortfall,
            report_episodes,
            self.stop_request,
        )
        self._ending: tuple[str, str] | None = None
        if run_folder is not None:
            self._session.keep_on_disk(
                run_folder, self._keeper, self._parts(), self.evaluator, self.callbacks.callbacks
            )

    # ---------------------------------------------------------------- the public face

    def run(self, resume: bool = False) -> RunResult:
        """Run until DORMANT, out of budget, or asked to stop; the agent then holds the champion.

        Args:
            resume: Go on from the last checkpoint in the run's folder, as if nothing had happened.

        Returns:
            What the run came to. Called again, it goes on from where it was, with a new budget. A run that is to be
            resumed, but had ended by itself or used as much as it may, is not: its result is returned.

        Raises:
            Exception: Whatever the environment, agent or evaluator raised; everything saved so
                far is kept, and :attr:`last_result` says what was reached.
        """
        check_flags(resume=resume)
        outcome = self._session.finished(self._ledger.budget) if resume else None
        if outcome is not None:
            self.last_result = self._conclusion.draw_again(outcome)
            return self.last_result
        self._start()
        try:
            self._session.open()
            self._tuning.note_learn()
            self._session.begin(resume, self._ledger.budget)
            self.callbacks.fire("on_loop_start")
            for window in self._session.windows():
                self._process(window)
                if self._ending is not None:
                    break
            return self._finish()
        except BaseException as error:
            if self.stop_request.comes_from_a_worker(error):
                self.last_result = self._conclusion.draw_after_lost_workers(error)
                return self.last_result
            if isinstance(error, Exception):
                self.last_result = self._conclusion.draw_after_error(error)
            raise
        finally:
            self._session.close()
            self.callbacks.fire("on_loop_stop")

    def stop(self) -> None:
        """Ask the loop to end after the current window; from any thread."""
        self.stop_request.stop()

    def _give_way(self) -> None:
        self.stop_request.check_episodes()
        self.pipeline.give_way()

    @property
    def seed(self) -> int:
        """Source of all randomness: the seed given, drawn, or resumed."""
        return self._session.seed

    @property
    def state(self) -> LoopState:
        """What the loop is doing."""
        return self.scheduler.current_state

    @property
    def _is_frozen(self) -> bool:
        return self.state in (LoopState.DORMANT, LoopState.WATCHDOG)

    @property
    def best_snapshot(self) -> PolicySnapshot | None:
        """The champion, None before the first scored window."""
        return self._keeper.snapshot

    # ---------------------------------------------------------------- one window

    def _process(self, window: EpisodeData) -> None:
        restores, was_frozen = self._keeper.num_restores, self._is_frozen
        metrics = self._score(window)
        if metrics.is_evidence:
            self._weigh(metrics)
        self._play(window, metrics)
        self._look_for_the_end(metrics)
        comes_from_these_weights = self._keeper.num_restores == restores
        if comes_from_these_weights and not (was_frozen or self._is_frozen or self._alarm.is_open):
            self._learn(window, metrics)
        self.recorder.record(metrics, self.state, self.best_snapshot, self._tuning.decisions())
        self.callbacks.fire("on_episode_end", window.episode_id, metrics if metrics.is_evidence else None)
        if self._ending is None:  # a run resumed with a larger budget must not begin where this one was settled
            self._session.save_if_due(window, self._ledger, self._confirmation.reserved_steps())

    def _score(self, window: EpisodeData) -> EvalMetrics:
        """Score the policy that acted; its weights were made by the last ``learn``."""
        self._ledger.count_window(window.env_steps)
        self._arena.note_lengths(window)
        metrics = self.evaluator.score(window, self.recorder.diagnostics)
        check_score(metrics, type(self.evaluator).__name__, window.episode_id)
        return self._tuning.stamp(metrics, self._ledger.steps["training"])

    def _weigh(self, metrics: EvalMetrics) -> None:
        """Judge a window that gave evidence, and act on the verdict."""
        self._tuning.add(metrics)
        if self._is_frozen:
            self._watch(metrics)
            return
        verdict = self._judge.weigh(metrics)
        if verdict.improved:
            self._crown(metrics)
        if verdict.trend is not None:
            self._count_look(verdict, metrics)
        if verdict.degraded:
            self._trial.settle()
            self._alarm.sound(metrics)
            self.recorder.note(alarm=True)
        self._confirmation.wish_for_target(self._judge.level)

    def _play(self, window: EpisodeData, metrics: EvalMetrics) -> None:
        """Use an environment that is free after this window for what episodes are to decide."""
        if not self._confirmation.is_possible_after(window):
            return
        grants = self._confirmation.take_wishes()
        if "diagnosis" in grants:
            self._alarm.diagnose()
        if "target" in grants and self._confirmation.reaches_target():
            self._crown(self._evidence_for(metrics))
            self._ending = ("target", "fresh greedy episodes reach target_score")
        if "diagnosis" not in grants and not self._is_frozen:
            self._challenge(metrics)
        if "assessment" in grants:
            self._confirmation.assess()
        if "settlement" in grants:
            self._trial.settle()
        if "trial" in grants and self.state is LoopState.COOLING:
            self._trial.begin(self._judge.num_looks)

    def _learn(self, window: EpisodeData, metrics: EvalMetrics) -> None:
        if metrics.is_evidence and not self._trial.is_running:
            self._tuning.suggest()
        self.recorder.diagnostics = self._guard.learn(window)

    # ---------------------------------------------------------------- verdicts

    def _crown(self, metrics: EvalMetrics, record: TrackRecord | None = None, *, is_final: bool = False) -> None:
        """Keep the weights that acted in this window: before anything is learned from it."""
        snapshot = self._keeper.crown(metrics, self.agent.get_hyperparams(), is_final=is_final)
        self._judge.crown(metrics)
        self._confirmation.record = record or TrackRecord()
        if self.scheduler.best_score is None:
            self.scheduler.record_improvement(metrics.primary_score)
        self.optimizer.on_improvement(metrics)
        self.callbacks.fire("on_improvement", snapshot)

    def _challenge(self, metrics: EvalMetrics, num_episodes: int | None = None) -> None:
        """Let the policy that acted in this window play for the championship."""
        champion = self.best_snapshot
        if champion is None or champion.episode_id == metrics.episode_id:
            return
        if self._confirmation.challenger_wins(num_episodes):
            is_final = self._ending is not None
            self._crown(self._evidence_for(metrics), self._confirmation.record, is_final=is_final)

    def _evidence_for(self, metrics: EvalMetrics) -> EvalMetrics:
        """Return these metrics or, where the window gave no evidence, the latest that did."""
        latest = metrics if metrics.is_evidence else self._tuning.latest
        return replace(latest or metrics, episode_id=metrics.episode_id)

    def _count_look(self, verdict: Verdict, metrics: EvalMetrics) -> None:
        before = self.state
        if verdict.trend is Trend.IMPROVING:
            self.scheduler.record_improvement(verdict.look_score)
        elif verdict.trend in (Trend.PLATEAU, Trend.STALLED) and not self._is_end_put_off():
            self.scheduler.record_non_improvement()
        if self._trial.is_over() and not self._confirmation.wish("settlement"):
            self._trial.settle()
        if before is LoopState.ACTIVE and self.state is not LoopState.ACTIVE:
            self._on_plateau(metrics)
        elif self.state is LoopState.COOLING and self.scheduler.should_adapt(self._judge.num_looks):
            self._confirmation.wish("challenge")
        if self.state is LoopState.DORMANT:
            self._on_dormant(metrics)

    def _is_end_put_off(self) -> bool:
        return self._trial.is_waited_for or self._shortfall.puts_off_the_end()

    def _on_plateau(self, metrics: EvalMetrics) -> None:
        self._tuning.on_plateau()
        self.callbacks.fire("on_plateau", metrics.episode_id, LoopState.COOLING)
        if self.state is LoopState.COOLING and not self._confirmation.wish("trial"):
            self._trial.begin(self._judge.num_looks)

    def _on_dormant(self, metrics: EvalMetrics) -> None:
        self.callbacks.fire("on_dormant", metrics.episode_id)
        if self.pipeline.is_live:
            self._keeper.restore()
            self._watchdog.start_over()
            self.scheduler.record_watch()
        elif self._judge.last_trend is Trend.STALLED:
            self._ending = ("stalled", "the loop went DORMANT, but the score never left its first level")
        else:
            self._ending = ("trained", "the loop went DORMANT: nothing more is to be gained")

    def _watch(self, metrics: EvalMetrics) -> None:
        """Hold a frozen champion against its own past: if it is worse, the world changed."""
        if self._watchdog.update(metrics.primary_score):
            self._alarm.accept_new_world()
            self.scheduler.record_degradation()
            self.callbacks.fire("on_degradation", metrics.episode_id, metrics)
            self.recorder.note(alarm=True)

    # ---------------------------------------------------------------- beginning and end

    def _start(self) -> None:
        self.stop_request.clear()
        self._ending = None
        self._ledger.start_run()
        if self.state is LoopState.DORMANT:
            self.scheduler.record_degradation()

    def _parts(self) -> dict[str, Any]:
        """Return everything that has a state, apart from the agent and its champion."""
        named = {
            "pipeline": self.pipeline,
            "optimizer": self.optimizer,
            "scheduler": self.scheduler,
            "ledger": self._ledger,
            "judge": self._judge,
            "watchdog": self._watchdog,
            "tuning": self._tuning,
            "arena": self._arena,
            "confirmation": self._confirmation,
            "trial": self._trial,
            "shortfall": self._shortfall,
            "alarm": self._alarm,
            "divergence": self._guard,
            "recorder": self.recorder,
        }
        return {**named, **named_by_class([self.evaluator, *self._players, *self.callbacks.callbacks])}

    def _look_for_the_end(self, metrics: EvalMetrics) -> None:
        """Decide whether this was the last window; if so, settle who is champion."""
        if self._ending is None and self.stop_request.is_set:
            self._ending = ("stopped", "asked to stop")
        exhausted = self._ledger.exhausted(self._confirmation.reserved_steps())
        if self._ending is None and exhausted is not None:
            self._ending = ("budget", exhausted)
        if self._ending is None:
            return
        self._session.save_before_the_end()
        self.pipeline.cut_episodes()
        if self._ending[0] != "target" and not self.stop_request.is_interrupted:
            self._challenge(metrics, FINAL_EPISODES)

    def _finish(self) -> RunResult:
        how = "asked to stop" if self.stop_request.is_set else "the pipeline's stream ended"
        self.last_result = self._conclusion.draw(*(self._ending or ("stopped", how)))
        return self.last_result
