"""Policies and values of which one remembers, or both."""

import gymnasium as gym
import keras
import numpy as np
import pytest
from helpers.memory_makers import THREE, VECTOR, gru_model, memory_agent, randomized, remembered_window

from tensor_optix.adapters.tensorflow.learning import model_losses
from tensor_optix.algorithms.ppo import PPOAgent
from tensor_optix.exceptions import IncompatibleModelError


def plain(num_outputs):
    return keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(5, activation="tanh"), keras.layers.Dense(num_outputs)]
    )


PAIRS = {
    "one model of both": lambda: (gru_model(),),
    "a critic that does not remember": lambda: (gru_model(values=False), plain(1)),
    "a critic that remembers for itself": lambda: (gru_model(values=False), gru_model(1, 4, values=False)),
    "only the critic remembers": lambda: (plain(3), gru_model(1, 4, values=False)),
    "a critic is made": lambda: (gru_model(values=False),),
}


@pytest.mark.parametrize("kind", PAIRS)
def test_models_that_remember_and_models_that_do_not_learn_together(kind):
    agent = memory_agent(*PAIRS[kind]())
    first = agent.learn(remembered_window(agent, 0))
    assert np.isfinite(list(first.values())).all()
    shapes = {"one model of both": 1, "a critic that does not remember": 1, "only the critic remembers": 1}
    assert len(agent.memory_states(2)) == shapes.get(kind, 2)
    before = [v.numpy().copy() for v in agent._network.trainable_variables]
    agent.learn(remembered_window(agent, 1))
    assert all((old != new.numpy()).any() for old, new in zip(before, agent._network.trainable_variables, strict=True))


def test_outputs_that_do_not_fit_are_told_as_those_of_any_actor():
    with pytest.raises(IncompatibleModelError, match=r"must give one output of shape \(batch, 3\)"):
        memory_agent(gru_model(2))
    with pytest.raises(IncompatibleModelError, match=r"Critic .* must give one output"):
        memory_agent(gru_model(values=False), gru_model(2, values=False))


def test_regularisers_of_layers_outside_of_the_loop_and_of_all_weights_are_added():
    seen, state = keras.Input((4,)), keras.Input((3,))
    x = keras.layers.Dense(5, activity_regularizer=keras.regularizers.L2(0.1))(seen)
    y, after = keras.layers.GRUCell(3, recurrent_regularizer=keras.regularizers.L1(0.2))(x, state)
    model = randomized(keras.Model([seen, state], [keras.layers.Dense(3)(y), keras.layers.Dense(1)(y), after]))
    network = memory_agent(model)._network
    parts = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    sequences = {
        "seen": [keras.ops.convert_to_tensor(parts)],
        "first": keras.ops.convert_to_tensor(np.zeros((3, 2), bool)),
        "states": [keras.ops.zeros((2, 3))],
    }
    added = network.trained_on(sequences)[2]
    model([parts, np.zeros((6, 3), np.float32)])
    np.testing.assert_allclose(added, model_losses.total(model.losses), rtol=1e-5)


SPACES = {
    "images": gym.spaces.Box(0, 255, (12, 12, 3), np.uint8),
    "choices": gym.spaces.Discrete(7),
    "parts": gym.spaces.Dict({"a": VECTOR, "b": gym.spaces.Discrete(3)}),
    "a tuple": gym.spaces.Tuple((VECTOR, gym.spaces.Box(-1, 1, (2,), np.float32))),
}


@pytest.mark.parametrize("kind", SPACES)
def test_networks_with_memory_are_made_for_every_kind_of_observation(kind):
    agent = PPOAgent(memory="lstm", memory_units=4, hidden_units=(8, 8))
    agent.bind(SPACES[kind], THREE, seed=0)
    SPACES[kind].seed(0)
    assert agent.act(SPACES[kind].sample()) in range(3)
    assert [state.shape for state in agent.memory_states(1)] == [(1, 4), (1, 4)]
