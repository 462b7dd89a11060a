"""Small models and agents with memory, and windows that they acted in."""

import gymnasium as gym
import keras
import numpy as np

from tensor_optix.algorithms.ppo import PPOAgent
from tensor_optix.core.types import EpisodeData, HyperparamSet

VECTOR = gym.spaces.Box(-5.0, 5.0, (4,), np.float32)
THREE = gym.spaces.Discrete(3)


def gru_model(num_outputs=3, units=6, *, values=True, skip=False):
    """A Dense layer, a cell, and outputs; ``skip``: which see the layer, too."""
    seen, state = keras.Input((4,), name="seen"), keras.Input((units,), name="state")
    x = keras.layers.Dense(5, activation="tanh")(seen)
    y, after = keras.layers.GRUCell(units)(x, state)
    y = keras.layers.Concatenate()([x, y]) if skip else y
    outputs = [keras.layers.Dense(num_outputs)(y), *([keras.layers.Dense(1)(y)] if values else [])]
    return randomized(keras.Model([seen, state], [*outputs, after]))


def lstm_layer_model(num_outputs=3, units=6):
    """An LSTM layer that is called on one step, as many write it."""
    seen, *states = keras.Input((4,)), keras.Input((units,)), keras.Input((units,))
    x = keras.layers.Reshape((1, 4))(seen)
    y, *after = keras.layers.LSTM(units, return_state=True)(x, initial_state=states)
    return randomized(
        keras.Model([seen, *states], [keras.layers.Dense(num_outputs)(y), keras.layers.Dense(1)(y), *after])
    )


def counting_model():
    """Two states of other shapes: how many steps an episode has, and the observation before, ``[2, 2]``."""
    seen, count, before = keras.Input((4,)), keras.Input((1,), dtype="int32"), keras.Input((2, 2))
    x = keras.layers.Concatenate()([seen, keras.ops.cast(count, "float32"), keras.layers.Flatten()(before)])
    after = count + 1
    outputs = [keras.layers.Dense(3)(x), keras.layers.Dense(1)(x)]
    return keras.Model([seen, count, before], [*outputs, after, keras.layers.Reshape((2, 2))(seen)])


def randomized(model, seed=0):
    rng = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        variable.assign(0.5 * rng.normal(size=variable.shape))
    return model


def memory_agent(*models, action_space=THREE, observation_space=VECTOR, seed=3, num_envs=2, **structure):
    params = {"num_epochs": 2, **structure.pop("params", {})}
    usual = {"batch_size": 16, "hidden_units": (8, 8), "jit_compile": False, "sequence_length": 8, "memory_units": 6}
    memory = {} if models else {"memory": "gru"}
    agent = PPOAgent(*models, hyperparams=HyperparamSet(params, 0), **{**usual, **memory, **structure})
    agent.bind(observation_space, action_space, seed=seed, num_envs=num_envs)
    return agent


def random_flags(rng, shape, share=0.15):
    return rng.random(shape) < share


def remembered_window(agent, number=0, length=20, num_envs=2, **changes):
    """A window of random observations in which the agent acts, with episodes that end anywhere."""
    rng = np.random.default_rng([5, number])
    observations = rng.normal(size=(length + 1, num_envs, 4)).astype(np.float32)
    terminated, truncated = (random_flags(rng, (length, num_envs)) for _ in range(2))
    states, actions = [state.copy() for state in agent.memory_states(num_envs)], []
    for t in range(length):
        actions.append(agent.act_batch(observations[t]))
        agent.begin_episodes(terminated[t] | truncated[t])
    following = observations[1:] + 0.25 * (terminated | truncated)[..., None].astype(np.float32)
    window = {
        "observations": observations[:-1],
        "actions": np.array(actions),
        "rewards": rng.normal(size=(length, num_envs)),
        "terminated": terminated,
        "truncated": truncated,
        "infos": [],
        "episode_id": number,
        "next_observations": following,
        "initial_states": states,
        **changes,
    }
    return EpisodeData(**window)


def step_by_step(model, observations, first, states):
    """An oracle: outputs and states after each step of one environment, by calling the model once a step."""
    outputs, kept = [], []
    for seen, begins in zip(observations, first, strict=True):
        states = [np.zeros_like(state) if begins else state for state in states]
        found = model([keras.ops.convert_to_tensor(x[None]) for x in (seen, *states)], training=False)
        found = [np.asarray(x)[0] for x in found]
        states = found[-len(states) :]
        outputs.append(found[: -len(states)])
        kept.append(states)
    return [np.stack(x) for x in zip(*outputs, strict=True)], [np.stack(x) for x in zip(*kept, strict=True)]
