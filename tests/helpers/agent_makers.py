"""Small agents and windows that tests of TFAgent share."""

import gymnasium as gym
import keras
import numpy as np

from tensor_optix.adapters.tensorflow.tf_agent import TFAgent
from tensor_optix.core.checkpoint_registry import CheckpointRegistry
from tensor_optix.core.types import EpisodeData, EvalMetrics, HyperparamSet

CARTPOLE = gym.spaces.Box(-5.0, 5.0, (4,), np.float32)


def actor(size, num_inputs=4):
    return keras.Sequential(
        [keras.Input((num_inputs,)), keras.layers.Dense(16, activation="tanh"), keras.layers.Dense(size)]
    )


def make_agent(action_space, size=2, learning_rate=1e-3, seed=3, bound=True, **params):
    keras.utils.set_random_seed(0)
    hyperparams = HyperparamSet({"learning_rate": learning_rate, "gamma": 0.9, **params}, 0)
    agent = TFAgent(actor(size), keras.optimizers.Adam(learning_rate), hyperparams)
    if bound:
        agent.bind(CARTPOLE, action_space, seed=seed)
    return agent


def play_window(agent, number, length=40, num_envs=None):
    """A window of random observations, on which the agent acts; rewards favour its first action."""
    rng = np.random.default_rng([77, number])
    shape = (length,) if num_envs is None else (length, num_envs)
    observations = rng.normal(size=(shape[0] + 1, *shape[1:], 4)).astype(np.float32)
    act = agent.act if num_envs is None else agent.act_batch
    actions = np.stack([np.asarray(act(observation)) for observation in observations[:-1]])
    return EpisodeData(
        observations=observations[:-1],
        actions=actions,
        rewards=rng.normal(size=shape),
        terminated=rng.random(shape) < 0.1,
        truncated=rng.random(shape) < 0.05,
        infos=[],
        episode_id=number,
        next_observations=observations[1:],
    )


def save(agent, folder, *, by_state):
    """Write an agent as a run's only champion."""
    registry = CheckpointRegistry(folder)
    metrics = EvalMetrics(1.0, {}, 0)
    if by_state:
        registry.save_state(agent.get_state(), metrics, agent.get_hyperparams(), background=False)
    else:
        registry.save(agent, metrics, agent.get_hyperparams())
    registry.close()
