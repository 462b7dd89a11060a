"""Who acts, and how: what is asked of an agent, a policy and a function, of one observation and of many."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import SyncVectorEnv

from tensor_optix.core.base_agent import BaseAgent
from tensor_optix.core.protocols import completed
from tensor_optix.exceptions import InvalidTypeError, NotBoundError
from tensor_optix.pipeline.acting import ActingPipeline, acting_in_evaluation, acting_in_training
from tensor_optix.pipeline.stepping.env_kinds import guard_of


class Env(gym.Env[Any, Any]):
    observation_space = gym.spaces.Box(-1.0, 1.0, (2,))
    action_space = gym.spaces.Discrete(9)


SINGLE, VECTOR = guard_of(Env()), guard_of(SyncVectorEnv([Env] * 3))
ONE, MANY = np.zeros(2), np.zeros((3, 2))


class Plain:
    """Acts, and no more."""

    def act(self, observation: Any) -> Any:
        return 1


class Greedy(Plain):
    def act_greedy(self, observation: Any) -> Any:
        return 2


class Batching(Greedy):
    def act_batch(self, observations: Any) -> Any:
        return np.full(len(observations), 3)


class Frozen:
    version = 0

    def act(self, observation: Any, *, greedy: bool = False) -> Any:
        return 5 if greedy else 4

    def act_batch(self, observations: Any, *, greedy: bool = False) -> Any:
        return np.full(len(observations), 7 if greedy else 6)


class WithPolicy(Batching):
    def policy(self) -> Frozen:
        return Frozen()


def in_training(agent: Any, guard: Any, observations: Any) -> Any:
    return acting_in_training(completed(agent, BaseAgent), guard)(observations)


def test_in_training_an_agent_explores_and_acts_on_many_by_itself_where_it_can() -> None:
    assert in_training(Batching(), SINGLE, ONE) == 1
    assert in_training(Batching(), VECTOR, MANY).tolist() == [3, 3, 3]
    assert in_training(Greedy(), VECTOR, MANY).tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("actor", "greedy", "one", "many"),
    [
        (Plain(), True, 1, None),
        (Greedy(), True, 2, None),
        (Greedy(), False, 1, None),
        (Batching(), True, 2, None),  # its act_batch explores
        (Batching(), False, 1, 3),
        (WithPolicy(), True, 2, 7),
        (WithPolicy(), False, 1, 3),
        (Frozen(), True, 5, 7),
        (Frozen(), False, 4, 6),
        (lambda observation: 8, True, 8, None),
    ],
)
def test_in_evaluations(actor: Any, greedy: bool, one: int, many: int | None) -> None:
    act = acting_in_evaluation(actor, VECTOR, greedy=greedy, seed=0)
    assert act(ONE) == one
    batch = getattr(act, "batch", None)
    assert (None if batch is None else batch(MANY).tolist()) == (None if many is None else [many] * 3)
    assert acting_in_evaluation(actor, SINGLE, greedy=greedy, seed=0)(ONE) == one


class Bindable(Greedy):
    def __init__(self, is_bound: bool = False) -> None:
        self.is_bound = is_bound
        self.bound: list[Any] = []

    def bind(self, *spaces: Any, **options: Any) -> None:
        self.bound.append((*spaces, options))


def test_what_is_bound_already_is_left_alone_and_the_rest_bound_without_a_seed() -> None:
    agent, bound = Bindable(), Bindable(is_bound=True)
    for one in (agent, bound):
        acting_in_evaluation(one, VECTOR, greedy=True, seed=5)
    assert agent.bound == [(Env.observation_space, Env.action_space, {"num_envs": 3})]
    assert bound.bound == []


def test_a_copy_acts_where_there_is_one() -> None:
    class Copying(Bindable):
        def acting_copy(self, observation_space: Any, action_space: Any, *, seed: int) -> Any:
            self.bound.append(("copied", observation_space, action_space, seed))
            return completed(Frozenlike(), BaseAgent)

    class Frozenlike(Plain):
        def act_greedy(self, observation: Any) -> Any:
            return 6

    agent = Copying()
    assert acting_in_evaluation(agent, SINGLE, greedy=True, seed=5)(ONE) == 6
    assert agent.bound == [("copied", Env.observation_space, Env.action_space, 5)]


@pytest.mark.parametrize("wrong", [None, 3, "agent", object()])
def test_what_cannot_act_is_told(wrong: Any) -> None:
    with pytest.raises(InvalidTypeError, match=r"must be an agent or policy with a method act.*Received"):
        acting_in_evaluation(wrong, SINGLE, greedy=True, seed=0)


def test_a_class_is_not_its_object() -> None:
    with pytest.raises(InvalidTypeError, match=r"is the class Greedy\. Give an object of it"):
        acting_in_evaluation(Greedy, SINGLE, greedy=True, seed=0)


class Pipeline(ActingPipeline):
    is_live = False

    def setup(self) -> None: ...

    def episodes(self) -> Any:
        return iter([self._acting_agent().act(ONE)])

    def teardown(self) -> None: ...


class TestPipelines:
    def test_the_agent_that_was_given_is_the_one_that_is_handed_back(self) -> None:
        agent, other = Plain(), Batching()
        pipeline = Pipeline(agent, None)
        assert pipeline.agent is agent
        pipeline.set_agent(other)
        assert pipeline.agent is other
        assert list(pipeline.episodes()) == [1]

    def test_without_an_agent_it_says_how_to_give_one(self) -> None:
        pipeline = Pipeline(None, None)
        assert pipeline.agent is None
        with pytest.raises(NotBoundError, match=r"Pipeline has no agent to act with\. Pass `agent=` or call set_agent"):
            pipeline.episodes()
        with pytest.raises(InvalidTypeError, match="`agent`"):
            pipeline.set_agent(object())  # type: ignore[arg-type]

    def test_a_seed_of_its_own_stays_and_another_is_replaced(self) -> None:
        own, other = Pipeline(None, 7), Pipeline(None, None)
        drawn = other.seed
        assert other.seed == drawn
        for pipeline in (own, other):
            pipeline.set_seed(9)
        assert (own.seed, other.seed) == (7, 9)
