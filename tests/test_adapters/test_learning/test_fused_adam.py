"""The fused kernel against Keras's own Adam."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tensor_optix.adapters.tensorflow.learning.fused_adam import apply_gradients, is_plain_adam

SHAPES = ((4, 3), (3,), ())


def moved(optimizer, apply, num_steps=5):
    rng = np.random.default_rng(0)
    variables = [keras.Variable(rng.normal(size=shape), dtype="float32") for shape in SHAPES]
    optimizer.build(variables)
    function = tf.function(lambda gradients: apply(gradients, variables), autograph=False)
    for _ in range(num_steps):
        function([tf.constant(rng.normal(size=shape) * 3, tf.float32) for shape in SHAPES])
    return [v.numpy() for v in (*variables, *optimizer.variables)]


@pytest.mark.parametrize("settings", [{}, {"learning_rate": 0.1, "beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3}])
def test_it_moves_variables_and_slots_as_keras_does(settings):
    ours, theirs = keras.optimizers.Adam(**settings), keras.optimizers.Adam(**settings)
    found = moved(ours, lambda g, v: apply_gradients(ours, g, v))
    expected = moved(theirs, lambda g, v: theirs.apply(g, v))
    for x, y in zip(found, expected, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)
    assert is_plain_adam(ours)
    assert int(ours.iterations.numpy()) == 5


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: keras.optimizers.Adam(0.1, amsgrad=True),
        lambda: keras.optimizers.Adam(0.1, weight_decay=0.1),
        lambda: keras.optimizers.Adam(0.1, global_clipnorm=0.1),
        lambda: keras.optimizers.Adam(0.1, use_ema=True),
        lambda: keras.optimizers.AdamW(0.1),
        lambda: keras.optimizers.SGD(0.1, momentum=0.5),
    ],
)
def test_whatever_is_more_than_plain_adam_is_left_to_keras(optimizer):
    ours, theirs = optimizer(), optimizer()
    found = moved(ours, lambda g, v: apply_gradients(ours, g, v))
    expected = moved(theirs, lambda g, v: theirs.apply(g, v))
    assert not is_plain_adam(ours)
    for x, y in zip(found, expected, strict=True):
        np.testing.assert_array_equal(x, y)
