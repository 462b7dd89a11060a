"""One-sided tests that assume no distribution.

``scipy.stats`` has them, too, and the tests of this package hold these against it; importing it takes 75 MB and
half a second in the middle of a run.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import special

FloatArray = npt.NDArray[np.float64]

_GRID = 1000


def lower_by_ranks(sample: npt.ArrayLike, reference: npt.ArrayLike) -> float:
    """Return the p-value of "the sample is not lower than the reference": Mann and Whitney's U test.

    Normal approximation with corrections for ties and continuity, which is conservative for few values. See "On a
    Test of Whether one of Two Random Variables is Stochastically Larger than the Other" (Mann & Whitney, 1947).

    Args:
        sample: ``[n]``, n >= 1.
        reference: ``[m]``, m >= 1.
    """
    low, high = np.asarray(sample, np.float64), np.asarray(reference, np.float64)
    n, m = len(low), len(high)
    ordered = np.sort(high)
    wins = 0.5 * (np.searchsorted(ordered, low, "left") + np.searchsorted(ordered, low, "right")).sum()
    total = n + m
    tied = _tie_sum(np.concatenate([low, high])) / (total * (total - 1)) if total > 1 else 0.0
    variance = n * m / 12.0 * (total + 1 - tied)
    if variance <= 0.0:
        return 1.0
    return float(special.ndtr((wins - n * m / 2.0 + 0.5) / math.sqrt(variance)))


def lower_by_signed_ranks(sample: npt.ArrayLike, reference: npt.ArrayLike) -> float:
    """Return the p-value of "no value is lower than its partner": Wilcoxon's signed-rank test.

    Pairs without a difference are left out; normal approximation with a correction for ties. See "Individual
    Comparisons by Ranking Methods" (Wilcoxon, 1945).

    Args:
        sample: ``[n]``.
        reference: Their partners, ``[n]``.
    """
    differences = np.asarray(sample, np.float64) - np.asarray(reference, np.float64)
    differences = differences[differences != 0.0]
    n = len(differences)
    sizes = np.abs(differences)
    ordered = np.sort(sizes)
    ranks = 0.5 * (np.searchsorted(ordered, sizes, "left") + np.searchsorted(ordered, sizes, "right") + 1)
    variance = (n * (n + 1) * (2 * n + 1) - 0.5 * _tie_sum(sizes)) / 24.0
    if variance <= 0.0:
        return 1.0
    return float(special.ndtr((ranks[differences > 0.0].sum() - n * (n + 1) / 4.0) / math.sqrt(variance)))


def lower_by_sign_flips(sample: npt.ArrayLike, reference: npt.ArrayLike) -> float:
    """Return the p-value of "the mean is not lower than that of the partners": Fisher and Pitman's permutation test.

    Where nothing differs but by chance, every difference could as well have had the other sign; the share of all
    ways to choose the signs that bring so low a sum is counted, on a grid of a thousandth of the largest
    difference. Feels what ranks do not: few but heavy losses. See "Significance Tests Which May be Applied to
    Samples from any Populations" (Pitman, 1937).

    Args:
        sample: ``[n]``.
        reference: Their partners, ``[n]``.
    """
    differences = np.asarray(sample, np.float64) - np.asarray(reference, np.float64)
    largest = float(np.abs(differences).max(initial=0.0))
    if largest == 0.0:
        return 1.0
    steps = np.rint(_GRID * differences / largest).astype(np.int64)
    sizes = np.abs(steps)
    share = np.zeros(int(sizes.sum()) + 1)  # of the choices, by the sum of the sizes that kept a positive sign
    share[0] = 1.0
    for size in sizes[sizes > 0].tolist():
        moved = np.zeros_like(share)
        moved[size:] = share[:-size]
        share = 0.5 * (share + moved)
    return float(share[: int(steps[steps > 0].sum()) + 1].sum())


def _tie_sum(values: FloatArray) -> float:
    """Return the sum of ``t^3 - t`` over groups of ``t`` equal values."""
    _, counts = np.unique(values, return_counts=True)
    counts = counts.astype(np.float64)
    return float((counts**3 - counts).sum())
