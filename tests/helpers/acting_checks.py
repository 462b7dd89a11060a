"""Keras itself as the oracle of a forward pass: `model(x, training=False)`."""

import keras
import numpy as np
from keras import layers as kl

ACTIVATIONS = [
    *["linear", "relu", "relu6", "leaky_relu", "elu", "selu", "celu", "tanh", "hard_tanh", "tanh_shrink", "sigmoid"],
    *["log_sigmoid", "hard_sigmoid", "softplus", "softsign", "silu", "swish", "hard_silu", "mish", "gelu", "softmax"],
    *["log_softmax"],
]


def randomize(model, seed=0):
    """Give every variable, moving statistics included, a value that shows when it is not used."""
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        if "seed" in variable.path:
            continue
        value = rng.normal(size=variable.shape) * 0.5
        variable.assign(np.abs(value) + 0.1 if "variance" in variable.path else value)
    return model


def oracle(model, observations):
    outputs = keras.tree.flatten(model(observations, training=False))
    return [np.asarray(y) for y in outputs]


def draw(model, batch_size, seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    return [(scale * rng.normal(size=(batch_size, *x.shape[1:]))).astype(np.float32) for x in model.inputs]


def assert_close(actual, expected):
    actual = list(actual) if isinstance(actual, tuple) else [actual]
    assert len(actual) == len(expected)
    for x, y in zip(actual, expected, strict=True):
        assert x.dtype == np.float32
        largest = np.abs(y[np.isfinite(y)]).max(initial=0)
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-5 * (1 + largest))


def assert_matches(forward, model, *, seed=1):
    for batch_size, scale in [(1, 1.0), (3, 0.1), (8, 5.0)]:
        parts = draw(model, batch_size, seed, scale)
        observations = parts[0] if len(parts) == 1 else parts
        expected = oracle(model, observations)
        assert_close(forward(observations), expected)
        single = parts[0][0] if len(parts) == 1 else [x[0] for x in parts]
        assert_close(forward.one(single), [y[0] for y in expected])


def mlp(*, hidden=8, outputs=3, activation="tanh"):
    stack = [keras.Input((4,)), kl.Dense(hidden, activation), kl.Dense(hidden, activation), kl.Dense(outputs)]
    return randomize(keras.Sequential(stack))


def two_inputs(structure):
    place, speed = keras.Input((3,), name="place"), keras.Input((2,), name="speed")
    x = kl.Concatenate()([kl.Dense(4, "relu")(place), kl.Dense(3, "tanh")(speed)])
    outputs = [kl.Dense(2)(x), kl.Dense(1)(x)]
    inputs = {"speed": speed, "place": place} if structure == "dict" else [place, speed]
    return randomize(keras.Model(inputs, outputs))
