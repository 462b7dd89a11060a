"""A model for whatever an environment shows, where the user brings none."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import keras
import numpy as np
from keras import initializers, layers

from tensor_optix.exceptions import UnsupportedSpaceError
from tensor_optix.functional.seeding import derive_seed, fresh_seed

CONVOLUTIONS = ((32, 8, 4), (64, 4, 2), (64, 3, 1))
"""Filters, kernel size and strides of the layers that see images (Mnih et al., 2015)."""

EMBEDDING_UNITS = 64


def build_model(
    observation_space: gym.Space[Any],
    num_outputs: int,
    hidden_units: tuple[int, ...] = (64, 64),
    seed: int | None = None,
) -> keras.Model:
    """Return a model from an observation to ``num_outputs`` numbers.

    Vectors go through Dense layers; images (uint8 ``[H, W, C]``) through convolutions first; discrete
    observations through an embedding; the parts of a Dict space are joined.

    Args:
        observation_space: Space of one observation.
        num_outputs: Size of the last layer, which has no activation.
        hidden_units: Units of each Dense layer.
        seed: Source of the initial weights; None draws one.

    Raises:
        UnsupportedSpaceError: The space is none of Box, Discrete, MultiBinary, or a Dict of these.
    """
    root = fresh_seed() if seed is None else seed
    seeds = (derive_seed(root, "layer", number) for number in itertools.count())
    if isinstance(observation_space, gym.spaces.Dict):
        inputs: Any = {name: _input(space, name) for name, space in observation_space.items()}
        parts = [_features(inputs[name], space, seeds) for name, space in observation_space.items()]
        x = layers.Concatenate()(parts) if len(parts) > 1 else parts[0]
    else:
        inputs = _input(observation_space, "observation")
        x = _features(inputs, observation_space, seeds)
    for units in hidden_units:
        x = layers.Dense(units, activation="relu", kernel_initializer=initializers.GlorotUniform(next(seeds)))(x)
    outputs = layers.Dense(num_outputs, kernel_initializer=initializers.GlorotUniform(next(seeds)))(x)
    return keras.Model(inputs, outputs)


def _input(space: gym.Space[Any], name: str) -> Any:
    if isinstance(space, gym.spaces.Box):
        return keras.Input(space.shape, name=name, dtype="uint8" if _is_image(space) else "float32")
    if isinstance(space, gym.spaces.MultiBinary):
        return keras.Input(space.shape, name=name)
    if isinstance(space, gym.spaces.Discrete) and space.start == 0:
        return keras.Input((1,), name=name, dtype="int32")
    raise UnsupportedSpaceError(
        f"There is no default model for observations of {space}. "
        "Build a Keras model that takes them, and give it to TFAgent(model, ...)."
    )


def _features(x: Any, space: gym.Space[Any], seeds: Iterator[int]) -> Any:
    """Return one vector for each observation."""
    if isinstance(space, gym.spaces.Discrete):
        x = layers.Embedding(int(space.n), EMBEDDING_UNITS, initializers.RandomUniform(seed=next(seeds)))(x)
    elif _is_image(space):
        x = layers.Rescaling(1.0 / 255.0)(x)
        for filters, kernel, strides in CONVOLUTIONS:
            initial = initializers.GlorotUniform(next(seeds))
            x = layers.Conv2D(filters, kernel, strides, "same", activation="relu", kernel_initializer=initial)(x)
    return x if len(x.shape) == 2 else layers.Flatten()(x)


def _is_image(space: gym.Space[Any]) -> bool:
    return isinstance(space, gym.spaces.Box) and len(space.shape) == 3 and space.dtype == np.uint8
