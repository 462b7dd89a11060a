import numpy as np
import pytest
import tensorflow as tf
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tensor_optix.adapters.tensorflow.actions.clipped_gaussian import (
    ClippedGaussian,
    GaussianSampler,
    log_normal_cdf,
)


def test_clipped_gaussian_agrees_with_scipy_inside_and_at_the_bounds():
    mean, std = np.array([[0.3, -0.8]], np.float32), np.array([0.5, 2.0])
    density = ClippedGaussian(tf.Variable(np.log(std).astype(np.float32)), [-1.0, -1.0], [1.0, 1.0])
    normal = [stats.norm(0.3, 0.5), stats.norm(-0.8, 2.0)]
    cases = {
        (0.1, 0.2): normal[0].logpdf(0.1) + normal[1].logpdf(0.2),
        (-1.0, 0.2): normal[0].logcdf(-1.0) + normal[1].logpdf(0.2),
        (1.0, -1.0): normal[0].logsf(1.0) + normal[1].logcdf(-1.0),
    }
    for action, expected in cases.items():
        actual = density.log_prob(mean, np.array([action], np.float32))
        np.testing.assert_allclose(actual, [expected], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(density.entropy(mean), [sum(n.entropy() for n in normal)], rtol=1e-5)


def test_probability_of_a_clipped_action_adds_up_to_one():
    density = ClippedGaussian(tf.Variable([0.2]), [-1.0], [1.0])
    grid = np.linspace(-1.0, 1.0, 4001)[1:-1, None].astype(np.float32)
    inside = np.trapezoid(np.exp(density.log_prob(np.full_like(grid, 0.4), grid)), grid[:, 0])
    ends = np.exp(density.log_prob(np.full((2, 1), 0.4, np.float32), np.array([[-1.0], [1.0]], np.float32)))
    assert inside + ends.sum() == pytest.approx(1.0, abs=2e-3)


@settings(max_examples=200)
@given(st.floats(-60, 8))
def test_log_normal_cdf_agrees_with_scipy(z):
    z = tf.constant(np.float32(z))
    with tf.GradientTape() as tape:
        tape.watch(z)
        value = log_normal_cdf(z)
    exact = stats.norm.logcdf(float(z))
    assert float(value) == pytest.approx(exact, rel=1e-4, abs=4e-4)
    slope = np.exp(stats.norm.logpdf(float(z)) - exact)
    assert float(tape.gradient(value, z)) == pytest.approx(slope, rel=5e-3, abs=1e-5)


def test_gaussian_sampler_speaks_in_units_of_the_bounds():
    low, high = np.array([-2.0, 0.0, -np.inf], np.float32), np.array([2.0, 10.0, 1.0], np.float32)
    sampler = GaussianSampler.for_space(spaces.Box(low, high), 0.5)
    np.testing.assert_allclose(sampler.greedy_one(np.array([0.5, -1.0, 0.25])), [1.0, 0.0, 0.25])
    np.testing.assert_allclose(sampler.sample_one(np.zeros(3), np.array([1.0, 1.0, 9.0])), [1.0, 7.5, 1.0])
    np.testing.assert_allclose(sampler.encode([[1.0, 0.0, -7.0], [9.0, 5.0, 1.0]]), [[0.5, -1, -7], [1, 0, 1]])


def test_the_clipped_bound_is_recognised_whatever_the_bounds():
    """An action at its bound must encode to the density's bound exactly enough, also in odd ranges."""
    rng = np.random.default_rng(0)
    low = rng.normal(scale=100, size=200).astype(np.float32)
    high = (low + rng.exponential(size=200)).astype(np.float32)
    sampler = GaussianSampler.for_space(spaces.Box(low, high), 1.0)
    ends = np.concatenate([sampler.encode(low), sampler.encode(high)])
    np.testing.assert_allclose(ends, np.repeat([[-1.0], [1.0]], 200, axis=1), atol=5e-7)


def test_what_acts_and_what_learns_agree_inside_and_at_the_bounds():
    sampler = GaussianSampler.for_space(spaces.Box(np.array([-1.0, 0.0]), np.array([1.0, 5.0]), dtype=np.float64), 0.8)
    rng = np.random.default_rng(1)
    outputs = rng.normal(size=(200, 2)).astype(np.float32)
    taken = sampler.sample(outputs, sampler.draw_noise(rng, 200))
    assert ((taken == 1.0) | (taken == 0.0)).any(), "nothing was clipped"
    learner = sampler.density(tf.constant(np.log(sampler.std)))
    expected = learner.log_prob(tf.constant(outputs), tf.constant(sampler.encode(taken)))
    np.testing.assert_allclose(sampler.log_prob(outputs, taken), expected, rtol=1e-4, atol=1e-4)


def test_log_probs_of_what_acted_are_those_of_scipy():
    sampler = GaussianSampler.for_space(spaces.Box(-2.0, 4.0, (1,)), std=0.7)
    found = sampler.log_prob(np.full((3, 1), 0.3, np.float32), np.array([[1.0], [-2.0], [4.0]]))
    normal = stats.norm(0.3, 0.7)
    np.testing.assert_allclose(found, [normal.logpdf(0.0), normal.logcdf(-1.0), normal.logsf(1.0)], rtol=1e-5)


def test_another_spread_and_the_first_one_again():
    first = GaussianSampler.for_space(spaces.Box(-1.0, 1.0, (2,)))
    wider = first.with_log_std(np.log(np.float32([2.0, 3.0])))
    np.testing.assert_allclose(wider.sample_one(np.zeros(2), np.float32([0.1, 0.1])), [0.2, 0.3], rtol=1e-6)
    np.testing.assert_array_equal(wider.with_log_std(first.log_std).std, first.std)


def test_within_other_bounds_an_action_means_what_it_meant():
    known, new = spaces.Box(-2.0, 2.0, (1,)), spaces.Box(-9.0, 1.0, (1,), np.float64)
    first = GaussianSampler.for_space(known)
    moved = first.in_space(known, new)
    np.testing.assert_array_equal(moved.greedy(np.array([[0.25], [0.9], [-5.0]])), [[0.5], [1.0], [-2.0]])
    assert moved.greedy_one(np.zeros(1)).dtype == np.float64
    assert not moved.has_density_of(first)
    assert moved.has_density_of(moved.in_space(known, new))


FIXED = spaces.Box(np.float32([-1, 7, 0, 5]), np.float32([1, 7, 0, np.inf]))


def test_a_dimension_of_no_width_counts_for_nothing():
    sampler = GaussianSampler.for_space(FIXED).with_log_std(np.log(np.float32([0.5, 0.3, 2.0, 0.8])))
    rng = np.random.default_rng(0)
    outputs = rng.normal(size=(40, 4)).astype(np.float32)
    actions = sampler.sample(outputs, sampler.draw_noise(rng, 40))
    assert (actions[:, 1:3] == [7, 0]).all()
    first = [
        stats.norm.logcdf(-1, m, 0.5)
        if a <= -1
        else stats.norm.logsf(1, m, 0.5)
        if a >= 1
        else stats.norm.logpdf(a, m, 0.5)
        for a, m in zip(actions[:, 0], outputs[:, 0], strict=True)
    ]
    last = [
        stats.norm.logcdf(-1, m, 0.8) if a <= 5 else stats.norm.logpdf(a - 6.0, m, 0.8)
        for a, m in zip(actions[:, 3], outputs[:, 3], strict=True)
    ]
    expected = np.add(first, last)
    np.testing.assert_allclose(sampler.log_prob(outputs, actions), expected, rtol=1e-4, atol=1e-4)
    log_std, outputs = tf.Variable(np.log(sampler.std)), tf.Variable(outputs)
    density = sampler.density(log_std)
    with tf.GradientTape(persistent=True) as tape:
        log_probs, entropy = density.log_prob(outputs, sampler.encode(actions)), density.entropy(outputs)
    np.testing.assert_allclose(log_probs, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(entropy, stats.norm(0, 0.5).entropy() + stats.norm(0, 0.8).entropy(), rtol=1e-5)
    assert not tape.gradient(log_probs, outputs).numpy()[:, 1:3].any()
    for told in (log_probs, entropy):
        slopes = tape.gradient(told, log_std).numpy()
        assert not slopes[1:3].any()
        assert slopes[[0, 3]].all()


def test_bounds_that_meet_in_another_space_count_for_nothing_there():
    first = GaussianSampler.for_space(spaces.Box(-2.0, 2.0, (2,)))
    moved = first.in_space(spaces.Box(-2.0, 2.0, (2,)), spaces.Box(np.float32([1, -2]), np.float32([1, 2])))
    outputs = np.float32([[0.1, 0.2]])
    assert moved.greedy(outputs)[0, 0] == 1.0
    expected = stats.norm.logpdf(0.2, 0.2, 0.6)
    np.testing.assert_allclose(moved.log_prob(outputs, moved.greedy(outputs)), [expected], rtol=1e-5)
    assert first.is_free.all()
