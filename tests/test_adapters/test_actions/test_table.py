"""Another kind of action is one class and one line of the table: whole numbers in a range, for PPO."""

from dataclasses import dataclass

import gymnasium as gym
import keras
import numpy as np
import pytest

from tensor_optix.adapters.tensorflow.actions import table
from tensor_optix.adapters.tensorflow.actions.action_sampler import PolicyHead
from tensor_optix.adapters.tensorflow.actions.discrete import Categorical, log_softmax_at
from tensor_optix.adapters.tensorflow.actions.multi_discrete import MultiDiscreteSampler
from tensor_optix.algorithms.ppo import PPOAgent
from tensor_optix.core.types import EpisodeData, HyperparamSet
from tensor_optix.exceptions import UnsupportedSpaceError

SPACE = gym.spaces.Box(-1, 2, (1,), np.int64)


@dataclass(frozen=True)
class WholeNumber(PolicyHead):
    """One whole number from a range, by one logit per number."""

    low: int
    num_outputs: int
    shape = (1,)
    dtype = np.dtype(np.int64)
    served = "a Box of one whole number"
    outputs_mean = "one logit per number"

    @classmethod
    def serves(cls, action_space):
        return (
            isinstance(action_space, gym.spaces.Box) and action_space.dtype.kind == "i" and action_space.shape == (1,)
        )

    @classmethod
    def for_space(cls, action_space):
        low, high = int(action_space.low[0]), int(action_space.high[0])
        return cls(low, high - low + 1)

    def draw_noise(self, rng, count):
        return rng.gumbel(size=(count, self.num_outputs)).astype(np.float32)

    def encode(self, actions):
        return (np.asarray(actions).reshape(-1) - self.low).astype(np.int32)

    def log_prob(self, outputs, actions):
        return log_softmax_at(outputs, self.encode(actions))

    def density(self, log_std):
        return Categorical()

    def greedy_layer(self, outputs):
        return keras.ops.cast(keras.ops.top_k(outputs, 1)[1], "int64") + self.low

    def _to_env(self, logits, shape):
        return (logits.argmax(axis=-1) + self.low).reshape(shape)


@pytest.fixture
def known_kind():
    table.KINDS.insert(0, WholeNumber)
    yield
    table.KINDS.remove(WholeNumber)


def window_of(agent, number, length=256):
    """Two situations, each with its own right number: 2 where the observation is positive, else -1."""
    observations = np.random.default_rng(number).choice(np.float32([-1.0, 1.0]), (length + 1, 1))
    actions = agent.act_batch(observations[:-1])
    assert all(SPACE.contains(action) for action in actions)
    right = np.where(observations[:-1, 0] > 0, 2, -1)
    return EpisodeData(
        observations=observations[:-1],
        actions=actions,
        rewards=(actions[:, 0] == right).astype(float),
        terminated=np.ones(length, bool),
        truncated=np.zeros(length, bool),
        infos=[],
        episode_id=number,
        next_observations=observations[1:],
    )


@pytest.mark.usefixtures("known_kind")
def test_a_kind_of_ones_own_acts_learns_and_is_exported(tmp_path):
    agent = PPOAgent(hyperparams=HyperparamSet({"learning_rate": 1e-2}, 0), hidden_units=(8,))
    agent.bind(gym.spaces.Box(-1.0, 1.0, (1,), np.float32), SPACE, seed=0)
    first = agent.act(np.float32([1.0]))
    assert SPACE.contains(first)
    for number in range(12):
        agent.learn(window_of(agent, number))
    both = np.float32([[-1.0], [1.0]])
    assert [agent.act_greedy(x).tolist() for x in both] == [[-1], [2]]

    agent.policy_model().save(tmp_path / "policy.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "policy.keras")(both), [[-1], [2]])
    action, log_prob = agent.policy().act_with_log_prob(np.float32([1.0]))
    assert SPACE.contains(action)
    assert log_prob <= 0.0

    agent.save_weights(str(tmp_path / "weights"))
    other = PPOAgent(hidden_units=(8,))
    other.bind(gym.spaces.Box(-1.0, 1.0, (1,), np.float32), SPACE, seed=5)
    other.load_weights(str(tmp_path / "weights"))
    assert [other.act_greedy(x).tolist() for x in both] == [[-1], [2]]


def test_without_its_line_in_the_table_it_is_refused():
    with pytest.raises(UnsupportedSpaceError, match=r"Discrete, MultiDiscrete, MultiBinary, or a Box of floats\. Rec"):
        table.head_for(SPACE)


def test_the_caller_may_serve_fewer_kinds():
    space = gym.spaces.MultiDiscrete([2, 2])
    assert isinstance(table.head_for(space), MultiDiscreteSampler)
    with pytest.raises(UnsupportedSpaceError, match=r"Actions must be a Box of one whole number. Received: Multi"):
        table.head_for(space, kinds=(WholeNumber,))
