"""Where a hyperparameter lives: its bounds, and maps between its own value and a latent straight scale.

On the latent scale equal distances matter equally: decades for a learning rate, powers of the
horizon ``1 / (1 - gamma)`` for a discount.
"""

from __future__ import annotations

import math
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tensor_optix.core.checks import check_choice, check_flags, is_number, received
from tensor_optix.exceptions import InvalidArgumentError, InvalidTypeError

Scale = Literal["linear", "log", "one_minus_log"]
SCALES = typing.get_args(Scale)

_LOG_FROM_RATIO = 10.0
_DISCOUNT_FROM = 0.8


@dataclass(frozen=True)
class ParamSpec:
    """The range of one tunable hyperparameter and the scale on which it is searched.

    Attributes:
        low: Smallest value, included.
        high: Largest value, included.
        scale: ``"linear"``, ``"log"`` (needs ``low > 0``) or ``"one_minus_log"``, which is
            ``-log(1 - x)``, for discounts (needs ``high < 1``).
        integer: Whether values are rounded to whole numbers when handed out.

    Example:
        >>> ParamSpec(1e-5, 1e-2, scale="log").clip(1.0)
        0.01

    Raises:
        InvalidArgumentError: The bounds are reversed, not finite, or do not fit the scale.
    """

    low: float
    high: float
    scale: Scale = "linear"
    integer: bool = False

    def __post_init__(self) -> None:
        check_flags(integer=self.integer)
        for name, bound in (("low", self.low), ("high", self.high)):
            if not is_number(bound):
                raise InvalidTypeError(f"The bound `{name}` must be a number. {received(bound)}")
            if not math.isfinite(bound):
                raise InvalidArgumentError(f"The bound `{name}` must be finite. Received: {bound!r}.")
        if self.low > self.high:
            raise InvalidArgumentError(
                f"Bounds must satisfy low <= high. Received: low={self.low!r}, high={self.high!r}. "
                "Swap them if they are reversed."
            )
        check_choice("scale", self.scale, SCALES)
        if self.scale == "log" and self.low <= 0:
            raise InvalidArgumentError(f"A log scale needs low > 0. Received: low={self.low!r}.")
        if self.scale == "one_minus_log" and self.high >= 1:
            raise InvalidArgumentError(f"A one_minus_log scale needs high < 1. Received: high={self.high!r}.")

    @classmethod
    def of(cls, bounds: ParamSpec | Sequence[float]) -> ParamSpec:
        """Return ``bounds`` as a spec; a plain ``(low, high)`` gets the scale that suits it."""
        if isinstance(bounds, ParamSpec):
            return bounds
        try:
            low, high = bounds
        except (TypeError, ValueError):
            raise InvalidTypeError(f"Bounds must be a ParamSpec or a pair (low, high). Received: {bounds!r}.") from None
        checked = cls(low, high)
        return cls(checked.low, checked.high, guess_scale(checked.low, checked.high))  # type: ignore[arg-type]

    def clip(self, value: float) -> float:
        """Return the nearest value inside the bounds."""
        return min(max(value, self.low), self.high)

    def contains(self, value: float) -> bool:
        """Tell whether ``value`` lies inside the bounds."""
        return bool(self.low <= value <= self.high)

    def to_latent(self, value: float) -> float:
        """Map a value of the parameter onto its straight scale."""
        return to_latent(self.clip(value), self.scale)

    def from_latent(self, latent: float) -> float:
        """Map a point of the straight scale to a value inside the bounds, rounded if integer."""
        value = self.clip(from_latent(latent, self.scale))
        return float(round(value)) if self.integer else value


Bounds = Mapping[str, ParamSpec | tuple[float, float]]


def guess_scale(low: float, high: float) -> str:
    """Choose a scale for plain ``(low, high)`` bounds.

    Discounts (``0.8 <= low`` and ``high < 1``) get ``"one_minus_log"``; positive ranges that
    span a decade or more get ``"log"``; everything else is ``"linear"``.
    """
    if low >= _DISCOUNT_FROM and high < 1.0 and high > low:
        return "one_minus_log"
    if low > 0.0 and high / low >= _LOG_FROM_RATIO:
        return "log"
    return "linear"


def to_latent(value: float, scale: str) -> float:
    """Map a value onto the straight scale: ``x``, ``log x`` or ``-log(1 - x)``."""
    if scale == "log":
        return math.log(value)
    if scale == "one_minus_log":
        return -math.log1p(-value)
    return float(value)


def from_latent(latent: float, scale: str) -> float:
    """Invert :func:`to_latent`."""
    if scale == "log":
        return math.exp(latent)
    if scale == "one_minus_log":
        return -math.expm1(-latent)
    return float(latent)
