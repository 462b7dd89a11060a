"""CartPole in wrappers that carry something over from episode to episode."""

import gymnasium as gym
import numpy as np
from gymnasium.wrappers import NormalizeObservation, NormalizeReward
from gymnasium.wrappers.vector import NormalizeObservation as NormalizeObservations
from gymnasium.wrappers.vector import NormalizeReward as NormalizeRewards


class In(gym.ObservationWrapper):
    """CartPole whose observations are of another type of float."""

    def __init__(self, dtype):
        super().__init__(gym.make("CartPole-v1"))
        self.dtype = dtype
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, (4,), dtype)

    def observation(self, observation):
        return observation.astype(self.dtype)


class Tiring(gym.Wrapper):
    """Pays less the longer it has run."""

    def __init__(self, env):
        super().__init__(env)
        self.weariness = np.float32(0.0)

    def step(self, action):
        self.weariness = self.weariness * np.float32(0.999) + np.float32(0.1)
        observation, reward, *rest = super().step(action)
        return observation, float(reward / (1.0 + self.weariness)), *rest


class Honest(Tiring):
    """The same, and says so."""

    def state_dict(self):
        return {"weariness": self.weariness}

    def load_state_dict(self, state):
        self.weariness = state["weariness"]


def normalised(dtype=np.float32, wrap=lambda env: env):
    """Return one environment with running statistics of observations and rewards, around ``wrap``'s own."""
    return NormalizeReward(NormalizeObservation(wrap(In(dtype))))


def normalised_together(dtype=np.float32, num_envs=3):
    """Return a vector environment whose statistics are of all its environments."""
    return NormalizeRewards(NormalizeObservations(gym.vector.SyncVectorEnv([lambda: In(dtype)] * num_envs)))


def normalised_apart(dtype=np.float32, num_envs=3, wrap=lambda env: env):
    """Return a vector environment each of whose environments has statistics of its own."""
    return gym.vector.SyncVectorEnv([lambda: normalised(dtype, wrap)] * num_envs)
