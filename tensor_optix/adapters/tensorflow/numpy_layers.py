"""What each recognised Keras layer does at inference, as recorded NumPy calls.

A converter takes a layer, the shapes it is called on (batch dimension first, as ``None``) and the
:class:`Parameters` that collect its weights. It returns the layer's :data:`Emit`, or raises
:class:`UnsupportedLayer`. Layers are found by exact type: a subclass may do anything.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers as kl

from tensor_optix.adapters.tensorflow import numpy_activations as act
from tensor_optix.adapters.tensorflow.numpy_parameters import Parameters
from tensor_optix.adapters.tensorflow.numpy_program import Emit, Tape

Shape = tuple[int | None, ...]
Converter = Callable[[Any, Sequence[Shape], Parameters], Emit]


class UnsupportedLayer(Exception):  # noqa: N818 - a signal inside this package, never shown as an error
    """This part of a model has no NumPy form here; the model runs as a traced function."""


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


def _row(x: np.ndarray) -> np.ndarray:
    """Return a batch of one without its batch dimension: NumPy broadcasts vectors faster."""
    return x[0] if x.ndim > 1 and len(x) == 1 else x


def _identity(layer: Any, shapes: Sequence[Shape], parameters: Parameters) -> Emit:
    return lambda tape, x: x


def _activation(layer: Any, shapes: Sequence[Shape], parameters: Parameters) -> Emit:
    activation = activation_of(layer)

    def emit(tape: Tape, x: np.ndarray) -> np.ndarray:
        if activation is None:
            return x
        x = tape.float32(x)
        out = tape.buffer(x.shape)
        activation(tape, _row(x), _row(out))
        return out

    return emit


def _dense(layer: Any, shapes: Sequence[Shape], parameters: Parameters) -> Emit:
    if getattr(layer, "quantization_mode", None) or getattr(layer, "lora_enabled", False):
        raise UnsupportedLayer(f"quantised or LoRA Dense '{layer.name}'")
    kernel = parameters.variable(layer.kernel)
    bias = None if layer.bias is None else parameters.variable(layer.bias)
    activation = activation_of(layer.activation)
    inputs, units = layer.kernel.shape

    def emit(tape: Tape, x: np.ndarray) -> np.ndarray:
        out = tape.buffer((*x.shape[:-1], units))
        rows, result = _row(tape.float32(x).reshape(-1, inputs)), _row(out.reshape(-1, units))
        tape.do(np.dot, rows, tape.weights[kernel], result)
        if bias is not None:
            tape.do(np.add, result, tape.weights[bias], result)
        if activation is not None:
            activation(tape, result, result)
        return out

    return emit


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
        x = _row(full := tape.float32(x))
        out = tape.buffer(full.shape)
        tape.do(np.multiply, x, scale, _row(out))
        if offset.any():
            tape.do(np.add, _row(out), offset, _row(out))
        return out

    return emit


def _prelu(layer: Any, shapes: Sequence[Shape], parameters: Parameters) -> Emit:
    alpha = parameters.variable(layer.alpha)

    def emit(tape: Tape, x: np.ndarray) -> np.ndarray:
        x = tape.float32(x)
        out, negative = tape.buffer(x.shape), tape.buffer(x.shape)
        tape.do(np.minimum, x, act.ZERO, negative)
        tape.do(np.multiply, negative, tape.weights[alpha], negative)
        tape.do(np.maximum, x, act.ZERO, out)
        tape.do(np.add, out, negative, out)
        return out

    return emit


def _layer_normalization(layer: Any, shapes: Sequence[Shape], parameters: Parameters) -> Emit:
    axes = [layer.axis] if isinstance(layer.axis, int) else list(layer.axis)
    if getattr(layer, "rms_scaling", False) or axes not in ([-1], [len(shapes[0]) - 1]):
        raise UnsupportedLayer(f"LayerNormalization '{layer.name}' with these options")
    gamma = None if layer.gamma is None else parameters.variable(layer.gamma)
    beta = None if layer.beta is None else parameters.variable(layer.beta)
    epsilon = act.constant(layer.epsilon)

    def emit(tape: Tape, x: np.ndarray) -> np.ndarray:
        x = tape.float32(x)
        result = tape.buffer(x.shape)
        x, out = _row(x), _row(result)
        squares, moment = tape.buffer(x.shape), tape.buffer((*x.shape[:-1], 1))
        count = act.constant(x.shape[-1])
        tape.do(np.add.reduce, x, -1, None, moment, True)
        tape.do(np.divide, moment, count, moment)
        tape.do(np.subtract, x, moment, out)
        tape.do(np.multiply, out, out, squares)
        tape.do(np.add.reduce, squares, -1, None, moment, True)
        tape.do(np.divide, moment, count, moment)
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
        x, out = _row(x), _row(result)
        tape.do(np.multiply, x, tape.weights[scale].reshape(spread), out)
        tape.do(np.add, out, tape.weights[shift].reshape(spread), out)
        return result

    return emit


def _normalization(layer: Any, shapes: Sequence[Shape], parameters: Parameters) -> Emit:
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
                tape.do(function, result, tape.float32(x), out)
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
}
