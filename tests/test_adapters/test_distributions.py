import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from tensor_optix.adapters.tensorflow.actions.action_sampling import DiscreteSampler, GaussianSampler
from tensor_optix.adapters.tensorflow.actions.distributions import Categorical, ClippedGaussian, log_normal_cdf
from tensor_optix.adapters.tensorflow.learning.losses import (
    approximate_kl,
    clipped_surrogate_loss,
    clipped_surrogate_with_slopes,
)


def test_categorical_agrees_with_scipy():
    rng = np.random.default_rng(0)
    logits = rng.normal(scale=5.0, size=(20, 4)).astype(np.float32)
    actions = rng.integers(0, 4, 20).astype(np.int32)
    expected = special.log_softmax(logits.astype(np.float64), axis=1)
    np.testing.assert_allclose(
        Categorical().log_prob(logits, actions), expected[np.arange(20), actions], rtol=1e-5, atol=1e-5
    )
    np.testing.assert_allclose(
        Categorical().entropy(logits), stats.entropy(np.exp(expected), axis=1), rtol=1e-5, atol=1e-5
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
    sampler = GaussianSampler.for_bounds(low, high, 0.5)
    np.testing.assert_allclose(sampler.greedy_one(np.array([0.5, -1.0, 0.25])), [1.0, 0.0, 0.25])
    np.testing.assert_allclose(sampler.sample_one(np.zeros(3), np.array([1.0, 1.0, 9.0])), [1.0, 7.5, 1.0])
    np.testing.assert_allclose(sampler.encode([[1.0, 0.0, -7.0], [9.0, 5.0, 1.0]]), [[0.5, -1, -7], [1, 0, 1]])


def test_the_clipped_bound_is_recognised_whatever_the_bounds():
    """An action at its bound must encode to the density's bound exactly enough, also in odd ranges."""
    rng = np.random.default_rng(0)
    low = rng.normal(scale=100, size=200).astype(np.float32)
    high = (low + rng.exponential(size=200)).astype(np.float32)
    sampler = GaussianSampler.for_bounds(low, high, 1.0)
    ends = np.concatenate([sampler.encode(low), sampler.encode(high)])
    np.testing.assert_allclose(ends, np.repeat([[-1.0], [1.0]], 200, axis=1), atol=5e-7)


def test_gumbel_noise_draws_the_softmax():
    sampler, logits = DiscreteSampler(3, start=2), np.log(np.array([0.5, 0.3, 0.2], np.float32))
    noise = sampler.draw_noise(np.random.default_rng(0), 20000)
    drawn = sampler.sample(np.repeat(logits[None], 20000, axis=0), noise)
    share = np.bincount(drawn - 2, minlength=3) / 20000
    np.testing.assert_allclose(share, [0.5, 0.3, 0.2], atol=4 * np.sqrt(0.25 / 20000))
    assert [sampler.sample_one(logits, row) for row in noise[:50]] == drawn[:50].tolist()


def test_surrogate_by_hand():
    # Ratios 2, 2, 1/2, 1/2 with advantages 1, -1, 1, -1 and clip 0.2: 1.2, -2, 0.5, -0.8.
    log_ratio = np.log(np.array([2.0, 2.0, 0.5, 0.5], np.float32))
    loss = clipped_surrogate_loss(log_ratio, np.array([1.0, -1.0, 1.0, -1.0], np.float32), 0.2)
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
    value, slopes = clipped_surrogate_with_slopes(np.float32(log_ratio), np.float32(advantages), np.float32(clip_ratio))
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
