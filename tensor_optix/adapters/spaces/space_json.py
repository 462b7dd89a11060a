"""Gymnasium spaces as JSON, so that a policy can be loaded without its environment.

What comes back is equal, has the same dtypes, shapes and bounds bit for bit, and draws the same
samples from the same seed. A description may come from anywhere: what it asks for is counted before
it is allocated.
"""

from __future__ import annotations

import base64
import math
import reprlib
import zlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from tensor_optix.adapters.spaces.observation_parts import choices_of
from tensor_optix.exceptions import CheckpointError

MAX_SPACE_BYTES = 2**28
"""What a described space may take by default, its bounds and one example of it together."""

MAX_NESTING = 16
"""How deeply spaces may be nested."""

_SPACE_BYTES = 2000
"""About what the smallest space takes."""

MAX_LISTED = 1000
"""So many different bounds are listed; more are packed."""

_WORD_BYTES = 100
"""About what Python takes for a word."""

_LONGEST_WORD = 64

_ERRORS = (KeyError, TypeError, ValueError, AttributeError, AssertionError, OverflowError, IndexError)
_KEY_TYPES = (str, int, float, bool)


class SpaceBudget:
    """What a description may still ask for.

    Args:
        max_bytes: So much altogether.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._left: float = max_bytes

    def take(self, num_bytes: float) -> None:
        """Count ``num_bytes``, which are about to be allocated.

        Raises:
            ValueError: They are more than is left.
        """
        self._left -= num_bytes
        if self._left < 0:
            raise ValueError(f"it asks for more than the {self._max_bytes:,} bytes that a space may take")


def space_to_json(space: Any) -> dict[str, Any] | None:
    """Return a JSON-able description, or None for a space of a kind that is none of Gymnasium's."""
    try:
        return _written(space, 0)
    except _UnknownKindError:
        return None


def space_from_json(document: Any, max_bytes: int = MAX_SPACE_BYTES) -> gym.Space[Any]:
    """Return the space that :func:`space_to_json` described.

    Args:
        document: The description, which may come from anywhere.
        max_bytes: How much the space may take, its bounds and one example of it together.

    Raises:
        CheckpointError: That is no such description, or asks for more.
    """
    try:
        return _read(document, SpaceBudget(max_bytes), 0)
    except _ERRORS as error:
        raise CheckpointError(
            f"The saved description of a space cannot be read: {reprlib.repr(document)} ({error})."
        ) from error


class _UnknownKindError(Exception):
    """A space that cannot be described."""


# ---------------------------------------------------------------- writing


def _written(space: Any, depth: int) -> dict[str, Any]:
    if depth > MAX_NESTING:
        raise _UnknownKindError
    for kind, space_class, write, _ in _KINDS:
        if isinstance(space, space_class):
            return {"kind": kind, **write(space, depth + 1)}
    raise _UnknownKindError


def _write_discrete(space: Any, depth: int) -> dict[str, Any]:
    return {"n": int(space.n), "start": int(space.start), "dtype": _name_of_dtype(space.dtype)}


def _write_box(space: Any, depth: int) -> dict[str, Any]:
    return {
        "shape": list(space.shape),
        "dtype": _name_of_dtype(space.dtype),
        "low": _bound_to_json(space.low, space.bounded_below, "-inf"),
        "high": _bound_to_json(space.high, space.bounded_above, "inf"),
    }


def _write_multi_discrete(space: Any, depth: int) -> dict[str, Any]:
    start, counts = choices_of(space)
    return {
        "shape": list(space.shape),
        "dtype": _name_of_dtype(space.dtype),
        "nvec": counts.reshape(-1).tolist(),
        "start": start.reshape(-1).tolist(),
    }


def _write_multi_binary(space: Any, depth: int) -> dict[str, Any]:
    return {"n": list(space.n) if isinstance(space.n, tuple) else int(space.n)}


def _write_text(space: Any, depth: int) -> dict[str, Any]:
    # as numbers: a lone surrogate is a character of Python's, and none of a file's
    characters = [ord(character) for character in space.character_list]
    return {"min_length": space.min_length, "max_length": space.max_length, "characters": characters}


def _write_dict(space: Any, depth: int) -> dict[str, Any]:
    if not all(isinstance(key, _KEY_TYPES) for key in space.spaces):
        raise _UnknownKindError
    # as pairs: an object of JSON promises no order, and knows no keys but strings
    pairs = [[key, _written(part, depth)] for key, part in space.spaces.items()]
    return {"parts": pairs} if getattr(space, "sort_keys", True) else {"parts": pairs, "sort_keys": False}


def _write_parts(space: Any, depth: int) -> dict[str, Any]:
    return {"spaces": [_written(part, depth) for part in space.spaces]}


def _write_sequence(space: Any, depth: int) -> dict[str, Any]:
    return {"of": _written(space.feature_space, depth), "stack": bool(space.stack)}


def _write_graph(space: Any, depth: int) -> dict[str, Any]:
    edges = None if space.edge_space is None else _written(space.edge_space, depth)
    return {"nodes": _written(space.node_space, depth), "edges": edges}


# ---------------------------------------------------------------- reading


def _read(document: Mapping[str, Any], budget: SpaceBudget, depth: int) -> gym.Space[Any]:
    if depth > MAX_NESTING:
        raise ValueError(f"it is nested more than {MAX_NESTING} levels deep")
    budget.take(_SPACE_BYTES)
    for kind, _, _, read in _KINDS:
        if kind == document["kind"]:
            space: gym.Space[Any] = read(document, budget, depth + 1)
            return space
    raise ValueError(f"unknown kind {document['kind']!r:.40}")


