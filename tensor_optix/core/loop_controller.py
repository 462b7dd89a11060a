"""The loop: windows in, a trained agent out. Knows no framework and no algorithm."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from tensor_optix.core.backoff_scheduler import BackoffScheduler
from tensor_optix.core.base_agent import BaseAgent
from tensor_optix.core.base_evaluator import BaseEvaluator, check_score, comparable
from tensor_optix.core.base_optimizer import BaseOptimizer
from tensor_optix.core.base_pipeline import BasePipeline
from tensor_optix.core.callbacks import CallbackList, LoopCallback
from tensor_optix.core.checkpoint_registry import CheckpointRegistry
from tensor_optix.core.checks import check_flags
from tensor_optix.core.judgement.arena import PlayFn
from tensor_optix.core.loop.assembly import Given, Parts
from tensor_optix.core.loop.entrance import check_keepers, check_report, check_settings, complete_parts
from tensor_optix.core.loop.process import StopRequest
from tensor_optix.core.loop.recorder import Recorder
from tensor_optix.core.loop.session import RunSession
from tensor_optix.core.loop.stopwatch import LEARNING
from tensor_optix.core.run_result import RunResult
from tensor_optix.core.storage.run_folder import RunFolder
from tensor_optix.core.types import EpisodeData, EvalMetrics, LoopState, PolicySnapshot

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
        max_env_steps: Environment steps of one run, all but the report's: never more; None: no limit.
        target_score: End as soon as fresh episodes, booked as report, show it; falsely in at most one run of twenty.
        play_episodes: Plays greedy episodes elsewhere than in the pipeline's own environment.
        report_episodes: Fresh greedy episodes that report on the champion at the end.
        run_folder: Where the history is written; None: nowhere.
        stop_on: Classes of exceptions with which a callback may end the run; raised again at the end.
        baseline: Maps an observation to an action; plays the report's episodes too.
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
        stop_on: Iterable[type[Exception]] = (),
        baseline: Callable[[Any], Any] | None = None,
    ) -> None:
        agent, evaluator, optimizer, pipeline = complete_parts(agent, evaluator, optimizer, pipeline)
        check_keepers(checkpoint_registry, backoff_scheduler, run_folder)
        check_settings(rollback_on_degradation, improvement_margin, max_episodes, max_env_steps, target_score, seed)
        check_report(report_episodes, play_episodes, baseline)
        self.evaluator = evaluator
        self.pipeline = pipeline
        self.registry = checkpoint_registry
        self.scheduler = backoff_scheduler
        self.last_result: RunResult | None = None
        self.callbacks = CallbackList(callbacks, stop_on)
        self.recorder = Recorder(run_folder)
        self.stop_request = StopRequest(pipeline.request_stop)
        self._session = RunSession(agent, pipeline, checkpoint_registry, self.recorder, seed)
        given = Given(
            agent=agent,
            evaluator=evaluator,
            optimizer=optimizer,
            pipeline=pipeline,
            registry=checkpoint_registry,
            scheduler=backoff_scheduler,
            callbacks=self.callbacks,
            rollback_on_degradation=rollback_on_degradation,
            improvement_margin=improvement_margin,
            max_episodes=max_episodes,
            max_env_steps=max_env_steps,
            target_score=target_score,
            play_episodes=play_episodes,
            report_episodes=report_episodes,
            recorder=self.recorder,
            session=self._session,
            stop_request=self.stop_request,
            baseline=baseline,
        )
        self.parts = Parts(given)

    def run(self, resume: bool = False) -> RunResult:
        """Run until DORMANT, out of budget, or asked to stop; the agent then holds the champion.

        Args:
            resume: Go on from the last checkpoint in the run's folder, as if nothing had happened.

        Returns:
            What the run came to. Called again, it goes on from where it was, with a new budget. A run that is to be
            resumed, but had ended by itself or used as much as it may, is not: its result is returned.

        Raises:
            Exception: Whatever the environment, agent or evaluator raised; everything saved so far is kept, and
                :attr:`last_result` says what was reached. Or what a callback ended the run with (``stop_on``).
        """
        check_flags(resume=resume)
        parts = self.parts
        outcome = self._session.finished(parts.ledger.budget) if resume else None
        if outcome is not None:
            self.last_result = parts.conclusion.draw_again(outcome)
            return self.last_result
        self._start()
        result: RunResult | None = None
        try:
            result = self._play_out(resume)
        except BaseException as error:
            if self.stop_request.comes_from_a_worker(error):
                result = parts.conclusion.draw_after_lost_workers(error)
            else:
                if isinstance(error, Exception):
                    self.last_result = result = parts.conclusion.draw_after_error(error)
                raise
        finally:
            self._end(result)
        self.callbacks.raise_again()
        return result

    def _play_out(self, resume: bool) -> RunResult:
        parts = self.parts
        self.callbacks.fire("on_run_start", parts.view)
        self._session.open()
        parts.provenance.note()
        self._session.begin(resume, parts.ledger.budget)
        parts.tuning.check_start()
        self.callbacks.fire("on_loop_start")
        windows = parts.stopwatch.waiting_for(self._session.windows(parts.room.limit_window))
        for window in () if self.callbacks.why_to_end else windows:
            self._process(window)
            if parts.closing.ending is not None:
                break
        return parts.conclusion.draw(parts.closing.ending_of_stream())

    def stop(self) -> None:
        """Ask the loop to end after the current window; from any thread."""
        self.stop_request.stop()

    @property
    def seed(self) -> int:
        """Source of all randomness: the seed given, drawn, or resumed."""
        return self._session.seed

    @property
    def state(self) -> LoopState:
        """What the loop is doing."""
        return self.scheduler.current_state

    @property
    def best_snapshot(self) -> PolicySnapshot | None:
        """The champion, None before the first scored window."""
        return self.parts.incumbent.snapshot

    def _process(self, window: EpisodeData) -> None:
        parts = self.parts
        weights, was_frozen = parts.provenance.num_changes, self.scheduler.is_frozen
        metrics = self._score(window)
        if metrics.is_evidence:
            self._weigh(metrics)
        parts.agenda.work_off(window, metrics)
        parts.closing.look(metrics)
        comes_from_these_weights = parts.provenance.num_changes == weights
        if comes_from_these_weights and not (was_frozen or self.scheduler.is_frozen or parts.alarm.is_open):
            self._learn(window, metrics)
        row = self.recorder.record(metrics, self.state, self.best_snapshot, parts.tuning.decisions())
        self.callbacks.fire("on_window", row, window)
        self.callbacks.fire("on_episode_end", window.episode_id, metrics if metrics.is_evidence else None)
        if parts.closing.ending is None and self.callbacks.why_to_end:  # the weights are those of this very `learn`
            parts.closing.look(parts.provenance.stamp(metrics, parts.ledger.steps["training"]))
        if parts.closing.ending is None:  # a run resumed with a larger budget must not begin where this one was settled
            self._session.save_if_due(window, parts.ledger, parts.challenges.reserved_steps())

    def _score(self, window: EpisodeData) -> EvalMetrics:
        """Score the policy that acted; its weights were made by the last ``learn``."""
        ledger = self.parts.ledger
        ledger.count_window(window.env_steps)
        self.parts.arena.note_episodes(window)
        metrics = self.evaluator.score(window, self.recorder.diagnostics)
        check_score(metrics, type(self.evaluator).__name__, window.episode_id)
        metrics = comparable(metrics, window, is_first=self.best_snapshot is None)
        return self.parts.provenance.stamp(metrics, ledger.steps["training"])

    def _weigh(self, metrics: EvalMetrics) -> None:
        """Judge a window that gave evidence, and act on the verdict."""
        parts = self.parts
        parts.tuning.add(metrics)
        if self.scheduler.is_frozen:
            if parts.watch.raises_alarm(metrics):
                self.recorder.note(alarm=True)
            return
        verdict = parts.judge.weigh(metrics, is_warming_up=parts.agent.is_warming_up)
        if verdict.improved:
            parts.succession.improve(metrics, is_trial=parts.trial.is_running)
        if verdict.trend is not None:
            parts.looks.count(verdict, metrics)
            if self.state is LoopState.DORMANT and self.pipeline.is_live:
                parts.watch.begin()
        if verdict.degraded:
            parts.trial.settle(metrics)
            parts.alarm.sound(metrics)
            self.recorder.note(alarm=True)
        parts.target.ask_if_near()

    def _learn(self, window: EpisodeData, metrics: EvalMetrics) -> None:
        if metrics.is_evidence and not self.parts.trial.is_running:
            self.parts.tuning.suggest()
        with self.parts.stopwatch.on(LEARNING):
            self.recorder.diagnostics = self.parts.guard.learn(window)

    def _start(self) -> None:
        self.stop_request.clear()
        self.callbacks.begin_run()
        self.parts.start_run()
        if self.state is LoopState.DORMANT:
            self.scheduler.record_degradation()

    def _end(self, result: RunResult | None) -> None:
        """Let go of everything, and tell the callbacks; an error may be on its way out."""
        self._session.close()
        if result is not None:
            self.last_result = result
            self.callbacks.fire("on_run_end", result)
        self.callbacks.fire("on_loop_stop")
