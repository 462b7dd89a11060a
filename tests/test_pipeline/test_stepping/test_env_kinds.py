"""Which kind an environment is, and what that means: the table is all there is to it."""

from __future__ import annotations

import dataclasses
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from tensor_optix.pipeline.batch_pipeline import BatchPipeline
from tensor_optix.pipeline.evaluation import evaluate
from tensor_optix.pipeline.stepping import env_kinds
from tensor_optix.pipeline.stepping.env_guard import EnvGuard
from tensor_optix.pipeline.stepping.env_kinds import EnvKind, guard_of, kind_of
from tensor_optix.pipeline.stepping.vector_env import VectorGuard


class Counter(gym.Env[Any, Any]):
    """Shows how many steps were taken, pays the action, ends after four."""

    observation_space = gym.spaces.Box(0.0, 10.0, (1,))
    action_space = gym.spaces.Discrete(3)
    t = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.t = 0
        return np.array([0.0], np.float32), {}

    def step(self, action: Any) -> Any:
        self.t += 1
        return np.array([self.t], np.float32), float(action), self.t == 4, False, {}


class Crowd:
    """Neither of Gymnasium's kinds: two counters that take and give lists of pairs."""

    num_members = 2
    observation_space = Counter.observation_space
    action_space = Counter.action_space

    def __init__(self) -> None:
        self.members = SyncVectorEnv([Counter] * 2, autoreset_mode=AutoresetMode.NEXT_STEP)
        self.metadata = self.members.metadata

    def reset(self, **arguments: Any) -> Any:
        return self.members.reset(**arguments)

    def step(self, actions: Any) -> Any:
        return self.members.step(actions)

    def close(self) -> None:
        self.members.close()


class CrowdGuard(VectorGuard):
    """The one new file of a new kind."""

    @classmethod
    def serves(cls, env: Any) -> bool:
        return isinstance(env, Crowd)

    def _count_envs(self) -> int:
        return int(self.env.num_members)


@pytest.fixture
def with_crowds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one line of a new kind."""
    vector = kind_of(SyncVectorEnv([Counter]))
    monkeypatch.setattr(env_kinds, "KINDS", (dataclasses.replace(vector, guard=CrowdGuard), *env_kinds.KINDS))


def one(observation: Any) -> Any:
    return 1


class Twos:
    def act(self, observation: Any) -> Any:
        return 2


def test_a_kind_is_told_by_what_an_environment_is() -> None:
    single, vector = guard_of(Counter()), guard_of(SyncVectorEnv([Counter] * 3))
    assert (type(single), single.is_vector, single.num_envs) == (EnvGuard, False, 1)
    assert (type(vector), vector.is_vector, vector.num_envs) == (VectorGuard, True, 3)
    for guard in (single, vector):
        assert guard.space("observation") == Counter.observation_space
        assert guard.space("action") == Counter.action_space


def test_a_kind_without_spaces_has_none() -> None:
    class Bare:
        def reset(self, **_: Any) -> Any:
            return 0, {}

        def step(self, action: Any) -> Any:
            return 0, 0.0, True, False, {}

    assert guard_of(Bare()).space("observation") is None


def test_a_new_kind_steps_in_a_pipeline(with_crowds: None) -> None:
    pipeline = BatchPipeline(Crowd(), Twos(), window_size=6, seed=0)
    assert (pipeline.num_envs, pipeline.is_vector) == (2, True)
    window = next(pipeline.episodes())
    assert window.observations[:, :, 0].T.tolist() == [[0, 1, 2, 3, 4, 0]] * 2
    assert window.rewards.T.tolist() == [[2, 2, 2, 2, 0, 2]] * 2  # the fifth step only resets
    assert window.completed_returns.tolist() == [8.0, 8.0]


def test_a_new_kind_is_evaluated_in(with_crowds: None) -> None:
    result = evaluate(one, Crowd, 5)
    assert result.returns.tolist() == [4.0] * 5
    assert result.lengths.tolist() == [4] * 5


def test_the_first_kind_that_serves_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    last = kind_of(Counter())
    never = EnvKind(CrowdGuard, last.collector, last.player)
    monkeypatch.setattr(env_kinds, "KINDS", (never, last))
    assert kind_of(SyncVectorEnv([Counter])) is last
    assert kind_of(Crowd()) is never
