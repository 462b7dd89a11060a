"""Returns are told in the environment's own reward, whatever wrappers make of it for the learner."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import wrappers
from gymnasium.wrappers import vector as vector_wrappers

from tensor_optix import BatchPipeline, RLOptimizer, evaluate
from tensor_optix.pipeline.stepping.env_kinds import guard_of
from tensor_optix.pipeline.stepping.env_state import layers_of
from tensor_optix.pipeline.stepping.own_reward import RewardTap
from tensor_optix.testing.fakes import StatefulAgent


class Pays(gym.Env):
    """Pays 1, 2, ... ``length``: 15 an episode of five steps; 1,000 while it is reset."""

    observation_space = gym.spaces.Box(-1.0, 1.0, (1,))
    action_space = gym.spaces.Discrete(2)

    def __init__(self, length: int = 5) -> None:
        self.length, self.steps = length, 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        self.steps = 0
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> Any:
        self.steps += 1
        return np.zeros(1, np.float32), float(self.steps), self.steps >= self.length, False, {}


class Halves(gym.RewardWrapper):
    """One's own: it makes another task."""

    def reward(self, reward: Any) -> Any:
        return reward / 2


class StepsTwice(gym.Wrapper):
    """Skips every second frame, and steps once in ``reset``, which is no step of anybody's."""

    def reset(self, **arguments: Any) -> Any:
        result = self.env.reset(**arguments)
        self.env.step(0)
        self.env.reset()
        return result

    def step(self, action: Any) -> Any:
        _, first, *_ = self.env.step(action)
        observation, second, *rest = self.env.step(action)
        return observation, first + second, *rest


class Doubles(gym.Wrapper):
    """Another task: it pays otherwise."""

    def step(self, action: Any) -> Any:
        observation, reward, *rest = self.env.step(action)
        return observation, 2 * reward, *rest


SINGLE = {
    "NormalizeReward": lambda: wrappers.NormalizeReward(Pays()),
    "TransformReward": lambda: wrappers.TransformReward(Pays(), lambda reward: reward - 100),
    "ClipReward": lambda: wrappers.ClipReward(Pays(), -1, 1),
    "ClipReward, NormalizeReward": lambda: wrappers.ClipReward(
        wrappers.RecordEpisodeStatistics(wrappers.NormalizeReward(wrappers.NormalizeObservation(Pays()))), -1, 1
    ),
    "NormalizeReward, frames skipped": lambda: wrappers.NormalizeReward(StepsTwice(Pays(6))),
    "NormalizeReward inside": lambda: StepsTwice(wrappers.NormalizeReward(Pays(6))),
}
ASYNC = gym.vector.AsyncVectorEnv
SYNC = gym.vector.SyncVectorEnv
VECTOR = {
    "NormalizeReward": lambda: vector_wrappers.NormalizeReward(SYNC([Pays, Pays])),
    "TransformReward": lambda: vector_wrappers.TransformReward(SYNC([Pays, Pays]), lambda reward: reward - 100),
    "ClipReward": lambda: vector_wrappers.ClipReward(SYNC([Pays, Pays]), -1, 1),
    "ClipReward of processes": lambda: vector_wrappers.ClipReward(ASYNC([Pays, Pays]), -1, 1),
    "each has its own": lambda: SYNC([SINGLE["NormalizeReward"], SINGLE["ClipReward"]]),
    "both": lambda: vector_wrappers.ClipReward(SYNC([SINGLE["NormalizeReward"], Pays]), -1, 1),
    "same step": lambda: SYNC([SINGLE["NormalizeReward"]] * 2, autoreset_mode=gym.vector.AutoresetMode.SAME_STEP),
    "by mask": lambda: SYNC([SINGLE["NormalizeReward"]] * 2, autoreset_mode=gym.vector.AutoresetMode.DISABLED),
}
ALL = {**SINGLE, **{f"vector: {name}": make for name, make in VECTOR.items()}}


def own_return(name: str) -> float:
    return 21.0 if "skipped" in name or "inside" in name else 15.0


@pytest.mark.parametrize("name", ALL)
def test_in_evaluations_training_and_reports(name: str, tmp_path: Path) -> None:
    env = ALL[name]()
    assert set(evaluate(lambda observation: 0, env, 6).returns) == {own_return(name)}
    optimizer = RLOptimizer(
        StatefulAgent(),
        BatchPipeline(env, window_size=24, seed=0),
        checkpoint_dir=tmp_path,
        max_episodes=4,
        seed=0,
        report_episodes=6,
    )
    result = optimizer.run()
    assert result.confirmed_mean == own_return(name)
    assert result.history["score"] == [own_return(name)] * 4
    assert result.notes == ()
    assert "step" not in vars(env.unwrapped), "the environment is as it was"
    env.close()


