"""What an acting copy records about its own choices, against the densities the learner uses."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from gymnasium import spaces
from scipy import stats

from tensor_optix import HyperparamSet, TFAgent
from tensor_optix.adapters.tensorflow.actions.action_sampling import DiscreteSampler, GaussianSampler
from tensor_optix.adapters.tensorflow.actions.distributions import Categorical, ClippedGaussian


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


def test_gaussian_log_probs_inside_and_at_the_bounds():
    sampler = GaussianSampler.for_bounds(np.array([-2.0]), np.array([4.0]), std=0.7)
    outputs = np.array([[0.3], [0.3], [0.3]], np.float32)
    found = sampler.log_prob(outputs, np.array([[1.0], [-2.0], [4.0]]))
    expected = [stats.norm(0.3, 0.7).logpdf(0.0), stats.norm(0.3, 0.7).logcdf(-1.0), stats.norm(0.3, 0.7).logsf(1.0)]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_both_halves_of_a_policy_agree():
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(50, 5)).astype(np.float32)
    actions = rng.integers(0, 5, 50)
    np.testing.assert_allclose(
        DiscreteSampler(5).log_prob(logits, actions),
        Categorical().log_prob(tf.constant(logits), tf.constant(actions, tf.int32)),
        rtol=1e-5,
        atol=1e-5,
    )
    sampler = GaussianSampler.for_bounds(np.array([-1.0, 0.0]), np.array([1.0, 5.0]), std=0.8)
    outputs = rng.normal(size=(200, 2)).astype(np.float32)
    taken = sampler.sample(outputs, rng.normal(size=(200, 2)).astype(np.float32))
    learner = ClippedGaussian(tf.constant(np.log(sampler.std)), [-1.0, -1.0], [1.0, 1.0])
    np.testing.assert_allclose(
        sampler.log_prob(outputs, taken),
        learner.log_prob(tf.constant(outputs), tf.constant(sampler.encode(taken))),
        rtol=1e-4,
        atol=1e-4,
    )


def test_two_copies_of_one_version_explore_differently():
    agent = agent_for(spaces.Box(-1, 1, (2,)), 2)
    first, second = agent.policy(), agent.policy()
    observation = np.zeros(3, np.float32)
    assert not np.array_equal(first.act(observation), second.act(observation))
