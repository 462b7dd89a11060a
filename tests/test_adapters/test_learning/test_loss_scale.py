"""Scaled losses: by how much, and gradients and norms as without."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tensor_optix.adapters.tensorflow.learning.loss_scale import divided, loss_scale, multiplied, told_norm

opt = keras.optimizers


def dynamic(scale):
    optimizer = opt.LossScaleOptimizer(opt.SGD(0.1), initial_scale=scale)
    optimizer.build([keras.Variable([1.0])])
    return optimizer


class Thrice(opt.SGD):
    def scale_loss(self, loss):
        return 3.0 * loss


@pytest.mark.parametrize(
    ("optimizer", "scale"),
    [(opt.Adam(), None), (opt.SGD(loss_scale_factor=50.0), 50.0), (dynamic(2.0**9), 512.0), (Thrice(), 3.0)],
)
def test_by_what_a_loss_is_multiplied(optimizer, scale):
    found = loss_scale(optimizer)
    assert found is None if scale is None else float(found) == scale


def test_there_and_back():
    gradients = [tf.constant([1.0, 2.0])]
    np.testing.assert_array_equal(divided(multiplied(gradients, 8.0), 8.0)[0], gradients[0])
    assert multiplied(gradients, None)[0] is gradients[0]
    assert divided(gradients, None)[0] is gradients[0]


def test_an_overflow_is_left_to_the_optimizer_while_it_can_scale_less():
    assert float(told_norm(tf.constant(2.0), dynamic(8.0))) == 2.0
    assert float(told_norm(tf.constant(np.inf), dynamic(8.0))) == 0.0
    assert float(told_norm(tf.constant(np.nan), dynamic(8.0), dynamic(2.0))) == 0.0
    assert np.isnan(told_norm(tf.constant(np.nan), dynamic(8.0), dynamic(1.0)))
    assert np.isinf(told_norm(tf.constant(np.inf), opt.SGD(loss_scale_factor=8.0)))
