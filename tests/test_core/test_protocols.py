"""Parts that derive from nothing, made what the loop expects."""

from abc import ABC, abstractmethod

import numpy as np
import pytest
from loop_fakes import BareAgent

from tensor_optix.core.base_agent import BaseAgent
from tensor_optix.core.base_evaluator import BaseEvaluator
from tensor_optix.core.base_optimizer import BaseOptimizer
from tensor_optix.core.base_pipeline import BasePipeline
from tensor_optix.core.protocols import completed, original
from tensor_optix.core.types import EvalMetrics, HyperparamSet
from tensor_optix.testing.fakes import SixMethodAgent


class Bare(BareAgent):
    """One whose answers tell what was asked, and that has nowhere to save."""

    def act(self, observation):
        return int(observation > 0)

    def save_weights(self, path):
        raise OSError("nowhere to go")


class Own(Bare):
    """One that has some of the optional ones as well, and something that no interface knows."""

    barrier_interval_steps = 7
    color = "red"

    def __init__(self):
        super().__init__()
        self.bound_with = None

    def bind(self, observation_space, action_space, *, num_envs=1, seed=None):
        self.bound_with = (observation_space, action_space, num_envs, seed)

    def act_greedy(self, observation):
        return -1


def test_what_derives_from_its_interface_is_complete():
    agent = SixMethodAgent()
    assert completed(agent, BaseAgent) is agent
    assert original(agent) is agent


def test_what_a_bare_agent_lacks_is_the_default_and_calls_what_it_has():
    bare = Bare()
    agent = completed(bare, BaseAgent)
    assert agent.act_greedy(1.0) == 1
    np.testing.assert_array_equal(agent.act_batch([-1.0, 2.0]), [0, 1])
    assert agent.bold_hyperparams() is None
    assert agent.default_hyperparams() == {}
    assert (agent.undoes_bad_updates, agent.tells_what_it_used, agent.barrier_interval_steps) == (False, False, None)
    with pytest.raises(NotImplementedError, match="policy"):
        agent.policy()


def test_what_it_has_is_its_own():
    own = Own()
    agent = completed(own, BaseAgent)
    assert (agent.act_greedy(1.0), agent.barrier_interval_steps, agent.color) == (-1, 7, "red")
    agent.set_hyperparams(HyperparamSet({"a": 2.0}, 0))
    assert own.params == {"a": 2.0}
    agent.color = "blue"
    assert own.color == "blue"
    own.added_later = 3
    assert agent.added_later == 3
    with pytest.raises(OSError, match="nowhere to go"):
        agent.save_weights("x")


def test_it_is_known_whether_it_was_bound():
    own = Own()
    agent = completed(own, BaseAgent)
    assert not agent.is_bound
    agent.bind("seen", "done", num_envs=2, seed=3)
    assert agent.is_bound
    assert own.bound_with == ("seen", "done", 2, 3)


def test_it_goes_by_its_own_name_and_is_the_same_when_completed_again():
    bare = Bare()
    agent = completed(bare, BaseAgent)
    assert completed(agent, BaseAgent) is agent
    assert original(agent) is bare
    assert (type(agent).__name__, type(agent).__module__, repr(agent)) == ("Bare", __name__, repr(bare))


def test_its_attributes_may_have_any_names():
    own = Own()
    own.brought = own.part = own.interface = own.name = "its own"
    agent = completed(own, BaseAgent)
    assert {agent.brought, agent.part, agent.interface, agent.name} == {"its own"}
    assert original(agent) is own
    assert not hasattr(agent, "_hidden")


def test_which_methods_are_its_own_is_seen_in_its_class():
    assert type(completed(Own(), BaseAgent)).act_greedy is not BaseAgent.act_greedy
    assert type(completed(Bare(), BaseAgent)).act_greedy is BaseAgent.act_greedy


def test_what_has_no_default_and_is_not_there_is_an_error_when_it_is_used():
    class OnlyActs:
        def act(self, observation):
            return 5

    agent = completed(OnlyActs(), BaseAgent)
    assert agent.act_greedy(None) == 5
    with pytest.raises(AttributeError, match="learn"):
        agent.learn(None)


def test_a_minimal_pipeline():
    class Minimal:
        is_live = False

        def setup(self):
            pass

        def episodes(self):
            yield from (1, 2)

        def teardown(self):
            pass

    pipeline = completed(Minimal(), BasePipeline)
    assert list(pipeline.episodes()) == [1, 2]
    assert (pipeline.is_live, pipeline.request_barrier(), pipeline.num_envs) == (False, False, 1)
    assert pipeline.describe_environment() == {}
    pipeline.set_agent("somebody")
    assert pipeline.agent == "somebody"


def test_a_minimal_evaluator_and_hyperparameter_optimizer():
    class Scores:
        def score(self, window, diagnostics):
            return EvalMetrics(1.0, {}, 0)

    class Keeps:
        def suggest(self, hyperparams, history):
            return hyperparams

    evaluator, tuner = completed(Scores(), BaseEvaluator), completed(Keeps(), BaseOptimizer)
    better, worse = EvalMetrics(2.0, {}, 0), evaluator.score(None, {})
    assert evaluator.compare(better, worse)
    assert not evaluator.compare(worse, better)
    assert (tuner.tunes_nothing, tuner.param_bounds, list(tuner.pop_decisions())) == (False, None, [])


def test_a_function_is_completed_too():
    class Player(ABC):
        notes = ()

        @abstractmethod
        def __call__(self, number):
            """Play."""

    player = completed(lambda number: number + 1, Player)
    assert (player(2), player.notes) == (3, ())
