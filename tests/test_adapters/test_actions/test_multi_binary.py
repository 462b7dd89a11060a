import numpy as np
import tensorflow as tf
from gymnasium import spaces
from scipy import special, stats

from tensor_optix.adapters.tensorflow.actions.multi_binary import MultiBinarySampler

SPACE = spaces.MultiBinary([2, 2])


def test_both_densities_are_those_of_independent_coins():
    sampler = MultiBinarySampler.for_space(SPACE)
    rng = np.random.default_rng(0)
    outputs, bits = rng.normal(scale=3.0, size=(30, 4)).astype(np.float32), rng.integers(0, 2, (30, 2, 2))
    coins = stats.bernoulli(special.expit(outputs.astype(float)))
    expected = coins.logpmf(bits.reshape(30, 4)).sum(axis=1)
    np.testing.assert_allclose(sampler.log_prob(outputs, bits), expected, rtol=1e-5, atol=1e-5)
    density, encoded = sampler.density(None), sampler.encode(bits)
    np.testing.assert_allclose(density.log_prob(outputs, encoded), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(density.entropy(outputs), coins.entropy().sum(axis=1), rtol=1e-5, atol=1e-5)
    assert sampler.encoded_spec.is_compatible_with(tf.constant(encoded))


def test_draws_are_as_likely_as_their_log_odds_say_and_in_the_space():
    sampler, log_odds = MultiBinarySampler.for_space(SPACE), np.float32([-2.0, 0.0, 1.0, 3.0])
    noise = sampler.draw_noise(np.random.default_rng(0), 20_000)
    drawn = sampler.sample(np.repeat(log_odds[None], len(noise), axis=0), noise)
    assert all(SPACE.contains(action) for action in drawn[:50])
    np.testing.assert_allclose(drawn.mean(axis=0).reshape(4), special.expit(log_odds), atol=0.015)
    for i in range(20):
        np.testing.assert_array_equal(sampler.sample_one(log_odds, noise[i]), drawn[i])
    np.testing.assert_array_equal(sampler.greedy_one(log_odds), [[0, 0], [1, 1]])
