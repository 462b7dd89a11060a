"""What a command asked for is kept in the run's folder and read again, whatever a file may say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tensor_optix.cli.plan import (
    ADDED_LATER,
    MAX_ENVS,
    MAX_OVERRIDES,
    SETTINGS_VERSION,
    TrainingPlan,
    check_plan,
    read_plan,
    write_plan,
)
from tensor_optix.core.storage.json_files import read_sealed_json, write_sealed_json
from tensor_optix.core.storage.run_folder import RunFolder
from tensor_optix.exceptions import CheckpointError
from tensor_optix.pipeline.environment_names import EnvironmentName

PLAN = TrainingPlan(
    env_id="CartPole-v1",
    env_kwargs={"sutton_barto_reward": True},
    wrappers=("gymnasium.wrappers:NormalizeObservation",),
    algorithm="dqn",
    seed=3,
    num_envs=4,
    window_size=128,
    max_env_steps=10_000,
    max_windows=None,
    target_score=475,
    rollback=True,
    checkpoint_dir=Path("runs"),
    overrides={"hidden_units": (32, 32), "learning_rate": 1e-3, "activation": "tanh"},
    evaluation_env="Acrobot-v1",
    evaluation_env_kwargs={"size": 3},
    callbacks=("csv", "monitor"),
)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    with RunFolder.create(tmp_path / "runs") as folder:
        folder.write_run_json({})
        return folder.path


def test_what_was_asked_for_comes_back(run: Path) -> None:
    write_plan(run, PLAN)
    assert read_plan(run) == replace(PLAN, checkpoint_dir=run.parent.resolve())
    assert read_plan(run).environment == EnvironmentName("CartPole-v1", PLAN.env_kwargs, PLAN.wrappers)


def test_a_folder_that_was_moved_is_resumed_where_it_lies(run: Path, tmp_path: Path) -> None:
    write_plan(run, PLAN)
    there = tmp_path / "elsewhere"
    there.mkdir()
    assert read_plan(run.rename(there / run.name)).checkpoint_dir == there.resolve()


@pytest.mark.parametrize(
    "changes",
    [
        {"num_envs": MAX_ENVS + 1},
        {"num_envs": 0},
        {"max_windows": 1.5},
        {"max_env_steps": -1},
        {"target_score": True},
        {"rollback": None},
        {"algorithm": "x" * 201},
        {"overrides": [1]},
        {"overrides": {"x": [[1]]}},
        {"overrides": {str(n): n for n in range(MAX_OVERRIDES + 1)}},
        {"overrides": {"hidden_units": [2**20, 2**20]}},
        {"overrides": {"memory_units": 2**14}},
        {"seed": "3"},
        {"callbacks": "csv"},
        {"callbacks": ["os"]},
        {"callbacks": ["csv", "csv"]},
        {"callbacks": [["csv"]]},
        {"hidden": 1},
    ],
)
def test_what_no_command_asks_for_is_refused(run: Path, changes: dict[str, Any]) -> None:
    write_plan(run, PLAN)
    write_sealed_json(run / "command.json", {**read_sealed_json(run / "command.json"), **changes})
    with pytest.raises(CheckpointError, match=r"command\.json says something that no command asked for"):
        read_plan(run)


def test_a_field_that_is_missing_is_no_default(run: Path) -> None:
    write_plan(run, PLAN)
    document = read_sealed_json(run / "command.json")
    del document["seed"]
    write_sealed_json(run / "command.json", document)
    with pytest.raises(CheckpointError, match="no command asked for"):
        read_plan(run)


def test_a_run_of_a_script_is_resumed_by_the_script(run: Path) -> None:
    with pytest.raises(CheckpointError, match=r"is resumed by that script: RLOptimizer\(\.\.\.\)\.run\(resume="):
        read_plan(run)


def test_a_plan_of_an_earlier_version_lacks_what_came_later(run: Path) -> None:
    write_plan(run, replace(PLAN, evaluation_env=None, evaluation_env_kwargs={}))
    document = read_sealed_json(run / "command.json")
    write_sealed_json(
        run / "command.json", {name: value for name, value in document.items() if name not in (*ADDED_LATER, "version")}
    )
    assert read_plan(run).evaluation_environment is None
    assert read_plan(run).seed == 3


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (SETTINGS_VERSION + 1, "was written for a newer tensor-optix: its settings are of version 2"),
        (0, "must be a number like 1"),
        ("1", "must be a number like 1"),
        (True, "must be a number like 1"),
    ],
)
def test_a_version_that_is_not_known_is_refused(run: Path, version: Any, message: str) -> None:
    write_plan(run, PLAN)
    write_sealed_json(run / "command.json", {**read_sealed_json(run / "command.json"), "version": version})
    with pytest.raises(CheckpointError, match=message):
        read_plan(run)


@pytest.mark.parametrize("changes", [{"evaluation_env": 3}, {"evaluation_env_kwargs": {"id": 3}}])
def test_an_evaluation_environment_that_is_none_is_refused(run: Path, changes: dict[str, Any]) -> None:
    write_plan(run, PLAN)
    write_sealed_json(run / "command.json", {**read_sealed_json(run / "command.json"), **changes})
    with pytest.raises(CheckpointError, match="names no environment"):
        read_plan(run)


def test_a_run_of_a_script_is_repeated_by_the_script(run: Path) -> None:
    with pytest.raises(CheckpointError, match=r"is repeated by that script: RLOptimizer\(\.\.\.\)\.run\(\)"):
        read_plan(run, to="repeat")


def test_a_plan_of_somebody_else_may_not_ask_for_too_much() -> None:
    check_plan(PLAN, "config.toml")
    with pytest.raises(CheckpointError, match=r"config\.toml says something that no command asked for: overrides"):
        check_plan(replace(PLAN, overrides={"hidden_units": (2**20, 2**20)}), "config.toml")
