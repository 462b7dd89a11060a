"""An environment that fails is named, with the step and the cause."""

from __future__ import annotations

import logging
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from tensor_optix.exceptions import EnvironmentFailureError, InvalidTypeError, NonFiniteError
from tensor_optix.pipeline.stepping.env_guard import EnvGuard, open_env


class Scripted(gym.Env[Any, Any]):
    """Returns what it is told to, or raises it."""

    observation_space = gym.spaces.Box(-1.0, 1.0, (2,))
    action_space = gym.spaces.Discrete(2)

    def __init__(self, *results: Any) -> None:
        self.results = list(results)
        self.asked: list[dict[str, Any]] = []

    def reset(self, **arguments: Any) -> Any:
        self.asked.append(arguments)
        return self._next((np.zeros(2, np.float32), {}))

    def step(self, action: Any) -> Any:
        return self._next((np.zeros(2, np.float32), 1.0, False, False, {}))

    def _next(self, default: Any) -> Any:
        result = self.results.pop(0) if self.results else default
        if isinstance(result, Exception):
            raise result
        return result


class TestOpening:
    def test_an_instance_is_taken_and_a_callable_called(self) -> None:
        env = Scripted()
        assert open_env(env) == (env, False)
        assert open_env(lambda: env) == (env, True)

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ("CartPole-v1", r"Received the id 'CartPole-v1': pass gym\.make\('CartPole-v1'\)"),
            (7, "must be a gymnasium.Env, a gymnasium.vector.VectorEnv or a callable.*Received: 7 of type int"),
            (lambda: 7, "must return an environment. It returned: 7 of type int"),
            (lambda: Scripted, "must return an environment"),
        ],
    )
    def test_what_is_none_is_told(self, given: Any, message: str) -> None:
        with pytest.raises(InvalidTypeError, match=message):
            open_env(given)

    def test_a_callable_that_fails_is_told(self) -> None:
        def fail() -> Any:
            raise KeyError("map")

        with pytest.raises(EnvironmentFailureError, match="given as `env` raised KeyError: 'map'") as raised:
            open_env(fail)
        assert isinstance(raised.value.__cause__, KeyError)

    def test_our_own_errors_come_as_they_are(self) -> None:
        def fail() -> Any:
            raise InvalidTypeError("mine")

        with pytest.raises(InvalidTypeError, match=r"^mine$"):
            open_env(fail)


class TestCalling:
    def test_a_seed_is_handed_on_and_nothing_is_made_up(self) -> None:
        env = Scripted()
        guard = EnvGuard(env)
        guard.reset(5)
        guard.reset()
        guard.reset(options={"level": 2})
        assert env.asked == [{"seed": 5}, {}, {"options": {"level": 2}}]

    def test_steps_are_counted_and_a_failure_says_which(self) -> None:
        guard = EnvGuard(Scripted((np.zeros(2, np.float32), {})))
        guard.reset()
        for _ in range(3):
            guard.step(0)
        guard.env.results = [ValueError("off the track")]
        with pytest.raises(EnvironmentFailureError, match=r"Scripted: step 4 raised ValueError: off the track"):
            guard.step(1)
        guard.env.results = [OSError("gone")]
        with pytest.raises(EnvironmentFailureError, match=r"reset\(\) raised after 3 steps: OSError: gone"):
            guard.reset()

    def test_the_agent_is_blamed_for_an_action_that_is_no_number(self) -> None:
        with pytest.raises(NonFiniteError, match=r"The agent gave environment Scripted an action.*at step 1: nan"):
            EnvGuard(Scripted(ValueError("bad action"))).step(np.nan)

    @pytest.mark.parametrize(
        ("result", "message"),
        [
            ((np.zeros(2), 1.0, True, {}), r"returned 4 values.*told apart into terminated and truncated"),
            (None, r"returned None\. Expected Gymnasium's five"),
            ((np.zeros(3), 1.0, True, False, {}), r"an observation of shape \(3,\)\. Expected \(2,\)"),
        ],
    )
    def test_a_step_of_another_api_is_told(self, result: Any, message: str) -> None:
        with pytest.raises(EnvironmentFailureError, match=message):
            EnvGuard(Scripted(result)).step(0)

    @pytest.mark.parametrize("result", [np.zeros(2), (np.zeros(2), 5), (np.zeros(2),)])
    def test_a_reset_of_another_api_is_told(self, result: Any) -> None:
        with pytest.raises(EnvironmentFailureError, match=r"reset\(\) must return \(observation, info\)"):
            EnvGuard(Scripted(result)).reset()

    def test_the_name_is_the_registered_one_where_there_is_one(self) -> None:
        assert EnvGuard(gym.make("CartPole-v1")).name == "CartPole-v1"
        assert EnvGuard(gym.wrappers.FlattenObservation(Scripted())).name == "Scripted"


def test_episodes_are_cut_only_where_no_limit_is_known() -> None:
    assert EnvGuard(gym.make("CartPole-v1")).step_limit == float("inf")
    assert EnvGuard(Scripted()).step_limit == 10_000


def test_a_failure_to_close_is_logged_and_loses_nothing(caplog: pytest.LogCaptureFixture) -> None:
    class Sticky(Scripted):
        def close(self) -> None:
            raise RuntimeError("will not")

    with caplog.at_level(logging.WARNING):
        EnvGuard(Sticky()).close()
    assert "Environment Sticky could not be closed" in caplog.text
    EnvGuard(object()).close()
