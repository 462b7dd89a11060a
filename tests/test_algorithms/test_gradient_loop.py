"""The parts that DQN and SAC stand on: a model on other weights, and many steps in one call."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tensor_optix.adapters.tensorflow.learning.losses import dense_gradients
from tensor_optix.algorithms.gradient_loop import GradientLoop
from tensor_optix.algorithms.shadow_network import ShadowNetwork, reshuffled
from tensor_optix.exceptions import NonFiniteError


class Own(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(2)

    def call(self, inputs):
        return self.dense(inputs)


@pytest.mark.parametrize("model", [keras.Sequential([keras.layers.Dense(2)]), Own()])
def test_a_shadow_runs_the_model_on_its_own_weights(model):
    x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    model(x)
    shadow = ShadowNetwork(model, model, [np.full(v.shape, 0.5, np.float32) for v in model.trainable_variables])
    before = [v.numpy() for v in model.trainable_variables]

    @tf.function
    def run(inputs):
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(shadow(inputs))
        return shadow(inputs), dense_gradients(tape, total, shadow.variables)

    outputs, gradients = run(x)
    np.testing.assert_allclose(outputs, x @ np.full((4, 2), 0.5) + 0.5, rtol=1e-5)
    np.testing.assert_allclose(gradients[0], np.repeat(x.sum(axis=0)[:, None], 2, axis=1), rtol=1e-5)
    shadow.move_towards(model.trainable_variables, 0.25)
    np.testing.assert_allclose(shadow.variables[0].numpy(), 0.75 * 0.5 + 0.25 * before[0], rtol=1e-6)
    shadow.move_towards(model.trainable_variables, 1.0)
    for own, original, first in zip(shadow.variables, model.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(own.numpy(), first)
        np.testing.assert_array_equal(original.numpy(), first)


def test_a_reshuffled_network_is_another_draw_of_the_same_numbers():
    model = keras.Sequential([keras.Input((30,)), keras.layers.Dense(20)])
    kernel, bias = reshuffled(np.random.default_rng(0), model.trainable_variables)
    first = model.trainable_variables[0].numpy()
    np.testing.assert_array_equal(np.sort(kernel, axis=None), np.sort(first, axis=None))
    assert abs(np.corrcoef(kernel.ravel(), first.ravel())[0, 1]) < 0.15
    np.testing.assert_array_equal(bias, 0)


class Descent:
    """Moves one number by what it is fed."""

    def __init__(self):
        self.x = keras.Variable(1.0)

    def compute(self, batch, settings):
        step = tf.reduce_mean(batch["step"]) * settings["rate"]
        return step, {"step": step, "x": self.x.value + 0.0}, batch["step"]

    def apply(self, gradients, batch, settings):
        self.x.assign_sub(gradients)


@pytest.mark.parametrize("count", [1, 4])
def test_steps_follow_each_other_and_a_bad_one_undoes_all(count):
    descent = Descent()
    loop = GradientLoop(descent, ("step", "x"), ("rate",), lambda: [descent.x])
    feed = np.arange(2 * count, dtype=np.float32).reshape(count, 2)
    result = loop({"step": feed}, {"rate": 2.0})
    steps = 2 * feed.mean(axis=1)
    seen = 1.0 - np.concatenate([[0], np.cumsum(steps)])
    assert float(descent.x.numpy()) == seen[-1]
    np.testing.assert_allclose(list(result.metrics.values()), [steps.mean(), seen[:-1].mean()], rtol=1e-6)
    np.testing.assert_array_equal(result.errors, feed)
    feed[-1, 0] = np.inf
    with pytest.raises(NonFiniteError, match="as they were before this window"):
        loop({"step": feed}, {"rate": 2.0})
    assert float(descent.x.numpy()) == seen[-1]
    loop({"step": np.zeros((count + 3, 2), np.float32)}, {"rate": 1.0})
    assert float(descent.x.numpy()) == seen[-1]


def test_a_variable_that_does_not_reach_the_loss_gets_a_gradient_of_zero():
    used, idle = keras.Variable(2.0), keras.Variable([1.0, 1.0])
    with tf.GradientTape() as tape:
        loss = used.value * used.value
    gradients = dense_gradients(tape, loss, [used, idle])
    np.testing.assert_allclose(gradients[0], 4.0)
    np.testing.assert_allclose(gradients[1], [0.0, 0.0])
