"""What follows from a look: counting, COOLING, DORMANT."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tensor_optix.core.backoff_scheduler import BackoffScheduler
from tensor_optix.core.callbacks import CallbackList
from tensor_optix.core.judgement.judge import Judge, Verdict
from tensor_optix.core.judgement.shortfall import Shortfall
from tensor_optix.core.judgement.trial import BoldTrial
from tensor_optix.core.types import EvalMetrics, LoopState
from tensor_optix.monitoring.trend import Trend


@dataclass(eq=False)
class Looks:
    """Hands each look to the scheduler, and acts on the states that it enters.

    Args:
        judge: Counted the look.
        scheduler: Counts those without improvement.
        trial: One bold step from a plateau, which the end waits for.
        shortfall: What else puts the end off.
        on_plateau: Called where a plateau begins.
        callbacks: Told of COOLING and DORMANT.
        ask: Asks for a free environment, by the name of what it is for.
    """

    judge: Judge
    scheduler: BackoffScheduler
    trial: BoldTrial
    shortfall: Shortfall
    on_plateau: Callable[[], None]
    callbacks: CallbackList
    ask: Callable[[str], bool]

    def count(self, verdict: Verdict, metrics: EvalMetrics) -> None:
        """Count the look that closed with this window."""
        before = self.scheduler.current_state
        if verdict.trend is Trend.IMPROVING:
            self.scheduler.record_improvement(verdict.look_score)
        elif verdict.trend in (Trend.PLATEAU, Trend.STALLED) and not self._is_end_put_off():
            self.scheduler.record_non_improvement()
        self.trial.count_look(metrics)
        self._enter(before, metrics)

    def _is_end_put_off(self) -> bool:
        return self.trial.is_waited_for or self.shortfall.puts_off_the_end()

    def _enter(self, before: LoopState, metrics: EvalMetrics) -> None:
        """Act on the state that is entered, or on a COOLING that goes on."""
        now = self.scheduler.current_state
        if before is LoopState.ACTIVE and now is not LoopState.ACTIVE:
            self.on_plateau()
            self.callbacks.fire("on_plateau", metrics.episode_id, LoopState.COOLING)
            if now is LoopState.COOLING:
                self.trial.begin_when_free(metrics)
        elif now is LoopState.COOLING and self.scheduler.should_adapt(self.judge.num_looks):
            self.ask("challenge")
        if now is LoopState.DORMANT:
            self.callbacks.fire("on_dormant", metrics.episode_id)
