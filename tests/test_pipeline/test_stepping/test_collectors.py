"""What fills windows: step for step what a loop by hand stores, and who is blamed where it breaks off."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from scripted_envs import RandomLengthEnv, policy

from tensor_optix.exceptions import EnvironmentFailureError
from tensor_optix.pipeline.stepping.collectors import Collector
from tensor_optix.pipeline.stepping.env_kinds import kind_of
from tensor_optix.pipeline.stepping.window_builder import BadStepError

NOTHING = np.zeros(0)


def collector_of(env: Any) -> Collector:
    kind = kind_of(env)
    return kind.collector(kind.guard(env))


def window_of(collector: Collector, num_steps: int, act: Any) -> Any:
    window = collector.open_window(num_steps)
    collector.fill(window, act)
    return window.build(0, NOTHING, NOTHING, {})


def by_hand(seed: int, num_steps: int) -> dict[str, list[Any]]:
    """Return what a loop without this package sees in ``RandomLengthEnv``."""
    env, seen = RandomLengthEnv(), {name: [] for name in ("o", "a", "r", "terminated", "truncated", "next")}
    observation = env.reset(seed=seed)[0].copy()
    for _ in range(num_steps):
        action = policy(observation)
        following, reward, terminated, truncated, _ = env.step(action)
        row = (observation, action, reward, terminated, truncated, following.copy())
        for name, value in zip(seen, row, strict=True):
            seen[name].append(value)
        observation = (env.reset()[0] if terminated or truncated else following).copy()
    return seen


@pytest.mark.parametrize("sizes", [[40], [1] * 12, [7, 13, 20]])
def test_one_environment_is_stepped_as_by_hand(sizes: list[int]) -> None:
    collector = collector_of(RandomLengthEnv())
    collector.reset(5)
    windows = [window_of(collector, size, policy) for size in sizes]
    names = ("observations", "actions", "rewards", "terminated", "truncated", "next_observations")
    for name, expected in zip(names, by_hand(5, sum(sizes)).values(), strict=True):
        np.testing.assert_array_equal(np.concatenate([getattr(window, name) for window in windows]), expected)


class Teller(gym.Env[Any, Any]):
    """Says what it is told to say at a step; ends nothing."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (1,), np.float64)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, **said: Any) -> None:
        self.said, self.t = said, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return np.zeros(1), {}

    def step(self, action: Any) -> Any:
        self.t += 1
        usual = {"observation": np.full(1, float(self.t)), "reward": 1.0, "ends": False}
        say = {**usual, **(self.said if self.t == 3 else {})}
        return say["observation"], say["reward"], say["ends"], False, {}


ENVS = {"single": Teller, "vector": lambda **said: SyncVectorEnv([lambda: Teller(**said)])}


@pytest.mark.parametrize("kind", ENVS)
class TestBreakingOff:
    def test_what_does_not_fit_is_named_with_its_step(self, kind: str) -> None:
        collector = collector_of(ENVS[kind](reward="much"))
        collector.reset(0)
        with pytest.raises(EnvironmentFailureError, match=r"step 3 (took or returned|raised)"):
            window_of(collector, 5, always_zero(kind))

    def test_an_agent_that_chokes_on_nan_is_not_blamed(self, kind: str) -> None:
        collector = collector_of(ENVS[kind](observation=np.full(1, np.nan)))
        collector.reset(0)

        def act(observation: Any) -> Any:
            if np.isnan(observation).any():
                raise ValueError("NaN in the input of the first layer")
            return always_zero(kind)(observation)

        with pytest.raises(BadStepError, match="observation that is NaN or infinite at step 3"):
            window_of(collector, 5, act)

    def test_an_agent_that_fails_by_itself_is(self, kind: str) -> None:
        collector = collector_of(ENVS[kind]())
        collector.reset(0)

        def act(observation: Any) -> Any:
            raise ZeroDivisionError("mine")

        with pytest.raises(ZeroDivisionError, match="mine"):
            window_of(collector, 5, act)

    def test_another_environment_goes_on_in_the_same_window(self, kind: str) -> None:
        broken = collector_of(ENVS[kind](reward=np.nan))
        broken.reset(0)
        window = broken.open_window(5)
        with pytest.raises(BadStepError) as raised:
            broken.fill(window, always_zero(kind))
        assert raised.value.num_good == 2
        window.begin_anew(raised.value.num_good)
        other = collector_of(ENVS[kind]())
        other.go_on_from(broken)
        other.reset(0)
        other.fill(window, always_zero(kind))
        data = window.build(0, NOTHING, NOTHING, {})
        assert data.observations.ravel().tolist() == [0, 1, 0, 1, 2]
        assert data.next_observations.ravel().tolist() == [1, 2, 1, 2, 3]
        assert data.rewards.ravel().tolist() == [1.0] * 5


def always_zero(kind: str) -> Any:
    return (lambda _: 0) if kind == "single" else (lambda _: np.zeros(1, int))


def test_same_step_mode_without_the_last_observation_is_refused() -> None:
    class Forgetful(gym.vector.VectorWrapper):
        def step(self, actions: Any) -> Any:
            *results, info = super().step(actions)
            return (*results, {key: value for key, value in info.items() if key != "final_obs"})

    vector = SyncVectorEnv([lambda: Teller(ends=True)], autoreset_mode=AutoresetMode.SAME_STEP)
    collector = collector_of(Forgetful(vector))
    collector.reset(0)
    with pytest.raises(EnvironmentFailureError, match=r"ended at step 3 in same-step autoreset mode.*no 'final_obs'"):
        window_of(collector, 5, always_zero("vector"))
