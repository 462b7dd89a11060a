"""What each recognised Keras layer does at inference, as recorded NumPy calls.

Layers are found by exact type: a subclass may do anything.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers as kl

from tensor_optix.adapters.tensorflow.acting.numpy import numpy_activations as act
from tensor_optix.adapters.tensorflow.acting.numpy.numpy_cells import CELL_CONVERTERS
from tensor_optix.adapters.tensorflow.acting.numpy.numpy_conversion import (
    Converter,
    Parameters,
    Shape,
    UnsupportedLayer,
    row,
)
from tensor_optix.adapters.tensorflow.acting.numpy.numpy_program import Emit, Tape


def converter_of(layer: keras.Layer) -> Converter:
    """Return the converter for a layer of exactly a recognised type, computing in float32.

    Raises:
        UnsupportedLayer: The layer's type or its dtype policy is not recognised.
    """
    converter = CONVERTERS.get(type(layer))
    if converter is None:
        raise UnsupportedLayer(f"{type(layer).__name__} '{layer.name}'")
    if (layer.compute_dtype, layer.variable_dtype) != ("float32", "float32"):
        raise UnsupportedLayer(f"'{layer.name}' with dtype policy '{layer.dtype_policy.name}'")
    return converter


def _identity(layer: Any, shapes: Sequence[Shape], parameters: Parameters) -> Emit:
    return lambda tape, x: x


def _activation(layer: Any, shapes: Sequence[Shape], parameters: Parameters) -> Emit:
    activation = act.activation_of(layer)

    def emit(tape: Tape, x: np.ndarray) -> np.ndarray:
        if activation is None:
            return x
        x = tape.float32(x)
        out = tape.buffer(x.shape)
        activation(tape, row(x), row(out))
        return out

    return emit


def _dense(layer: Any, shapes: Sequence[Shape], parameters: Parameters) -> Emit:
    _refuse_altered_weights(layer)
    kernel = parameters.variable(layer.kernel)
    bias = None if layer.bias is None else parameters.variable(layer.bias)
    activation = act.activation_of(layer.activation)
    inputs, units = layer.kernel.shape

    def emit(tape: Tape, x: np.ndarray) -> np.ndarray:
        out = tape.buffer((*x.shape[:-1], units))
        num_rows = math.prod(x.shape[:-1])
        rows, result = row(tape.float32(x).reshape(num_rows, inputs)), row(out.reshape(num_rows, units))
        tape.do(np.dot, rows, tape.weights[kernel], result)
        if bias is not None:
            tape.do(np.add, result, tape.weights[bias], result)
        if activation is not None:
            activation(tape, result, result)
        return out

    return emit


def _embedding(layer: Any, shapes: Sequence[Shape], parameters: Parameters) -> Emit:
    _refuse_altered_weights(layer)
    if layer.mask_zero:
        raise UnsupportedLayer(f"masking Embedding '{layer.name}'")
    table = parameters.variable(layer.embeddings)
    parameters.limit_indices(layer.input_dim)

    def emit(tape: Tape, x: np.ndarray) -> np.ndarray:
        indices = x if x.dtype.kind == "i" else np.zeros(x.shape, np.int32)
        if indices is not x:
            tape.do(np.copyto, indices, x, "unsafe")
        out = tape.buffer((*x.shape, layer.output_dim))
        tape.do(np.take, tape.weights[table], indices, 0, out)
        return out

    return emit


def _refuse_altered_weights(layer: Any) -> None:
    if getattr(layer, "quantization_mode", None) or getattr(layer, "lora_enabled", False):
        raise UnsupportedLayer(f"quantised or LoRA {type(layer).__name__} '{layer.name}'")


def _flatten(layer: Any, shapes: Sequence[Shape], parameters: Parameters) -> Emit:
    if layer.data_format != "channels_last":
        raise UnsupportedLayer(f"channels-first Flatten '{layer.name}'")
    return lambda tape, x: x.reshape(len(x), math.prod(x.shape[1:]))


def _reshape(layer: Any, shapes: Sequence[Shape], parameters: Parameters) -> Emit:
    target = layer.compute_output_shape(shapes[0])[1:]
    return lambda tape, x: x.reshape(len(x), *target)


def _rescaling(layer: Any, shapes: Sequence[Shape], parameters: Parameters) -> Emit:
    scale, offset = np.array(layer.scale, np.float32), np.array(layer.offset, np.float32)
    if scale.ndim and keras.config.image_data_format() == "channels_first":
        raise UnsupportedLayer(f"channels-first Rescaling '{layer.name}'")

    def emit(tape: Tape, x: np.ndarray) -> np.ndarray:
        x = row(full := tape.float32(x))
        out = tape.buffer(full.shape)
        tape.do(np.multiply, x, scale, row(out))
        if offset.any():
            tape.do(np.add, row(out), offset, row(out))
        return out

    return emit


def _prelu(layer: Any, shapes: Sequence[Shape], parameters: Parameters) -> Emit:
    alpha = parameters.variable(layer.alpha)

    def emit(tape: Tape, x: np.ndarray) -> np.ndarray:
        x = tape.float32(x)
        out, negative = tape.buffer(x.shape), tape.buffer(x.shape)
        tape.do(np.minimum, x, act.ZERO, out=negative)
        tape.do(np.multiply, negative, tape.weights[alpha], negative)
        tape.do(np.maximum, x, act.ZERO, out=out)
        tape.do(np.add, out, negative, out)
        return out

    return emit


def _layer_normalization(layer: Any, shapes: Sequence[Shape], parameters: Parameters) -> Emit:
    """Convert ``LayerNormalization`` over the last axis."""
    axes = [layer.axis] if isinstance(layer.axis, int) else list(layer.axis)
    if getattr(layer, "rms_scaling", False) or axes not in ([-1], [len(shapes[0]) - 1]):
        raise UnsupportedLayer(f"LayerNormalization '{layer.name}' with these options")
    gamma = None if layer.gamma is None else parameters.variable(layer.gamma)
    beta = None if layer.beta is None else parameters.variable(layer.beta)
    epsilon = act.constant(layer.epsilon)

    def emit(tape: Tape, x: np.ndarray) -> np.ndarray:
        x = tape.float32(x)
        result = tape.buffer(x.shape)
        x, out = row(x), row(result)
        squares, moment = tape.buffer(x.shape), tape.buffer((*x.shape[:-1], 1))
        average = np.full((x.shape[-1], 1), 1 / x.shape[-1], np.float32)
        tape.do(np.dot, x, average, moment)  # 64 x 64: 0.8 us, against 3.3 for add.reduce
        tape.do(np.subtract, x, moment, out)
        tape.do(np.multiply, out, out, squares)
        tape.do(np.dot, squares, average, moment)
        tape.do(np.add, moment, epsilon, moment)
        tape.do(np.sqrt, moment, moment)
        tape.do(np.divide, out, moment, out)
        if gamma is not None:
            tape.do(np.multiply, out, tape.weights[gamma], out)
        if beta is not None:
            tape.do(np.add, out, tape.weights[beta], out)
        return result

    return emit


def _batch_normalization(layer: Any, shapes: Sequence[Shape], parameters: Parameters) -> Emit:
    """Convert ``BatchNormalization``: at inference one scale and one shift per feature."""
    axis = layer.axis % len(shapes[0])
    mean, variance = parameters.variable(layer.moving_mean), parameters.variable(layer.moving_variance)
    gamma = None if layer.gamma is None else parameters.variable(layer.gamma)
    beta = None if layer.beta is None else parameters.variable(layer.beta)
    size = int(layer.moving_mean.shape[0])
    scale, shift = parameters.derived((size,)), parameters.derived((size,))
    epsilon = act.constant(layer.epsilon)

    def fold(arrays: list[np.ndarray]) -> None:
        np.sqrt(arrays[variance] + epsilon, out=arrays[scale])
        np.divide(act.ONE if gamma is None else arrays[gamma], arrays[scale], out=arrays[scale])
        np.multiply(arrays[mean], -arrays[scale], out=arrays[shift])
        if beta is not None:
            arrays[shift] += arrays[beta]

    parameters.derive(fold)

    def emit(tape: Tape, x: np.ndarray) -> np.ndarray:
        x = tape.float32(x)
        result = tape.buffer(x.shape)
        spread = (size, *(1 for _ in x.shape[axis + 1 :]))
        x, out = row(x), row(result)
        tape.do(np.multiply, x, tape.weights[scale].reshape(spread), out)
        tape.do(np.add, out, tape.weights[shift].reshape(spread), out)
        return result

    return emit


def _normalization(layer: Any, shapes: Sequence[Shape], parameters: Parameters) -> Emit:
    """Convert ``Normalization``, whose statistics are constants between two calls of ``adapt``."""
    if layer.invert:
        raise UnsupportedLayer(f"inverting Normalization '{layer.name}'")
    shape = tuple(layer.mean.shape)
    mean, deviation = parameters.derived(shape), parameters.derived(shape)
    seen: list[Any] = [None]

    def read(arrays: list[np.ndarray]) -> None:
        if layer.mean is seen[0]:
            return  # these are constants between two calls of the layer's adapt()
        arrays[mean][...] = np.asarray(layer.mean)
        arrays[deviation][...] = np.maximum(np.sqrt(np.asarray(layer.variance)), keras.config.epsilon())
        seen[0] = layer.mean

    parameters.derive(read)

    def emit(tape: Tape, x: np.ndarray) -> np.ndarray:
        x = tape.float32(x)
        out = tape.buffer(x.shape)
        tape.do(np.subtract, x, tape.weights[mean], out)
        tape.do(np.divide, out, tape.weights[deviation], out)
        return out

    return emit


def _concatenate(layer: Any, shapes: Sequence[Shape], parameters: Parameters) -> Emit:
    axis = layer.axis % len(shapes[0])
    if axis == 0:
        raise UnsupportedLayer(f"Concatenate '{layer.name}' over the batch")

    def emit(tape: Tape, *xs: np.ndarray) -> np.ndarray:
        total = sum(x.shape[axis] for x in xs)
        out = tape.buffer((*xs[0].shape[:axis], total, *xs[0].shape[axis + 1 :]))
        tape.do(np.concatenate, [tape.float32(x) for x in xs], axis, out)
        return out

    return emit


def _merge(function: Callable[..., Any], *, mean: bool = False) -> Converter:
    """Return the converter of a layer that folds its inputs together with ``function``."""

    def convert(layer: Any, shapes: Sequence[Shape], parameters: Parameters) -> Emit:
        if len({len(shape) for shape in shapes}) != 1:
            raise UnsupportedLayer(f"'{layer.name}' on inputs of different rank")

        def emit(tape: Tape, first: np.ndarray, *others: np.ndarray) -> np.ndarray:
            out = tape.buffer(np.broadcast_shapes(first.shape, *(x.shape for x in others)))
            result = tape.float32(first)
            for x in others:
                tape.do(function, result, tape.float32(x), out=out)
                result = out
            if mean:
                tape.do(np.divide, result, act.constant(1 + len(others)), out)
                result = out
            return result

        return emit

    return convert


_IDENTITIES = (
    "ActivityRegularization AlphaDropout Dropout GaussianDropout GaussianNoise Identity "
    "SpatialDropout1D SpatialDropout2D SpatialDropout3D"
)

CONVERTERS: dict[type, Converter] = {
    **{getattr(kl, name): _identity for name in _IDENTITIES.split() if hasattr(kl, name)},
    **{kind: _activation for kind in (kl.Activation, kl.ReLU, kl.LeakyReLU, kl.ELU, kl.Softmax)},
    kl.Dense: _dense,
    kl.Embedding: _embedding,
    kl.Flatten: _flatten,
    kl.Reshape: _reshape,
    kl.Rescaling: _rescaling,
    kl.PReLU: _prelu,
    kl.LayerNormalization: _layer_normalization,
    kl.BatchNormalization: _batch_normalization,
    kl.Normalization: _normalization,
    kl.Concatenate: _concatenate,
    kl.Add: _merge(np.add),
    kl.Subtract: _merge(np.subtract),
    kl.Multiply: _merge(np.multiply),
    kl.Average: _merge(np.add, mean=True),
    kl.Maximum: _merge(np.maximum),
    kl.Minimum: _merge(np.minimum),
    **CELL_CONVERTERS,
}
