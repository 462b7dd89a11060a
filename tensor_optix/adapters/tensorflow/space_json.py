"""Gymnasium spaces as JSON, so that a policy can be loaded without its environment."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np

from tensor_optix.exceptions import CheckpointError

_MAX_NUMBERS = 2**24


def space_to_json(space: Any) -> dict[str, Any] | None:
    """Return a JSON-able description, or None for a space of another kind."""
    if isinstance(space, gym.spaces.Discrete):
        return {"kind": "discrete", "n": int(space.n), "start": int(space.start)}
    if isinstance(space, gym.spaces.Box):
        bounds = {"low": _bound(space.low), "high": _bound(space.high)}
        return {"kind": "box", "shape": list(space.shape), "dtype": space.dtype.name, **bounds}
    if isinstance(space, gym.spaces.MultiDiscrete):
        start = np.broadcast_to(getattr(space, "start", 0), space.nvec.shape)
        return {"kind": "multi_discrete", "nvec": space.nvec.tolist(), "start": start.tolist()}
    if isinstance(space, gym.spaces.MultiBinary):
        return {"kind": "multi_binary", "shape": list(space.shape)}
    if isinstance(space, gym.spaces.Dict):
        parts = {key: space_to_json(part) for key, part in space.spaces.items()}
        return None if None in parts.values() else {"kind": "dict", "spaces": parts}
    if isinstance(space, gym.spaces.Tuple):
        listed = [space_to_json(part) for part in space.spaces]
        return None if None in listed else {"kind": "tuple", "spaces": listed}
    return None


def space_from_json(document: Any) -> gym.Space[Any]:
    """Return the space that :func:`space_to_json` described.

    Raises:
        CheckpointError: That is no such description.
    """
    try:
        return _read(document)
    except (KeyError, TypeError, ValueError, AttributeError, AssertionError, OverflowError) as error:
        raise CheckpointError(
            f"The saved description of a space cannot be read: {document!r:.200} ({error})."
        ) from error


def _read(document: Mapping[str, Any]) -> gym.Space[Any]:
    kind = document["kind"]
    if kind == "discrete":
        return gym.spaces.Discrete(int(document["n"]), start=int(document["start"]))
    if kind == "box":
        shape, dtype = tuple(int(size) for size in document["shape"]), np.dtype(document["dtype"])
        if dtype.kind not in "fiub" or math.prod(shape) > _MAX_NUMBERS:
            raise ValueError("its dtype or size is not allowed")
        low, high = (_filled(document[name], shape, dtype) for name in ("low", "high"))
        return gym.spaces.Box(low, high, shape, dtype.type)
    if kind == "multi_discrete":
        return gym.spaces.MultiDiscrete(np.array(document["nvec"], np.int64), start=np.array(document["start"]))
    if kind == "multi_binary":
        return gym.spaces.MultiBinary([int(size) for size in document["shape"]])
    if kind == "dict":
        return gym.spaces.Dict({key: _read(part) for key, part in document["spaces"].items()})
    if kind == "tuple":
        return gym.spaces.Tuple([_read(part) for part in document["spaces"]])
    raise ValueError(f"unknown kind {kind!r:.40}")


def _bound(values: np.ndarray) -> Any:
    """Return one word where all bounds are the same, else a flat list; JSON knows no infinity."""
    words = [repr(value) for value in values.reshape(-1).tolist()]
    return words[0] if len(set(words)) == 1 else words


def _filled(words: Any, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    number = {"f": float, "b": lambda word: word == "True"}.get(dtype.kind, int)
    if isinstance(words, list):
        return np.array([number(word) for word in words], dtype).reshape(shape)
    return np.full(shape, number(words), dtype)
