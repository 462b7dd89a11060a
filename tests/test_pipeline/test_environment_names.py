"""One way to name an environment, in Python."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from tensor_optix import BatchPipeline, EnvironmentName, evaluate, make_agent, make_pipeline
from tensor_optix.exceptions import (
    EnvironmentFailureError,
    InvalidArgumentError,
    InvalidTypeError,
    UnknownEnvironmentError,
    UnsafeFileError,
)
from tensor_optix.pipeline.named_modules import import_named, keep_off_the_path

BARN = """
import gymnasium as gym

class Barn(gym.Wrapper):
    def step(self, action):
        observation, reward, *rest = super().step(action)
        return observation, self.pay * reward, *rest

def paying(pay):
    def wrap(env):
        wrapped = Barn(env)
        wrapped.pay = pay
        return wrapped
    return wrap

double = paying(2)

def breaks(env):
    raise OSError("no hay")

def make(**kwargs):
    return gym.make("CartPole-v1", **kwargs).unwrapped

gym.register("Barn-v0", entry_point="barn:make", max_episode_steps=30)
"""


@pytest.fixture
def barn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder, the current one, with a module that is not on Python's path."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    (tmp_path / "barn.py").write_text(BARN, encoding="utf-8")
    yield tmp_path
    sys.modules.pop("barn", None)
    gym.registry.pop("Barn-v0", None)


def always_left(observation: object) -> int:
    return 0


class TestEverywhere:
    def test_an_id_of_a_module_in_the_current_folder(self, barn: Path) -> None:
        assert evaluate(always_left, "barn:Barn-v0", 3).num_episodes == 3
        assert make_agent("barn:Barn-v0", hidden_units=(4,), seed=0).act is not None
        pipeline = make_pipeline("barn:Barn-v0", num_envs=2)
        assert (pipeline.env_id, pipeline.num_envs) == ("barn:Barn-v0", 2)
        pipeline.teardown()

    @pytest.mark.parametrize("num_envs", [1, 3])
    def test_arguments_and_wrappers_reach_each_single_environment(self, barn: Path, num_envs: int) -> None:
        name = EnvironmentName("barn:Barn-v0", {"sutton_barto_reward": True}, ["barn:double"])
        pipeline = make_pipeline(name, num_envs=num_envs)
        assert evaluate(always_left, pipeline.env, 3).returns.tolist() == [-2.0] * 3
        facts = {"env_id": "barn:Barn-v0", "env_kwargs": {"sutton_barto_reward": True}, "wrappers": ["barn:double"]}
        assert pipeline.describe_environment() == {**facts, "unnamed": []}
        pipeline.teardown()

    def test_it_is_a_callable_that_makes_one(self, barn: Path) -> None:
        name = EnvironmentName("barn:Barn-v0", wrappers=("barn:double",))
        assert evaluate(always_left, name, 2).env_steps > 0
        assert BatchPipeline(name, window_size=10).env_id == "barn:Barn-v0"
        assert str(name) == "barn:Barn-v0 (in barn:double)"

    def test_the_current_folder_comes_last_on_the_path_and_only_if_it_was_needed(self, barn: Path) -> None:
        EnvironmentName("CartPole-v1", wrappers=["gymnasium.wrappers:RecordEpisodeStatistics"]).check()
        assert str(barn) not in sys.path
        EnvironmentName("barn:Barn-v0").check()
        assert sys.path[-1] == str(barn)

    def test_a_module_in_the_current_folder_may_come_before_an_installed_one(self, barn: Path) -> None:
        (barn / "antigravity.py").write_text("", encoding="utf-8")
        try:
            found = import_named("antigravity", "antigravity:Env-v0", current_folder_first=True)
            assert found.__file__ == str(barn / "antigravity.py")
        finally:
            sys.modules.pop("antigravity", None)


class TestRunFolders:
    @pytest.mark.parametrize("mark", ["run.json", "run.lock"])
    @pytest.mark.parametrize("below", [".", "checkpoint/a"])
    def test_nothing_is_imported_from_the_folder_of_a_run(
        self, barn: Path, mark: str, below: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (barn / mark).touch()
        (barn / below).mkdir(parents=True, exist_ok=True)
        (barn / below / "barn.py").write_text(BARN, encoding="utf-8")
        monkeypatch.chdir(barn / below)
        with pytest.raises(UnknownEnvironmentError, match="The current folder belongs to a run"):
            evaluate(always_left, "barn:Barn-v0")
        monkeypatch.syspath_prepend(str(barn / below))
        with pytest.raises(UnsafeFileError, match="lies in the folder of a run"):
            evaluate(always_left, "barn:Barn-v0")
        keep_off_the_path()
        assert str(barn / below) not in sys.path


class TestWhatIsNoName:
    @pytest.mark.parametrize("env_id", ["", ":CartPole-v1", "CartPole-v1:", "a:b:c", "a b:CartPole-v1", "x" * 300])
    def test_an_id(self, env_id: str) -> None:
        with pytest.raises(UnknownEnvironmentError, match="is named by an id like 'CartPole-v1' or 'module:Env-v0'"):
            EnvironmentName(env_id)

    def test_another_type(self) -> None:
        with pytest.raises(InvalidTypeError, match="must be text"):
            EnvironmentName(3)  # type: ignore[arg-type]
        with pytest.raises(InvalidTypeError, match="arguments must be a dict"):
            EnvironmentName("CartPole-v1", [3])  # type: ignore[arg-type]
        with pytest.raises(InvalidTypeError, match="must be a list of names"):
            EnvironmentName("CartPole-v1", wrappers="gymnasium.wrappers:NormalizeReward")  # type: ignore[arg-type]
        with pytest.raises(InvalidArgumentError, match="such that JSON holds them"):
            EnvironmentName("CartPole-v1", {"size": object()})

    def test_a_failure_names_what_failed(self, barn: Path) -> None:
        with pytest.raises(EnvironmentFailureError, match="The wrapper barn:breaks could not be made: OSError: no hay"):
            evaluate(always_left, EnvironmentName("barn:Barn-v0", wrappers=["barn:breaks"]))
        with pytest.raises(EnvironmentFailureError, match="The wrapper barn:breaks could not be made: OSError: no hay"):
            make_pipeline(EnvironmentName("barn:Barn-v0", wrappers=["barn:breaks"]), num_envs=2)
        with pytest.raises(EnvironmentFailureError, match=r"returned: None of type NoneType"):
            evaluate(always_left, EnvironmentName("barn:Barn-v0", wrappers=["builtins:print"]))


def test_numbers_of_numpy_become_those_of_python():
    name = EnvironmentName("Pendulum-v1", {"g": np.float32(9.5)})
    assert type(name.kwargs["g"]) is float
    assert "9.5" in str(name)
