"""Any part's ``state_dict`` as JSON that gives it back exactly, or a refusal that says why not.

Exactly means in value, to the last bit, and in type: a float32 that came back as a float would let
sums go on in another precision. What JSON does not have (NaN, infinity, NumPy's scalars and arrays,
tuples) is kept as an object of one key that begins with ``$``.
"""

from __future__ import annotations

import base64
import math
import struct
from typing import Any

import numpy as np

from tensor_optix.exceptions import CheckpointError

_FLOAT, _ARRAY, _INT, _TUPLE = "$float", "$array", "$int", "$tuple"
_RESERVED = (_FLOAT, _ARRAY, _INT, _TUPLE)
_FLOATS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_ARRAY_KINDS = "biufcmM"
_LARGEST_ITEM_BYTES = {"f": 8, "c": 16}
_PLAIN_INT_BITS = 2048
_MAX_DEPTH = 48
_MAX_FILE_DEPTH = 4 * _MAX_DEPTH
_MAX_DIMENSION = 2**48


def to_exact(value: Any, name: str, depth: int = 0, *, allow_nan: bool = True) -> Any:
    """Return a JSON-able copy of ``value`` from which :func:`from_exact` makes it again.

    Args:
        value: Numbers, strings, None, lists, tuples, dicts with string keys, NumPy scalars, and
            arrays of numbers. Arrays come back dense, with their axes in the same order in memory.
        name: How to call it in an error.
        depth: How deeply nested it already is.
        allow_nan: Whether a float among them may be NaN.

    Raises:
        CheckpointError: It holds something else, a subclass of these among them.

    Example:
        >>> from_exact(to_exact({"best": float("-inf"), "mean": np.float32(0.5)}, "state"))
        {'best': -inf, 'mean': np.float32(0.5)}
    """
    kind = type(value)
    if value is None or kind is bool or kind is str:
        return value
    if kind is int:
        return value if value.bit_length() <= _PLAIN_INT_BITS else {_INT: hex(value)}
    if kind is float:
        if math.isnan(value) and not allow_nan:
            raise CheckpointError(f"`{name}` is nan, which this state may not hold.")
        return value if math.isfinite(value) else {_FLOAT: _name_of_float(value)}
    if depth >= _MAX_DEPTH:
        raise CheckpointError(f"`{name}` is nested more than {_MAX_DEPTH} levels deep.")
    if kind is list or kind is tuple:
        items = [to_exact(item, f"{name}[{i}]", depth + 1, allow_nan=allow_nan) for i, item in enumerate(value)]
        return items if kind is list else {_TUPLE: items}
    if is_packable(value):
        return {_ARRAY: pack(value)}
    if kind is dict:
        return {
            _checked_key(key, name): to_exact(item, f"{name}[{key!r}]", depth + 1, allow_nan=allow_nan)
            for key, item in value.items()
        }
    raise CheckpointError(
        f"`{name}` is of type {kind.__name__}{_dtype_in_words(value)}, which JSON cannot give back as it is. "
        "Keep it as numbers, strings, lists, tuples, dicts and arrays of numbers."
    )


def from_exact(plain: Any, depth: int = 0) -> Any:
    """Return what :func:`to_exact` was given.

    Raises:
        CheckpointError: A file says something that :func:`to_exact` never does.
    """
    if depth > _MAX_FILE_DEPTH:
        raise CheckpointError(f"A saved value is nested more than {_MAX_FILE_DEPTH} levels deep.")
    if isinstance(plain, list):
        return [from_exact(item, depth + 1) for item in plain]
    if not isinstance(plain, dict):
        return plain
    try:
        if _FLOAT in plain:
            return _float_named(plain[_FLOAT])
        if _INT in plain:
            return int(plain[_INT], 16)
        if _TUPLE in plain:
            return tuple(from_exact(_checked_list(plain[_TUPLE]), depth + 1))
        if _ARRAY in plain:
            return _array_from(plain)
    except (KeyError, ValueError, TypeError, OverflowError, struct.error, MemoryError) as error:
        raise CheckpointError(f"A saved value cannot be read: {plain!r:.200} ({error}).") from error
    return {key: from_exact(item, depth + 1) for key, item in plain.items()}


