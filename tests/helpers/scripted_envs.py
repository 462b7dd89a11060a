"""Small environments whose every number follows from their seed and actions."""

import gymnasium as gym
import numpy as np
from gymnasium import spaces


class RandomLengthEnv(gym.Env):
    """Episodes of 1 to ``max_length`` steps; ends by termination, truncation or both.

    The observation buffer is reused from step to step, as fast environments do; unless
    ``reuses_buffer`` is off, as Gymnasium's own same-step mode needs it (its ``final_obs`` is what
    the environment returned, not a copy).
    """

    def __init__(self, max_length=7, kind="box", reuses_buffer=True):
        self.reuses_buffer = reuses_buffer
        self.max_length = max_length
        self.kind = kind
        box = spaces.Box(-np.inf, np.inf, (3,), np.float32)
        image = spaces.Box(0, 255, (2, 2), np.uint8)
        self.observation_space = {
            "box": box,
            "discrete": spaces.Discrete(1000),
            "dict": spaces.Dict({"features": box, "image": image}),
            "tuple": spaces.Tuple((box, spaces.Discrete(1000))),
        }[kind]
        self.action_space = spaces.Discrete(5)
        self._buffer = np.zeros(3, np.float32)
        self._image = np.zeros((2, 2), np.uint8)
        self.num_resets = 0

    def _observation(self, action):
        if not self.reuses_buffer:
            self._buffer, self._image = np.zeros_like(self._buffer), np.zeros_like(self._image)
        self._buffer[:] = self.t, action, self.np_random.normal()
        self._image[:] = self.np_random.integers(256)
        index = int(self.np_random.integers(1000))
        return {
            "box": self._buffer,
            "discrete": index,
            "dict": {"features": self._buffer, "image": self._image},
            "tuple": (self._buffer, index),
        }[self.kind]

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.num_resets += 1
        self.t = 0
        self.length = int(self.np_random.integers(1, self.max_length + 1))
        self.ending = int(self.np_random.integers(3))
        return self._observation(-1), {}

    def step(self, action):
        assert self.t < self.length, "stepped after its end"
        self.t += 1
        over = self.t == self.length
        reward = float(self.np_random.normal()) + action
        return self._observation(action), reward, over and self.ending != 1, over and self.ending != 0, {"t": self.t}


class CountingEnv(gym.Env):
    """Reward 1 a step, ``length`` steps an episode: every policy is perfect."""

    def __init__(self, length=500):
        self.length = length
        self.observation_space = spaces.Box(0, np.inf, (1,), np.float64)
        self.action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.seed_given = seed
        self.t = 0
        return np.zeros(1), {}

    def step(self, action):
        self.t += 1
        return np.full(1, float(self.t)), 1.0, self.t == self.length, False, {}


class CountingVectorEnv(gym.vector.VectorEnv):
    """N counting environments of different lengths as a native vector environment, next-step autoreset."""

    def __init__(self, lengths=(37, 37, 37)):
        self.num_envs = len(lengths)
        self.lengths = np.array(lengths)
        self.single_observation_space = spaces.Box(0, np.inf, (1,), np.float64)
        self.single_action_space = spaces.Discrete(2)
        self.observation_space = spaces.Box(0, np.inf, (self.num_envs, 1), np.float64)
        self.action_space = spaces.MultiDiscrete([2] * self.num_envs)

    def reset(self, *, seed=None, options=None):
        self.t = np.zeros(self.num_envs)
        self.over = np.zeros(self.num_envs, bool)
        return self.t[:, None].copy(), {}

    def step(self, actions):
        rewards = np.where(self.over, 0.0, 1.0)
        self.t = np.where(self.over, 0.0, self.t + 1.0)
        self.over = self.t == self.lengths
        return self.t[:, None].copy(), rewards, self.over.copy(), np.zeros(self.num_envs, bool), {}


def policy(observation):
    """An action that follows from the observation alone."""
    if isinstance(observation, dict):
        observation = observation["features"]
    if isinstance(observation, tuple):
        observation = observation[0]
    return int(abs(float(np.sum(observation))) * 1000) % 5


class PolicyAgent:
    """Has only ``act``, and keeps what it saw."""

    def __init__(self, act=policy):
        self._act = act
        self.seen = []

    def act(self, observation):
        self.seen.append(observation)
        return self._act(observation)


class ConstantAgent:
    def __init__(self, num_envs=None):
        self.actions = np.zeros(num_envs or 1, np.int64)

    def act(self, observation):
        return 0

    def act_batch(self, observations):
        return self.actions
