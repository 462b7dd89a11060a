"""Which rewards are numbers: NumPy would make one of a text, a time or a complex number as well."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

USUAL_REWARDS = frozenset({float, int, np.float32, np.float64})
"""Types of rewards that need no look; asked at each step."""


def real_reward(reward: Any) -> Any:
    """Return a reward as it is, or as a float where it is one of Python's exact numbers.

    Raises:
        TypeError: It is a text, a complex number or a time: NumPy would make a number of it.
    """
    if isinstance(reward, (Decimal, Fraction)):
        return float(reward)
    kind = getattr(getattr(reward, "dtype", None), "kind", "f")
    if isinstance(reward, (str, bytes, bytearray, complex)) or kind in "cmMSU":
        raise TypeError(f"a reward must be a real number, not {type(reward).__name__} {reward!r:.50}")
    return reward
