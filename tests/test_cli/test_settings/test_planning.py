"""From files and typed settings to a plan; and what a run's folder may not have done unasked."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import forget, was_imported, write_module

from tensor_optix.cli import plan as plan_module
from tensor_optix.cli.plan import TrainingPlan
from tensor_optix.cli.settings import setting_names
from tensor_optix.cli.settings.config import Config
from tensor_optix.cli.settings.planning import allow_the_rest, plan_from, planned
from tensor_optix.exceptions import CheckpointError, InvalidArgumentError, UnknownEnvironmentError, UnsafeFileError
from tensor_optix.reporting.named_callbacks import NAMED_CALLBACKS

MODULE = "labyrinth"
ENV = f"{MODULE}:{MODULE}-v0"


@pytest.fixture(autouse=True)
def a_callback_that_sends(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (plan_module, setting_names):
        monkeypatch.setattr(module, "NAMED_CALLBACKS", (*NAMED_CALLBACKS, "elsewhere"))


@pytest.fixture(autouse=True)
def a_module_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    write_module(MODULE)
    yield
    forget(MODULE)


def config(*, is_foreign: bool = False, **settings: Any) -> Config:
    run_dir = Path("runs/run-0001")
    return Config(run_dir / "run.json" if is_foreign else Path("mine.toml"), settings, run_dir if is_foreign else None)


def test_what_is_typed_comes_before_the_file() -> None:
    said = config(env="CartPole-v1", seed=1, num_envs=2, agent={"gamma": 0.9, "x": 1})
    plan = planned(said, {"seed": 2, "agent": {"gamma": 0.5}})
    assert (plan.seed, plan.num_envs, plan.overrides) == (2, 2, {"gamma": 0.5, "x": 1})


def test_without_a_file_what_is_typed_is_all() -> None:
    plan = planned(None, {"env": "CartPole-v1", "wrappers": ["gymnasium.wrappers:ClipReward"], "algorithm": "PPO"})
    assert (plan.env_id, plan.wrappers, plan.algorithm) == ("CartPole-v1", ("gymnasium.wrappers:ClipReward",), "ppo")
    assert plan.checkpoint_dir == Path("tensor_optix_checkpoints")


def test_an_environment_has_to_be_named() -> None:
    with pytest.raises(InvalidArgumentError, match=r"Which environment\? .*tensor-optix train CartPole-v1.*--config"):
        planned(None, {})


def test_arguments_of_no_evaluation_environment_are_told() -> None:
    with pytest.raises(InvalidArgumentError, match="arguments of the environment that --evaluation-env names"):
        planned(None, {"env": "CartPole-v1", "evaluation_env_kwargs": {"size": 3}})


def test_a_number_out_of_range_is_told() -> None:
    with pytest.raises(InvalidArgumentError, match="The command line: `num_envs`"):
        planned(None, {"env": "CartPole-v1", "num_envs": 5000})


@pytest.mark.parametrize("name", ["env", "evaluation_env"])
def test_the_user_s_own_file_is_the_user_s_word(name: str) -> None:
    plan = planned(config(**{"env": "CartPole-v1", name: ENV}), {})
    assert was_imported(MODULE)
    assert plan.environment.id == plan.env_id


def test_an_unknown_environment_of_evaluation_is_told() -> None:
    with pytest.raises(UnknownEnvironmentError, match="Did you mean Acrobot-v1"):
        planned(config(env="CartPole-v1", evaluation_env="Akrobot-v1"), {})


FOREIGN: list[tuple[dict[str, Any], str]] = [
    ({"env": ENV}, f"import the module '{MODULE}'"),
    ({"evaluation_env": ENV}, f"import the module '{MODULE}'"),
    ({"algorithm": f"{MODULE}:x"}, f"import the module '{MODULE}'"),
    ({"wrappers": (f"{MODULE}:twice",)}, f"call '{MODULE}:twice'"),
    ({"env_kwargs": {"path": "/etc/passwd"}}, "pass path="),
    ({"evaluation_env": "Acrobot-v1", "evaluation_env_kwargs": {"path": "/etc/passwd"}}, "pass path="),
    (
        {"env_kwargs": {"path": "/x"}, "evaluation_env": "Acrobot-v1", "evaluation_env_kwargs": {"path": 1}},
        "pass path=",
    ),
    ({"checkpoint_dir": "/etc"}, "write to '/etc'"),
    ({"callbacks": ("elsewhere",)}, "send what happens to elsewhere"),
]


@pytest.mark.parametrize(("wish", "message"), FOREIGN)
def test_what_only_a_run_s_folder_asks_for_is_not_done(wish: dict[str, Any], message: str) -> None:
    said = config(is_foreign=True, **{"env": "CartPole-v1", **wish})
    with pytest.raises(UnsafeFileError, match=rf"lies in the folder of a run, and would {message}.*--trust-env"):
        planned(said, {})
    assert not was_imported(MODULE)


@pytest.mark.parametrize(("wish", "message"), FOREIGN)
def test_what_is_typed_too_is_the_user_s_word(wish: dict[str, Any], message: str) -> None:
    planned(config(is_foreign=True, **{"env": "CartPole-v1", **wish}), wish)


@pytest.mark.parametrize(("wish", "message"), FOREIGN)
def test_a_user_who_trusts_the_folder_has_it_done(wish: dict[str, Any], message: str) -> None:
    assert planned(config(is_foreign=True, **{"env": "CartPole-v1", **wish}), {}, is_trusted=True)


def test_beside_a_run_is_where_its_repetition_may_be() -> None:
    said = config(is_foreign=True, env="CartPole-v1", checkpoint_dir=Path("runs").resolve())
    assert planned(said, {}).checkpoint_dir == Path("runs").resolve()


def test_a_run_s_folder_may_not_ask_for_too_much_even_if_trusted() -> None:
    said = config(is_foreign=True, env="CartPole-v1", agent={"hidden_units": (2**20, 2**20)})
    with pytest.raises(CheckpointError, match="no command asked for"):
        planned(said, {}, is_trusted=True)


def test_settings_by_name_are_a_plan() -> None:
    plan = plan_from({"env": "CartPole-v1", "agent": {"gamma": 0.9}, "checkpoint_dir": "runs"})
    assert (plan.env_id, plan.overrides, plan.checkpoint_dir) == ("CartPole-v1", {"gamma": 0.9}, Path("runs"))


class TestEvaluationOfARunThatGoesOn:
    plan = TrainingPlan("CartPole-v1", evaluation_env=ENV)

    def test_a_folder_alone_has_nothing_imported(self) -> None:
        with pytest.raises(UnsafeFileError, match=f"says what would import the module '{MODULE}'"):
            allow_the_rest(self.plan, Path("runs/run-0001"), False)
        assert not was_imported(MODULE)
        asks = TrainingPlan("CartPole-v1", evaluation_env="Acrobot-v1", evaluation_env_kwargs={"path": "/etc"})
        with pytest.raises(UnsafeFileError, match="pass path="):
            allow_the_rest(asks, Path("runs/run-0001"), False)

    def test_a_folder_alone_has_nothing_sent(self) -> None:
        asks = TrainingPlan("CartPole-v1", callbacks=("csv", "elsewhere"))
        with pytest.raises(UnsafeFileError, match="says what would send what happens to elsewhere: "):
            allow_the_rest(asks, Path("runs/run-0001"), False)
        allow_the_rest(asks, Path("runs/run-0001"), True)
        allow_the_rest(TrainingPlan("CartPole-v1", callbacks=("csv", "monitor")), Path("runs/run-0001"), False)

    def test_a_user_who_trusts_it_has(self) -> None:
        allow_the_rest(self.plan, Path("runs/run-0001"), True)
        assert was_imported(MODULE)

    def test_what_gymnasium_knows_is_harmless(self) -> None:
        allow_the_rest(TrainingPlan("CartPole-v1", evaluation_env="Acrobot-v1"), Path("runs/run-0001"), False)
        allow_the_rest(TrainingPlan("CartPole-v1"), Path("runs/run-0001"), False)
