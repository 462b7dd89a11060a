"""Advantages on tensors: against their definition, step by step."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tensor_optix.algorithms import advantages as adv
from tensor_optix.algorithms.ppo_update import advantages_and_returns

SETTINGS = {"gamma": tf.constant(0.9), "gae_lambda": tf.constant(0.8)}


def brute_force(rewards, terminated, truncated, valid, values, next_values, gamma, lambda_):
    """Sum discounted one-step errors forward from each step until its episode ends or the window does."""
    advantages = np.zeros_like(rewards)
    num_steps, num_envs = rewards.shape
    for n in range(num_envs):
        for t in range(num_steps):
            weight = 1.0
            for k in range(t, num_steps):
                if not valid[k, n]:
                    break
                alive = 0.0 if terminated[k, n] else 1.0
                error = rewards[k, n] + gamma * alive * next_values[k, n] - values[k, n]
                advantages[t, n] += weight * error
                weight *= gamma * lambda_
                if terminated[k, n] or truncated[k, n]:
                    break
    return advantages


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(1, 3), st.integers(0, 10**6))
def test_advantages_and_returns_are_their_definition(num_steps, num_envs, seed):
    rng = np.random.default_rng(seed)
    shape = (num_steps, num_envs)
    rewards, values, true_next = rng.normal(size=(3, *shape))
    terminated, truncated = rng.random((2, *shape)) < 0.15
    ended = terminated | truncated
    valid = np.ones(shape, bool)
    valid[1:] = ~ended[:-1]
    rewards[~valid], terminated[~valid], truncated[~valid] = 0.0, False, False
    ended = terminated | truncated
    continues = np.zeros(shape, bool)
    continues[:-1] = ~ended[:-1] & valid[1:]
    cut = ~continues
    following = np.concatenate([values[1:], values[-1:]])
    window = {
        name: x.astype(np.float32)
        for name, x in {"rewards": rewards, "terminated": terminated, "continues": continues, "cut": cut}.items()
    }
    of_successors = true_next[cut].astype(np.float32)
    advantages, returns = advantages_and_returns(window, values.reshape(-1).astype(np.float32), of_successors, SETTINGS)
    next_values = np.where(cut, true_next, following)
    expected = brute_force(rewards, terminated, truncated, valid, values, next_values, 0.9, 0.8)
    at = valid.reshape(-1)
    np.testing.assert_allclose(advantages.numpy()[at], expected.reshape(-1)[at], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(returns.numpy()[at], (expected + values).reshape(-1)[at], rtol=1e-5, atol=1e-5)


def test_advantages_by_hand():
    # delta = (1 + .9*2 - 1, 1 + .9*3 - 2, 1 - 3); step 2 terminates; lambda 0.8.
    window = {
        "rewards": tf.ones((3, 1)),
        "terminated": tf.constant([[0.0], [0.0], [1.0]]),
        "continues": tf.constant([[1.0], [1.0], [0.0]]),
        "cut": tf.constant([[0.0], [0.0], [1.0]]),
    }
    advantages, _ = advantages_and_returns(window, tf.constant([1.0, 2.0, 3.0]), tf.constant([50.0]), SETTINGS)
    last = -2.0
    middle = 1.7 + 0.72 * last
    np.testing.assert_allclose(advantages.numpy(), [1.8 + 0.72 * middle, middle, last], rtol=1e-5)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_discounted_sums_agree_with_the_recurrence(jit_compile):
    rng = np.random.default_rng(0)
    increments, decays = rng.normal(size=(2, 300, 2)).astype(np.float32)
    decays = np.abs(decays) / 3
    expected, total = np.zeros((300, 2)), np.zeros(2)
    for t in reversed(range(300)):
        total = increments[t] + decays[t] * total
        expected[t] = total
    sums = tf.function(adv.discounted_sums, jit_compile=jit_compile)(increments, decays)
    np.testing.assert_allclose(sums.numpy(), expected, rtol=1e-5, atol=1e-5)


def test_explained_variance_is_one_minus_what_is_missed():
    values, returns = tf.constant([1.0, 2.0, 4.0, 99.0]), tf.constant([1.0, 3.0, 5.0, 0.0])
    mask = tf.constant([True, True, True, False])
    expected = 1 - np.var([0.0, 1.0, 1.0]) / np.var([1.0, 3.0, 5.0])
    assert adv.explained_variance(values, returns, mask).numpy() == pytest.approx(expected)
    assert adv.explained_variance(values, tf.zeros(4), mask).numpy() == 0.0


def test_standardized_looks_only_where_it_may():
    x = tf.constant([1.0, 3.0, 1000.0])
    result = adv.standardized(x, tf.constant([True, True, False])).numpy()
    np.testing.assert_allclose(result[:2], [-1.0, 1.0], rtol=1e-5)
