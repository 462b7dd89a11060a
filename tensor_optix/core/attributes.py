"""What state an object holds in its attributes, as far as that can be told from outside."""

from __future__ import annotations

import dis
import functools
import hashlib
import itertools
import sys
import types
import warnings
from collections import deque
from collections.abc import Mapping, Sequence, Set
from enum import Enum
from typing import Any

import numpy as np
from numpy.random import RandomState

from tensor_optix.core.base_agent import BaseAgent
from tensor_optix.core.base_optimizer import BaseOptimizer
from tensor_optix.core.base_pipeline import BasePipeline

PACKAGE = "tensor_optix"

_OF_LIBRARIES = (
    *(PACKAGE, "gymnasium", "ale_py", "logging", "threading", "concurrent"),
    *("multiprocessing", "queue", "io", "_io", "builtins", "pathlib", "rich", "tqdm", "matplotlib", "mlflow", "wandb"),
)
_PARTS = (BaseAgent, BasePipeline, BaseOptimizer)
"""Whoever holds one of these looks at it; its state is not the holder's."""

_OF_FRAMEWORKS = ("keras", "tensorflow", "torch", "jax", "jaxlib")
_WITHOUT_STATE = (type, types.ModuleType, types.FunctionType, types.MethodType, types.BuiltinFunctionType)
_SCALARS = (bool, int, float, complex, str, bytes, Enum, np.generic)
_MAX_DEPTH = 16
_MOST_ITEMS = 4096
_MOST_PARTS = 10_000
_MOST_BYTES = 2**22


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


def fingerprints(owner: Any, but: Set[str] = frozenset(), *, attached: bool = True) -> dict[str, str]:
    """Return a digest of each attribute that holds numbers, texts or containers of them.

    What belongs to a library, and what cannot be looked into, is left out; of what is very long, a part
    is looked at. Two digests differ where the state does; that they are equal is no proof.

    Args:
        owner: Whose attributes.
        but: Names of those that are saved anyway.
        attached: Whether NumPy's generators and what frameworks hold count, too: those of an agent are saved.
    """
    look = _Look(attached)
    found = {name: look.at(value) for name, value in attributes_of(owner).items() if name not in but}
    return {name: digest for name, digest in found.items() if digest is not None}


def _assigned_in(method: Any) -> set[str]:
    function = getattr(method, "__func__", method)
    if not isinstance(function, types.FunctionType):
        return set()
    return {str(step.argval) for step in dis.get_instructions(function) if step.opname == "STORE_ATTR"}


