"""All four agents keep to what any must, and the suite notices those that do not."""

import gymnasium as gym
import numpy as np
import pytest

from tensor_optix import make_agent
from tensor_optix.testing import AgentConformance
from tensor_optix.testing.fakes import SixMethodAgent, StatefulAgent

SMALL_REPLAY = {"hidden_units": (8,), "buffer_size": 500, "batch_size": 8, "learning_starts": 32, "train_frequency": 16}


class OnCartPole(AgentConformance):
    def make_env(self):
        return gym.make("CartPole-v1")


class TestTFAgent(OnCartPole):
    def make_agent(self):
        return make_agent("CartPole-v1", "policy_gradient", hidden_units=(8,), seed=0)


class TestPPO(OnCartPole):
    def make_agent(self):
        return make_agent("CartPole-v1", "ppo", hidden_units=(8,), batch_size=32, jit_compile=False, seed=0)


@pytest.mark.slow
class TestDQN(OnCartPole):
    def make_agent(self):
        return make_agent("CartPole-v1", "dqn", seed=0, **SMALL_REPLAY)


@pytest.mark.slow
class TestSAC(AgentConformance):
    def make_env(self):
        return gym.make("Pendulum-v1", max_episode_steps=50)

    def make_agent(self):
        return make_agent("Pendulum-v1", "sac", seed=0, **SMALL_REPLAY)


class TestSixMethods(OnCartPole):
    def make_agent(self):
        return SixMethodAgent({"x": 1.0})


class TestStateInMemory(OnCartPole):
    def make_agent(self):
        return StatefulAgent({"x": 1.0})


class ActsOutside(SixMethodAgent):
    def act(self, observation):
        return 2


class ActsOnceForAll(SixMethodAgent):
    def act_batch(self, observations):
        return np.zeros(1, np.int64)


class Wanders(SixMethodAgent):
    def act(self, observation):
        self.weight += 1.0
        return int(self.weight % 4 < 2)


class LearnsNaN(SixMethodAgent):
    def learn(self, episode_data):
        return {"loss": float("nan")}


class HandsOutItsDict(SixMethodAgent):
    def get_hyperparams(self):
        return self.hyperparams


class TunesFromOutside(SixMethodAgent):
    def hyperparam_bounds(self):
        return {"x": (2.0, 3.0)}


class ActsByItsWeight(StatefulAgent):
    """Its greedy action follows from its weight, which counts the windows that it learned from."""

    def act(self, observation):
        return int(self.weight % 2)


class ForgetsItsWeights(ActsByItsWeight):
    def load_weights(self, path):
        pass


class ForgetsItsState(StatefulAgent):
    def set_state(self, state):
        self.weight = float(state.arrays["weight"])


class StaysWhereItIs(ActsByItsWeight):
    def go_back_to(self, state):
        pass


class DrawsAnew(StatefulAgent):
    """What it draws from is no part of its state."""

    def __init__(self, params):
        super().__init__(params)
        self.rng = np.random.default_rng(0)

    def learn(self, episode_data):
        diagnostics = super().learn(episode_data)
        self.slot = float(self.rng.normal())
        return diagnostics


class SharesItsArrays(StatefulAgent):
    def __init__(self, params):
        super().__init__(params)
        self.array = np.zeros(2)

    def learn(self, episode_data):
        self.array += 1.0
        return super().learn(episode_data)

    def get_state(self, scope="learner"):
        state = super().get_state(scope)
        state.arrays["shared"] = self.array
        return state


class HoldsPolicyBack(ActsByItsWeight):
    def get_state(self, scope="learner"):
        state = super().get_state(scope)
        if scope == "policy":
            state.arrays["weight"] = np.zeros(())
        return state


class BeginsAnewWhereBound(ActsByItsWeight):
    def bind(self, observation_space, action_space, *, num_envs=1, seed=None):
        self.weight = 0.0


class CountsWhatItShows(StatefulAgent):
    def act_greedy(self, observation):
        self.slot += 1.0
        return 0


class IgnoresMasks(StatefulAgent):
    uses_action_masks = True

    def act(self, observation, *, action_mask=None):
        return 0


class LacksTheArgument(StatefulAgent):
    uses_action_masks = True


class IsItsOwnPolicy(ActsByItsWeight):
    class Policy:
        version = 0

        def __init__(self, agent):
            self.agent = agent

        def act(self, observation, *, greedy=False):
            return self.agent.act_greedy(observation)

    def policy(self):
        return self.Policy(self)


@pytest.mark.parametrize(
    ("broken", "test", "message"),
    [
        (ActsOutside, "test_actions_are_of_the_action_space", "2 is no action of Discrete"),
        (ActsOnceForAll, "test_many_actions_are_as_good_as_one", "1 actions for 2 observations"),
        (Wanders, "test_greedy_actions_do_not_change_by_themselves", "two actions for one observation"),
        (LearnsNaN, "test_learning_returns_numbers", "learn returned loss=nan"),
        (HandsOutItsDict, "test_hyperparameters_are_copies", "the agent's own dict"),
        (TunesFromOutside, "test_what_may_be_tuned_lies_within_its_bounds", r"x=1.0 is outside \(2.0, 3.0\)"),
        (ForgetsItsWeights, "test_saved_weights_act_the_same", "the one whose weights it was given"),
        (ForgetsItsState, "test_a_state_goes_on_exactly", "set_state lost something"),
        (DrawsAnew, "test_a_state_goes_on_exactly", "the next update differs"),
        (SharesItsArrays, "test_a_state_is_a_copy", "changed a state that had been taken"),
        (StaysWhereItIs, "test_going_back_brings_the_policy_back", "brought another policy back"),
        (HoldsPolicyBack, "test_a_policy_state_acts_the_same", "the one whose weights it was given"),
        (BeginsAnewWhereBound, "test_binding_again_keeps_what_was_learned", "changed the greedy actions"),
        (CountsWhatItShows, "test_evaluating_changes_nothing", "changed the agent's arrays"),
        (IgnoresMasks, "test_only_what_a_mask_allows_is_done", r"act took 0, which the mask \[0 1\] does not allow"),
        (LacksTheArgument, "test_only_what_a_mask_allows_is_done", "lacks its argument"),
        (IsItsOwnPolicy, "test_a_policy_is_frozen", "learning changed a policy"),
    ],
)
def test_a_broken_rule_is_noticed(broken, test, message):
    class Suite(OnCartPole):
        def make_agent(self):
            return broken({"x": 1.0})

    with pytest.raises(AssertionError, match=message):
        getattr(Suite(), test)()


@pytest.mark.parametrize("agent", [ActsByItsWeight, StatefulAgent])
def test_what_the_broken_ones_are_made_from_is_whole(agent):
    class Suite(OnCartPole):
        def make_agent(self):
            return agent({"x": 1.0})

    for name in (name for name in dir(Suite) if name.startswith("test")):
        getattr(Suite(), name)()


def test_a_suite_must_say_what_is_made():
    with pytest.raises(NotImplementedError, match=r"make_agent\(\) -> BaseAgent"):
        OnCartPole().test_learning_returns_numbers()
    with pytest.raises(NotImplementedError, match=r"make_env\(\)"):
        AgentConformance().make_env()
