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

_NUM_SEEDS = 1_000_000
"""Seeds end up in the saved configuration, which may hold no larger number (see ``safe_config``)."""


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
    seeds = (derive_seed(root, "layer", number) % _NUM_SEEDS for number in itertools.count())
    if not isinstance(observation_space, gym.spaces.Dict):
        stack = [_input(observation_space, "observation"), *_feature_layers(observation_space, seeds)]
        return keras.Sequential(stack + _dense_layers(hidden_units, num_outputs, seeds))
    inputs = {name: _input(space, name) for name, space in observation_space.items()}
    parts = [_apply(_feature_layers(space, seeds), inputs[name]) for name, space in observation_space.items()]
    joined = layers.Concatenate()(parts) if len(parts) > 1 else parts[0]
    return keras.Model(inputs, _apply(_dense_layers(hidden_units, num_outputs, seeds), joined))


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


def _feature_layers(space: gym.Space[Any], seeds: Iterator[int]) -> list[keras.Layer]:
    """Return the layers that make one vector of each observation."""
    stack: list[keras.Layer] = []
    if isinstance(space, gym.spaces.Discrete):
        stack = [layers.Embedding(int(space.n), EMBEDDING_UNITS, initializers.RandomUniform(seed=next(seeds)))]
    elif _is_image(space):
        stack = [layers.Rescaling(1.0 / 255.0)]
        for filters, kernel, strides in CONVOLUTIONS:
            initial = initializers.GlorotUniform(next(seeds))
            stack.append(layers.Conv2D(filters, kernel, strides, "same", activation="relu", kernel_initializer=initial))
    is_vector = not stack and len(space.shape or ()) == 1
    return stack if is_vector else [*stack, layers.Flatten()]


def _dense_layers(hidden_units: tuple[int, ...], num_outputs: int, seeds: Iterator[int]) -> list[keras.Layer]:
    sizes = [(units, "relu") for units in hidden_units] + [(num_outputs, None)]
    return [
        layers.Dense(units, activation, kernel_initializer=initializers.GlorotUniform(next(seeds)))
        for units, activation in sizes
    ]


def _apply(stack: list[keras.Layer], x: Any) -> Any:
    for layer in stack:
        x = layer(x)
    return x


def _is_image(space: gym.Space[Any]) -> bool:
    return isinstance(space, gym.spaces.Box) and len(space.shape) == 3 and space.dtype == np.uint8
