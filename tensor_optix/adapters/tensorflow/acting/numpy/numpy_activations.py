"""Keras activations as recorded NumPy calls, each accurate to a few float32 roundings.

Every function here has the form ``activation(tape, x, out)``: it records calls that write the
activation of ``x`` into ``out``, which may be ``x`` itself. Where an axis matters it is the last.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers as kl
from scipy import special

from tensor_optix.adapters.tensorflow.acting.numpy.numpy_conversion import UnsupportedLayer
from tensor_optix.adapters.tensorflow.acting.numpy.numpy_program import Tape

Activation = Callable[[Tape, np.ndarray, np.ndarray], None]

SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805  # Klambauer et al., 2017


def constant(value: float) -> np.ndarray:
    """Return a float32 scalar as an array: ufuncs take it faster than a Python float."""
    return np.array(value, np.float32)


ZERO, ONE = constant(0.0), constant(1.0)


def ufunc(function: Callable[..., object]) -> Activation:
    """Return the activation that is one elementwise function ``function(x, out)``."""

    def activation(tape: Tape, x: np.ndarray, out: np.ndarray) -> None:
        tape.do(function, x, out)

    return activation


def relu(tape: Tape, x: np.ndarray, out: np.ndarray) -> None:
    """Record ``max(x, 0)``."""
    tape.do(np.maximum, x, ZERO, out=out)


def clipped(low: float, high: float) -> Activation:
    """Return the activation ``min(max(x, low), high)``."""
    lower, upper = constant(low), constant(high)

    def activation(tape: Tape, x: np.ndarray, out: np.ndarray) -> None:
        tape.do(np.maximum, x, lower, out=out)
        tape.do(np.minimum, out, upper, out=out)

    return activation


def leaky_relu(negative_slope: float = 0.2) -> Activation:
    """Return the activation ``x if x > 0 else negative_slope * x``."""
    slope = constant(negative_slope)
    pick = np.maximum if negative_slope <= 1 else np.minimum

    def activation(tape: Tape, x: np.ndarray, out: np.ndarray) -> None:
        scaled = tape.buffer(x.shape)
        tape.do(np.multiply, x, slope, scaled)
        tape.do(pick, x, scaled, out=out)

    return activation


def exponential_unit(alpha: float = 1.0, *, scale: float = 1.0, divisor: float = 1.0) -> Activation:
    """Return ``scale * (max(x, 0) + alpha * expm1(min(x, 0) / divisor))``: ELU, SELU and CELU."""
    factor, outer, inner = constant(alpha), constant(scale), constant(divisor)

    def activation(tape: Tape, x: np.ndarray, out: np.ndarray) -> None:
        negative = tape.buffer(x.shape)
        tape.do(np.minimum, x, ZERO, out=negative)
        if divisor != 1:
            tape.do(np.divide, negative, inner, negative)
        tape.do(np.expm1, negative, negative)
        tape.do(np.multiply, negative, factor, negative)
        tape.do(np.maximum, x, ZERO, out=out)
        tape.do(np.add, out, negative, out)
        if scale != 1:
            tape.do(np.multiply, out, outer, out)

    return activation


def softplus(tape: Tape, x: np.ndarray, out: np.ndarray) -> None:
    """Record ``log(1 + exp(x))``."""
    tape.do(np.logaddexp, x, ZERO, out)


def gated(gate: Activation) -> Activation:
    """Return the activation ``x * gate(x)``: SiLU, hard SiLU and Mish."""

    def activation(tape: Tape, x: np.ndarray, out: np.ndarray) -> None:
        factor = tape.buffer(x.shape)
        gate(tape, x, factor)
        tape.do(np.multiply, x, factor, out)

    return activation


def tanh_softplus(tape: Tape, x: np.ndarray, out: np.ndarray) -> None:
    """Record ``tanh(softplus(x))``, the gate of Mish."""
    softplus(tape, x, out)
    tape.do(np.tanh, out, out)


def hard_sigmoid(tape: Tape, x: np.ndarray, out: np.ndarray) -> None:
    """Record ``min(max(x + 3, 0), 6) / 6``."""
    tape.do(np.add, x, constant(3.0), out)
    clipped(0.0, 6.0)(tape, out, out)
    tape.do(np.divide, out, constant(6.0), out)


def softsign(tape: Tape, x: np.ndarray, out: np.ndarray) -> None:
    """Record ``x / (1 + |x|)``."""
    size = tape.buffer(x.shape)
    tape.do(np.abs, x, size)
    tape.do(np.add, size, ONE, size)
    tape.do(np.divide, x, size, out)


def tanh_shrink(tape: Tape, x: np.ndarray, out: np.ndarray) -> None:
    """Record ``x - tanh(x)``."""
    bent = tape.buffer(x.shape)
    tape.do(np.tanh, x, bent)
    tape.do(np.subtract, x, bent, out)


def exponential(tape: Tape, x: np.ndarray, out: np.ndarray) -> None:
    """Record ``exp(x)``, infinite where it overflows, as TensorFlow has it."""

    def exp(x: np.ndarray, out: np.ndarray) -> None:
        with np.errstate(over="ignore"):
            np.exp(x, out)

    tape.do(exp, x, out)


def _record_shifted(tape: Tape, x: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Record ``out = x - max(x)`` and return the buffer of the maximum, one per row."""
    per_row = tape.buffer((*x.shape[:-1], 1))
    tape.do(np.maximum.reduce, x, -1, None, per_row, True)
    tape.do(np.subtract, x, per_row, out)
    return per_row


