"""What both detectors ask of a score."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from tensor_optix.core.checks import received
from tensor_optix.exceptions import InvalidTypeError, NonFiniteError

LARGEST_SCORE = 1e150
"""Squares of scores must stay finite."""


def checked_score(score: float) -> float | None:
    """Return the score as a float, None for NaN (no evidence).

    Raises:
        InvalidTypeError: ``score`` is not a number.
        NonFiniteError: ``score`` is infinite, or too large to be squared.
    """
    value = None if isinstance(score, bool | str | bytes) else _as_float(score)
    if value is None:
        raise InvalidTypeError(
            f"A score must be a number (NaN where a window gave no evidence). Received: {score!r} "
            f"of type {type(score).__name__}."
        )
    if math.isnan(value):
        return None
    if abs(value) > LARGEST_SCORE:
        raise NonFiniteError(
            f"A score must be finite and at most {LARGEST_SCORE:g} in size. Received: {value!r}. "
            "Pass NaN where a window gave no evidence, and look for a division or an overflow in the reward."
        )
    return value


def as_scores(scores: Any) -> npt.NDArray[np.float64]:
    """Return scores as one row of numbers.

    Raises:
        InvalidTypeError: They are none.
    """
    try:
        array = np.asarray(scores)
    except ValueError:  # ragged
        array = np.empty(0, dtype=object)
    if array.dtype.kind not in "biuf":
        raise InvalidTypeError(f"`scores` must be a sequence of numbers. {received(scores)}")
    return array.astype(np.float64).ravel()


def _as_float(score: Any) -> float | None:
    try:
        return float(score)
    except (TypeError, ValueError, OverflowError):
        return None
