"""Where a hyperparameter lives: maps between its own value and a latent straight scale.

On the latent scale equal distances matter equally: decades for a learning rate, powers of the
horizon ``1 / (1 - gamma)`` for a discount.
"""

import math

SCALES = ("linear", "log", "one_minus_log")

_LOG_FROM_RATIO = 10.0
_DISCOUNT_FROM = 0.8


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
