import gymnasium as gym
import keras
import numpy as np
import pytest
from agent_makers import make_agent, play_window

from tensor_optix.adapters.tensorflow.tf_agent import TFAgent
from tensor_optix.core.types import HyperparamSet

SPACES = [
    (gym.spaces.Discrete(3, start=4), 3),
    (gym.spaces.Box(np.array([-2.0, 0.0], np.float32), np.array([2.0, 9.0], np.float32)), 2),
    (gym.spaces.Box(-np.inf, 0.1, (2, 1), np.float32), 2),
]


@pytest.mark.parametrize(("space", "size"), SPACES)
def test_the_exported_model_acts_as_the_agent_does(space, size, tmp_path):
    agent = make_agent(space, size)
    agent.learn(play_window(agent, 0))
    exported = agent.policy_model()
    observations = np.random.default_rng(1).normal(size=(30, 4)).astype(np.float32)
    expected = np.stack([np.asarray(agent.act_greedy(observation)) for observation in observations])
    np.testing.assert_allclose(exported.predict(observations, verbose=0), expected, rtol=1e-5, atol=1e-5)

    exported.save(tmp_path / "policy.keras")
    back = keras.models.load_model(tmp_path / "policy.keras")
    np.testing.assert_allclose(back.predict(observations, verbose=0), expected, rtol=1e-5, atol=1e-5)


def test_the_exported_model_stays_when_the_agent_learns_on():
    agent = make_agent(gym.spaces.Box(-1, 1, (2,)), 2)
    exported, observations = agent.policy_model(), np.ones((1, 4), np.float32)
    before = exported.predict(observations, verbose=0)
    agent.model.set_weights([w + 1.0 for w in agent.model.get_weights()])
    np.testing.assert_array_equal(exported.predict(observations, verbose=0), before)


class Describable(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.head = keras.layers.Dense(2)

    def call(self, x):
        return self.head(x)


class Undescribable(Describable):
    def get_config(self):
        raise NotImplementedError


@pytest.mark.parametrize("kind", [Describable, Undescribable])
def test_a_subclassed_model_is_exported_and_copied_if_it_can_be_described(kind):
    agent = TFAgent(kind(), keras.optimizers.Adam(), HyperparamSet({}, 0))
    agent.bind(gym.spaces.Box(-1, 1, (4,)), gym.spaces.Discrete(2), seed=0)
    observations = np.random.default_rng(1).normal(size=(10, 4)).astype(np.float32)
    exported, before = agent.policy_model(), [agent.act_greedy(observation) for observation in observations]
    assert exported.predict(observations, verbose=0).tolist() == before
    agent.model.set_weights([-w for w in agent.model.get_weights()])
    after = agent.model(observations).numpy().argmax(axis=1).tolist()
    assert exported.predict(observations, verbose=0).tolist() == (before if kind is Describable else after)
