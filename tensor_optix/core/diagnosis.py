"""Why scores dropped: the policy, the world, or nothing at all."""

from __future__ import annotations

import enum
import math

import numpy as np
import numpy.typing as npt

from tensor_optix.functional.rank_tests import lower_by_ranks, lower_by_signed_ranks

_SIGNIFICANCE = 0.005
_PRACTICAL_SPREADS = 0.5
_FEWEST_TO_ACQUIT = 10
_ONE_SIDED_95 = 1.64


class Cause(enum.Enum):
    """What a drop comes from.

    Attributes:
        POLICY_DAMAGED: The champion is as good as ever, the current policy is not.
        WORLD_CHANGED: The champion is worse than it was, too.
        FALSE_ALARM: Both are as good as ever.
    """

    POLICY_DAMAGED = "policy damaged"
    WORLD_CHANGED = "world changed"
    FALSE_ALARM = "false alarm"


def find_cause(champion_then: npt.ArrayLike, champion_now: npt.ArrayLike, current_now: npt.ArrayLike) -> Cause:
    """Tell why scores dropped, from greedy episodes.

    The world is held responsible only for what the champion lost; where champion and world are as
    they were, the current policy is compared with the champion of now.

    Args:
        champion_then: Returns of the champion when all was well, ``[n]``.
        champion_now: Its returns now, ``[m]``.
        current_now: Returns of the current policy now, on the same seeds, ``[m]``.
    """
    if is_lower(champion_now, champion_then):
        return Cause.WORLD_CHANGED
    if is_lower(current_now, champion_now) or is_lower_paired(current_now, champion_now):
        return Cause.POLICY_DAMAGED
    return Cause.FALSE_ALARM


def is_unharmed(champion_then: npt.ArrayLike, champion_now: npt.ArrayLike, current_now: npt.ArrayLike) -> bool:
    """Tell whether more episodes would hardly find a drop: no policy has lost half a spread, with confidence 95 %."""
    then, champion, current = (np.asarray(x, np.float64) for x in (champion_then, champion_now, current_now))
    if min(len(champion), len(current)) < _FEWEST_TO_ACQUIT:
        return False
    error = math.sqrt(float(np.var(then)) / len(then) + float(np.var(champion)) / len(champion))
    paired_error = float(np.std(champion - current, ddof=1)) / math.sqrt(len(current))
    lost_by_both = float(then.mean() - champion.mean()) + _ONE_SIDED_95 * error
    lost_by_current = float(champion.mean() - current.mean()) + _ONE_SIDED_95 * paired_error
    return lost_by_both <= _practical(then) and lost_by_current <= _practical(champion)


def is_lower(sample: npt.ArrayLike, reference: npt.ArrayLike) -> bool:
    """Tell whether a sample is lower, beyond chance and by more than half a spread.

    One-sided Mann-Whitney test at 0.5 %, which knows ranks only: no scale, no outliers; strict, since
    it is asked again after each round of episodes.
    """
    low, high = np.asarray(sample, np.float64), np.asarray(reference, np.float64)
    if float(np.mean(high) - np.mean(low)) <= _practical(high):
        return False
    return lower_by_ranks(low, high) < _SIGNIFICANCE


def is_lower_paired(sample: npt.ArrayLike, reference: npt.ArrayLike) -> bool:
    """Tell the same of episodes that began alike: pairs take out what the first state decides.

    One-sided Wilcoxon signed-rank test at 0.5 %; False where the samples are no pairs.
    """
    low, high = np.asarray(sample, np.float64), np.asarray(reference, np.float64)
    if low.shape != high.shape or np.array_equal(low, high):
        return False
    if float(np.mean(high - low)) <= _practical(high):
        return False
    return lower_by_signed_ranks(low, high) < _SIGNIFICANCE


def _practical(reference: npt.NDArray[np.float64]) -> float:
    """Return the smallest drop below a reference that matters."""
    return _PRACTICAL_SPREADS * float(np.std(reference))
