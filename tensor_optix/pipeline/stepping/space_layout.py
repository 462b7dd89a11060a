"""Storage for values that may be nested: arrays, and dicts or tuples of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces

from tensor_optix.exceptions import UnsupportedSpaceError

Writer = Callable[[Any, Any], None]
Reader = Callable[[Any], Any]

_LOOSE_SPACES = (spaces.Text, spaces.Graph, spaces.Sequence, spaces.OneOf)


@dataclass(frozen=True)
class Layout:
    """Shape and dtype of one observation or action, without time and environment axes.

    Attributes:
        shape: Shape of a leaf.
        dtype: Type of a leaf; ``object`` where values have no fixed shape (Text, Graph, ...).
        children: Layouts by key, for a dict or a tuple (keys 0, 1, ...); None for a leaf.
        is_tuple: Whether the children make a tuple.
    """

    shape: tuple[int, ...] = ()
    dtype: Any = None
    children: Mapping[Any, Layout] | None = None
    is_tuple: bool = False

    @classmethod
    def of(cls, example: Any, space: Any = None, *, batched: bool = False) -> Layout:
        """Return the layout of ``example``.

        The dtype is the declared one where the example can be cast to it without changing its
        kind, as vector environments do; else the example's own.

        Args:
            example: A value as the environment gives it or takes it.
            space: Space of one environment's value, where known.
            batched: Whether the example carries a leading environment axis.

        Raises:
            UnsupportedSpaceError: Several environments share values without a fixed shape.
        """
        pairs = items(example)
        if pairs is None or (isinstance(example, tuple) and not isinstance(space, spaces.Tuple | None)):
            return cls._of_leaf(example, space, batched)
        inner = {key: cls.of(value, _child(space, key), batched=batched) for key, value in pairs}
        return cls(children=inner, is_tuple=isinstance(example, tuple))

    @classmethod
    def _of_leaf(cls, example: Any, space: Any, batched: bool) -> Layout:
        try:
            array = np.asarray(example)
        except ValueError:
            array = np.empty((), object)
        if isinstance(space, _LOOSE_SPACES) or array.dtype.kind not in "biufc":
            if batched:
                raise UnsupportedSpaceError(
                    f"Values of a vector environment must have a fixed shape. Received: {space or type(example)}. "
                    "Use one environment, leave the part out with gymnasium.wrappers.FilterObservation, or make "
                    "numbers of it with gymnasium.wrappers.FlattenObservation or TransformObservation."
                )
            return cls((), np.dtype(object))
        declared = getattr(space, "dtype", None)
        castable = declared is not None and np.can_cast(array.dtype, declared, "same_kind")
        return cls(array.shape[batched:], np.dtype(declared) if castable else array.dtype)

    def allocate(self, *leading: int) -> Any:
        """Return uninitialised storage ``[*leading, ...]`` in this layout."""
        if self.children is None:
            return np.empty((*leading, *self.shape), self.dtype)
        return self._nested(lambda key, child: child.allocate(*leading))

    def cast(self, value: Any) -> Any:
        """Return ``value`` in this layout's dtypes; a copy unless it is an array that fits already."""
        if type(value) is np.ndarray and value.dtype == self.dtype:
            return value
        if self.children is not None:
            return self._nested(lambda key, child: child.cast(value[key]))
        return value if self.dtype == object else np.array(value, self.dtype)[()]

    def _nested(self, function: Callable[[Any, Layout], Any]) -> Any:
        """Return what a function gives for each child and its key, nested as they are."""
        inner = {key: function(key, child) for key, child in (self.children or {}).items()}
        return tuple(inner.values()) if self.is_tuple else inner


def _child(space: Any, key: Any) -> Any:
    """Return the space of one item of a Dict or Tuple space, or None where unknown."""
    if isinstance(space, (spaces.Dict, spaces.Tuple)):
        return space[key]
    return None


def items(nested: Any) -> list[tuple[Any, Any]] | None:
    """Return keys and values of a dict or tuple, None for a leaf."""
    if isinstance(nested, Mapping):
        return list(nested.items())
    if isinstance(nested, tuple):
        return list(enumerate(nested))
    return None


def writer(storage: Any) -> Writer:
    """Return a fast ``write(index, value)`` into ``storage``; it copies."""
    pairs = items(storage)
    if pairs is None:
        return storage.__setitem__  # type: ignore[no-any-return]
    writers = [(key, writer(value)) for key, value in pairs]

    def write(index: Any, value: Any) -> None:
        for key, put in writers:
            put(index, value[key])

    return write


def reader(storage: Any) -> Reader:
    """Return a fast ``read(index)`` of ``storage``."""
    pairs = items(storage)
    if pairs is None:
        return storage.__getitem__  # type: ignore[no-any-return]
    readers = [(key, reader(value)) for key, value in pairs]
    if isinstance(storage, tuple):
        return lambda index: tuple(get(index) for _, get in readers)
    return lambda index: {key: get(index) for key, get in readers}


def map_leaves(function: Callable[..., Any], nested: Any, *others: Any) -> Any:
    """Apply ``function`` to the leaves of equally nested values."""
    if isinstance(nested, Mapping):
        return {key: map_leaves(function, value, *(o[key] for o in others)) for key, value in nested.items()}
    if isinstance(nested, tuple):
        return tuple(map_leaves(function, value, *(o[i] for o in others)) for i, value in enumerate(nested))
    return function(nested, *others)


def leaves(nested: Any) -> Iterator[Any]:
    """Yield the leaves of a nested value."""
    pairs = items(nested)
    if pairs is None:
        yield nested
        return
    for _, value in pairs:
        yield from leaves(value)


def copy_of(nested: Any) -> Any:
    """Return a copy that shares no array with ``nested``."""
    return map_leaves(lambda leaf: np.array(leaf) if isinstance(leaf, np.ndarray) else leaf, nested)


def is_finite(nested: Any) -> bool:
    """Tell whether no floating-point leaf holds NaN or infinity."""
    arrays = map(np.asarray, leaves(nested))
    return all(bool(np.isfinite(array).all()) for array in arrays if array.dtype.kind in "fc")


def stack(values: list[Any], space: Any = None) -> Any:
    """Join one value per environment into arrays ``[N, ...]``, nested as the space is."""
    first = values[0]
    if isinstance(first, Mapping):
        return {key: stack([value[key] for value in values], _child(space, key)) for key in first}
    if isinstance(first, tuple) and isinstance(space, spaces.Tuple):
        return tuple(stack([value[i] for value in values], _child(space, i)) for i in range(len(first)))
    return np.stack([np.asarray(value) for value in values])