def _read_discrete(document: Mapping[str, Any], budget: SpaceBudget, depth: int) -> Any:
    dtype = _dtype_named(document.get("dtype", "int64"), "iu")
    known: dict[str, Any] = {} if dtype == np.int64 else {"dtype": dtype}  # Gymnasium 1.0 knows no other
    return spaces.Discrete(int(document["n"]), start=int(document["start"]), **known)


def _read_box(document: Mapping[str, Any], budget: SpaceBudget, depth: int) -> Any:
    shape, dtype = _shape(document["shape"]), _dtype_named(document["dtype"], "fiub")
    budget.take(math.prod(shape) * (3 * dtype.itemsize + 2))
    low, bounded_below = _read_bound(document["low"], "-inf", shape, dtype, budget.take)
    high, bounded_above = _read_bound(document["high"], "inf", shape, dtype, budget.take)
    space = spaces.Box(low, high, shape, dtype)  # type: ignore[arg-type]
    # integers have no infinity: that they are unbounded shows in these alone, and in what is drawn
    space.bounded_below, space.bounded_above = bounded_below, bounded_above
    return space


def _read_multi_discrete(document: Mapping[str, Any], budget: SpaceBudget, depth: int) -> Any:
    dtype = _dtype_named(document.get("dtype", "int64"), "iu")
    nvec, start = (np.array(document[name], dtype) for name in ("nvec", "start"))
    shape = _shape(document.get("shape", nvec.shape))
    budget.take(3 * nvec.nbytes)
    return spaces.MultiDiscrete(nvec.reshape(shape), dtype, start=start.reshape(shape))  # type: ignore[arg-type]


def _read_multi_binary(document: Mapping[str, Any], budget: SpaceBudget, depth: int) -> Any:
    n = document["n"] if "n" in document else document["shape"]
    shape = _shape(n if isinstance(n, list) else [n])
    budget.take(math.prod(shape))
    return spaces.MultiBinary(list(shape) if isinstance(n, list) else shape[0])


def _read_text(document: Mapping[str, Any], budget: SpaceBudget, depth: int) -> Any:
    characters, longest = document["characters"], int(document["max_length"])
    budget.take(longest + 200 * len(characters))
    return spaces.Text(longest, min_length=int(document["min_length"]), charset="".join(map(chr, characters)))


def _read_dict(document: Mapping[str, Any], budget: SpaceBudget, depth: int) -> Any:
    # version 0.2.0 of before its release wrote an object
    pairs = document["parts"] if "parts" in document else document["spaces"].items()
    parts = OrderedDict((_key(key), _read(part, budget, depth)) for key, part in pairs)
    known = {"sort_keys": False} if document.get("sort_keys") is False else {}
    return spaces.Dict(parts, **known)


def _read_parts(space_class: Callable[..., Any]) -> Callable[..., Any]:
    def read(document: Mapping[str, Any], budget: SpaceBudget, depth: int) -> Any:
        return space_class([_read(part, budget, depth) for part in document["spaces"]])

    return read


def _read_sequence(document: Mapping[str, Any], budget: SpaceBudget, depth: int) -> Any:
    return spaces.Sequence(_read(document["of"], budget, depth), stack=bool(document["stack"]))


def _read_graph(document: Mapping[str, Any], budget: SpaceBudget, depth: int) -> Any:
    edges = document["edges"]
    return spaces.Graph(_read(document["nodes"], budget, depth), None if edges is None else _read(edges, budget, depth))


def _shape(sizes: Any) -> tuple[int, ...]:
    shape = tuple(int(size) for size in sizes)
    if any(size < 0 for size in shape):
        raise ValueError(f"its shape is {shape!r:.40}")
    return shape


def _key(key: Any) -> Any:
    if not isinstance(key, _KEY_TYPES):
        raise TypeError(f"a key is {key!r:.40}")
    return key


# ---------------------------------------------------------------- bounds and dtypes


def _bound_to_json(values: np.ndarray, bounded: np.ndarray, infinity: str) -> Any:
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


def _read_bound(
    written: Any, infinity: str, shape: tuple[int, ...], dtype: np.dtype, take: Callable[[float], None]
) -> tuple[np.ndarray, np.ndarray]:
    """Return bounds and whether there are any, both of ``shape``.

    Args:
        written: What :func:`_bound_to_json` returned.
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


def _name_of_dtype(dtype: Any) -> str:
    """Return a name from which NumPy makes the very same dtype, byte order included."""
    dtype = np.dtype(dtype)
    return str(dtype.name if np.dtype(dtype.name) == dtype else dtype.str)


def _dtype_named(name: Any, kinds: str) -> np.dtype:
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


_KINDS: tuple[tuple[str, Any, Callable[..., dict[str, Any]], Callable[..., Any]], ...] = (
    ("discrete", spaces.Discrete, _write_discrete, _read_discrete),
    ("box", spaces.Box, _write_box, _read_box),
    ("multi_discrete", spaces.MultiDiscrete, _write_multi_discrete, _read_multi_discrete),
    ("multi_binary", spaces.MultiBinary, _write_multi_binary, _read_multi_binary),
    ("text", spaces.Text, _write_text, _read_text),
    ("dict", spaces.Dict, _write_dict, _read_dict),
    ("tuple", spaces.Tuple, _write_parts, _read_parts(spaces.Tuple)),
    ("one_of", spaces.OneOf, _write_parts, _read_parts(spaces.OneOf)),
    ("sequence", spaces.Sequence, _write_sequence, _read_sequence),
    ("graph", spaces.Graph, _write_graph, _read_graph),
)
"""Name, class, how it is written and how it is read."""
