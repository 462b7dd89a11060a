"""NumPy copies of a model's variables, at fixed addresses."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf


class Parameters:
    """Weights that programs read: copied from Keras variables, or derived from such copies.

    Arrays are refreshed in place, so what was bound to them stays bound.

    Attributes:
        arrays: One float32 array per slot.
    """

    def __init__(self) -> None:
        self.arrays: list[np.ndarray] = []
        self._slots: dict[int, int] = {}
        self._sources: list[tuple[np.ndarray, keras.Variable]] = []
        self._derivations: list[Callable[[list[np.ndarray]], None]] = []

    def variable(self, variable: keras.Variable) -> int:
        """Return the slot of a variable's copy, a new one at its first mention."""
        if id(variable) not in self._slots:
            slot = self.derived(tuple(variable.shape))
            self._slots[id(variable)] = slot
            self._sources.append((self.arrays[slot], variable))
        return self._slots[id(variable)]

    def derived(self, shape: tuple[int, ...]) -> int:
        """Return a new slot for an array that a derivation fills."""
        self.arrays.append(np.zeros(shape, np.float32))
        return len(self.arrays) - 1

    def derive(self, derivation: Callable[[list[np.ndarray]], None]) -> None:
        """Call ``derivation(arrays)`` at the end of every refresh."""
        self._derivations.append(derivation)

    def refresh(self) -> None:
        """Copy what the variables hold now."""
        for array, variable in self._sources:
            # Reading by the handle takes 9 us against 39 us for variable.numpy().
            array[...] = tf.raw_ops.ReadVariableOp(resource=variable.value.handle, dtype=tf.float32)
        for derivation in self._derivations:
            derivation(self.arrays)