@pytest.mark.parametrize("make", [SINGLE["ClipReward"], VECTOR["ClipReward"], VECTOR["each has its own"]])
def test_what_is_learned_from_is_the_wrapped_reward(make: Any) -> None:
    pipeline = BatchPipeline(make, StatefulAgent(), 12, seed=0)
    window = next(iter(pipeline.episodes()))
    valid = np.ones(window.rewards.shape, bool) if window.valid is None else window.valid
    paid = window.rewards[valid] if window.rewards.ndim == 1 else window.rewards[:, 1][valid[:, 1]]
    assert set(paid) == {1.0}
    assert set(window.completed_returns) == {15.0}
    pipeline.teardown()


def test_evaluation_env(tmp_path: Path) -> None:
    for given in (SINGLE["NormalizeReward"], VECTOR["each has its own"]()):
        result = RLOptimizer(
            StatefulAgent(),
            BatchPipeline(Pays(), window_size=10),
            checkpoint_dir=tmp_path,
            max_episodes=2,
            evaluation_env=given,
            seed=0,
        ).run()
        assert result.confirmed_mean == 15.0


def test_a_target_is_in_the_own_reward(tmp_path: Path) -> None:
    optimizer = RLOptimizer(
        StatefulAgent(),
        BatchPipeline(SINGLE["NormalizeReward"], window_size=25),
        checkpoint_dir=tmp_path,
        target_score=15.0,
        max_episodes=40,
        seed=0,
    )
    assert optimizer.run().reason in ("target", "trained", "budget")
    assert max(optimizer.last_result.history["score"]) == 15.0


@pytest.mark.parametrize(
    "make",
    [
        lambda: ASYNC([SINGLE["ClipReward"]] * 2),
        lambda: vector_wrappers.NormalizeReward(ASYNC([SINGLE["ClipReward"]] * 2)),
        lambda: gym.make_vec("CartPole-v1", 2, "async", wrappers=[wrappers.NormalizeReward]),
        lambda: gym.make_vec(
            "CartPole-v1", 2, "async", wrappers=[functools.partial(wrappers.ClipReward, max_reward=0.5)]
        ),
    ],
)
def test_where_it_cannot_be_read_that_is_said(make: Any, tmp_path: Path, caplog: Any) -> None:
    with_each = make()
    evaluate(lambda observation: 0, with_each, 2)
    assert "Returns are told in the reward of" in caplog.text
    result = RLOptimizer(
        StatefulAgent(), BatchPipeline(with_each, window_size=10), checkpoint_dir=tmp_path, max_episodes=2, seed=0
    ).run()
    assert [note for note in result.notes if "the environment's own cannot be read" in note]
    with_each.close()


@pytest.mark.parametrize(
    "make",
    [
        Pays,
        lambda: Doubles(Pays()),
        lambda: wrappers.ClipReward(Halves(Pays()), -1, 1),
        lambda: SYNC([Pays]),
        lambda: ASYNC([Pays]),
    ],
)
def test_where_no_wrapper_of_gymnasiums_changes_it_or_below_it_nothing_is_said(
    make: Any, tmp_path: Path, caplog: Any
) -> None:
    env = make()
    expected = {Doubles: 30.0, wrappers.ClipReward: 7.5}.get(type(env), 15.0)
    assert evaluate(lambda observation: 0, env, 2).mean == expected
    result = RLOptimizer(
        StatefulAgent(), BatchPipeline(env, window_size=12), checkpoint_dir=tmp_path, max_episodes=2, seed=0
    ).run()
    assert result.confirmed_mean == expected
    assert "told in" not in caplog.text + " ".join(result.notes)
    env.close()


def test_two_readers_of_one_environment_leave_it_as_it_was() -> None:
    env = SINGLE["ClipReward"]()
    first, second = BatchPipeline(env, StatefulAgent(), 10), BatchPipeline(env, StatefulAgent(), 10)
    assert set(next(iter(second.episodes())).completed_returns) == {15.0}
    assert set(next(iter(first.episodes())).completed_returns) == {15.0}
    first.teardown()
    assert set(evaluate(lambda observation: 0, env, 2).returns) == {15.0}
    second.teardown()
    assert "step" not in vars(env.unwrapped)


def test_looking_at_spaces_leaves_an_environment_as_it_was() -> None:
    env = wrappers.NormalizeReward(gym.make("CartPole-v1"))
    guard = guard_of(env)
    assert guard.space("action") == env.action_space
    assert not any(isinstance(vars(layer).get("step"), RewardTap) for layer in layers_of(env))
    guard.reset(0)
    assert any(isinstance(vars(layer).get("step"), RewardTap) for layer in layers_of(env))
    guard.let_go()
    assert not any(isinstance(vars(layer).get("step"), RewardTap) for layer in layers_of(env))
