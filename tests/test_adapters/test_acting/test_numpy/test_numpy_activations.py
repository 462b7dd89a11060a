"""Activations in NumPy against Keras itself."""

import keras
import numpy as np
import pytest
from acting_checks import ACTIVATIONS, assert_close, assert_matches, oracle, randomize
from keras import layers as kl

from tensor_optix.adapters.tensorflow.acting.fast_policy import compile_forward


@pytest.mark.parametrize("name", [*ACTIVATIONS, "exponential"])
def test_every_activation_runs_in_numpy_as_in_keras(name):
    model = randomize(keras.Sequential([keras.Input((5,)), kl.Dense(7, activation=name)]))
    forward = compile_forward(model)
    assert forward.kind == "numpy"
    assert_matches(forward, model)
    wide = np.linspace(-120, 120, 40, dtype=np.float32).reshape(8, 5)
    with np.errstate(all="raise", under="ignore"):
        assert_close(forward(wide), oracle(model, wide))
