"""Why scores dropped: the policy, the world, or nothing at all."""

from __future__ import annotations

import enum
import math

import numpy as np
import numpy.typing as npt

from tensor_optix.functional.nonparametric_tests import lower_by_ranks, lower_by_sign_flips, lower_by_signed_ranks

FloatArray = npt.NDArray[np.float64]

# Chosen on champions of other seeds than those that benchmarks/judgement_causes.py reports on.
STRICT, LENIENT = 0.005, 0.05
"""Significance that a cause needs: after each round of episodes, and damage when there will be no other round."""

_SPREADS, _SPREADS_OF_PAIRS = 0.5, 0.25  # smallest drop that matters, chosen likewise
_FEWEST_TO_ACQUIT = 10  # episodes, chosen likewise
_QUARTILES_OF_NORMAL = 1.349  # standard deviations between them
_ONE_SIDED_95 = 1.64  # standard errors of a normal distribution


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


def find_cause(
    champion_then: npt.ArrayLike,
    champion_now: npt.ArrayLike,
    current_now: npt.ArrayLike,
    replayed_then: npt.ArrayLike = (),
    *,
    damage_significance: float = STRICT,
) -> Cause:
    """Tell why scores dropped, from greedy episodes.

    The world is held responsible only for what the champion lost, beyond doubt: what was learned about
    the old one is thrown away then. Where champion and world are as they were, the current policy is
    compared with the champion of now.

    Args:
        champion_then: Returns of the champion when all was well, ``[n]``.
        champion_now: Its returns now, ``[m]``.
        current_now: Returns of the current policy now, on the same seeds, ``[m]``.
        replayed_then: What the champion reached when all was well in the very episodes that it plays first now,
            ``[k]``.
        damage_significance: Largest p-value that shows a damaged policy.
    """
    then, now = _replays(replayed_then, champion_now)
    if is_lower(champion_now, champion_then) or is_lower_paired(now, then):
        return Cause.WORLD_CHANGED
    champion = np.asarray(champion_now, np.float64)
    if len(then):  # the world is as it was: what the champion played before counts as well
        champion = np.append(champion_then, champion[len(then) :])
    if is_lower(current_now, champion, damage_significance):
        return Cause.POLICY_DAMAGED
    if is_lower_paired(current_now, champion_now, damage_significance):
        return Cause.POLICY_DAMAGED
    return Cause.FALSE_ALARM


def is_unharmed(
    champion_then: npt.ArrayLike,
    champion_now: npt.ArrayLike,
    current_now: npt.ArrayLike,
    replayed_then: npt.ArrayLike = (),
) -> bool:
    """Tell whether more episodes would hardly find a drop: no policy has lost half a spread, with confidence 95 %.

    Args: those of :func:`find_cause`.
    """
    then, champion, current = (np.asarray(x, np.float64) for x in (champion_then, champion_now, current_now))
    if min(len(champion), len(current)) < _FEWEST_TO_ACQUIT:
        return False
    before, now = _replays(replayed_then, champion_now)
    if len(now) >= _FEWEST_TO_ACQUIT:
        lost_by_both = _most_lost(before - now)
    else:
        error = math.sqrt(float(np.var(then)) / len(then) + float(np.var(champion)) / len(champion))
        lost_by_both = float(then.mean() - champion.mean()) + _ONE_SIDED_95 * error
    lost_by_current = _most_lost(champion - current)
    return lost_by_both <= _SPREADS * float(np.std(then)) and lost_by_current <= _SPREADS * float(np.std(champion))


def _replays(then: npt.ArrayLike, now: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return what the same episodes brought then and now, as far as they were played again."""
    known, played = np.asarray(then, np.float64), np.asarray(now, np.float64)
    count = min(len(known), len(played))
    return known[:count], played[:count]


def _most_lost(differences: FloatArray) -> float:
    """Return the upper bound of a mean difference, with confidence 95 %."""
    error = float(np.std(differences, ddof=1)) / math.sqrt(len(differences))
    return float(differences.mean()) + _ONE_SIDED_95 * error


def is_lower(sample: npt.ArrayLike, reference: npt.ArrayLike, significance: float = STRICT) -> bool:
    """Tell whether a sample is lower, beyond chance and by more than half a spread.

    One-sided Mann-Whitney test, which knows ranks only: no scale, no outliers; strict, where it is
    asked again after each round of episodes.
    """
    low, high = np.asarray(sample, np.float64), np.asarray(reference, np.float64)
    if float(np.mean(high) - np.mean(low)) <= _SPREADS * _spread(high):
        return False
    return lower_by_ranks(low, high) < significance


def is_lower_paired(sample: npt.ArrayLike, reference: npt.ArrayLike, significance: float = STRICT) -> bool:
    """Tell the same of episodes that began alike: pairs take out what the first state decides.

    They show a quarter of a spread. One-sided, either by Wilcoxon's signed ranks (every episode lost a
    little) or by flipping signs (a few lost a lot); False where the samples are no pairs.
    """
    low, high = np.asarray(sample, np.float64), np.asarray(reference, np.float64)
    if low.shape != high.shape or not has_lost(low, high):
        return False
    return min(lower_by_signed_ranks(low, high), lower_by_sign_flips(low, high)) < significance


def has_lost(sample: npt.ArrayLike, reference: npt.ArrayLike) -> bool:
    """Tell whether episodes brought less than those that began alike, by more than a quarter of a spread."""
    low, high = np.asarray(sample, np.float64), np.asarray(reference, np.float64)
    return not np.array_equal(low, high) and float(np.mean(high - low)) > _SPREADS_OF_PAIRS * _spread(high)


def _spread(reference: FloatArray) -> float:
    """Return the standard deviation, or that of the middle half where outliers make it larger."""
    low, high = np.quantile(reference, (0.25, 0.75))
    return min(float(np.std(reference)), float(high - low) / _QUARTILES_OF_NORMAL)
