"""What an agent with six methods has of the others."""

import numpy as np
import pytest

from tensor_optix import BaseAgent
from tensor_optix.core.base_agent import Policy
from tensor_optix.testing.fakes import SixMethodAgent


class Doubles(SixMethodAgent):
    def act(self, observation):
        return 2 * np.asarray(observation)


class Binds(SixMethodAgent):
    def bind(self, observation_space, action_space, *, num_envs=1, seed=None):
        """Take the number of environments."""
        if num_envs < 1:
            raise ValueError("no environment")
        self.num_envs = num_envs


def test_one_without_all_six_cannot_be_made():
    class FiveMethods(BaseAgent):
        act = learn = get_hyperparams = set_hyperparams = save_weights = lambda *_: None

    with pytest.raises(TypeError, match="load_weights"):
        FiveMethods()


def test_many_are_acted_on_one_by_one():
    actions = Doubles().act_batch(np.arange(6).reshape(3, 2))
    np.testing.assert_array_equal(actions, [[0, 2], [4, 6], [8, 10]])


def test_greedy_is_what_it_does_anyway():
    assert Doubles().act_greedy(3) == 6


def test_it_remembers_that_it_was_bound_if_it_binds_at_all():
    agent = Binds()
    assert not agent.is_bound
    with pytest.raises(ValueError, match="no environment"):
        agent.bind(None, None, num_envs=0)
    assert not agent.is_bound
    agent.bind(None, None, num_envs=3)
    assert agent.is_bound
    assert agent.num_envs == 3
    assert not Binds().is_bound
    assert Binds.bind.__doc__ == "Take the number of environments."


def test_a_class_below_one_that_binds_remembers_too():
    class Below(Binds):
        def bind(self, *arguments, **settings):
            super().bind(*arguments, **settings)

    agent = Below()
    agent.bind(None, None, num_envs=2)
    assert (agent.is_bound, agent.num_envs) == (True, 2)


def test_what_it_does_not_have_is_named():
    agent = SixMethodAgent()
    for ask, message in [
        (agent.get_state, r"get_state\(scope\) -> AgentState"),
        (lambda: agent.set_state(None), r"set_state\(state\)"),
        (agent.policy, r"policy\(\) -> Policy"),
    ]:
        with pytest.raises(NotImplementedError, match=message):
            ask()


def test_a_policy_is_known_by_what_it_can_do():
    class Frozen:
        version = 3

        def act(self, observation, *, greedy=False):
            return 0

        def act_batch(self, observations, *, greedy=False):
            return [0] * len(observations)

    assert isinstance(Frozen(), Policy)
    assert not isinstance(SixMethodAgent(), Policy)
