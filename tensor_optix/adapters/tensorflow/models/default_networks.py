"""Models for whatever an environment shows, where the user brings none."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import gymnasium as gym
import keras
import numpy as np
from keras import initializers, layers

from tensor_optix.adapters.tensorflow.image_layout import ImageLayout, image_layout
from tensor_optix.exceptions import UnsupportedSpaceError
from tensor_optix.functional.seeding import derive_seed, fresh_seed

LARGE_IMAGE = 36
"""Images of so many pixels a side and more get the strides of Mnih et al. (2015)."""

CONVOLUTIONS = {True: ((32, 8, 4), (64, 4, 2), (64, 3, 1)), False: ((16, 3, 1), (32, 3, 2))}
"""Filters, kernel size and strides of the layers that see images, large and small."""

EMBEDDING_UNITS = 64

_NUM_SEEDS = 1_000_000
"""How many seeds there are for the layers of one model."""


def build_model(
    observation_space: gym.Space[Any],
    num_outputs: int | Sequence[int],
    hidden_units: tuple[int, ...] = (64, 64),
    seed: int | None = None,
    *,
    activation: str = "relu",
    gain: float | None = None,
    final_gains: float | Sequence[float] | None = None,
) -> keras.Model:
    """Return a model from an observation to ``num_outputs`` numbers.

    Vectors go through Dense layers; images and stacks of them (see ``image_layout``) through convolutions
    first, as bytes where they are uint8; discrete observations through an embedding; the parts of a Dict or Tuple space
    are joined.

    Args:
        observation_space: Space of one observation.
        num_outputs: Size of the last layer, which has no activation; several sizes make as many
            outputs on one trunk.
        hidden_units: Units of each Dense layer.
        seed: Source of the initial weights; None draws one.
        activation: Of the hidden layers.
        gain: Of orthogonal initial weights (Saxe et al., 2014); None for Glorot's uniform ones.
        final_gains: The same for each output; None for that of the hidden layers.

    Raises:
        UnsupportedSpaceError: The space is none of Box, Discrete, MultiDiscrete, MultiBinary, or a
            Dict or Tuple of these.
    """
    build = _Builder(activation, gain, fresh_seed() if seed is None else seed)
    if isinstance(observation_space, gym.spaces.Dict):
        inputs: Any = {name: _input(space, name) for name, space in observation_space.items()}
        parts = [build.features(space, inputs[name]) for name, space in observation_space.items()]
    elif isinstance(observation_space, gym.spaces.Tuple):
        inputs = tuple(_input(space, f"part_{i}") for i, space in enumerate(observation_space))
        parts = [build.features(space, x) for space, x in zip(observation_space, inputs, strict=True)]
    else:
        inputs = _input(observation_space, "observation")
        parts = [build.features(observation_space, inputs)]
    trunk = layers.Concatenate()(parts) if len(parts) > 1 else parts[0]
    for units in hidden_units:
        trunk = build.dense(units, activation, gain)(trunk)
    sizes = [num_outputs] if isinstance(num_outputs, int) else list(num_outputs)
    gains = final_gains if isinstance(final_gains, Sequence) else [gain if final_gains is None else final_gains]
    outputs = [build.dense(size, None, own)(trunk) for size, own in zip(sizes, gains, strict=True)]
    return keras.Model(inputs, outputs[0] if len(outputs) == 1 else outputs)


class _Builder:
    """Makes layers, each with a seed of its own."""

    def __init__(self, activation: str, gain: float | None, seed: int) -> None:
        self._activation = activation
        self._gain = gain
        self._seeds: Iterator[int] = (derive_seed(seed, "layer", i) % _NUM_SEEDS for i in itertools.count())

    def dense(self, units: int, activation: str | None, gain: float | None) -> keras.Layer:
        return layers.Dense(units, activation, kernel_initializer=self._initial(gain))

    def features(self, space: gym.Space[Any], x: Any) -> Any:
        """Return one vector of each observation."""
        if isinstance(space, (gym.spaces.Discrete, gym.spaces.MultiDiscrete)):
            initial = initializers.RandomNormal(stddev=1.0, seed=next(self._seeds))
            x = layers.Embedding(_table_size(space), EMBEDDING_UNITS, embeddings_initializer=initial)(x)
        elif layout := image_layout(space):
            x = self._convolutions(layout, x)
        return x if len(x.shape) == 2 else layers.Flatten()(x)

    def _convolutions(self, layout: ImageLayout, x: Any) -> Any:
        if layout.axes != tuple(range(len(layout.axes))):
            x = layers.Permute([axis + 1 for axis in layout.axes])(x)
        if tuple(x.shape)[1:] != layout.shape:
            x = layers.Reshape(layout.shape)(x)
        is_large = min(layout.shape[:2]) >= LARGE_IMAGE
        x = layers.Rescaling(layout.scale)(x)
        for filters, kernel, strides in CONVOLUTIONS[is_large]:
            initial = self._initial(self._gain)
            x = layers.Conv2D(filters, kernel, strides, "same", activation="relu", kernel_initializer=initial)(x)
        return x

    def _initial(self, gain: float | None) -> Any:
        seed = next(self._seeds)
        return initializers.GlorotUniform(seed) if gain is None else initializers.Orthogonal(gain, seed)


def _input(space: gym.Space[Any], name: str) -> Any:
    if isinstance(space, gym.spaces.Box):
        stays_bytes = space.dtype == np.uint8 and image_layout(space) is not None
        return keras.Input(space.shape, name=name, dtype="uint8" if stays_bytes else "float32")
    if isinstance(space, gym.spaces.MultiBinary):
        return keras.Input(space.shape, name=name)
    if isinstance(space, gym.spaces.Discrete) and space.start >= 0:
        return keras.Input((1,), name=name, dtype="int32")
    if isinstance(space, gym.spaces.MultiDiscrete) and np.min(getattr(space, "start", 0)) >= 0:
        return keras.Input(space.shape, name=name, dtype="int32")
    raise UnsupportedSpaceError(
        f"There is no default model for observations of {space}. "
        "Build a Keras model that takes them, and give it to the agent."
    )


def _table_size(space: Any) -> int:
    """Return how many rows an embedding of these indices needs; choices side by side share it."""
    if isinstance(space, gym.spaces.Discrete):
        return int(space.n + space.start)
    return int(np.max(space.nvec + getattr(space, "start", 0)))
