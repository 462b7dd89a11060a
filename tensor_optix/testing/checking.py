"""How a conformance suite fails: with a sentence."""

from __future__ import annotations

from typing import Any

import numpy as np


def check(is_so: bool, message: str) -> None:
    """Raise ``AssertionError`` with the message unless it is so."""
    if not is_so:
        raise AssertionError(message)


def is_same(first: Any, second: Any) -> bool:
    """Tell whether two nests of dicts, tuples, lists, arrays and numbers are equal to the last bit, NaN included."""
    if isinstance(first, dict):
        if not isinstance(second, dict) or list(first) != list(second):
            return False
        return all(is_same(first[key], second[key]) for key in first)
    if isinstance(first, (list, tuple)):
        return len(first) == len(second) and all(is_same(a, b) for a, b in zip(first, second, strict=True))
    one, other = np.asarray(first), np.asarray(second)
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
