"""Many gradient steps in one call, all or none."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tensor_optix.algorithms.gradient_loop import GradientLoop
from tensor_optix.exceptions import NonFiniteError


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
