"""Masks are found in three forms or asked for, are those of what is acted on, and bad ones are named."""

from __future__ import annotations

import logging
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from gymnasium.wrappers.vector import DictInfoToList
from harness.masked_envs import SPACES, OnlyAllowed, choices

from tensor_optix import BatchPipeline, evaluate
from tensor_optix.exceptions import (
    EnvironmentFailureError,
    InvalidArgumentError,
    InvalidTypeError,
    UnsupportedSpaceError,
)
from tensor_optix.testing.fakes import StatefulAgent

KINDS = list(SPACES)


class Obedient(StatefulAgent):
    """Takes any action that its mask allows, and remembers the masks."""

    uses_action_masks = True

    def __init__(self, space: Any) -> None:
        super().__init__()
        self.space, self.rng = space, np.random.default_rng(0)
        self.seen: list[Any] = []

    def act(self, observation: Any, *, action_mask: Any = None) -> Any:
        self.seen.append(np.array(action_mask))
        parts = np.split(action_mask, np.cumsum(choices(self.space))[:-1])
        taken = [self.rng.choice(np.flatnonzero(part)) for part in parts]
        if isinstance(self.space, gym.spaces.Discrete):
            return int(taken[0] + self.space.start)
        return np.array(taken, self.space.dtype)


def pipeline_of(env: Any, **settings: Any) -> BatchPipeline:
    space = getattr(env, "single_action_space", env.action_space)
    return BatchPipeline(env, Obedient(space), seed=0, **settings)


def windows(pipeline: BatchPipeline, count: int = 3) -> list[Any]:
    source = pipeline.episodes()
    return [next(source) for _ in range(count)]


def shown(observations: Any) -> np.ndarray:
    """Return what the environment of the tests shows: the mask itself."""
    part = observations["observation"] if isinstance(observations, dict) else observations
    return np.asarray(part) > 0


def check_masks(window: Any) -> None:
    """Check the masks by what the environment shows: those of what was acted on, and of what followed."""
    valid = np.ones(window.rewards.shape, bool) if window.valid is None else window.valid
    np.testing.assert_array_equal(window.action_masks[valid], shown(window.observations)[valid])
    goes_on = valid & ~window.terminated
    np.testing.assert_array_equal(window.next_action_masks[goes_on], shown(window.next_observations)[goes_on])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("told", ["info", "method", "key"])
def test_masks_are_found_by_themselves(kind: str, told: str) -> None:
    env = OnlyAllowed(SPACES[kind], told)
    for window in windows(pipeline_of(env, window_size=20)):
        assert window.action_masks.shape == (20, sum(env.sizes))
        assert window.action_masks.dtype == np.bool_
        if told == "method":  # of a final observation nobody tells beside the episode's end: as it is now
            assert window.action_masks.any(axis=-1).all()
            continue
        check_masks(window)
    assert env.num_taken == 60


@pytest.mark.parametrize("mode", list(AutoresetMode))
@pytest.mark.parametrize("told", ["info", "method", "key"])
def test_in_all_autoreset_modes_masks_are_those_of_what_is_acted_on(mode: AutoresetMode, told: str) -> None:
    lengths = (7, 5, 3)
    env = SyncVectorEnv(
        [lambda n=n: OnlyAllowed(SPACES["discrete"], told, length=n) for n in lengths], autoreset_mode=mode
    )
    for window in windows(pipeline_of(env, window_size=11), 4):
        assert window.action_masks.shape == (11, 3, 5)
        valid = np.ones((11, 3), bool) if window.valid is None else window.valid
        np.testing.assert_array_equal(window.action_masks[valid], shown(window.observations)[valid])
        if told != "method" or mode is not AutoresetMode.SAME_STEP:
            check_masks(window)


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_final_masks_that_nobody_tells_allow_everything(mode: AutoresetMode) -> None:
    env = SyncVectorEnv([lambda: OnlyAllowed(SPACES["discrete"], "info", length=3)] * 2, autoreset_mode=mode)
    window = windows(pipeline_of(env, window_size=12), 1)[0]
    assert window.terminated.any()
    assert window.next_action_masks[window.terminated].all()


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_a_callable_is_asked_for_each_environment(mode: AutoresetMode) -> None:
    env = SyncVectorEnv([lambda: OnlyAllowed(SPACES["multi_discrete"], None)] * 2, autoreset_mode=mode)
    asked = lambda observation, info: observation > 0  # noqa: E731
    for window in windows(pipeline_of(env, window_size=11, action_mask=asked)):
        check_masks(window)


def test_other_processes_are_asked_by_the_method() -> None:
    env = AsyncVectorEnv([lambda: OnlyAllowed(SPACES["discrete"], "method")] * 2)
    try:
        for window in windows(pipeline_of(env, window_size=11), 2):
            valid = window.valid
            np.testing.assert_array_equal(window.action_masks[valid], shown(window.observations)[valid])
    finally:
        env.close()


def test_infos_that_are_a_list_of_dicts() -> None:
    env = DictInfoToList(SyncVectorEnv([lambda: OnlyAllowed(SPACES["discrete"])] * 2))
    for window in windows(pipeline_of(env, window_size=11), 2):
        check_masks(window)


