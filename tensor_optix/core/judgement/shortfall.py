"""Does the champion, taking its likeliest actions, reach what the windows of training show?"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from tensor_optix.core.backoff_scheduler import BackoffScheduler
from tensor_optix.core.judgement.challenges import FEWEST_EPISODES
from tensor_optix.core.judgement.champion import Incumbent
from tensor_optix.core.judgement.judge import Judge
from tensor_optix.core.storage.stateful import Stateful
from tensor_optix.core.types import EvaluationResult
from tensor_optix.functional.statistics import mean_interval
from tensor_optix.monitoring.trend import Trend

logger = logging.getLogger(__name__)


@dataclass(eq=False)
class Shortfall(Stateful):
    """Puts the end off while the champion's greedy episodes fall far short of the windows of training.

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

        A champion that became one by training scores alone has to play first.
        """
        if not (self.scheduler.is_one_look_from_dormant and self._is_plateau_of_returns):
            return False
        if len(self.incumbent.track_record) < FEWEST_EPISODES:
            return self.ask("assessment")
        if not self.judge.is_far_above(mean_interval(self.incumbent.track_record.returns)[1]):
            return False
        if self._first_look is None:
            self._first_look = self.judge.num_looks
            logger.info("The champion's greedy episodes fall far short of the training windows: the end is put off.")
        return self.judge.num_looks < 2 * self._first_look

    def notes_on(self, report: EvaluationResult | None) -> tuple[str, ...]:
        """Return what should be said where the champion of a plateau still falls short in the report's episodes."""
        if report is None or not self._is_plateau_of_returns or not self.judge.is_far_above(report.interval[1]):
            return ()
        return (
            f"Greedy episodes of the champion fall far short of the latest training windows ({report.mean:.4g} against "
            f"{self.judge.steady_level:.4g}). If both count the same rewards, the policy does better when it samples "
            "its actions than when it takes the likeliest; training on may mend that.",
        )

    @property
    def _is_plateau_of_returns(self) -> bool:
        """Whether the windows stand still, in scores that greedy episodes can be held against."""
        return self.judge.last_trend is Trend.PLATEAU and self.judge.counts_episodes
