"""The squashed Gaussian against SciPy and numerical integration."""

import gymnasium as gym
import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tensor_optix.adapters.tensorflow.actions.squashed_gaussian import (
    SquashedSampler,
    log_tanh_slope,
    sample_and_log_prob,
)


def unit_sampler(num_actions):
    """Return a sampler whose actions are the unit actions."""
    return SquashedSampler.for_space(gym.spaces.Box(-1.0, 1.0, (num_actions,)))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6))
def test_log_probabilities_are_those_of_scipy(seed):
    rng = np.random.default_rng(seed)
    mean, log_std = rng.normal(size=(6, 3)), rng.uniform(-3, 1.5, (6, 3))
    noise = rng.normal(size=(6, 3))
    outputs = tf.constant(np.concatenate([mean, log_std], axis=1), tf.float32)
    actions, found = sample_and_log_prob(outputs, tf.constant(noise, tf.float32))
    u = mean + np.exp(log_std) * noise
    np.testing.assert_allclose(actions, np.tanh(u), rtol=1e-5, atol=1e-5)
    # 1 - tanh^2 = 1 / cosh^2, and log cosh u = |u| + log((1 + exp(-2|u|)) / 2) needs no small difference.
    log_cosh = np.abs(u) + np.log1p(np.exp(-2 * np.abs(u))) - np.log(2)
    expected = (scipy.stats.norm.logpdf(u, mean, np.exp(log_std)) + 2 * log_cosh).sum(axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    inside = np.abs(u).max(axis=1) < 3
    acting = unit_sampler(3).log_prob(outputs.numpy(), actions)
    np.testing.assert_allclose(acting[inside], expected[inside], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("mean", "log_std"), [(0.0, 0.0), (0.7, -1.5), (-1.0, 0.5)])
def test_the_density_integrates_to_one(mean, log_std):
    grid = np.tanh(np.linspace(-7, 7, 40_001))
    outputs = np.full((len(grid), 2), [mean, log_std], np.float32)
    density = np.exp(unit_sampler(1).log_prob(outputs, grid[:, None]))
    assert scipy.integrate.trapezoid(density, grid) == pytest.approx(1.0, abs=2e-3)


def test_it_stays_finite_where_tanh_is_flat():
    np.testing.assert_allclose(log_tanh_slope(tf.constant([-40.0, 40.0])), 2 * np.log(2) - 80, rtol=1e-6)
    outputs = tf.constant([[30.0, 9.0], [-30.0, -90.0], [0.0, 0.0]])
    with tf.GradientTape() as tape:
        tape.watch(outputs)
        actions, found = sample_and_log_prob(outputs, tf.constant([[3.0], [-3.0], [0.0]]))
        total = tf.reduce_sum(found) + tf.reduce_sum(actions)
    assert np.isfinite(tape.gradient(total, outputs)).all()
    assert np.isfinite(found).all()
    assert np.isfinite(unit_sampler(1).log_prob(outputs.numpy(), [[1.0], [-1.0], [0.0]])).all()


def test_actions_fill_the_box_and_mean_what_they_say():
    space = gym.spaces.Box(np.array([[-2.0, 0.0]], np.float32), np.array([[2.0, 10.0]], np.float32))
    sampler = SquashedSampler.for_space(space)
    rng = np.random.default_rng(0)
    outputs = np.concatenate([rng.normal(size=(500, 2)), np.full((500, 2), 0.3)], axis=1).astype(np.float32)
    noise = sampler.draw_noise(rng, 500)
    actions = sampler.sample(outputs, noise)
    assert actions.shape == (500, 1, 2)
    assert all(space.contains(action) for action in actions)
    units, _ = sample_and_log_prob(tf.constant(outputs), tf.constant(noise[:, :2]))
    np.testing.assert_allclose(sampler.encode(actions), units, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(actions[:, 0, 1], 5 + 5 * units[:, 1], rtol=1e-5, atol=1e-5)
    for i in range(5):
        np.testing.assert_array_equal(sampler.sample_one(outputs[i], noise[i]), actions[i])
    greedy = sampler.greedy(outputs)
    np.testing.assert_allclose(greedy[:, 0, 0], 2 * np.tanh(outputs[:, 0]), rtol=1e-6)
    np.testing.assert_array_equal(sampler.greedy_one(outputs[3]), greedy[3])


def test_uniform_actions_do_not_ask_the_policy():
    sampler = SquashedSampler.for_space(gym.spaces.Box(-2.0, 6.0, (1,)), uniform=True)
    noise = sampler.draw_noise(np.random.default_rng(0), 20_000)
    actions = sampler.sample(np.full((20_000, 2), 9.0, np.float32), noise)
    statistic = scipy.stats.kstest((actions[:, 0] + 2) / 8, "uniform")
    assert statistic.pvalue > 1e-3
    assert sampler.with_uniform(False).sample_one(np.array([9.0, -9.0], np.float32), noise[0])[0] == pytest.approx(6.0)


def test_what_acts_and_what_learns_agree():
    sampler, rng = SquashedSampler.for_space(gym.spaces.Box(-3.0, 1.0, (2,))), np.random.default_rng(0)
    outputs = rng.normal(scale=0.7, size=(50, 4)).astype(np.float32)
    noise = sampler.draw_noise(rng, 50)
    actions = sampler.sample(outputs, noise)
    _, learned = sample_and_log_prob(tf.constant(outputs), tf.constant(noise[:, :2]))
    np.testing.assert_allclose(sampler.log_prob(outputs, actions), learned, rtol=1e-3, atol=1e-3)
    # Of two unit actions in (-1, 1), each with density 1/2.
    np.testing.assert_allclose(sampler.with_uniform(True).log_prob(outputs, actions), np.full(50, np.log(0.25)))


@pytest.mark.parametrize("uniform", [False, True])
def test_a_dimension_of_no_width_counts_for_nothing(uniform):
    space = gym.spaces.Box(np.float32([-3, 7, 0]), np.float32([1, 7, 4]))
    free = gym.spaces.Box(np.float32([-3, 0]), np.float32([1, 4]))
    sampler, other = (SquashedSampler.for_space(s, uniform=uniform) for s in (space, free))
    rng = np.random.default_rng(0)
    outputs = rng.normal(-0.5, 0.3, size=(40, 6)).astype(np.float32)
    noise = sampler.draw_noise(rng, 40)
    actions = sampler.sample(outputs, noise)
    assert (actions[:, 1] == 7).all()
    assert not sampler.encode(actions)[:, 1].any()
    kept, both = [0, 2], [0, 2, 3, 5]
    np.testing.assert_array_equal(other.sample(outputs[:, both], noise[:, both]), actions[:, kept])
    expected = other.log_prob(outputs[:, both], actions[:, kept])
    np.testing.assert_allclose(sampler.log_prob(outputs, actions), expected, rtol=1e-6)
    if uniform:
        np.testing.assert_allclose(expected, -2 * np.log(2.0))
        return
    outputs = tf.Variable(outputs)
    with tf.GradientTape() as tape:
        units, found = sample_and_log_prob(outputs, tf.constant(noise[:, :3]), sampler.is_free)
    np.testing.assert_allclose(units, sampler.encode(actions), atol=1e-5)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)
    slopes = tape.gradient([units, found], outputs).numpy()
    assert not slopes[:, [1, 4]].any()
    assert slopes[:, both].all()
