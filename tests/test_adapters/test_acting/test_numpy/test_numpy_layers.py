"""Layers in NumPy against Keras itself."""

import keras
import numpy as np
import pytest
from acting_checks import assert_close, assert_matches, mlp, oracle, randomize
from keras import layers as kl

from tensor_optix.adapters.tensorflow.acting.fast_policy import compile_forward


@pytest.mark.parametrize(
    "layer",
    [
        kl.ReLU(),
        kl.ReLU(max_value=1.5),
        kl.ReLU(negative_slope=0.3),
        kl.LeakyReLU(negative_slope=0.1),
        kl.LeakyReLU(negative_slope=2.0),
        kl.ELU(alpha=0.5),
        kl.PReLU(),
        kl.Softmax(),
        kl.Activation("gelu"),
        kl.Activation("linear"),
        kl.Rescaling(0.25, offset=-1.0),
        kl.Rescaling([0.5, 2.0, 1.0, 3.0, 0.1], offset=[0.0, 1.0, 2.0, 3.0, 4.0]),
        kl.Normalization(mean=[1.0, 2.0, 3.0, 4.0, 5.0], variance=[4.0, 1.0, 0.5, 2.0, 0.0]),
        kl.LayerNormalization(),
        kl.LayerNormalization(center=False, scale=False, epsilon=0.1),
        kl.BatchNormalization(),
        kl.BatchNormalization(center=False, scale=False, epsilon=0.1),
        kl.Dropout(0.5),
        kl.GaussianNoise(1.0),
        kl.Identity(),
        kl.Dense(4, activation=kl.LeakyReLU(negative_slope=0.4)),
        kl.Dense(4, use_bias=False),
    ],
    ids=lambda layer: layer.name,
)
def test_every_plain_layer_runs_in_numpy_as_in_keras(layer):
    model = keras.Sequential([keras.Input((5,)), layer, kl.Dense(3)])
    randomize(model)
    forward = compile_forward(model)
    assert forward.kind == "numpy"
    assert_matches(forward, model)


@pytest.mark.parametrize(
    "layer",
    [
        kl.Dense(4, "softmax"),
        kl.Softmax(),
        kl.LayerNormalization(),
        kl.LayerNormalization(axis=2),
        kl.BatchNormalization(axis=1),
        kl.BatchNormalization(axis=2),
        kl.PReLU(shared_axes=[1]),
        kl.Reshape((5, -1)),
        kl.Normalization(axis=-1, mean=np.arange(5.0), variance=np.arange(1.0, 6.0)),
    ],
    ids=lambda layer: layer.name,
)
def test_layers_on_sequences_of_vectors(layer):
    model = randomize(keras.Sequential([keras.Input((3, 5)), layer, kl.Flatten(), kl.Dense(2)]))
    forward = compile_forward(model)
    assert forward.kind == "numpy"
    assert_matches(forward, model)


def test_not_a_number_is_not_hidden():
    forward = compile_forward(mlp(activation="relu"))
    assert np.isnan(forward.one(np.array([np.nan, 0, 0, 0]))).all()


@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_discrete_observations_are_looked_up(dtype):
    stack = [keras.Input((1,), dtype=dtype), kl.Embedding(6, 4), kl.Flatten(), kl.Dense(2)]
    model = randomize(keras.Sequential(stack))
    forward = compile_forward(model)
    assert forward.kind == "numpy"
    expected = oracle(model, np.arange(6)[:, None])
    assert_close(forward(np.arange(6)), expected)
    assert_close(forward.one(3), [expected[0][3]])
    assert_close(forward.one(np.int64(5)), [expected[0][5]])
    assert_close(forward.one(np.array([2])), [expected[0][2]])


def test_bytes_of_an_image():
    stack = [keras.Input((6, 6, 3), dtype="uint8"), kl.Rescaling(1 / 255), kl.Flatten(), kl.Dense(8, "relu")]
    model = randomize(keras.Sequential([*stack, kl.Dense(2)]))
    forward = compile_forward(model)
    assert forward.kind == "numpy"
    images = np.random.default_rng(0).integers(0, 256, (5, 6, 6, 3), dtype=np.uint8)
    assert_close(forward(images), oracle(model, images))
    assert_close(forward.one(images[0]), [oracle(model, images)[0][0]])


def test_bytes_into_a_float_input():
    model = randomize(keras.Sequential([keras.Input((4, 4)), kl.Flatten(), kl.Dense(2)]))
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 4), dtype=np.uint8)
    assert_close(compile_forward(model)(images), oracle(model, images))
