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
from tensor_optix.adapters.tensorflow.acting.numpy import numpy_norms as norms
from tensor_optix.adapters.tensorflow.acting.numpy.numpy_conversion import Converter, Shape, UnsupportedLayer, row
from tensor_optix.adapters.tensorflow.acting.numpy.numpy_parameters import Parameters
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


def activation_of(function: Any) -> act.Activation | None:
    """Return the recorded form of what stands in an ``activation`` argument; None for linear."""
    if function is None or function is keras.activations.linear:
        return None
    if isinstance(function, keras.Layer):
        return _activation_of_layer(function)
    try:
        return act.ACTIVATIONS[function]
    except (KeyError, TypeError):
        raise UnsupportedLayer(f"activation {function!r}") from None


def _activation_of_layer(layer: keras.Layer) -> act.Activation | None:
    kind = type(layer)
    if kind is kl.Activation:
        return activation_of(layer.activation)
    if kind is kl.ReLU:
        return _relu_of_layer(layer)
    if kind is kl.LeakyReLU:
        return act.leaky_relu(float(layer.negative_slope))
    if kind is kl.ELU:
        return act.exponential_unit(float(layer.alpha))
    if kind is kl.Softmax and layer.axis in (-1, [-1], (-1,)):
        return act.softmax
    raise UnsupportedLayer(f"{kind.__name__} '{layer.name}' as an activation")


def _relu_of_layer(layer: Any) -> act.Activation:
    if layer.threshold or (layer.negative_slope and layer.max_value is not None):
        raise UnsupportedLayer(f"ReLU '{layer.name}' with these options")
    if layer.negative_slope:
        return act.leaky_relu(float(layer.negative_slope))
    return act.relu if layer.max_value is None else act.clipped(0.0, float(layer.max_value))


def _identity(layer: Any, shapes: Sequence[Shape], parameters: Parameters) -> Emit:
    return lambda tape, x: x


def _activation(layer: Any, shapes: Sequence[Shape], parameters: Parameters) -> Emit:
    activation = activation_of(layer)

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
    activation = activation_of(layer.activation)
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
    kl.LayerNormalization: norms.layer_normalization,
    kl.BatchNormalization: norms.batch_normalization,
    kl.Normalization: norms.normalization,
    kl.Concatenate: _concatenate,
    kl.Add: _merge(np.add),
    kl.Subtract: _merge(np.subtract),
    kl.Multiply: _merge(np.multiply),
    kl.Average: _merge(np.add, mean=True),
    kl.Maximum: _merge(np.maximum),
    kl.Minimum: _merge(np.minimum),
}
