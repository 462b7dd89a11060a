"""When weights reach the arrays that programs read."""

import keras
import numpy as np
from acting_checks import assert_matches, randomize
from keras import layers as kl

from tensor_optix.adapters.tensorflow.acting.fast_policy import compile_forward


def test_weights_and_statistics_change_at_refresh_and_not_before():
    model = keras.Sequential([keras.Input((4,)), kl.Dense(8), kl.BatchNormalization(), kl.Dense(2)])
    forward = compile_forward(randomize(model))
    x = np.ones(4, np.float32)
    before = forward.one(x)
    randomize(model, seed=5)
    np.testing.assert_array_equal(forward.one(x), before)
    forward.refresh()
    assert not np.allclose(forward.one(x), before)
    assert_matches(forward, model)


def test_normalization_adapted_again_is_seen_at_refresh():
    rng = np.random.default_rng(0)
    layer = kl.Normalization()
    layer.adapt(rng.normal(3, 2, size=(50, 4)))
    model = keras.Sequential([keras.Input((4,)), layer, kl.Dense(2)])
    forward = compile_forward(model)
    assert forward.kind == "numpy"
    layer.adapt(rng.normal(-5, 7, size=(50, 4)))
    forward.refresh()
    assert_matches(forward, model)
