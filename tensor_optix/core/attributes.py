"""What state an object holds in its attributes, as far as that can be told from outside."""

from __future__ import annotations

import dis
import functools
import hashlib
import itertools
import types
from collections import deque
from collections.abc import Mapping, Sequence, Set
from enum import Enum
from typing import Any

import numpy as np

from tensor_optix.core.base_agent import BaseAgent
from tensor_optix.core.base_optimizer import BaseOptimizer
from tensor_optix.core.base_pipeline import BasePipeline

PACKAGE = "tensor_optix"

_OF_LIBRARIES = (
    *(PACKAGE, "keras", "tensorflow", "torch", "jax", "gymnasium", "ale_py", "logging", "threading", "concurrent"),
    *("multiprocessing", "queue", "io", "_io", "builtins", "pathlib", "rich", "tqdm", "matplotlib", "mlflow", "wandb"),
)
_PARTS = (BaseAgent, BasePipeline, BaseOptimizer)
"""Whoever holds one of these looks at it; its state is not the holder's."""

_SCALARS = (bool, int, float, complex, str, bytes, Enum, np.generic)
_MAX_DEPTH = 4
_MOST_ITEMS = 128
_MOST_PARTS = 10_000
_MOST_BYTES = 2**16


@functools.cache
def own_attributes(cls: type) -> frozenset[str]:
    """Return the names of all attributes that this package's part of a class assigns in its methods."""
    names: set[str] = set()
    for part in cls.__mro__:
        if belongs_to_package(part):
            names |= set(getattr(part, "__annotations__", ()))
            for method in vars(part).values():
                names |= _assigned_in(getattr(method, "__wrapped__", getattr(method, "fget", method)))
    return frozenset(names)


def belongs_to_package(cls: type) -> bool:
    """Tell whether a class is one of this package's, whose state is saved as a whole."""
    return cls.__module__.split(".")[0] == PACKAGE


def fingerprints(owner: Any, but: Set[str] = frozenset(), *, generators: bool = True) -> dict[str, str]:
    """Return a digest of each attribute that holds numbers, texts or containers of them.

    What belongs to a library, and what cannot be looked into, is left out; of what is very long, a part
    is looked at. Two digests differ where the state does; that they are equal is no proof.

    Args:
        owner: Whose attributes.
        but: Names of those that are saved anyway.
        generators: Whether NumPy generators count, too.
    """
    look = _Look(generators)
    own = getattr(owner, "__dict__", {})
    found = {name: look.at(value) for name, value in own.items() if name not in but}
    return {name: digest for name, digest in found.items() if digest is not None}


def _assigned_in(method: Any) -> set[str]:
    function = getattr(method, "__func__", method)
    if not isinstance(function, types.FunctionType):
        return set()
    return {str(step.argval) for step in dis.get_instructions(function) if step.opname == "STORE_ATTR"}


class _Look:
    """Digests values; gives up on what is nested deeply or made of very many parts."""

    def __init__(self, generators: bool) -> None:
        self._generators = generators
        self._parts_left = _MOST_PARTS

    def at(self, value: Any) -> str | None:
        """Return a digest, or None for what cannot be looked into: whatever it does, the run goes on."""
        try:
            return self._digest(value, 0)
        except Exception:
            return None

    def _digest(self, value: Any, depth: int) -> str | None:
        self._parts_left -= 1
        if value is None or isinstance(value, _SCALARS):
            text = hex(value) if type(value) is int else repr(value)  # a long one has no repr
            return f"{type(value).__name__} {_short(text)}"
        if depth > _MAX_DEPTH or self._parts_left < 0 or isinstance(value, _PARTS):
            return None
        if isinstance(value, np.ndarray):
            return f"{value.dtype} {value.shape} {_digest_of_array(value)}"
        if isinstance(value, np.random.Generator):
            return _short(repr(value.bit_generator.state)) if self._generators else None
        if type(value).__module__ == "random":  # Python's own generators
            return _short(repr(value.getstate()))
        if isinstance(value, Mapping):
            return self._of_many(value, [*_ends(value), *(value[key] for key in _ends(value))], depth)
        if isinstance(value, (list, tuple, deque)):
            return self._of_many(value, _ends(value), depth)
        if isinstance(value, Set):
            items = sorted(map(repr, value)) if len(value) <= _MOST_PARTS else []
            return _short(f"{type(value).__name__} {len(value)} {items}")
        return self._of_object(value, depth)

    def _of_many(self, value: Any, items: list[Any], depth: int) -> str:
        digests = " ".join(str(self._digest(item, depth + 1)) for item in items)
        return _short(f"{type(value).__name__} {len(value)} {digests}")

    def _of_object(self, value: Any, depth: int) -> str | None:
        is_foreign = type(value).__module__.split(".")[0] in _OF_LIBRARIES
        if is_foreign or callable(value) or isinstance(value, types.ModuleType) or not hasattr(value, "__dict__"):
            return None
        parts = {name: self._digest(inner, depth + 1) for name, inner in vars(value).items()}
        return _short(f"{type(value).__qualname__} {sorted((name, part) for name, part in parts.items() if part)}")


def _ends(values: Any) -> list[Any]:
    """Return the first and the last items of what may be very long."""
    first = itertools.islice(iter(values), _MOST_ITEMS // 2)
    can_reverse = isinstance(values, Sequence) or hasattr(values, "__reversed__")
    return [*first, *(itertools.islice(reversed(values), _MOST_ITEMS // 2) if can_reverse else ())]


def _digest_of_array(array: np.ndarray) -> str:
    if array.dtype.hasobject:
        return _short(repr(array))
    flat = array.reshape(-1)
    step = max(1, flat.nbytes // _MOST_BYTES)
    return hashlib.sha256(np.ascontiguousarray(flat[::step]).tobytes()).hexdigest()


def _short(text: str) -> str:
    return hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()
