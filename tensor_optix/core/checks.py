"""Checks of what users pass in: they say what came, what was expected and how to mend it."""

from __future__ import annotations

import math
import numbers
from typing import Any

from tensor_optix.core.types import EvalMetrics
from tensor_optix.exceptions import InvalidArgumentError, InvalidTypeError, NonFiniteError


def check_int(name: str, value: Any, *, at_least: int, optional: bool = False) -> None:
    """Raise unless ``value`` is a whole number of at least ``at_least`` (or None, if optional)."""
    if value is None and optional:
        return
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise InvalidTypeError(
            f"`{name}` must be an integer >= {at_least}{' or None' if optional else ''}. "
            f"Received: {value!r} of type {type(value).__name__}."
        )
    if value < at_least:
        raise InvalidArgumentError(f"`{name}` must be an integer >= {at_least}. Received: {value!r}.")


def check_number(
    name: str, value: Any, *, low: float = -math.inf, high: float = math.inf, above: float | None = None
) -> None:
    """Raise unless ``value`` is a finite number in ``[low, high]`` and greater than ``above``."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise InvalidTypeError(f"`{name}` must be a number. Received: {value!r} of type {type(value).__name__}.")
    given = float(value)
    outside = not math.isfinite(given) or not low <= given <= high or (above is not None and given <= above)
    if outside:
        expected = f"> {above}" if above is not None else f">= {low}"
        upper = f" and <= {high}" if math.isfinite(high) else ""
        raise InvalidArgumentError(f"`{name}` must be finite, {expected}{upper}. Received: {value!r}.")


def check_score(metrics: Any, evaluator: str, window: int) -> None:
    """Raise unless an evaluator returned EvalMetrics whose score is a number or NaN (no evidence)."""
    if not isinstance(metrics, EvalMetrics):
        raise InvalidTypeError(
            f"`{evaluator}.score` must return EvalMetrics. Received: {metrics!r} of type {type(metrics).__name__}."
        )
    if math.isinf(metrics.primary_score):
        raise NonFiniteError(
            f"`{evaluator}.score` gave {metrics.primary_score} for window {window}. "
            "Return NaN where a window gives no evidence."
        )
