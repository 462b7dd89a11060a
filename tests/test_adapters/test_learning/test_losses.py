import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from tensor_optix.adapters.tensorflow.learning.losses import (
    approximate_kl,
    clipped_surrogate,
    custom_step,
    dense_gradients,
)
from tensor_optix.core.types import EpisodeData
from tensor_optix.exceptions import InvalidTypeError, NonFiniteError


def test_surrogate_by_hand():
    # Ratios 2, 2, 1/2, 1/2 with advantages 1, -1, 1, -1 and clip 0.2: 1.2, -2, 0.5, -0.8.
    log_ratio = np.log(np.array([2.0, 2.0, 0.5, 0.5], np.float32))
    loss, _ = clipped_surrogate(log_ratio, np.array([1.0, -1.0, 1.0, -1.0], np.float32), 0.2)
    assert float(loss) == pytest.approx(-(1.2 - 2.0 + 0.5 - 0.8) / 4)


@given(st.integers(0, 10**6), st.floats(0.0, 0.9))
def test_slopes_of_the_surrogate_are_its_derivatives(seed, clip_ratio):
    rng = np.random.default_rng(seed)
    log_ratio, advantages = rng.normal(scale=0.5, size=6), rng.normal(size=6)

    def loss(x):  # equation 7, in float64
        ratio = np.exp(x)
        return -np.mean(np.minimum(ratio * advantages, np.clip(ratio, 1 - clip_ratio, 1 + clip_ratio) * advantages))

    shifts = 1e-6 * np.eye(6)
    expected = [(loss(log_ratio + s) - loss(log_ratio - s)) / 2e-6 for s in shifts]
    value, slopes = clipped_surrogate(np.float32(log_ratio), np.float32(advantages), np.float32(clip_ratio))
    assert float(value) == pytest.approx(loss(log_ratio), rel=1e-4, abs=1e-5)
    at_a_kink = np.abs(np.abs(np.exp(log_ratio) - 1) - clip_ratio) < 1e-5
    np.testing.assert_allclose(np.where(at_a_kink, 0, slopes), np.where(at_a_kink, 0, expected), rtol=1e-3, atol=1e-5)


def test_kl_estimate_is_unbiased_and_never_negative():
    rng = np.random.default_rng(0)
    p, q = np.array([0.7, 0.2, 0.1]), np.array([0.5, 0.3, 0.2])
    drawn = rng.choice(3, 200_000, p=p)
    estimate = float(approximate_kl(np.log(q[drawn] / p[drawn]).astype(np.float32)))
    assert estimate == pytest.approx(np.sum(p * np.log(p / q)), rel=0.02)
    assert float(approximate_kl(np.float32([-50.0, 0.0, 50.0]))) > 0
    assert float(approximate_kl(np.zeros(3, np.float32))) == 0.0


def test_a_variable_that_does_not_reach_the_loss_gets_a_gradient_of_zero():
    used, idle = keras.Variable(2.0), keras.Variable([1.0, 1.0])
    with tf.GradientTape() as tape:
        loss = used.value * used.value
    gradients = dense_gradients(tape, loss, [used, idle])
    np.testing.assert_allclose(gradients[0], 4.0)
    np.testing.assert_allclose(gradients[1], [0.0, 0.0])


def test_slopes_of_several_tensors_add_up():
    x = keras.Variable([2.0, 3.0])
    with tf.GradientTape() as tape:
        squares, doubles = tf.square(x.value), 2.0 * x.value
    (gradient,) = dense_gradients(tape, [squares, doubles], [x], [tf.constant([1.0, -1.0]), tf.constant([10.0, 0.0])])
    np.testing.assert_allclose(gradient, [4.0 + 20.0, -6.0])


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
