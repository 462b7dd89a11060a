"""A user's own loss: one step of the optimizer down its gradient, or a message that says what is wrong with it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tensor_optix import EpisodeData
from tensor_optix.adapters.tensorflow.learning.custom_loss import custom_step
from tensor_optix.exceptions import InvalidTypeError, NonFiniteError


@pytest.fixture
def model():
    made = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, use_bias=False)])
    made.set_weights([np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)])
    return made


def window():
    flags = np.zeros((3, 1), bool)
    observations = np.arange(6, dtype=np.float32).reshape(3, 1, 2)
    return EpisodeData(observations, np.zeros((3, 1)), np.ones((3, 1)), flags, flags, [{}] * 3, episode_id=7)


def step(model, loss, rate=0.1):
    optimizer = keras.optimizers.SGD(rate)
    optimizer.build(model.trainable_variables)
    return custom_step(model, optimizer, loss, window(), np.array([3.0, 2.0, 1.0])), optimizer


def weighted_sum(model, episode_data, returns):
    """The sum of w_ij * i weighted by returns: its gradient is sum_t return_t * x_ti, in each column."""
    outputs = model(episode_data.observations.reshape(-1, 2))
    return tf.reduce_sum(outputs * returns.reshape(-1, 1).astype(np.float32))


def test_it_goes_down_the_gradient_once(model):
    found, optimizer = step(model, weighted_sum)
    gradient = np.array([[0 * 3 + 2 * 2 + 4 * 1], [1 * 3 + 3 * 2 + 5 * 1]], np.float32) * np.ones((2, 2))
    np.testing.assert_allclose(model.get_weights()[0], np.eye(2) - 0.1 * gradient, rtol=1e-6)
    assert found["grad_norm"] == pytest.approx(float(np.sqrt((gradient**2).sum())), rel=1e-6)
    assert found["loss"] == pytest.approx(8.0 + 14.0, rel=1e-6)
    assert int(optimizer.iterations.numpy()) == 1


def test_returns_have_the_shape_of_the_rewards(model):
    shapes = []

    def loss(model, episode_data, returns):
        shapes.append((returns.shape, episode_data.episode_id))
        return weighted_sum(model, episode_data, returns)

    step(model, loss)
    assert shapes == [((3, 1), 7)]


def test_a_loss_in_another_precision_will_do(model):
    found, _ = step(model, lambda *given: tf.cast(weighted_sum(*given), tf.float64))
    assert found["loss"] == pytest.approx(22.0)


def test_variables_that_the_loss_does_not_use_stay(model):
    other = keras.layers.Dense(1)
    other.build((None, 2))
    model.extra = other
    before = [w.copy() for w in other.get_weights()]
    step(model, weighted_sum)
    for now, then in zip(other.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda model, *_: model(np.ones((3, 2))), r"must return a scalar tensor. Received: shape \(3, 2\)"),
        (lambda *_: 3.0, "must return a scalar tensor. Received: float"),
        (lambda *_: None, "Received: NoneType"),
        (lambda *_: tf.constant(3.0), "does not depend on the model's variables. Call model"),
    ],
)
def test_what_is_no_loss_is_named_and_nothing_changes(model, loss, message):
    with pytest.raises(InvalidTypeError, match=message):
        step(model, loss)
    np.testing.assert_array_equal(model.get_weights()[0], np.eye(2))


@pytest.mark.parametrize(
    ("spoil", "name"),
    [(lambda loss: loss * np.inf, "loss of inf"), (lambda loss: tf.sqrt(loss - loss), "grad_norm of")],
)
def test_what_is_not_finite_is_named_and_nothing_changes(model, spoil, name):
    with pytest.raises(NonFiniteError, match=rf"`compute_loss_fn` gave a {name}.* at window 7; weights and optimizer"):
        step(model, lambda *given: spoil(weighted_sum(*given)))
    np.testing.assert_array_equal(model.get_weights()[0], np.eye(2))