def is_packable(value: Any) -> bool:
    """Tell whether :func:`pack` takes it: an array of numbers, or one of NumPy's scalars."""
    if type(value) is not np.ndarray and not isinstance(value, np.generic):
        return False
    dtype = value.dtype
    return dtype.kind in _ARRAY_KINDS and dtype.itemsize <= _LARGEST_ITEM_BYTES.get(dtype.kind, 8)


def pack(value: np.ndarray | np.generic) -> dict[str, Any]:
    """Return an array's or a scalar's bytes and type as plain JSON; :func:`unpack` inverts it."""
    array = np.asarray(value)
    axes = axes_in_memory(array)
    packed: dict[str, Any] = {
        "base64": base64.b64encode(array.transpose(axes).tobytes()).decode(),
        "dtype": array.dtype.str,
        "shape": list(array.shape) if isinstance(value, np.ndarray) else None,
    }
    return packed if axes == sorted(axes) else {**packed, "axes": axes}


def unpack(packed: dict[str, Any]) -> Any:
    """Return what :func:`pack` was given.

    Raises:
        KeyError: A field is missing.
        TypeError: A field is of another type than :func:`pack` writes.
        ValueError: A field says something that :func:`pack` never does.
    """
    shape = [] if packed["shape"] is None else _checked_shape(packed["shape"])
    axes = packed.get("axes", list(range(len(shape))))
    if not are_axes(axes, len(shape)):
        raise ValueError(f"{axes!r:.100} are not the axes of an array of {len(shape)} dimensions")
    data = base64.b64decode(packed["base64"], validate=True)
    dense = np.frombuffer(data, _dtype(packed["dtype"])).reshape([shape[axis] for axis in axes]).copy()
    array = dense.transpose(np.argsort(axes).tolist()) if axes else dense
    return array[()] if packed["shape"] is None else array


def axes_in_memory(array: np.ndarray) -> list[int]:
    """Return the axes from the one that changes slowest in memory to the fastest; ``[0, 1, ...]`` for C order."""
    if array.flags.c_contiguous:
        return list(range(array.ndim))
    return sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis]))


def are_axes(axes: Any, num_dimensions: int) -> bool:
    """Tell whether ``axes`` is a list of all the axes of an array, each once."""
    if not isinstance(axes, list) or any(type(axis) is not int for axis in axes):
        return False
    return sorted(axes) == list(range(num_dimensions))


def _array_from(plain: dict[str, Any]) -> Any:
    if isinstance(plain[_ARRAY], dict):
        return unpack(plain[_ARRAY])
    # As runs were saved before arrays kept their bytes: a flat list of values.
    return np.array(from_exact(plain[_ARRAY]), _dtype(plain["dtype"])).reshape(plain["shape"])


def _name_of_float(value: float) -> str:
    """Return ``nan``, ``inf``, ``-inf`` or, for a NaN of another sign or payload, its bits."""
    bits = struct.pack(">d", value).hex()
    return bits if math.isnan(value) and bits != struct.pack(">d", math.nan).hex() else str(value)


def _float_named(name: Any) -> float:
    if name in _FLOATS:
        return _FLOATS[name]
    value = float(struct.unpack(">d", bytes.fromhex(name))[0])
    if not math.isnan(value):
        raise ValueError("only NaN is written by its bits")
    return value


def _dtype_in_words(value: Any) -> str:
    return f" with dtype {value.dtype}" if isinstance(value, (np.ndarray, np.generic)) else ""


def _checked_key(key: Any, name: str) -> str:
    if type(key) is not str or key in _RESERVED:
        raise CheckpointError(
            f"The keys of `{name}` must be strings other than {', '.join(_RESERVED)}. Received: {key!r}."
        )
    return key


def _checked_list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r:.50} is no list")
    return value


def _checked_shape(shape: Any) -> list[int]:
    if not all(type(size) is int and 0 <= size <= _MAX_DIMENSION for size in _checked_list(shape)):
        raise ValueError(f"{shape!r:.100} is no shape")
    return list(shape)


def _dtype(name: Any) -> Any:
    dtype = np.dtype(str(name))
    if dtype.kind not in _ARRAY_KINDS:
        raise ValueError(f"{name} is no type of numbers")
    return dtype
