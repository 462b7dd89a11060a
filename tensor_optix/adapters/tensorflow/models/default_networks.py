"""Models for whatever an environment shows, where the user brings none."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import keras
import numpy as np
from keras import initializers, layers

from tensor_optix.adapters.spaces.image_layout import ImageLayout, image_layout
from tensor_optix.adapters.spaces.observation_parts import (
    Path,
    advice_on,
    choices_of,
    name_of,
    no_default_model,
    parts_of,
)
from tensor_optix.adapters.tensorflow.acting.model_inputs import named_inputs
from tensor_optix.adapters.tensorflow.models import keras_features
from tensor_optix.exceptions import UnsupportedSpaceError
from tensor_optix.functional.seeding import derive_seed, fresh_seed

LARGE_IMAGE = 36
"""Images of so many pixels a side and more get the strides of Mnih et al. (2015)."""

CONVOLUTIONS = {True: ((32, 8, 4), (64, 4, 2), (64, 3, 1)), False: ((16, 3, 1), (32, 3, 2))}
"""Filters, kernel size and strides of the layers that see images, large and small."""

EMBEDDING_UNITS = 64

MAX_CHOICES = 100_000
"""Most values of a discrete observation: each takes a row of an embedding."""

MAX_UNUSED_ROWS = 1000

MAX_START = 2**23
"""Up to here indices are exact in the float32 in which Keras subtracts."""

_NUM_SEEDS = 1_000_000
"""How many seeds there are for the layers of one model."""

CELLS = {"gru": layers.GRUCell, "lstm": layers.LSTMCell}
"""What a network can remember by."""


@dataclass(frozen=True)
class Memory:
    """What a network remembers by.

    Attributes:
        kind: One of ``CELLS``.
        units: Of the cell.
    """

    kind: str
    units: int


def build_model(
    observation_space: gym.Space[Any],
    num_outputs: int | Sequence[int],
    hidden_units: tuple[int, ...] = (64, 64),
    seed: int | None = None,
    *,
    activation: str = "relu",
    gain: float | None = None,
    final_gains: float | Sequence[float | None] | None = None,
    memory: Memory | None = None,
) -> keras.Model:
    """Return a model from an observation to ``num_outputs`` numbers.

    Vectors go through Dense layers; images and stacks of them (see ``image_layout``) through convolutions
    first, as bytes where they are uint8; discrete observations through an embedding. The parts of Dict
    and Tuple spaces, nested or not, are joined; the model takes them nested as the space is.

    Args:
        observation_space: Space of one observation.
        num_outputs: Size of the last layer, which has no activation; several sizes make as many
            outputs on one trunk.
        hidden_units: Units of each Dense layer.
        seed: Source of the initial weights; None draws one.
        activation: Of the hidden layers.
        gain: Of orthogonal initial weights (Saxe et al., 2014); None for Glorot's uniform ones.
        final_gains: The same for each output; None for that of the hidden layers.
        memory: What it remembers by: then it takes ``[observation, *states]`` and gives ``[*outputs, *new states]``.
            The last of the hidden layers comes after the memory, one for each output.

    Raises:
        UnsupportedSpaceError: A part of the space is none of Box, Discrete, MultiDiscrete and MultiBinary,
            or has too many values for an embedding; it says what to do.
        IncompatibleModelError: Keras's dtype policy keeps weights in half precision.
    """
    keras_features.check_policy()
    build = _Builder(activation, gain, fresh_seed() if seed is None else seed)
    spaces = dict(parts_of(observation_space))
    if not spaces:
        raise UnsupportedSpaceError(f"There is no default model for observations of {observation_space}: it is empty.")
    layouts = [_layout(observation_space, space, path) for path, space in spaces.items()]
    names = [_name(observation_space, path) for path in spaces]
    tensors = dict(zip(spaces, named_inputs(names, *zip(*layouts, strict=True)), strict=True))
    parts = [build.features(space, tensors[path]) for path, space in spaces.items()]
    parts = [part for part in parts if part.shape[1] > 0] or [_one_zero(parts[0])]
    trunk = layers.Concatenate()(parts) if len(parts) > 1 else parts[0]
    for units in hidden_units if memory is None else hidden_units[:-1]:
        trunk = build.dense(units, activation, gain)(trunk)
    sizes = [num_outputs] if isinstance(num_outputs, int) else list(num_outputs)
    gains = final_gains if isinstance(final_gains, Sequence) else [gain if final_gains is None else final_gains]
    entry = _nested_like(observation_space, tensors)
    if memory is None:
        outputs = [build.dense(size, None, own)(trunk) for size, own in zip(sizes, gains, strict=True)]
        return keras.Model(entry, outputs[0] if len(outputs) == 1 else outputs)
    trunk, states, after = build.remembering(memory, trunk)
    heads = [build.dense(hidden_units[-1], activation, gain)(trunk) for _ in sizes]
    outputs = [build.dense(size, None, own)(head) for head, size, own in zip(heads, sizes, gains, strict=True)]
    return keras.Model([entry, *states], [*outputs, *after])


class _Builder:
    """Makes layers, each with a seed of its own."""

    def __init__(self, activation: str, gain: float | None, seed: int) -> None:
        self._activation = activation
        self._gain = gain
        self._seeds: Iterator[int] = (derive_seed(seed, "layer", i) % _NUM_SEEDS for i in itertools.count())

    def dense(self, units: int, activation: str | None, gain: float | None) -> keras.Layer:
        return layers.Dense(units, activation, kernel_initializer=self._initial(gain))

    def remembering(self, memory: Memory, x: Any) -> tuple[Any, list[Any], list[Any]]:
        """Return what a cell makes of ``x`` and its states, those states, and the ones after it."""
        cell = CELLS[memory.kind](
            memory.units,
            kernel_initializer=self._initial(self._gain and 1.0),
            recurrent_initializer=initializers.Orthogonal(seed=next(self._seeds)),
            seed=next(self._seeds),  # of dropout, of which there is none: else it is drawn, and saved
        )
        names = ("state",) if memory.kind == "gru" else ("state", "carry")
        states = [keras.Input((memory.units,), name=f"{memory.kind}_{name}") for name in names]
        found, after = cell(x, states)
        return found, states, keras.tree.flatten(after)

    def features(self, space: gym.Space[Any], x: Any) -> Any:
        """Return one vector of each observation."""
        if isinstance(space, (gym.spaces.Discrete, gym.spaces.MultiDiscrete)):
            low, size = _table(space)
            if np.any(low):
                x = layers.Rescaling(1.0, (-low).reshape(-1).tolist())(layers.Flatten()(x))
            initial = initializers.RandomNormal(stddev=1.0, seed=next(self._seeds))
            x = layers.Embedding(size, EMBEDDING_UNITS, embeddings_initializer=initial)(x)
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


def _one_zero(nothing: Any) -> Any:
    """Return one zero ``[B, 1]`` for each observation ``[B, 0]`` of no numbers: matrices of no rows crash oneDNN."""
    return layers.Flatten()(layers.ZeroPadding1D((1, 0))(layers.Reshape((0, 1))(nothing)))


def _layout(whole: Any, space: gym.Space[Any], path: Path) -> tuple[Any, str]:
    """Return shape and dtype of the input for the part of a space at ``path``."""
    if isinstance(space, gym.spaces.Discrete | gym.spaces.MultiDiscrete):
        _check_table(whole, space, path)
        return (1,) if isinstance(space, gym.spaces.Discrete) else space.shape, "int32"
    if isinstance(space, gym.spaces.Box):
        stays_bytes = space.dtype == np.uint8 and image_layout(space) is not None
        return space.shape, "uint8" if stays_bytes else "float32"
    if isinstance(space, gym.spaces.MultiBinary):
        return space.shape, "float32"
    raise no_default_model(whole, space, path, "they have no fixed shape", advice_on(space))


def _name(whole: Any, path: Path) -> Any:
    """Return a name for an input; in a Dict the key itself, which Keras holds against it."""
    if len(path) == 1 and isinstance(whole, gym.spaces.Dict):
        return path[0]
    return name_of(tuple(f"part_{key}" if isinstance(key, int) else key for key in path)) or "observation"


def _nested_like(space: Any, tensors: Mapping[Path, Any], path: Path = ()) -> Any:
    if isinstance(space, gym.spaces.Dict):
        return {key: _nested_like(part, tensors, (*path, key)) for key, part in space.spaces.items()}
    if isinstance(space, gym.spaces.Tuple):
        return tuple(_nested_like(part, tensors, (*path, i)) for i, part in enumerate(space.spaces))
    return tensors[path]


def _table(space: Any) -> tuple[np.ndarray, int]:
    """Return what to subtract from indices, and how many rows an embedding of them needs.

    Choices side by side share the rows. A few that stay unused cost less than the subtraction, which keeps acting
    out of NumPy.
    """
    start, counts = choices_of(space)
    if np.all(start >= 0) and np.all(start <= MAX_UNUSED_ROWS):
        return np.zeros_like(start), int(np.max(counts + start, initial=1))
    return start, int(np.max(counts, initial=1))


def _check_table(whole: Any, space: Any, path: Path) -> None:
    low, size = _table(space)
    if size > MAX_CHOICES or np.any(np.abs(low) > MAX_START):
        raise no_default_model(
            whole,
            space,
            path,
            f"it takes an embedding of {size:,} values from {np.min(low, initial=0):,} on, and {MAX_CHOICES:,} values "
            f"within {MAX_START:,} of 0 are the most",
            "Wrap the environment in gymnasium.wrappers.TransformObservation with a function that makes a Box of them",
        )
