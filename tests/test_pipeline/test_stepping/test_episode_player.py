"""Whole episodes: which are played, from which seeds, and what is counted."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import TimeLimit

from tensor_optix.exceptions import EnvironmentFailureError
from tensor_optix.functional.seeding import derive_seed
from tensor_optix.pipeline.stepping.env_kinds import kind_of
from tensor_optix.pipeline.stepping.episode_player import rowwise


class Seeded(gym.Env[Any, Any]):
    """The seed says how long an episode is (1 to 5 steps) and how much each step pays; without one, 100 and 9."""

    observation_space = gym.spaces.Box(0.0, np.inf, (1,))
    action_space = gym.spaces.Discrete(2)
    seeds: list[int | None]

    def __init__(self, endless: bool = False) -> None:
        self.endless = endless
        self.seeds = []
        self.left = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.seeds.append(seed)
        self.left, self.pay = (100, 9.0) if seed is None else lot_of(seed)
        return np.array([self.left], np.float32), {}

    def step(self, action: Any) -> Any:
        self.left -= 1
        return np.array([max(self.left, 0)], np.float32), self.pay, not self.endless and self.left == 0, False, {}


def lot_of(seed: int) -> tuple[int, float]:
    rng = np.random.default_rng(seed)
    return int(rng.integers(1, 6)), float(rng.integers(1, 10))


def play(env: Any, num_episodes: int, seed: int, act: Any = lambda _: 0) -> Any:
    kind = kind_of(env)
    guard = kind.guard(env)
    return kind.player(guard, act, num_episodes, seed).play(guard)


def test_each_episode_has_a_seed_of_its_own() -> None:
    env = Seeded()
    result = play(env, 6, seed=11)
    seeds = [derive_seed(11, "episode", k) for k in range(6)]
    assert env.seeds == seeds
    assert result.returns.tolist() == [length * pay for length, pay in map(lot_of, seeds)]
    assert result.lengths.tolist() == [length for length, _ in map(lot_of, seeds)]
    assert result.env_steps == result.lengths.sum()


@pytest.mark.parametrize("mode", list(AutoresetMode))
@pytest.mark.parametrize("num_episodes", [1, 3, 7])
def test_a_vector_plays_the_first_share_of_each(mode: AutoresetMode, num_episodes: int) -> None:
    envs = [Seeded() for _ in range(3)]
    vector = SyncVectorEnv([lambda env=env: env for env in envs], autoreset_mode=mode)
    result = play(vector, num_episodes, seed=11)
    firsts = [lot_of(derive_seed(11, "episode", 0) + n) for n in range(3)]
    shares = [num_episodes // 3 + (n < num_episodes % 3) for n in range(3)]
    later = (100, 9.0)  # what follows in the same sub-environment has no seed
    expected = [(firsts[n] if k == 0 else later) for k in range(max(shares)) for n in range(3) if k < shares[n]]
    assert result.returns.tolist() == [length * pay for length, pay in expected]
    assert result.lengths.tolist() == [length for length, _ in expected]


def test_an_endless_episode_is_cut_at_the_limit() -> None:
    result = play(Seeded(endless=True), 2, seed=0)
    assert result.lengths.tolist() == [10_000, 10_000]
    assert result.num_cut == 2
    assert "2 episodes, 2 of them cut at 10,000 steps" in str(result)


class Patient:
    """Does nothing, for so many steps an episode at most."""

    max_episode_steps = 40

    def __call__(self, observation: Any) -> int:
        return 0


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_who_acts_may_set_a_lower_limit_where_none_is_known(mode: AutoresetMode) -> None:
    vector = SyncVectorEnv([lambda: Seeded(endless=True)] * 2 + [Seeded], autoreset_mode=mode)
    result = play(vector, 6, 0, Patient())
    assert result.num_cut == np.sum(result.lengths == 40) >= 4
    assert result.lengths.max() == 40
    single = play(Seeded(endless=True), 2, 0, Patient())
    assert (single.lengths.tolist(), single.num_cut, single.env_steps) == ([40, 40], 2, 80)


@pytest.mark.parametrize("is_vector", [False, True])
def test_but_not_where_the_environment_has_a_limit_of_its_own(is_vector: bool) -> None:
    def limited() -> Any:
        return TimeLimit(Seeded(endless=True), 50)  # not registered, so it has no spec

    result = play(SyncVectorEnv([limited] * 2) if is_vector else limited(), 2, 0, Patient())
    assert (result.lengths.tolist(), result.num_cut) == ([50, 50], 0)
    assert "cut" not in str(result)


def test_after_a_failure_the_same_episode_is_played_once_more_then_another() -> None:
    env = Seeded()
    kind = kind_of(env)
    player = kind.player(kind.guard(env), failing(times=2), 2, 7)
    for _ in range(2):
        with pytest.raises(EnvironmentFailureError):
            player.play(kind.guard(env))
        assert player.break_off() == 1
    result = player.play(kind.guard(env))
    first = derive_seed(7, "episode", 0)
    assert env.seeds == [first, first, derive_seed(7, "episode", 0, "again", 2), derive_seed(7, "episode", 1)]
    assert result.num_episodes == 2
    assert player.num_failures == 0


def failing(times: int) -> Any:
    failures = iter(range(times))

    def act(observation: Any) -> int:
        if next(failures, None) is not None:
            raise EnvironmentFailureError("broken")
        return 0

    return act


def test_rowwise_acts_on_each_environment() -> None:
    act = rowwise(lambda observation: observation["x"][0] * 10, 3, gym.spaces.Discrete(100))
    assert act({"x": np.array([[1], [2], [3]])}).tolist() == [10, 20, 30]


def test_what_acts_on_many_is_asked_once_a_step() -> None:
    asked = []

    class Act:
        def batch(self, observations: Any) -> Any:
            asked.append(observations[:, 0].tolist())
            return np.zeros(2, int)

        def __call__(self, observation: Any) -> Any:
            raise AssertionError("asked one by one")

    envs = [Seeded(), Seeded()]
    result = play(SyncVectorEnv([lambda env=env: env for env in envs]), 2, seed=3, act=Act())
    assert len(asked) == result.lengths.max()
