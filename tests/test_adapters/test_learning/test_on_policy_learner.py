"""What on-policy learners share: advantages against their definition, minibatches, KL control, scaled rewards."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tensor_optix.adapters.tensorflow.learning import on_policy_learner as adv
from tensor_optix.adapters.tensorflow.learning.on_policy_learner import RewardScaler
from tensor_optix.adapters.tensorflow.learning.policy_learner import PolicyLearner
from tensor_optix.adapters.tensorflow.learning.window_steps import Steps
from tensor_optix.algorithms.ppo import PPOLearner


def steps_of(terminated, continues, cut):
    """Steps of which only what advantages need is known."""
    known = {"terminated": terminated, "continues": continues, "cut": cut, "ended": terminated}
    unknown = dict.fromkeys(("observations", "successors", "actions", "rewards", "valid", "log_probs"))
    return Steps(**known, **unknown)


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
    steps = steps_of(terminated=terminated, continues=continues, cut=cut)
    advantages, returns = adv.advantages_and_returns(steps, rewards, values.reshape(-1), true_next[cut], 0.9, 0.8)
    next_values = np.where(cut, true_next, following)
    expected = brute_force(rewards, terminated, truncated, valid, values, next_values, 0.9, 0.8)
    at = valid.reshape(-1)
    np.testing.assert_allclose(advantages[at], expected.reshape(-1)[at], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(returns[at], (expected + values).reshape(-1)[at], rtol=1e-5, atol=1e-5)


def test_advantages_by_hand():
    # delta = (1 + .9*2 - 1, 1 + .9*3 - 2, 1 - 3); step 2 terminates; lambda 0.8.
    steps = steps_of(
        terminated=np.array([[False], [False], [True]]),
        continues=np.array([[True], [True], [False]]),
        cut=np.array([[False], [False], [True]]),
    )
    values = np.array([1.0, 2.0, 3.0])
    advantages, _ = adv.advantages_and_returns(steps, np.ones((3, 1)), values, np.array([50.0]), 0.9, 0.8)
    last = -2.0
    middle = 1.7 + 0.72 * last
    np.testing.assert_allclose(advantages, [1.8 + 0.72 * middle, middle, last], rtol=1e-12)


def test_explained_variance_is_one_minus_what_is_missed():
    values, returns = np.array([1.0, 2.0, 4.0, 99.0]), np.array([1.0, 3.0, 5.0, 0.0])
    mask = np.array([True, True, True, False])
    expected = 1 - np.var([0.0, 1.0, 1.0]) / np.var([1.0, 3.0, 5.0])
    assert adv.explained_variance(values, returns, mask) == pytest.approx(expected)
    assert adv.explained_variance(values, np.zeros(4), mask) == 0.0


def test_standardized_looks_only_where_it_may():
    result = adv.standardized(np.array([1.0, 3.0, 1000.0]), np.array([True, True, False]))
    np.testing.assert_allclose(result[:2], [-1.0, 1.0], rtol=1e-7)


@given(st.integers(1, 300), st.integers(0, 12), st.integers(0, 9), st.integers(0, 5), st.floats(0.0, 0.9))
def test_minibatches_are_shuffled_passes_over_what_is_valid(num_rows, num_steps, seed, spare, share):
    rng = np.random.default_rng(seed)
    valid = rng.random(num_rows) >= share
    valid[0] = True
    size = min(64, num_rows)
    batches = adv.draw_minibatches(rng, valid, num_steps, size, num_steps + spare)
    assert batches.shape == (num_steps + spare, size)
    assert batches.dtype == np.int32
    counts = np.bincount(batches[:num_steps].reshape(-1), minlength=num_rows)
    assert not counts[~valid].any()
    assert counts[valid].max() - counts[valid].min() <= 1
    assert not batches[num_steps:].any()


def test_minibatches_are_the_generators_own_permutations():
    batches = adv.draw_minibatches(np.random.default_rng(5), np.ones(6, bool), 4, 3)
    rng = np.random.default_rng(5)
    np.testing.assert_array_equal(batches.reshape(2, 6), [rng.permutation(6), rng.permutation(6)])


@pytest.mark.parametrize(("control", "step"), [(PolicyLearner.control, 1.5), (PPOLearner.control, 1.3)])
def test_the_learning_rate_factor_follows_the_kl(control, step):
    assert control.next_factor(1.0, kl=0.021, target=0.01) == pytest.approx(1 / step)
    assert control.next_factor(1.0, kl=0.004, target=0.01) == pytest.approx(step)
    assert control.next_factor(1.0, kl=0.01, target=0.01) == 1.0
    assert control.next_factor(control.high, kl=0.0, target=0.01) == control.high
    assert control.next_factor(control.low, kl=9.0, target=0.01) == control.low


def test_an_update_of_ppo_that_ended_at_once_went_too_fast():
    assert PPOLearner.control.next_factor(1.0, kl=0.0, target=0.01, share_taken=0.2) == pytest.approx(1 / 1.3)
    assert PPOLearner.control.next_factor(1.0, kl=0.0, target=0.01, share_taken=0.3) == pytest.approx(1.3)
    assert PolicyLearner.control.next_factor(1.0, kl=0.0, target=0.01, share_taken=0.0) == pytest.approx(1.5)


def returns_so_far(rewards, ended, gamma):
    """Walk through each environment; return y_t = gamma * y_{t-1} + r_t, anew after each end."""
    result, current = np.zeros_like(rewards), np.zeros(rewards.shape[1])
    for t in range(len(rewards)):
        current = gamma * current + rewards[t]
        result[t] = current
        current = np.where(ended[t], 0.0, current)
    return result


@pytest.mark.parametrize("lengths", [(30,), (10, 1, 19)])
def test_rewards_are_in_units_of_the_spread_of_returns(lengths):
    rng = np.random.default_rng(1)
    rewards, ended = rng.normal(3.0, 2.0, (30, 2)), rng.random((30, 2)) < 0.1
    valid = np.ones((30, 2), bool)
    valid[5, 0] = False
    rewards[5, 0] = 0.0
    ended[4, 0] = True
    scaler, start = RewardScaler(), 0
    for length in lengths:
        rows = slice(start, start + length)
        scaled = scaler.scale(rewards[rows], ended[rows], valid[rows], 0.9)
        start += length
    so_far = returns_so_far(rewards, ended, 0.9)[valid]
    assert scaler.spread == pytest.approx(so_far.std())
    np.testing.assert_allclose(scaled, np.clip(rewards[rows] / so_far.std(), -10, 10))


def test_rewards_without_spread_stay_as_they_are():
    scaler = RewardScaler()
    flags = np.zeros((4, 1), bool)
    np.testing.assert_array_equal(scaler.scale(np.zeros((4, 1)), flags, ~flags, 0.99), np.zeros((4, 1)))
    assert scaler.spread == 1.0


def test_the_scaler_goes_on_from_its_state():
    rng = np.random.default_rng(1)
    windows = [(rng.normal(size=(8, 3)), rng.random((8, 3)) < 0.2, np.ones((8, 3), bool), 0.95) for _ in range(4)]
    first, second = RewardScaler(), RewardScaler()
    for window in windows[:2]:
        first.scale(*window)
    second.load_state_dict(first.state_dict())
    for window in windows[2:]:
        np.testing.assert_array_equal(first.scale(*window), second.scale(*window))


def test_another_number_of_environments_starts_anew():
    scaler = RewardScaler()
    for num_envs in (2, 3):
        flags = np.zeros((4, num_envs), bool)
        assert scaler.scale(np.ones((4, num_envs)), flags, ~flags, 0.9).shape == (4, num_envs)
