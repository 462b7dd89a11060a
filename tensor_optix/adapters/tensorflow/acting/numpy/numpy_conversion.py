"""What converting Keras layers to NumPy stands on: weights at fixed addresses, what a converter is, how it declines."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tensor_optix.adapters.tensorflow.acting.numpy.numpy_program import Emit

Shape = tuple[int | None, ...]


class Parameters:
    """Weights that programs read: copied from Keras variables, or derived from such copies.

    Arrays are refreshed in place, so what was bound to them stays bound.

    Attributes:
        arrays: One float32 array per slot.
        index_limit: Where inputs are looked up in tables, the smallest table's number of rows.
    """

    def __init__(self) -> None:
        self.arrays: list[np.ndarray] = []
        self.index_limit: int | None = None
        self._slots: dict[int, int] = {}
        self._sources: list[tuple[np.ndarray, Any]] = []
        self._derivations: list[Callable[[list[np.ndarray]], None]] = []

    def variable(self, variable: keras.Variable) -> int:
        """Return the slot of a variable's copy, a new one at its first mention."""
        if id(variable) not in self._slots:
            slot = self.derived(tuple(variable.shape))
            self._slots[id(variable)] = slot
            self._sources.append((self.arrays[slot], variable.value.handle))
        return self._slots[id(variable)]

    def derived(self, shape: tuple[int, ...]) -> int:
        """Return a new slot for an array that a derivation fills."""
        self.arrays.append(np.zeros(shape, np.float32))
        return len(self.arrays) - 1

    def derive(self, derivation: Callable[[list[np.ndarray]], None]) -> None:
        """Call ``derivation(arrays)`` at the end of every refresh."""
        self._derivations.append(derivation)

    def limit_indices(self, rows: int) -> None:
        """Note that inputs may be indices into a table of so many rows."""
        self.index_limit = rows if self.index_limit is None else min(rows, self.index_limit)

    def refresh(self) -> None:
        """Copy what the variables hold now."""
        for array, handle in self._sources:  # 10 us each, against 39 us for variable.numpy()
            array[...] = tf.raw_ops.ReadVariableOp(resource=handle, dtype=tf.float32)
        for derivation in self._derivations:
            derivation(self.arrays)


Converter = Callable[[Any, Sequence[Shape], Parameters], Emit]
"""``convert(layer, shapes, parameters)``: takes a layer, the shapes it is called on (batch dimension
first, as None) and what collects its weights; returns what records the layer's calls, or raises
:class:`UnsupportedLayer`."""


class UnsupportedLayer(Exception):  # noqa: N818 - a signal between these modules, not an error
    """This part of a model has no NumPy form here; the model runs as a traced function."""


def row(x: np.ndarray) -> np.ndarray:
    """Return a batch of one without its batch dimension: NumPy broadcasts vectors faster."""
    return x[0] if x.ndim > 1 and len(x) == 1 else x