class _Look:
    """Digests values; gives up on what is nested deeply or made of very many parts."""

    def __init__(self, attached: bool) -> None:
        self._attached = attached
        self._parts_left = 0
        self._within: set[int] = set()

    def at(self, value: Any) -> str | None:
        """Return a digest, or None for what cannot be looked into: whatever it does, the run goes on."""
        self._parts_left = _MOST_PARTS
        self._within.clear()
        return self._part(value)

    def _part(self, value: Any) -> str | None:
        self._parts_left -= 1
        if value is None or isinstance(value, _SCALARS):
            text = hex(value) if type(value) is int else repr(value)  # a long one has no repr
            return f"{type(value).__name__} {_short(text)}"
        is_inside_itself = id(value) in self._within
        if is_inside_itself or len(self._within) > _MAX_DEPTH or self._parts_left < 0 or isinstance(value, _PARTS):
            return None
        self._within.add(id(value))
        try:
            return self._of_compound(value)
        except Exception:  # whatever a part of the user's does when it is looked at, the others are
            return None
        finally:
            self._within.discard(id(value))

    def _of_compound(self, value: Any) -> str | None:
        if isinstance(value, np.ndarray) and not value.dtype.hasobject:
            return f"{value.dtype} {value.shape} {_digest_of_array(value)}"
        if isinstance(value, np.ndarray):
            return self._of_many(value, _ends(value.reshape(-1).tolist()))
        if isinstance(value, np.random.Generator):
            return self._part(value.bit_generator.state) if self._attached else None
        if isinstance(value, RandomState):
            return self._part(value.get_state(legacy=False)) if self._attached else None
        if any(part.__module__ == "random" for part in type(value).__mro__):
            return _short(repr(value.getstate()))
        if isinstance(value, Mapping):
            return self._of_many(value, [*_ends(value), *(value[key] for key in _ends(value))])
        if isinstance(value, (list, tuple, deque)):
            return self._of_many(value, _ends(value))
        if isinstance(value, Set):
            digests = sorted(str(self._part(item)) for item in value) if len(value) <= _MOST_ITEMS else []
            return _short(f"{type(value).__name__} {len(value)} {digests}")
        return self._of_object(value)

    def _of_many(self, value: Any, items: list[Any]) -> str:
        digests = " ".join(str(self._part(item)) for item in items)
        return _short(f"{type(value).__name__} {len(value)} {digests} {self._of_attributes(value)}")

    def _of_object(self, value: Any) -> str | None:
        if isinstance(value, _WITHOUT_STATE):
            return None
        root, *bases = (part.__module__.split(".")[0] for part in type(value).__mro__)
        if {root, *bases} & set(_OF_FRAMEWORKS):
            arrays = _arrays_of(value) if self._attached else None
            return None if arrays is None else self._of_many(arrays, arrays)
        if root in _OF_LIBRARIES and root != "builtins":
            return None
        attributes = self._of_attributes(value)
        if attributes is None and (root == "numpy" or root in sys.stdlib_module_names):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that some of Python's own are not to be copied in later versions
                return self._part(value.__reduce_ex__(2)[1:3] + _items_in(value))
        return attributes

    def _of_attributes(self, value: Any) -> str | None:
        """Return a digest of an object's attributes; None where it has none."""
        parts = {name: self._part(inner) for name, inner in attributes_of(value).items()}
        if not parts:
            return None
        return _short(f"{type(value).__qualname__} {sorted((name, part) for name, part in parts.items() if part)}")


def attributes_of(value: Any) -> dict[str, Any]:
    """Return the attributes that an object holds, those in slots among them."""
    slots = [name for part in type(value).__mro__ for name in _slots_of(part) if hasattr(value, name)]
    return {**getattr(value, "__dict__", {}), **{name: getattr(value, name) for name in slots}}


def _slots_of(cls: type) -> tuple[str, ...]:
    slots = vars(cls).get("__slots__", ())
    names = (slots,) if isinstance(slots, str) else tuple(slots)
    return tuple(name for name in names if name not in ("__dict__", "__weakref__"))


def _items_in(value: Any) -> tuple[Any, ...]:
    """Return the items that come after the state of an object that Python copies by its items."""
    reduced = value.__reduce_ex__(2)
    return tuple(list(items) for items in reduced[3:5] if items is not None)


def _arrays_of(value: Any) -> list[Any] | None:
    """Return what a framework's variable, tensor, metric or seed holds; None for anything else of it.

    A network is left out: it is the agent's, or a part of it, and saved there.
    """
    if hasattr(value, "numpy"):
        return [np.asarray(value)]
    variables = getattr(value, "variables", None) if hasattr(value, "update_state") else [getattr(value, "state", None)]
    variables = [variable for variable in variables or [] if hasattr(variable, "numpy")]
    return [np.asarray(variable) for variable in variables] or None


def _ends(values: Any) -> list[Any]:
    """Return all items or, of what is very long, the first and the last."""
    if len(values) <= _MOST_ITEMS:
        return list(values)
    first = itertools.islice(iter(values), _MOST_ITEMS // 2)
    can_reverse = isinstance(values, Sequence) or hasattr(values, "__reversed__")
    return [*first, *(itertools.islice(reversed(values), _MOST_ITEMS // 2) if can_reverse else ())]


def _digest_of_array(array: np.ndarray) -> str:
    flat = array.reshape(-1)
    step = max(1, flat.nbytes // _MOST_BYTES)
    return hashlib.sha256(np.ascontiguousarray(flat[::step]).tobytes()).hexdigest()


def _short(text: str) -> str:
    return hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()
