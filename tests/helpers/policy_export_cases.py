"""Agents of all four kinds on all kinds of spaces, whose policies are exported."""

import gymnasium as gym
import keras
import numpy as np
from gymnasium import spaces

from tensor_optix.adapters.tensorflow.tf_agent import TFAgent
from tensor_optix.algorithms.dqn import DQNAgent
from tensor_optix.algorithms.ppo import PPOAgent
from tensor_optix.algorithms.sac import SACAgent
from tensor_optix.core.types import HyperparamSet

VECTOR = spaces.Box(-5.0, 5.0, (4,), np.float32)
OBSERVATIONS = {
    "vector": VECTOR,
    "float64": spaces.Box(-1.0, 1.0, (4,), np.float64),
    "image": spaces.Box(0, 255, (12, 12, 3), np.uint8),
    "index": spaces.Discrete(6),
    "dict": spaces.Dict({"place": spaces.Box(-1.0, 1.0, (3,), np.float32), "room": spaces.Discrete(5)}),
    "tuple": spaces.Tuple([VECTOR, spaces.MultiDiscrete([2, 3])]),
}
ACTIONS = {
    "discrete": spaces.Discrete(3, start=4),
    "choices": spaces.MultiDiscrete([2, 3, 2], start=[1, 0, -5]),
    "choices_alike": spaces.MultiDiscrete(np.full((2, 2), 3), dtype=np.int32),
    "bits": spaces.MultiBinary((2, 2)),
    "box": spaces.Box(np.array([-2.0, 0.0], np.float32), np.array([2.0, 9.0], np.float32)),
    "half_bounded": spaces.Box(-np.inf, 0.1, (2, 1), np.float64),
    "half_precision": spaces.Box(-1.0, 0.3, (1,), np.float16),
    "scalar": spaces.Box(-1.0, 1.0, (), np.float32),
}
CASES = [
    *[("ppo", "vector", action) for action in ACTIONS],
    *[("ppo", observation, "discrete") for observation in OBSERVATIONS if observation != "vector"],
    *[("dqn", observation, "discrete") for observation in ("vector", "dict", "image")],
    *[("sac", observation, "box") for observation in ("vector", "dict")],
    ("sac", "vector", "half_precision"),
    *[("tf", "vector", action) for action in ("discrete", "box", "half_bounded")],
]


def make_agent(kind, observation, action):
    """A bound agent that normalises by moments that are not 0 and 1, where it normalises."""
    shared = {"hidden_units": (8,), "normalize_observations": True}
    if kind == "tf":
        size = 3 if action == "discrete" else 2
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "tanh"), keras.layers.Dense(size)])
        agent = TFAgent(model, keras.optimizers.Adam(), HyperparamSet({}, 0))
    elif kind == "ppo":
        agent = PPOAgent(**shared)
    elif kind == "dqn":
        agent = DQNAgent(**shared, buffer_size=10, dueling=True)
    else:
        agent = SACAgent(**shared, buffer_size=10)
    agent.bind(OBSERVATIONS[observation], ACTIONS[action], seed=0)
    if kind != "tf":
        rng = np.random.default_rng(0)
        parts = zip(agent._inputs.shapes, agent._inputs.dtypes, strict=True)
        agent._normalizer.observe([rng.normal(0.1, 0.5, (50, *shape)).astype(dtype) for shape, dtype in parts])
        agent.model.set_weights([_random_weights(rng, w.shape) for w in agent.model.get_weights()])
        agent.refresh()
    return agent


def _random_weights(rng, shape):
    """Matrices that leave the size of numbers as it is; no biases, for which only matrices would make up."""
    return rng.normal(scale=(len(shape) > 1) * min(1.0, 4 / np.sqrt(np.prod(shape[:-1]))), size=shape)


def observations_of(name, count=20):
    """Observations, one by one, and as the batch that a model takes."""
    space = OBSERVATIONS[name]
    space.seed(1)
    single = [space.sample() for _ in range(count)]
    if isinstance(space, gym.spaces.Dict):
        return single, {key: _batch([x[key] for x in single]) for key in space}
    if isinstance(space, gym.spaces.Tuple):
        return single, {f"part_{i}": _batch([x[i] for x in single]) for i in range(len(space))}
    return single, _batch(single)


def _batch(values):
    stacked = np.stack([np.asarray(value) for value in values])
    if stacked.dtype.kind == "i":
        stacked = stacked.astype(np.int32)
    return (
        stacked.astype(np.float32)
        if stacked.dtype == np.float64
        else stacked.reshape(len(values), *stacked.shape[1:] or (1,))
    )
