"""Observations at zero mean and unit spread, by running moments that belong to the agent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tensor_optix.adapters.tensorflow.acting.model_inputs import ModelInputs, Shape
from tensor_optix.adapters.tensorflow.acting.numpy import numpy_activations as act
from tensor_optix.adapters.tensorflow.acting.numpy.numpy_conversion import Parameters, row
from tensor_optix.adapters.tensorflow.acting.numpy.numpy_layers import CONVERTERS
from tensor_optix.adapters.tensorflow.acting.numpy.numpy_program import Emit, Tape
from tensor_optix.functional.linear_baseline import merge_moments

CLIP = 10.0
"""Largest normalised value, in standard deviations."""

MAX_RANK = 2
"""Parts of more axes are images: whitening every pixel apart would hide what neighbours share."""

STILL = 1e-6
"""A spread below this share of the mean is rounding noise and not blown up."""

WORLD_CHANGE_COUNT = 1000.0
"""How many observations the moments count for after the world changed."""


@keras.saving.register_keras_serializable(package="tensor_optix")
class NormalizeObservation(keras.layers.Layer):  # type: ignore[misc]
    """``clip((x - shift) * scale, -10, 10)``: the identity, apart from the clip, until told otherwise."""

    def build(self, input_shape: Any) -> None:
        """Create shift and scale, in the shape of one observation."""
        shape = tuple(input_shape)[1:]
        self.shift = self.add_weight(shape=shape, initializer="zeros", trainable=False, name="shift")
        self.scale = self.add_weight(shape=shape, initializer="ones", trainable=False, name="scale")

    def call(self, inputs: Any) -> Any:
        """Return normalised observations."""
        return keras.ops.clip((inputs - self.shift) * self.scale, -CLIP, CLIP)

    def frozen(self, inputs: Any) -> Any:
        """Return the same of a symbolic input, with shift and scale as constants."""
        numbers = keras.ops.cast(inputs, self.compute_dtype)
        return keras.ops.clip((numbers - self.shift.numpy()) * self.scale.numpy(), -CLIP, CLIP)


def _in_numpy(layer: Any, shapes: Sequence[Shape], parameters: Parameters) -> Emit:
    shift, scale = parameters.variable(layer.shift), parameters.variable(layer.scale)
    low, high = act.constant(-CLIP), act.constant(CLIP)

    def emit(tape: Tape, x: np.ndarray) -> np.ndarray:
        x = tape.float32(x)
        result = tape.buffer(x.shape)
        out = row(result)
        tape.do(np.subtract, row(x), tape.weights[shift], out)
        tape.do(np.multiply, out, tape.weights[scale], out)
        tape.do(np.maximum, out, low, out=out)
        tape.do(np.minimum, out, high, out=out)
        return result

    return emit


CONVERTERS[NormalizeObservation] = _in_numpy


class ObservationNormalizer:
    """Running mean and variance of every vector of numbers in an observation.

    Images and integers (uint8 pixels, indices) pass as they are. The moments change only by
    ``observe``: in between, acting and learning see the same normalisation.

    Args:
        inputs: The model's inputs.
        enabled: False lets everything pass.
    """

    def __init__(self, inputs: ModelInputs, enabled: bool = True) -> None:
        parts = zip(inputs.shapes, inputs.dtypes, strict=True)
        self._layers = [_layer(shape, dtype) if enabled else None for shape, dtype in parts]
        self._moments = [None if layer is None else _moments(layer) for layer in self._layers]

    @property
    def is_active(self) -> bool:
        """Whether anything is normalised."""
        return any(layer is not None for layer in self._layers)

    @property
    def variables(self) -> list[Any]:
        """Count, mean and variance of each part that is normalised: the whole state."""
        return [variable for moments in self._moments if moments is not None for variable in moments.values()]

    def __call__(self, parts: Sequence[Any]) -> list[Any]:
        """Return normalised parts, one tensor ``[B, ...]`` each; can be traced."""
        return [part if layer is None else layer(part) for part, layer in zip(parts, self._layers, strict=True)]

    def frozen(self, parts: Sequence[Any]) -> list[Any]:
        """Return symbolic parts normalised by the moments as they are now, in Keras's own operations."""
        return [part if layer is None else layer.frozen(part) for part, layer in zip(parts, self._layers, strict=True)]

    def denormalized(self, parts: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return what is normalised to these numbers, arrays ``[B, ...]``; numbers as they are where nothing is."""
        return [
            units if layer is None else units / np.where(layer.scale.numpy() == 0, np.inf, layer.scale) + layer.shift
            for units, layer in zip(parts, self._layers, strict=True)
        ]

    def observe(self, parts: Sequence[np.ndarray]) -> None:
        """Take observations, one array ``[B, ...]`` per part, into the moments."""
        for part, moments in zip(parts, self._moments, strict=True):
            if moments is not None and len(part):
                batch = np.asarray(part, np.float64).reshape(len(part), -1)
                count, mean, variance = (_flat(moments[name]) for name in ("count", "mean", "variance"))
                merged: tuple[Any, ...] = merge_moments(count, mean, variance, batch)
                for variable, value in zip(moments.values(), merged, strict=True):
                    variable.assign(np.reshape(value, variable.shape))
        self.refresh()

    def refresh(self) -> None:
        """Normalise by the moments as they are now, not at all before the first: call it after they were set."""
        for layer, moments in zip(self._layers, self._moments, strict=True):
            if layer is None or moments is None:
                continue
            if moments["count"].numpy() == 0:
                layer.shift.assign(np.zeros(layer.shift.shape))
                layer.scale.assign(np.ones(layer.scale.shape))
            else:
                mean, spread = moments["mean"].numpy(), np.sqrt(moments["variance"].numpy())
                still = spread <= STILL * np.abs(mean)
                layer.shift.assign(mean)
                layer.scale.assign(np.where(still, 0.0, 1.0 / np.where(still, 1.0, spread)))

    def on_world_change(self) -> None:
        """Let new observations weigh more than old ones."""
        for moments in self._moments:
            if moments is not None:
                moments["count"].assign(min(float(moments["count"].numpy()), WORLD_CHANGE_COUNT))


def _layer(shape: Shape, dtype: np.dtype) -> NormalizeObservation | None:
    if dtype.kind != "f" or len(shape) > MAX_RANK or None in shape:
        return None
    layer = NormalizeObservation(dtype=dtype.name)  # whatever precision the model computes in
    layer.build((None, *shape))
    return layer


def _moments(layer: NormalizeObservation) -> Mapping[str, Any]:
    shapes = {"count": (), "mean": layer.shift.shape, "variance": layer.shift.shape}
    return {
        name: keras.Variable(np.zeros(shape), dtype="float64", trainable=False, name=name)
        for name, shape in shapes.items()
    }


def _flat(variable: Any) -> Any:
    value = variable.numpy()
    return float(value) if value.ndim == 0 else value.reshape(-1)
