"""How much more one policy earns than another, in the same episodes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tensor_optix.exceptions import InvalidArgumentError
from tensor_optix.functional.statistics import mean_interval


def paired_interval(ours: npt.ArrayLike, theirs: npt.ArrayLike, confidence: float = 0.95) -> tuple[float, float]:
    """Return an interval that covers the mean difference of paired returns.

    That of :func:`~tensor_optix.functional.statistics.mean_interval` for the differences. Where these are all equal, it
    reckons with the worst and best that were seen of either side: a difference that did not come may still come.

    Args:
        ours: Returns, ``[n]``, finite.
        theirs: Returns in the same episodes, ``[n]``, finite.
        confidence: Two-sided coverage, inside (0, 1).

    Raises:
        InvalidArgumentError: They are not as many, or none; or ``confidence`` is out of range.
        NonFiniteError: A value is NaN or infinite.
    """
    one, other = np.asarray(ours, np.float64).ravel(), np.asarray(theirs, np.float64).ravel()
    if one.shape != other.shape or not one.size:
        raise InvalidArgumentError(
            f"Paired returns must be as many, and at least one. Received {one.size} and {other.size}."
        )
    differences = one - other
    if np.ptp(differences) > 0.0:
        return mean_interval(differences, confidence)
    extremes = float(one.min() - other.max()), float(one.max() - other.min())
    return mean_interval(differences, confidence, value_range=extremes)
