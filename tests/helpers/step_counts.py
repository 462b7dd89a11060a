"""Environments that count their own steps, whoever takes them: an oracle for what a run says it used."""

import gymnasium as gym
import numpy as np


class StepCount:
    """What all environments that were made with it took, resets apart."""

    def __init__(self):
        self.steps = 0


class CountedEnv(gym.Env):
    """Episodes of ``length`` steps (None: without end), in which actions and chance decide what is paid.

    Args:
        count: Where steps are counted.
        length: Of an episode.
        action_space: What an agent may do; its first (or a low) action is paid most.
        greedy_length: Of episodes after a reset with a seed that is not among ``known_seeds`` of training; unused.
    """

    def __init__(self, count, length=20, action_space=None):
        self.count, self.length = count, length
        self.observation_space = gym.spaces.Box(-10.0, 10.0, (2,), np.float32)
        self.action_space = gym.spaces.Discrete(2) if action_space is None else action_space

    def _observation(self):
        return np.array([self.np_random.normal(), min(self.t, 10)], np.float32).clip(-10.0, 10.0)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self._observation(), {}

    def step(self, action):
        self.count.steps += 1
        self.t += 1
        reward = 1.0 - 0.1 * float(np.sum(np.abs(np.asarray(action, np.float64)))) + 0.1 * self.np_random.normal()
        return self._observation(), float(reward), self.length is not None and self.t >= self.length, False, {}


def counted(count, num_envs=1, mode=None, **arguments):
    """Return what makes one counted environment, or a vector of them in an autoreset mode."""
    if num_envs == 1:
        return lambda: CountedEnv(count, **arguments)
    makers = [lambda: CountedEnv(count, **arguments)] * num_envs
    return lambda: gym.vector.SyncVectorEnv(makers, autoreset_mode=mode or gym.vector.AutoresetMode.NEXT_STEP)


def spent(result):
    """Return the env steps of a run that count against its budget."""
    return sum(steps for use, steps in result.env_steps.items() if use != "report")
