"""What an acting copy records about its own choices, against the densities the learner uses."""

import keras
import numpy as np
import pytest
from gymnasium import spaces

from tensor_optix import HyperparamSet, TFAgent


def agent_for(action_space, outputs):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(8, "tanh"), keras.layers.Dense(outputs)])
    agent = TFAgent(model, keras.optimizers.Adam(1e-3), HyperparamSet({"learning_rate": 1e-3, "gamma": 0.9}, 0))
    agent.bind(spaces.Box(-1, 1, (3,)), action_space, seed=1)
    return agent


def test_discrete_log_probs_are_those_of_the_softmax():
    agent = agent_for(spaces.Discrete(4, start=2), 4)
    policy, rng = agent.policy(), np.random.default_rng(0)
    for _ in range(20):
        observation = rng.normal(size=3).astype(np.float32)
        action, log_prob = policy.act_with_log_prob(observation)
        logits = np.asarray(agent.model(observation[None]))[0].astype(np.float64)
        assert log_prob == pytest.approx(logits[action - 2] - np.log(np.exp(logits).sum()), abs=1e-5)


def test_two_copies_of_one_version_explore_differently():
    agent = agent_for(spaces.Box(-1, 1, (2,)), 2)
    first, second = agent.policy(), agent.policy()
    observation = np.zeros(3, np.float32)
    assert not np.array_equal(first.act(observation), second.act(observation))
