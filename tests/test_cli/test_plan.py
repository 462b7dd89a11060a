"""What a command asked for is kept in the run's folder and read again, whatever a file may say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tensor_optix.cli.plan import MAX_ENVS, MAX_OVERRIDES, TrainingPlan, read_plan, write_plan
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
        {"seed": "3"},
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
