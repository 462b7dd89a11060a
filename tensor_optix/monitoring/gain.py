"""How far a series has risen above its first level, and whether that is more than chance."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tensor_optix.monitoring.score_bins import Floats, ScoreBins
from tensor_optix.monitoring.series import Line

# Chosen on the TUNING curves of benchmarks/judgement.py and the tuning half of benchmarks/hopeless_simulation.py.
_LOW_SHARE = math.sqrt(0.1)  # of the way up from the first level, below which a score is low; irrational: no ties
_EARLY_SHARE, _EARLY_LOOKS = 15, 8  # of all scores, and scores at least, that tell the noise of the first level
_EARLY_NOISE = 0.7  # share of it that counts: a part is the rise


@dataclass(frozen=True)
class Gain:
    """The rise above the first level.

    Attributes:
        size: Level of now less the first one.
        error: Its standard error.
        score_sd: Standard deviation of single scores.
        chance: How probably as many low scores come first by chance, see :func:`chance_of_low_start`.
    """

    size: float
    error: float
    score_sd: float
    chance: float


def gain_since(bins: ScoreBins, first_looks: int, half: Line) -> Gain:
    """Measure the gain of the newest quarter over the first scores.

    Args:
        bins: The scores.
        first_looks: First scores whose mean is the first level.
        half: A line through the newest half: it knows the noise of now. That of the beginning may be larger.
    """
    num_first = bins_of(bins, first_looks)
    quarter = bins.num_bins // 4
    rough, early = bins.difference_sd(), _EARLY_NOISE * _early_sd(bins)
    variance = max(half.long_run_variance, rough**2, early**2) / (num_first * bins.bin_size)
    variance += half.long_run_variance / (quarter * bins.bin_size)
    values = bins.values()
    first, now = float(values[:num_first].mean()), float(values[-quarter:].mean())
    chance = chance_of_low_start(values, num_first, bins.num_bins // 2, now)
    return Gain(now - first, math.sqrt(variance), max(half.score_sd, rough), chance)


def bins_of(bins: ScoreBins, looks: int) -> int:
    """Return how many bins come nearest to so many scores, at least one."""
    return min(max(1, round(looks / bins.bin_size)), bins.num_bins)


def chance_of_low_start(values: Floats, num_first: int, num_newest: int, now: float) -> float:
    """Return how probably the first values hold as many of the low ones if all came in random order.

    Fisher's exact test: of first and newest values together, those that lie in the lowest third of the way up from
    the first level, or below, are low, and the first are as good as drawn from all. Whatever the distribution of the
    values, one low value at the beginning proves little; three at the beginning, and none since, soon do.

    Args:
        values: All values in order of time, ``[n]``.
        num_first: Values that make the first level.
        num_newest: Values that the first ones are held against.
        now: The level of now.
    """
    early, late = values[:num_first], values[max(num_first, values.size - num_newest) :]
    first = float(early.mean())
    if now <= first or not late.size:
        return 1.0
    bar = first + _LOW_SHARE * (now - first)
    low_first, low_late = int((early < bar).sum()), int((late < bar).sum())
    low, total = low_first + low_late, num_first + late.size
    ways = sum(
        math.comb(low, drawn) * math.comb(total - low, num_first - drawn)
        for drawn in range(low_first, min(num_first, low) + 1)
    )
    return ways / math.comb(total, num_first)


def _early_sd(bins: ScoreBins) -> float:
    """Return the spread of the first scores, from their one-step differences."""
    count = min(bins.num_bins, max(bins_of(bins, _EARLY_LOOKS), bins.num_bins // _EARLY_SHARE))
    steps = max(count * bins.bin_size - 1, 1)
    return math.sqrt(float(bins.roughness[:count].sum()) / (2.0 * steps))
