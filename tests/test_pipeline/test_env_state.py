import json
import logging

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.wrappers import NormalizeObservation, NormalizeReward
from gymnasium.wrappers.vector import NormalizeObservation as NormalizeObservations
from gymnasium.wrappers.vector import NormalizeReward as NormalizeRewards

from tensor_optix import BatchPipeline
from tensor_optix.pipeline.env_state import env_state, restore_env_state


class Alternating:
    def __init__(self):
        self.count = 0

    def act(self, observation):
        self.count += 1
        return self.count % 2

    def act_batch(self, observations):
        self.count += 1
        return np.full(len(observations), self.count % 2)


class Tiring(gym.Wrapper):
    """A wrapper of one's own that carries something over and says so."""

    def __init__(self, env):
        super().__init__(env)
        self.num_steps = 0

    def step(self, action):
        self.num_steps += 1
        observation, reward, *rest = super().step(action)
        return observation, reward / (1 + self.num_steps), *rest

    def state_dict(self):
        return {"num_steps": self.num_steps}

    def load_state_dict(self, state):
        self.num_steps = state["num_steps"]


def single():
    return NormalizeReward(NormalizeObservation(Tiring(gym.make("CartPole-v1"))))


def wrapped_vector():
    return NormalizeRewards(NormalizeObservations(gym.vector.SyncVectorEnv([lambda: gym.make("CartPole-v1")] * 3)))


def vector_of_wrapped():
    return gym.vector.SyncVectorEnv([single] * 3)


@pytest.mark.parametrize("make", [single, wrapped_vector, vector_of_wrapped])
def test_a_pipeline_goes_on_exactly_with_wrappers_that_remember(make):
    def pipeline():
        return BatchPipeline(make, Alternating(), 50, seed=3, barrier_interval_steps=1)

    one = pipeline()
    windows = one.episodes()
    for _ in range(3):
        next(windows)
    state = json.loads(json.dumps(one.state_dict(), allow_nan=False))
    expected = [next(windows) for _ in range(2)]
    other = pipeline()
    other.load_state_dict(state)
    for window, seen in zip(expected, other.episodes(), strict=False):
        np.testing.assert_array_equal(seen.observations, window.observations)
        np.testing.assert_array_equal(seen.rewards, window.rewards)


def test_an_environment_without_memory_has_no_state():
    assert env_state(gym.make("CartPole-v1")) == {}
    assert env_state(gym.make_vec("CartPole-v1", 2, vectorization_mode="sync")) == {}


def test_a_layer_that_is_gone_is_said(caplog):
    saved = env_state(single())
    with caplog.at_level(logging.WARNING):
        restore_env_state(gym.make("CartPole-v1"), saved)
    assert "has no layer NormalizeReward any more" in caplog.text
