"""`tensor-optix list`: the runs of a folder, whatever became of them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from command_line import SMALL, assert_fails, invoke, said

from tensor_optix.core.storage.json_files import read_sealed_json, write_sealed_json
from tensor_optix.core.storage.run_folder import RunFolder


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_runs_are_shown_with_what_they_came_to() -> None:
    trained = json.loads(invoke("train", "CartPole-v1", *SMALL, "--checkpoint-dir", "runs", "--json").stdout)
    with RunFolder.create("runs") as held:
        held.write_run_json({"pipeline": {"env_id": "Maze-v0"}, "seed": 3})
        held.history.append({"window": 0, "env_steps": 1234})
        held.history.flush()
        runs = json.loads(invoke("list", "runs", "--json").stdout)["runs"]
        shown = invoke("list", "runs").output
    assert [run["verdict"] for run in runs] == ["budget", "running"]
    assert runs[0]["confirmed_mean"] == trained["confirmed_mean"]
    assert runs[0]["confirmed_interval"] == trained["confirmed_interval"]
    assert (runs[0]["env"], runs[0]["algorithm"], runs[0]["seed"]) == ("CartPole-v1", "policy_gradient", 0)
    assert runs[0]["env_steps"] == sum(trained["env_steps"].values()) - trained["env_steps"]["report"]
    assert (runs[1]["env"], runs[1]["env_steps"]) == ("Maze-v0", 1234)
    for part in ("run-0001", "budget", f"{trained['confirmed_mean']:.2f} (", "run-0002", "running", "1,234"):
        assert part in shown
    assert "tensor-optix show runs/run-0002" in shown
    assert json.loads(invoke("list", "runs", "--json").stdout)["runs"][1]["verdict"] == "unfinished"


def test_what_a_stranger_wrote_gives_no_orders_to_the_terminal_and_damage_is_no_end() -> None:
    for name in ("runs/run-0001", "runs/run-0002"):
        Path(name).mkdir(parents=True)
    write_sealed_json(Path("runs/run-0001/run.json"), {"pipeline": {"env_id": "\x1b[2Jx"}, "agent": 3, "started": [1]})
    Path("runs/run-0002/run.json").write_text("{")
    done = invoke("list", "runs")
    assert done.exit_code == 0, done.output
    assert "\x1b" not in done.output
    assert "?[2Jx" in done.output
    assert done.output.count("unfinished") == 2


def test_folders_that_hold_none() -> None:
    Path("empty").mkdir()
    done = invoke("list", "empty")
    assert done.exit_code == 0
    assert said(done) == "No runs in empty. Next: tensor-optix train CartPole-v1"
    assert json.loads(invoke("list", "empty", "--json").stdout)["runs"] == []
    assert_fails(invoke("list"), 1, "There is no folder 'tensor_optix_checkpoints'. Name one that holds runs, or begin")
    Path("runs/run-0001/checkpoint").mkdir(parents=True)
    assert_fails(invoke("list", "runs/run-0001"), 1, "is a run itself: tensor-optix show runs/run-0001")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read anything")
def test_a_folder_that_may_not_be_read() -> None:
    Path("shut").mkdir(mode=0)
    assert_fails(invoke("list", "shut"), 1, "Could not list shut")


def test_a_run_that_was_resumed_elsewhere_is_told_by_its_newest_result() -> None:
    invoke("train", "CartPole-v1", *SMALL, "--checkpoint-dir", "runs")
    path = Path("runs/run-0001/result.json")
    write_sealed_json(path, {**read_sealed_json(path), "reason": "trained"})
    assert json.loads(invoke("list", "runs", "--json").stdout)["runs"][0]["verdict"] == "trained"
