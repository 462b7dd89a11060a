"""Random numbers inside an exported policy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf


class RandomNumbers(keras.layers.Layer):  # type: ignore[misc]
    """New numbers at each call, in the shape of what is given.

    Keras's own random operations carry their seed along, which ONNX knows no operation for: TensorFlow's are used.

    Args:
        draw: ``draw(shape)``, for example ``tf.random.normal``.
    """

    def __init__(self, draw: Callable[[Any], Any]) -> None:
        super().__init__()
        self._draw = draw

    def call(self, like: Any) -> Any:
        """Return float32 numbers."""
        return self._draw(tf.shape(like))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of what is given."""
        return input_shape


class SymbolicNoise:
    """What a sampler draws from while its policy is laid out as a model."""

    def uniform(self, like: Any) -> Any:
        """Return symbolic numbers from 0 to 1, without 1, in the shape of ``like``."""
        return RandomNumbers(tf.random.uniform)(like)

    def normal(self, like: Any) -> Any:
        """Return symbolic standard normal numbers in the shape of ``like``."""
        return RandomNumbers(tf.random.normal)(like)
