"""A network on weights of its own that shares another one's layers: target networks and twins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf


class ShadowNetwork:
    """Runs a Keras model on a second set of trainable weights.

    The model is never copied, so this works for any: Sequential, functional or subclassed.

    Args:
        model: A built model.
        call: How the model is run on prepared inputs.
        values: The first values, one per trainable variable of the model; None for the model's own.

    Attributes:
        variables: The weights, in the order of ``model.trainable_variables``.
    """

    def __init__(
        self, model: keras.Model, call: Callable[..., Any], values: Sequence[np.ndarray] | None = None
    ) -> None:
        self._originals = list(model.trainable_variables)
        self._call = call
        first = [v.numpy() for v in self._originals] if values is None else values
        self.variables = [
            keras.Variable(value, dtype=original.dtype, name=original.name)
            for value, original in zip(first, self._originals, strict=True)
        ]

    def __call__(self, *inputs: Any) -> Any:
        """Return the outputs on these weights; can be traced, and gradients reach the weights."""
        mapping = [(own, tf.convert_to_tensor(v.value)) for own, v in zip(self._originals, self.variables, strict=True)]
        with keras.StatelessScope(state_mapping=mapping):
            return self._call(*inputs)

    def move_towards(self, variables: Sequence[Any], tau: Any) -> None:
        """Let ``w <- (1 - tau) w + tau w'`` for the weights ``w'`` in ``variables``; 1 copies them. Can be traced."""
        for own, other in zip(self.variables, variables, strict=True):
            own.value.assign((1.0 - tau) * own.value + tau * other.value)


def reshuffled(rng: np.random.Generator, variables: Sequence[Any]) -> list[np.ndarray]:
    """Return the values of ``variables`` with the entries of every kernel in a new random order.

    Freshly initialised entries are exchangeable, so this is another draw from the same initializer,
    whichever that is. Vectors (biases, scales) stay as they are.
    """
    values = [v.numpy() for v in variables]
    return [rng.permutation(x.reshape(-1)).reshape(x.shape) if x.ndim > 1 else x for x in values]
