"""What is known of a run at a moment, in numbers and plain words."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from tensor_optix.core.run_view import Looks
from tensor_optix.core.types import LoopState

SPARKS = "▁▂▃▄▅▆▇█"

_EPISODES_FOR = {
    "report": "playing {} episodes for the report",
    "evaluation": "comparing policies: {} episodes each",
    "diagnosis": "finding the cause: {} episodes",
}


@dataclass(frozen=True)
class Status:
    """A run at a moment.

    Attributes:
        environment: Its name, and how many copies step together.
        state: What the loop is doing.
        doing: The same in words.
        seconds: Wall time.
        window: Windows so far.
        env_steps: Env steps of training so far.
        steps_per_second: Speed over the last seconds, NaN before it is known.
        budget: In words, "" where there is none.
        share_used: Of the budget, None where there is none.
        seconds_left: Until the budget is used, None where that is not known.
        score: Latest score, None before the first.
        scores: The latest scores, in order.
        champion: Score of the champion while training, None before the first.
        champion_returns: What it reached in greedy episodes.
        event: What happened last that one should know, "" where nothing did.
    """

    environment: str = ""
    state: LoopState = LoopState.ACTIVE
    doing: str = "starting"
    seconds: float = 0.0
    window: int = 0
    env_steps: int = 0
    steps_per_second: float = math.nan
    budget: str = ""
    share_used: float | None = None
    seconds_left: float | None = None
    score: float | None = None
    scores: tuple[float, ...] = ()
    champion: float | None = None
    champion_returns: tuple[float, ...] = ()
    event: str = ""

    @property
    def budget_in_words(self) -> str:
        """How much of which budget is used."""
        if self.share_used is None:
            return "none: until nothing more is gained"
        return f"{self.share_used:.0%} of {self.budget}"

    @property
    def time_in_words(self) -> str:
        """How long it has run, and how long it may still."""
        left = "" if self.seconds_left is None else f", about {duration(self.seconds_left)} left"
        return duration(self.seconds) + left

    @property
    def steps_in_words(self) -> str:
        """Env steps, and how many a second."""
        speed = "" if math.isnan(self.steps_per_second) else f" ({self.steps_per_second:,.0f}/s)"
        return f"{self.env_steps:,}{speed}"

    @property
    def champion_in_words(self) -> str:
        """What the champion scores while training, and greedily."""
        if self.champion is None:
            return "-"
        return f"{number(self.champion)} in training, greedy {self.greedy_in_words}"

    @property
    def greedy_in_words(self) -> str:
        """What the champion reached in greedy episodes, and in how many."""
        count = len(self.champion_returns)
        return f"{number(sum(self.champion_returns) / count)} ({count} episodes)" if count else "not yet played"


def state_in_words(state: LoopState, looks: Looks) -> str:
    """Return what a loop in this state is doing."""
    if state is LoopState.ACTIVE:
        gain = f", no gain in {looks.without_gain} looks" if looks.without_gain > 1 else ""
        return f"learning{gain}"
    if state is LoopState.COOLING:
        return f"waiting for proof: {looks.without_gain} of {looks.to_dormant} looks"
    return "watching for a drop" if state is LoopState.WATCHDOG else "trained: nothing more to gain"


def playing_in_words(use: str, num_episodes: int) -> str:
    """Return what a loop is doing while greedy episodes are played."""
    return _EPISODES_FOR.get(use, "{} greedy episodes are played").format(num_episodes)


def duration(seconds: float) -> str:
    """Return a span of time as a person would say it.

    Example:
        >>> duration(7.4), duration(75), duration(3 * 3600 + 60)
        ('7 s', '1 min 15 s', '3 h 1 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest and minutes < 10 else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    return f"{hours / 24:.0f} days"


def number(value: float | None) -> str:
    """Return a score in few characters."""
    return "-" if value is None else f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"


def sparkline(values: Sequence[float], width: int) -> str:
    """Return a line of bars, each the mean of as many values as there are for one; the lowest is the lowest bar.

    Example:
        >>> sparkline([0, 1, 2, 3, 4, 5, 6, 7], 8)
        '▁▂▃▄▅▆▇█'
    """
    if len(values) < 2 or width < 1:
        return ""
    count = min(width, len(values))
    edges = [round(i * len(values) / count) for i in range(count + 1)]
    means = [sum(values[low:high]) / (high - low) for low, high in itertools.pairwise(edges)]
    lowest, span = min(means), max(means) - min(means)
    if not math.isfinite(span) or span <= 0:
        return SPARKS[0] * count
    return "".join(SPARKS[min(int((mean - lowest) / span * len(SPARKS)), len(SPARKS) - 1)] for mean in means)
