import numpy as np
import pytest
import tensorflow as tf
from gymnasium import spaces
from scipy import special, stats

from tensor_optix.adapters.tensorflow.actions.discrete import Categorical, DiscreteSampler, EpsilonGreedySampler


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


def test_gumbel_noise_draws_the_softmax():
    sampler, logits = DiscreteSampler(3, start=2), np.log(np.array([0.5, 0.3, 0.2], np.float32))
    noise = sampler.draw_noise(np.random.default_rng(0), 20000)
    drawn = sampler.sample(np.repeat(logits[None], 20000, axis=0), noise)
    share = np.bincount(drawn - 2, minlength=3) / 20000
    np.testing.assert_allclose(share, [0.5, 0.3, 0.2], atol=4 * np.sqrt(0.25 / 20000))
    assert [sampler.sample_one(logits, row) for row in noise[:50]] == drawn[:50].tolist()


def test_what_acts_and_what_learns_agree():
    rng = np.random.default_rng(1)
    logits, sampler = (
        rng.normal(size=(50, 5)).astype(np.float32),
        DiscreteSampler.for_space(spaces.Discrete(5, start=7)),
    )
    actions = rng.integers(7, 12, 50)
    learned = sampler.density(None).log_prob(tf.constant(logits), tf.constant(sampler.encode(actions)))
    np.testing.assert_allclose(sampler.log_prob(logits, actions), learned, rtol=1e-5, atol=1e-5)


def test_epsilon_greedy_takes_any_action_as_often_as_it_says():
    sampler, values = EpsilonGreedySampler(4, start=3).with_epsilon(0.2), np.float32([0.0, 5.0, 1.0, 2.0])
    noise = sampler.draw_noise(np.random.default_rng(0), 40_000)
    drawn = sampler.sample(np.repeat(values[None], len(noise), axis=0), noise)
    expected = [0.05, 0.85, 0.05, 0.05]
    np.testing.assert_allclose(np.bincount(drawn - 3, minlength=4) / len(noise), expected, atol=0.01)
    assert [sampler.sample_one(values, row) for row in noise[:200]] == drawn[:200].tolist()
    told = sampler.log_prob(np.repeat(values[None], 4, axis=0), [3, 4, 5, 6])
    np.testing.assert_allclose(np.exp(told), expected, rtol=1e-6)
    assert np.isneginf(sampler.with_epsilon(0.0).log_prob(values[None], [3]))


@pytest.mark.parametrize("sampler", [DiscreteSampler(3, start=-4), EpsilonGreedySampler(3, start=-4)])
def test_single_actions_are_python_ints_that_the_space_holds(sampler):
    outputs = np.float32([0.0, 1.0, 5.0])
    noise = sampler.draw_noise(np.random.default_rng(0), 1)[0]
    assert type(sampler.sample_one(outputs, noise)) is int
    assert sampler.greedy_one(outputs) == -2
    assert sampler.greedy(outputs[None]).tolist() == [-2]
    assert sampler.encode([-4, -2]).tolist() == [0, 2]
    there = sampler.in_space(spaces.Discrete(3, start=-4), spaces.Discrete(3, start=10))
    assert there.greedy_one(outputs) == 12