@pytest.mark.parametrize("vector", [False, True])
def test_episodes_are_played_with_masks(vector: bool) -> None:
    space = SPACES["discrete"]
    make = lambda: OnlyAllowed(space)  # noqa: E731
    for mode in AutoresetMode if vector else [None]:
        env = make() if mode is None else SyncVectorEnv([make] * 2, autoreset_mode=mode)
        assert evaluate(Obedient(space), env, 5).num_episodes == 5
        asked = lambda observation, info: np.arange(5) == np.flatnonzero(observation)[-1]  # noqa: E731
        assert evaluate(Obedient(space), env, 5, action_mask=asked).mean == 7.0


def test_none_reads_nothing() -> None:
    class Any_(StatefulAgent):
        def act(self, observation: Any) -> int:
            return 3 + int(np.flatnonzero(observation)[0])

    env = OnlyAllowed(SPACES["discrete"])
    pipeline = BatchPipeline(env, Any_(), 10, seed=0, action_mask=None)
    assert windows(pipeline, 1)[0].action_masks is None


def test_an_agent_that_cannot_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    class Deaf(StatefulAgent):
        def act(self, observation: Any) -> int:
            return 3 + int(np.flatnonzero(observation)[0])

    pipeline = BatchPipeline(OnlyAllowed(SPACES["discrete"]), Deaf(), 10, seed=0)
    with caplog.at_level(logging.WARNING):
        assert [window.action_masks for window in windows(pipeline)] == [None] * 3
    assert [
        record.message.count("tells which actions are allowed (info['action_mask'])") for record in caplog.records
    ] == [1]
    with pytest.raises(InvalidArgumentError, match="Deaf takes no masks"):
        BatchPipeline(OnlyAllowed(SPACES["discrete"]), Deaf(), action_mask=lambda o, i: o > 0).episodes()


class TellsOfNumbers(gym.Wrapper[Any, Any, Any, Any]):
    def reset(self, **arguments: Any) -> Any:
        observation, info = self.env.reset(**arguments)
        return observation, {**info, "action_mask": np.ones(1)}


def test_there_are_no_masks_for_numbers(caplog: pytest.LogCaptureFixture) -> None:
    class Still(StatefulAgent):
        uses_action_masks = True

        def act(self, observation: Any, *, action_mask: Any = None) -> Any:
            assert action_mask is None
            return np.zeros(1, np.float32)

    pipeline = BatchPipeline(TellsOfNumbers(gym.make("Pendulum-v1")), Still(), 10, seed=0)
    with caplog.at_level(logging.WARNING):
        assert windows(pipeline, 2)[1].action_masks is None
    (warning,) = caplog.messages
    assert "there are no masks for actions of Box" in warning


def test_what_was_asked_for_is_checked() -> None:
    with pytest.raises(InvalidTypeError, match='must be "auto", a callable'):
        BatchPipeline(OnlyAllowed(SPACES["discrete"]), action_mask="info")  # type: ignore[arg-type]
    with pytest.raises(UnsupportedSpaceError, match="no masks for actions of Box"):
        BatchPipeline(gym.make("Pendulum-v1"), action_mask=lambda o, i: o)


class Bad(OnlyAllowed):
    """Tells something else than a mask at one step."""

    def __init__(self, what: Any, at: int = 2) -> None:
        super().__init__(SPACES["discrete"])
        self.what, self.at = what, at

    def _info(self) -> dict[str, Any]:
        if self.num_taken < self.at:
            return super()._info()
        return {} if self.what is None else {"action_mask": self.what}


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (None, r"after 2 steps: info\['action_mask'\] tells no mask, as it did before"),
        ([1, 0, 1], r"after 2 steps.*shape \(3,\) was given where \(5,\)"),
        (np.zeros(5), "after 2 steps.*allows none of 5 actions.*End the episode"),
        ([1, 0, np.nan, 0, 0], "after 2 steps.*must hold 0 and 1"),
        (["a"] * 5, "after 2 steps.*array of bool"),
    ],
)
def test_what_is_wrong_is_told_with_step_and_environment(what: Any, said: str) -> None:
    with pytest.raises(EnvironmentFailureError, match=f"Environment Bad, {said}"):
        windows(pipeline_of(Bad(what)))


@pytest.mark.parametrize(
    ("what", "said"), [(None, "tells no mask"), (np.full(5, 2, np.int8), "0 and 1"), (np.zeros(5), "none of 5")]
)
def test_of_many_environments_the_one_to_blame_is_named(what: Any, said: str) -> None:
    env = SyncVectorEnv([lambda: OnlyAllowed(SPACES["discrete"]), lambda: Bad(what)])
    with pytest.raises(EnvironmentFailureError, match=f"after 2 steps, environment 1 of 2: .*{said}"):
        windows(pipeline_of(env))


def test_a_callable_that_fails_is_named() -> None:
    pipeline = pipeline_of(OnlyAllowed(SPACES["discrete"], None), action_mask=lambda observation, info: info["no"])
    with pytest.raises(EnvironmentFailureError, match=r"callable given as `action_mask`, asked .* raised KeyError"):
        windows(pipeline)
