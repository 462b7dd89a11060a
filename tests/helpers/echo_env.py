"""An environment whose observations and actions are of any space at all."""

import gymnasium as gym
import numpy as np
from gymnasium import spaces


class EchoEnv(gym.Env):
    """Shows an element of a space and rewards the action that is nearest to it, in its own dtype.

    Every step whose action is not contained in the space raises.
    """

    def __init__(self, space, length=10):
        self.observation_space = self.action_space = space
        self._length = length

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None:
            self.action_space.seed(seed)
        self._time, self._shown = 0, self.action_space.sample()
        return self._shown, {}

    def step(self, action):
        assert self.action_space.contains(action), (action, getattr(action, "dtype", type(action)))
        self._time += 1
        reward = -float(np.mean(np.abs(np.asarray(action, float) - np.asarray(self._shown, float))))
        self._shown = self.action_space.sample()
        return self._shown, reward, False, self._time == self._length, {}


SPACES = {
    "bits": spaces.MultiBinary(3),
    "bits of two axes": spaces.MultiBinary([2, 2]),
    "choices": spaces.MultiDiscrete(np.array([2, 3], np.int32), np.int32, start=np.array([1, 0], np.int32)),
    "choices of two axes": spaces.MultiDiscrete(np.array([[2], [3]]), np.int8),
    "choice": spaces.Discrete(3, start=5, dtype=np.int8),
    "box": spaces.Box(np.array([[-1.0, 0.0]]), np.array([[1.0, 9.0]]), dtype=np.float64),
    "half box": spaces.Box(np.float16(-2.0), np.float16(2.0), (1,), np.float16),
}
