"""One-sided tests that know ranks only: no scale, no outliers.

``scipy.stats`` has both, too, and the tests of this package hold these against it; importing it takes 75 MB and
half a second in the middle of a run.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import special

FloatArray = npt.NDArray[np.float64]


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


def _tie_sum(values: FloatArray) -> float:
    """Return the sum of ``t^3 - t`` over groups of ``t`` equal values."""
    _, counts = np.unique(values, return_counts=True)
    counts = counts.astype(np.float64)
    return float((counts**3 - counts).sum())