def softmax(tape: Tape, x: np.ndarray, out: np.ndarray) -> None:
    """Record ``exp(x) / sum(exp(x))`` over the last axis."""
    per_row = _record_shifted(tape, x, out)
    tape.do(np.exp, out, out)
    tape.do(np.add.reduce, out, -1, None, per_row, True)
    tape.do(np.divide, out, per_row, out)


def log_softmax(tape: Tape, x: np.ndarray, out: np.ndarray) -> None:
    """Record ``x - log(sum(exp(x)))`` over the last axis."""
    per_row = _record_shifted(tape, x, out)
    powers = tape.buffer(x.shape)
    tape.do(np.exp, out, powers)
    tape.do(np.add.reduce, powers, -1, None, per_row, True)
    tape.do(np.log, per_row, per_row)
    tape.do(np.subtract, out, per_row, out)


_BY_NAME: dict[str, Activation] = {
    "relu": relu,
    "relu6": clipped(0.0, 6.0),
    "leaky_relu": leaky_relu(),
    "elu": exponential_unit(),
    "selu": exponential_unit(SELU_ALPHA, scale=SELU_SCALE),
    "celu": exponential_unit(),
    "tanh": ufunc(np.tanh),
    "hard_tanh": clipped(-1.0, 1.0),
    "tanh_shrink": tanh_shrink,
    "sigmoid": ufunc(special.expit),
    "log_sigmoid": ufunc(special.log_expit),
    "hard_sigmoid": hard_sigmoid,
    "softplus": softplus,
    "softsign": softsign,
    "silu": gated(ufunc(special.expit)),
    "hard_silu": gated(hard_sigmoid),
    "mish": gated(tanh_softplus),
    "gelu": gated(ufunc(special.ndtr)),  # the exact one
    "exponential": exponential,
    "softmax": softmax,
    "log_softmax": log_softmax,
}

ACTIVATIONS: dict[Callable[..., object], Activation] = {
    getattr(keras.activations, name): activation
    for name, activation in _BY_NAME.items()
    if hasattr(keras.activations, name)
}
"""Keras's own activation functions, by identity: a user's function of the same name is not one."""


def activation_of(function: Any) -> Activation | None:
    """Return the recorded form of what stands in an ``activation`` argument; None for linear."""
    if function is None or function is keras.activations.linear:
        return None
    if isinstance(function, keras.Layer):
        return _activation_of_layer(function)
    try:
        return ACTIVATIONS[function]
    except (KeyError, TypeError):
        raise UnsupportedLayer(f"activation {function!r}") from None


def _activation_of_layer(layer: keras.Layer) -> Activation | None:
    kind = type(layer)
    if kind is kl.Activation:
        return activation_of(layer.activation)
    if kind is kl.ReLU:
        return _relu_of_layer(layer)
    if kind is kl.LeakyReLU:
        return leaky_relu(float(layer.negative_slope))
    if kind is kl.ELU:
        return exponential_unit(float(layer.alpha))
    if kind is kl.Softmax and layer.axis in (-1, [-1], (-1,)):
        return softmax
    raise UnsupportedLayer(f"{kind.__name__} '{layer.name}' as an activation")


def _relu_of_layer(layer: Any) -> Activation:
    if layer.threshold or (layer.negative_slope and layer.max_value is not None):
        raise UnsupportedLayer(f"ReLU '{layer.name}' with these options")
    if layer.negative_slope:
        return leaky_relu(float(layer.negative_slope))
    return relu if layer.max_value is None else clipped(0.0, float(layer.max_value))
