import numpy as np
import tensorflow as tf
from gymnasium import spaces
from scipy import special

from tensor_optix.adapters.tensorflow.actions.multi_discrete import MultiDiscreteSampler

SPACE = spaces.MultiDiscrete(np.array([[2], [3]]), np.int32, start=np.array([[4], [-1]]))


def probabilities_of(logits):
    """Of each of the six actions under logits ``[5]``, by the product of both softmaxes."""
    first, second = special.softmax(logits[:2].astype(float)), special.softmax(logits[2:].astype(float))
    return {(4 + i, -1 + j): first[i] * second[j] for i in range(2) for j in range(3)}


def test_both_densities_are_the_product_of_the_softmaxes():
    sampler = MultiDiscreteSampler.for_space(SPACE)
    logits = np.random.default_rng(0).normal(scale=2.0, size=5).astype(np.float32)
    expected = probabilities_of(logits)
    actions = np.array(list(expected)).reshape(-1, 2, 1)
    outputs = np.repeat(logits[None], len(actions), axis=0)
    log_probs = np.log(list(expected.values()))
    np.testing.assert_allclose(sampler.log_prob(outputs, actions), log_probs, rtol=1e-5, atol=1e-6)
    density, encoded = sampler.density(None), sampler.encode(actions)
    np.testing.assert_allclose(density.log_prob(outputs, tf.constant(encoded)), log_probs, rtol=1e-5, atol=1e-6)
    entropy = -sum(p * np.log(p) for p in expected.values())
    np.testing.assert_allclose(density.entropy(outputs), np.full(6, entropy), rtol=1e-5)
    assert sampler.encoded_spec.is_compatible_with(tf.constant(encoded))


def test_draws_have_these_probabilities_and_are_in_the_space():
    sampler = MultiDiscreteSampler.for_space(SPACE)
    logits = np.float32([0.0, 1.0, 0.5, -0.5, 0.0])
    noise = sampler.draw_noise(np.random.default_rng(0), 20_000)
    drawn = sampler.sample(np.repeat(logits[None], len(noise), axis=0), noise)
    assert all(SPACE.contains(action) for action in drawn[:50])
    for action, probability in probabilities_of(logits).items():
        share = (drawn[:, :, 0] == action).all(axis=1).mean()
        assert abs(share - probability) < 4 * np.sqrt(0.25 / len(noise))
    for i in range(20):
        np.testing.assert_array_equal(sampler.sample_one(logits, noise[i]), drawn[i])
    np.testing.assert_array_equal(sampler.greedy_one(logits), [[5], [-1]])


def test_options_that_are_numbered_otherwise_elsewhere():
    sampler = MultiDiscreteSampler.for_space(SPACE)
    there = spaces.MultiDiscrete(np.array([[2], [3]]), np.int64)
    moved = sampler.in_space(SPACE, there)
    assert there.contains(moved.greedy_one(np.float32([0, 1, 2, 1, 0])))
    np.testing.assert_array_equal(moved.greedy_one(np.float32([0, 1, 2, 1, 0])), [[1], [0]])
