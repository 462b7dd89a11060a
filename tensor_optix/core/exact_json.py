"""Any part's ``state_dict`` as JSON that gives it back exactly, or a refusal that says why not.

NaN, infinity and small arrays are no JSON; they are kept as objects of one key that begins with
``$``. Tuples come back as lists, NumPy scalars as Python's.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tensor_optix.exceptions import CheckpointError

_FLOAT, _ARRAY = "$float", "$array"
_FLOATS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_ARRAY_KINDS = "biuf"
_MAX_DEPTH = 48


def to_exact(value: Any, name: str, depth: int = 0) -> Any:
    """Return a JSON-able copy of ``value`` from which :func:`from_exact` makes it again.

    Args:
        value: Numbers, strings, None, lists, tuples, dicts with string keys, and arrays of numbers.
        name: How to call it in an error.
        depth: How deeply nested it already is.

    Raises:
        CheckpointError: It holds something else.

    Example:
        >>> from_exact(to_exact({"best": float("-inf")}, "state"))
        {'best': -inf}
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return {_FLOAT: str(value)}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if depth >= _MAX_DEPTH:
        raise CheckpointError(f"`{name}` is nested more than {_MAX_DEPTH} levels deep.")
    if isinstance(value, (list, tuple)):
        return [to_exact(item, f"{name}[{i}]", depth + 1) for i, item in enumerate(value)]
    if isinstance(value, np.ndarray) and value.dtype.kind in _ARRAY_KINDS:
        flat = to_exact(value.reshape(-1).tolist(), name, depth + 1)
        return {_ARRAY: flat, "dtype": value.dtype.name, "shape": list(value.shape)}
    if isinstance(value, dict):
        return {_checked_key(key, name): to_exact(item, f"{name}[{key!r}]", depth + 1) for key, item in value.items()}
    raise CheckpointError(f"`{name}` is of type {type(value).__name__}, which JSON cannot give back.")


def from_exact(plain: Any) -> Any:
    """Return what :func:`to_exact` was given.

    Raises:
        CheckpointError: A file says something that :func:`to_exact` never does.
    """
    if isinstance(plain, list):
        return [from_exact(item) for item in plain]
    if not isinstance(plain, dict):
        return plain
    try:
        if _FLOAT in plain:
            return _FLOATS[plain[_FLOAT]]
        if _ARRAY in plain:
            return np.array(from_exact(plain[_ARRAY]), _dtype(plain["dtype"])).reshape(plain["shape"])
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        raise CheckpointError(f"A saved value cannot be read: {plain!r:.200} ({error}).") from error
    return {key: from_exact(item) for key, item in plain.items()}


def _checked_key(key: Any, name: str) -> str:
    if not isinstance(key, str) or key in (_FLOAT, _ARRAY):
        raise CheckpointError(f"The keys of `{name}` must be strings other than {_FLOAT}, {_ARRAY}. Received: {key!r}.")
    return key


def _dtype(name: Any) -> Any:
    dtype = np.dtype(str(name))
    if dtype.kind not in _ARRAY_KINDS:
        raise ValueError(f"{name} is no type of numbers")
    return dtype
