"""The bounds of a Box as JSON, bit for bit."""

from __future__ import annotations

import base64
import math
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

MAX_LISTED = 1000
"""So many different bounds are listed; more are packed."""

_WORD_BYTES = 100
"""About what Python takes for a word."""

_LONGEST_WORD = 64


def bound_to_json(values: np.ndarray, bounded: np.ndarray, infinity: str) -> Any:
    """Return one word where all bounds are the same, else a list of words, packed where it is long.

    Words, because JSON knows no infinity, no sign of zero and no type of number.

    Args:
        values: The bounds.
        bounded: Whether there is a bound: an integer that is none has the least or largest value.
        infinity: The word for no bound.
    """
    words = [word if is_bound else infinity for word, is_bound in zip(_words(values), bounded.flat, strict=True)]
    if words and len(set(words)) == 1:
        return words[0]
    if len(words) <= MAX_LISTED:
        return words
    return {"packed": base64.b64encode(zlib.compress(" ".join(words).encode())).decode()}


def read_bound(
    written: Any, infinity: str, shape: tuple[int, ...], dtype: np.dtype, take: Callable[[float], None]
) -> tuple[np.ndarray, np.ndarray]:
    """Return bounds and whether there are any, both of ``shape``.

    Args:
        written: What :func:`bound_to_json` returned.
        infinity: The word for no bound.
        shape: Of the Box.
        dtype: Of the Box.
        take: Is told how many bytes this is about to take, and raises where they are too many.

    Raises:
        ValueError: That was never written.
    """
    if isinstance(written, str):
        return np.full(shape, _parsed(written, dtype), dtype), np.full(shape, written != infinity)
    size = math.prod(shape)
    take(size * _WORD_BYTES)
    words = written if isinstance(written, list) else _unpacked(written["packed"], size)
    if len(words) != size:
        raise ValueError(f"{len(words)} bounds for the shape {shape}")
    values = np.array([_parsed(word, dtype) for word in words], dtype)
    bounded = np.array([word != infinity for word in words], np.bool_)
    return values.reshape(shape), bounded.reshape(shape)


def name_of_dtype(dtype: Any) -> str:
    """Return a name from which NumPy makes the very same dtype, byte order included."""
    dtype = np.dtype(dtype)
    return str(dtype.name if np.dtype(dtype.name) == dtype else dtype.str)


def dtype_named(name: Any, kinds: str) -> np.dtype:
    """Return the dtype of a name.

    Raises:
        ValueError: It is of none of the kinds, which are NumPy's letters.
    """
    dtype = np.dtype(str(name))
    if dtype.kind not in kinds:
        raise ValueError(f"its dtype {name!r:.40} is not allowed")
    return dtype


def _words(values: np.ndarray) -> list[str]:
    flat = values.reshape(-1)
    if values.dtype.kind == "f" and values.dtype.itemsize > 8:
        return [np.format_float_scientific(value, unique=True) for value in flat]
    return [repr(value) for value in flat.tolist()]


def _parsed(word: Any, dtype: np.dtype) -> Any:
    """Return the bound that a word stands for; of integers the least or largest where there is none."""
    if dtype.kind == "f":
        return np.longdouble(word) if dtype.itemsize > 8 else float(word)
    if word in ("-inf", "inf"):
        lowest, highest = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        return lowest if word == "-inf" else highest
    return word == "True" if dtype.kind == "b" else int(word)


def _unpacked(packed: Any, size: int) -> list[str]:
    most = size * _LONGEST_WORD
    text = zlib.decompressobj().decompress(base64.b64decode(packed), most)
    return text.decode().split(" ")
