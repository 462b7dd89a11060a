import copy
import json

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.wrappers import NormalizeObservation, NormalizeReward
from harness.wrapped_envs import Honest, normalised, normalised_apart, normalised_together

from tensor_optix import BatchPipeline
from tensor_optix.core.storage.exact_json import from_exact, to_exact
from tensor_optix.exceptions import StateMismatchError
from tensor_optix.pipeline.stepping.env_state import env_state, layers_of, restore_env_state


class Alternating:
    def __init__(self):
        self.count = 0

    def act(self, observation):
        self.count += 1
        return self.count % 2

    def act_batch(self, observations):
        self.count += 1
        return np.full(len(observations), self.count % 2)


class Smoothing(gym.Wrapper):
    """Keeps statistics as Gymnasium's wrappers do, by a class of its own."""

    class Statistics:
        def __init__(self):
            self.mean, self.var, self.count = np.float32(0.0), 1.0, 0

    def __init__(self, env):
        super().__init__(env)
        self.statistics = self.Statistics()

    def step(self, action):
        observation, reward, *rest = super().step(action)
        self.statistics.count += 1
        self.statistics.mean = np.float32(0.9) * self.statistics.mean + np.float32(0.1) * observation[0]
        return observation, reward - self.statistics.mean / self.statistics.count, *rest


def remembering(env):
    return Smoothing(Honest(env))


def single(dtype=np.float32):
    return normalised(dtype, remembering)


def vector_of_wrapped(dtype=np.float32):
    return normalised_apart(dtype, wrap=remembering)


def statistics_of(env):
    """Return every number of every layer's statistics, in its type."""
    found = []
    for layer in layers_of(env):
        for name, value in vars(layer).items():
            if name in ("obs_rms", "return_rms", "statistics"):
                found += [(name, field, number) for field, number in vars(value).items()]
            elif name in ("discounted_reward", "accumulated_reward"):
                found.append((name, "", value))
    return found


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("make", [single, normalised_together, vector_of_wrapped])
def test_a_pipeline_goes_on_exactly_with_wrappers_that_remember(make, dtype):
    def pipeline():
        return BatchPipeline(lambda: make(dtype), Alternating(), 50, seed=3, barrier_interval_steps=1)

    one = pipeline()
    windows = one.episodes()
    for _ in range(3):
        next(windows)
    state = from_exact(json.loads(json.dumps(to_exact(one.state_dict(), "pipeline"), allow_nan=False)))
    before = copy.deepcopy(statistics_of(one.env))
    expected = [next(windows) for _ in range(2)]
    other = pipeline()
    other.load_state_dict(state)
    for here, there in zip(statistics_of(other.env), before, strict=True):
        assert (here[:2], type(here[2]), np.asarray(here[2]).dtype) == (
            there[:2],
            type(there[2]),
            np.asarray(there[2]).dtype,
        )
        np.testing.assert_array_equal(here[2], there[2])
    for window, seen in zip(expected, other.episodes(), strict=False):
        np.testing.assert_array_equal(seen.observations, window.observations)
        np.testing.assert_array_equal(seen.rewards, window.rewards)


def test_an_environment_without_memory_has_no_state():
    assert env_state(gym.make("CartPole-v1")) == {}
    assert env_state(gym.make_vec("CartPole-v1", 2, vectorization_mode="sync")) == {}


def test_a_layer_that_is_gone_is_said():
    saved = env_state(single())
    lost = restore_env_state(gym.make("CartPole-v1"), saved)
    assert "the environment has no layer NormalizeReward any more" in lost[0]


def test_what_was_saved_before_types_were_kept_is_still_read():
    env = NormalizeReward(NormalizeObservation(gym.make("CartPole-v1")))
    statistics = {"mean": [1.0, 2.0, 3.0, 4.0], "var": [1.0, 1.0, 1.0, 0.5], "count": 7.0001}
    saved = {
        "0": {"class": "NormalizeReward", "kept": {"discounted_reward": [0.25]}},
        "1": {"class": "NormalizeObservation", "kept": {"obs_rms": statistics}},
    }
    assert restore_env_state(env, saved) == []
    np.testing.assert_array_equal(env.env.obs_rms.mean, statistics["mean"])
    assert env.env.obs_rms.count == 7.0001
    assert env.discounted_reward.tolist() == [0.25]


def test_statistics_of_another_shape_are_refused():
    saved = env_state(NormalizeObservation(gym.make("CartPole-v1")))
    with pytest.raises(
        StateMismatchError, match=r"`mean` of the environment's RunningMeanStd was of shape \(4,\) and is"
    ):
        restore_env_state(NormalizeObservation(gym.make("Pendulum-v1")), saved)


def test_a_state_that_cannot_be_saved_costs_the_rest_nothing():
    class Remembering(Honest):
        def state_dict(self):
            return {"seen": {1, 2}}

    def make():
        return Remembering(gym.make("CartPole-v1"))

    one = BatchPipeline(make, Alternating(), 50, seed=3)
    next(one.episodes())
    other = BatchPipeline(make, Alternating(), 50)
    other.load_state_dict(json.loads(json.dumps(one.state_dict())))
    assert next(other.episodes()).episode_id == 1
    assert one.not_saved == [
        "the state of the wrapper Remembering cannot be saved, so it starts afresh (`state_dict()['seen']` is of type "
        "set, which JSON cannot give back as it is. Keep it as numbers, strings, lists, tuples, dicts and arrays of "
        "numbers.)"
    ]
