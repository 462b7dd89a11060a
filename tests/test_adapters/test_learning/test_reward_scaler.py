"""Rewards in units of the spread of returns."""

import numpy as np
import pytest

from tensor_optix.adapters.tensorflow.learning.reward_scaler import RewardScaler


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
