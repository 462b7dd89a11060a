"""Keras layers from a policy's outputs to greedy actions of several choices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np


@keras.saving.register_keras_serializable(package="tensor_optix")
class GreedyMultiDiscrete(keras.layers.Layer):
    """The option of the largest logit of each choice, ``start`` included: ``[B, K]`` to int64 ``[B, *shape]``.

    Args:
        sizes: How many options each choice has.
        start: First option of each choice.
        shape: Shape of one action.
        **kwargs: Of ``keras.layers.Layer``.
    """

    def __init__(self, sizes: Sequence[int], start: Sequence[int], shape: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sizes, self.start, self.shape_of_action = list(sizes), list(start), list(shape)

    def call(self, inputs: Any) -> Any:
        """Return the actions."""
        ends = np.cumsum(self.sizes)[:-1].tolist()
        options = [keras.ops.argmax(part, axis=-1) for part in keras.ops.split(inputs, ends, axis=-1)]
        actions = keras.ops.cast(keras.ops.stack(options, axis=-1), "int64") + np.array(self.start, np.int64)
        return keras.ops.reshape(actions, (-1, *self.shape_of_action))

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the layer."""
        own = {"sizes": self.sizes, "start": self.start, "shape": self.shape_of_action}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="tensor_optix")
class GreedyMultiBinary(keras.layers.Layer):
    """The likelier value of each bit: log-odds ``[B, K]`` to int8 ``[B, *shape]``.

    Args:
        shape: Shape of one action.
        **kwargs: Of ``keras.layers.Layer``.
    """

    def __init__(self, shape: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shape_of_action = list(shape)

    def call(self, inputs: Any) -> Any:
        """Return the actions."""
        return keras.ops.reshape(keras.ops.cast(inputs > 0, "int8"), (-1, *self.shape_of_action))

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the layer."""
        return {**super().get_config(), "shape": self.shape_of_action}
