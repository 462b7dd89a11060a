"""Small environments whose training curves `judgement_curves.py` logs."""

import gymnasium as gym
import numpy as np
from extra_packages import provide
from harness.small_envs import CatchEnv, IdentityEnv


class OneHot(gym.ObservationWrapper):
    """Shows a discrete state, or a tuple of them, as one vector of zeros and ones."""

    def __init__(self, env):
        super().__init__(env)
        spaces = env.observation_space
        self._sizes = [int(space.n) for space in (spaces if isinstance(spaces, gym.spaces.Tuple) else [spaces])]
        self._starts = np.cumsum([0, *self._sizes[:-1]])
        self.observation_space = gym.spaces.Box(0.0, 1.0, (sum(self._sizes),), np.float32)

    def observation(self, observation):
        shown = np.zeros(self.observation_space.shape, np.float32)
        shown[self._starts + np.atleast_1d(np.asarray(observation, dtype=np.int64))] = 1.0
        return shown


class Flat(gym.ObservationWrapper):
    """Shows an image as a vector between 0 and 1."""

    def __init__(self, env, brightest=255.0):
        super().__init__(env)
        self._brightest = brightest
        self.observation_space = gym.spaces.Box(0.0, 1.0, (int(np.prod(env.observation_space.shape)),), np.float32)

    def observation(self, observation):
        return observation.reshape(-1).astype(np.float32) / self._brightest


class OwnNoise(gym.Wrapper):
    """Has a generator of its own, which a seeded reset seeds."""

    def __init__(self, env):
        super().__init__(env)
        self._rng = np.random.default_rng(0)

    def reset(self, *, seed=None, options=None):
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        return self.env.reset(seed=seed, options=options)


class RandomReward(OwnNoise, gym.RewardWrapper):
    """Pays noise instead of the reward: there is nothing to be learned."""

    def reward(self, reward):
        return float(self._rng.normal())


class ShuffledActions(OwnNoise, gym.ActionWrapper):
    """Gives the actions other meanings at every step: none of them is better than another."""

    def action(self, action):
        space = self.env.action_space
        if isinstance(space, gym.spaces.Discrete):
            return int(self._rng.integers(space.n))
        return self._rng.uniform(space.low, space.high).astype(space.dtype)


def _toy(env_id, **arguments):
    return OneHot(gym.make(env_id, **arguments))


def _mujoco(env_id, **arguments):
    provide("mujoco")
    return gym.make(env_id, **arguments)


def _grid(env_id):
    provide("minigrid")
    import minigrid

    return Flat(minigrid.wrappers.ImgObsWrapper(gym.make(env_id)), brightest=10.0)


def _pixels(game):
    provide("minatar")
    from minatar.gym import BaseEnv

    return gym.wrappers.TimeLimit(Flat(BaseEnv(game), brightest=1.0), 1_000)


BASES = {
    "CartPole": lambda: gym.make("CartPole-v1"),
    "Acrobot": lambda: gym.make("Acrobot-v1"),
    "Pendulum": lambda: gym.make("Pendulum-v1"),
    "MountainCarContinuous": lambda: gym.make("MountainCarContinuous-v0", max_episode_steps=300),
    "LunarLander": lambda: gym.make("LunarLander-v3", max_episode_steps=500),
    "Catch": lambda: gym.wrappers.TimeLimit(Flat(CatchEnv(10, 7)), 50),
    "Identity": lambda: IdentityEnv(gym.spaces.Discrete(8)),
    "FrozenLake": lambda: _toy("FrozenLake-v1", is_slippery=True),
    "CliffWalking": lambda: _toy("CliffWalking-v1", max_episode_steps=100),
    "Taxi": lambda: _toy("Taxi-v4"),
    "Blackjack": lambda: _toy("Blackjack-v1"),
    "InvertedPendulum": lambda: _mujoco("InvertedPendulum-v5", max_episode_steps=500),
    "Reacher": lambda: _mujoco("Reacher-v5"),
    "LunarLanderContinuous": lambda: gym.make("LunarLanderContinuous-v3", max_episode_steps=500),
    "Obstacles": lambda: _grid("MiniGrid-Dynamic-Obstacles-5x5-v0"),
    "InvertedDoublePendulum": lambda: _mujoco("InvertedDoublePendulum-v5", max_episode_steps=200),
    "Pusher": lambda: _mujoco("Pusher-v5"),
    "Swimmer": lambda: _mujoco("Swimmer-v5", max_episode_steps=200),
    "EmptyRoom": lambda: _grid("MiniGrid-Empty-Random-6x6-v0"),
    "LavaGap": lambda: _grid("MiniGrid-LavaGapS5-v0"),
    "DistShift": lambda: _grid("MiniGrid-DistShift1-v0"),
    "FrozenMap": lambda: _toy("FrozenLake8x8-v1", is_slippery=False),
    "Breakout": lambda: _pixels("breakout"),
}


def make_env(name, twist=None):
    """Return an environment of this table, twisted so that nothing can be learned where asked for."""
    env = BASES[name]()
    if twist == "random reward":
        return RandomReward(env)
    if twist == "shuffled actions":
        return ShuffledActions(env)
    return env
