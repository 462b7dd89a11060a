"""What follows from a look: counting, COOLING, DORMANT, and what puts the end off."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from tensor_optix.core.backoff_scheduler import BackoffScheduler
from tensor_optix.core.base_agent import BaseAgent
from tensor_optix.core.callbacks import CallbackList
from tensor_optix.core.judgement.challenges import FEWEST_EPISODES, FINAL_EPISODES, SURE_EPISODES
from tensor_optix.core.judgement.champion import Incumbent
from tensor_optix.core.judgement.judge import Judge, Verdict
from tensor_optix.core.judgement.succession import Succession
from tensor_optix.core.judgement.trial import BoldTrial
from tensor_optix.core.storage.stateful import Stateful
from tensor_optix.core.types import EvalMetrics, EvaluationResult, LoopState
from tensor_optix.functional.statistics import mean_interval
from tensor_optix.monitoring.trend import Trend

logger = logging.getLogger(__name__)


@dataclass(eq=False)
class Looks:
    """Hands each look to the scheduler, and acts on the states that it enters.

    Args:
        judge: Counted the look.
        scheduler: Counts those without improvement.
        trial: One bold step from a plateau, which the end waits for.
        shortfall: What else puts the end off.
        comparison: What the last look waits for.
        on_plateau: Called where a plateau begins.
        callbacks: Told of COOLING and DORMANT.
        ask: Asks for a free environment, by the name of what it is for.
    """

    judge: Judge
    scheduler: BackoffScheduler
    trial: BoldTrial
    shortfall: Shortfall
    comparison: Comparison
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
        if self.trial.is_waited_for:
            return True
        return self.comparison.puts_off_the_end() or self.shortfall.puts_off_the_end()

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


@dataclass(eq=False)
class Comparison(Stateful):
    """Lets the agent play the champion greedily before the last look, where training explores.

    What exploring costs may hide what the greedy policy still gains. If it wins, the count of looks begins again.
    Until enough episodes can be paid for the look waits, at most until there were twice as many.

    Args:
        agent: Knows whether it explores.
        succession: Lets it play.
        judge: Counts looks.
        scheduler: Counts the looks of a plateau.
        ask: Asks for a free environment, by the name of what it is for; returns whether there will be one.
    """

    _STATE = ("_is_done", "_first_look")

    agent: BaseAgent
    succession: Succession
    judge: Judge
    scheduler: BackoffScheduler
    ask: Callable[[str], bool]
    _is_done: bool = field(default=False, init=False)
    _first_look: int | None = field(default=None, init=False)

    def puts_off_the_end(self) -> bool:
        """Tell whether the look that would be the run's last is not to count yet."""
        if not self.scheduler.is_one_look_from_dormant:
            self._is_done, self._first_look = False, None
            return False
        challenges = self.succession.challenges
        if self._is_done or not (self.agent.explores and challenges.is_possible):
            return False
        if self._first_look is None:
            self._first_look = self.judge.num_looks
        may_wait = self.judge.num_looks < 2 * self._first_look
        if challenges.affords(FINAL_EPISODES if may_wait else FEWEST_EPISODES):
            return self.ask("comparison")
        return may_wait

    def play(self, metrics: EvalMetrics) -> None:
        """Let the agent play; the environment is free."""
        self.succession.challenge(metrics)
        self._is_done = True


@dataclass(eq=False)
class Shortfall(Stateful):
    """Puts the end off while the champion's greedy episodes fall short of the windows of training, beyond noise.

    A policy may score well by sampling and yet do nothing when it takes its likeliest action. Its
    plateau is no end: learning on usually makes it decide. The end is put off until there were
    twice as many looks, no longer: where training and evaluation count different rewards, or only
    chance does well, greedy episodes never catch up.

    Args:
        judge: Knows the level of the windows.
        incumbent: Knows what the champion played.
        scheduler: Counts the looks of a plateau.
        ask: Asks for a free environment, by the name of what it is for; returns whether there will be one.
    """

    _STATE = ("_first_look",)

    judge: Judge
    incumbent: Incumbent
    scheduler: BackoffScheduler
    ask: Callable[[str], bool]
    _first_look: int | None = field(default=None, init=False)

    def puts_off_the_end(self) -> bool:
        """Tell whether the look that would be the run's last is not to count.

        A champion that became one by training scores alone has to play first, and one that seems to fall short plays
        on until that is sure: the report, which has more episodes, is not to find what this overlooked.
        """
        if not (self.scheduler.is_one_look_from_dormant and self._is_plateau_of_returns):
            return False
        returns = self.incumbent.track_record.returns
        if len(returns) < FEWEST_EPISODES:
            return self.ask("assessment")
        if not self.judge.is_above(float(returns.mean())):
            return False
        if not self.judge.is_above(mean_interval(returns)[1]):
            return len(returns) < SURE_EPISODES and self.ask("assessment")
        if self._first_look is None:
            self._first_look = self.judge.num_looks
            logger.info("The champion's greedy episodes fall short of the training windows: the end is put off.")
        return self.judge.num_looks < 2 * self._first_look

    def notes_on(self, report: EvaluationResult | None) -> tuple[str, ...]:
        """Return what should be said where the champion of a plateau still falls short in the report's episodes."""
        if report is None or not self._is_plateau_of_returns or not self.judge.is_above(report.interval[1]):
            return ()
        return (
            f"Greedy episodes of the champion fall far short of the latest training windows ({report.mean:.4g} against "
            f"{self.judge.steady_level:.4g}). If both count the same rewards, the policy does better when it samples "
            "its actions than when it takes the likeliest; training on may mend that.",
        )

    def training_mean_beside(self, report: EvaluationResult | None) -> float | None:
        """Return the mean of the latest training windows, where it differs from the report beyond noise."""
        trained = self.judge.training_mean() if self.judge.counts_episodes else None
        if report is None or trained is None:
            return None
        mean, error = trained
        low, high = report.interval
        return mean if mean - error > high or mean + error < low else None

    @property
    def _is_plateau_of_returns(self) -> bool:
        """Whether the windows stand still, in scores that greedy episodes can be held against."""
        return self.judge.last_trend is Trend.PLATEAU and self.judge.counts_episodes
