"""Small PPO agents and windows that tests share."""

import gymnasium as gym
import keras
import numpy as np

from tensor_optix.algorithms.ppo import PPOAgent
from tensor_optix.core.types import EpisodeData, HyperparamSet

VECTOR = gym.spaces.Box(-5.0, 5.0, (4,), np.float32)

ACTION_SPACES = {
    "discrete": gym.spaces.Discrete(3, start=2),
    "multi_discrete": gym.spaces.MultiDiscrete([2, 3]),
    "multi_binary": gym.spaces.MultiBinary(3),
    "box": gym.spaces.Box(np.array([-2.0, 0.0], np.float32), np.array([2.0, 10.0], np.float32)),
    "unbounded": gym.spaces.Box(-np.inf, np.inf, (2,), np.float32),
}


def make_agent(action_space=ACTION_SPACES["discrete"], observation_space=VECTOR, *, seed=3, models=(), **structure):
    params = structure.pop("params", {})
    structure = {"batch_size": 16, "hidden_units": (8,), "jit_compile": False, **structure}
    agent = PPOAgent(*models, hyperparams=HyperparamSet({"num_epochs": 2, **params}, 0), **structure)
    agent.bind(observation_space, action_space, seed=seed)
    return agent


def network(num_inputs, num_outputs, *layers):
    hidden = layers or (keras.layers.Dense(8, activation="tanh"),)
    return keras.Sequential([keras.Input((num_inputs,)), *hidden, keras.layers.Dense(num_outputs)])


def play_window(agent, number, length=24, num_envs=None, **changes):
    """A window of random observations of four numbers, on which the agent acts."""
    rng = np.random.default_rng([77, number])
    shape = (length,) if num_envs is None else (length, num_envs)
    observations = rng.normal(2.0, 3.0, (shape[0] + 1, *shape[1:], 4)).astype(np.float32)
    act = agent.act if num_envs is None else agent.act_batch
    window = {
        "observations": observations[:-1],
        "actions": np.stack([np.asarray(act(observation)) for observation in observations[:-1]]),
        "rewards": rng.normal(size=shape),
        "terminated": rng.random(shape) < 0.1,
        "truncated": rng.random(shape) < 0.05,
        "infos": [],
        "episode_id": number,
        "next_observations": observations[1:],
        **changes,
    }
    return EpisodeData(**window)
