"""`tensor-optix show`: one run in detail."""

from __future__ import annotations

import json
from pathlib import Path

import gymnasium as gym
import pytest
from command_line import RUN, SMALL, assert_fails, invoke, said

from tensor_optix import BatchPipeline, RLOptimizer, make_agent
from tensor_optix.core.storage.run_folder import RunFolder


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_run_is_told_in_detail() -> None:
    trained = json.loads(invoke("train", "CartPole-v1", *SMALL, "--set", "gamma=0.9", "--json").stdout)
    done = invoke("show", RUN)
    assert done.exit_code == 0, done.output
    for part in ("Verdict budget", "max_episodes=2 windows were used", "Environment CartPole-v1", "Seed 0"):
        assert part in said(done)
    for part in (
        "num_envs=2",
        "window_size=50",
        "hidden_units=[4] gamma=0.9",
        "gamma=0.9",
        "tensorflow 2",
        "in window",
    ):
        assert part in said(done)
    assert f"Next: tensor-optix resume {RUN} --max-windows 4" in said(done)
    assert f"tensor-optix train --config {RUN}" in said(done)
    document = json.loads(invoke("show", RUN, "--json").stdout)
    assert document["result"]["confirmed_mean"] == document["confirmed_mean"] == trained["confirmed_mean"]
    assert document["settings"]["agent"] == {"hidden_units": [4], "gamma": 0.9}
    assert document["description"]["versions"]["gymnasium"] == gym.__version__
    assert document["last_window"]["window"] == 1
    assert len(document["champions"]) >= 1


def test_a_run_of_a_script_is_shown_and_no_command_is_advised_that_cannot_be() -> None:
    agent = make_agent("CartPole-v1", "policy_gradient", hidden_units=(4,), seed=0)
    pipeline = BatchPipeline(lambda: gym.make("CartPole-v1"), agent, window_size=50)
    RLOptimizer(agent, pipeline, checkpoint_dir="runs", max_episodes=1, seed=0, report_episodes=2).run()
    done = invoke("show", "runs/run-0001")
    assert done.exit_code == 0, done.output
    assert "Settings those of a script" in said(done)
    assert "tensor-optix resume" not in done.output
    assert "--config" not in done.output
    assert "tensor-optix evaluate runs/run-0001" in done.output


def test_a_run_that_goes_on_is_shown_as_far_as_it_is() -> None:
    with RunFolder.create("runs") as held:
        held.write_run_json({"pipeline": {"env_id": "Maze-v0"}})
        held.history.append({"window": 0, "env_steps": 1234, "score": 3.5, "state": "active"})
        held.history.flush()
        done = invoke("show", "runs/run-0001")
    for part in ("Verdict running", "Env steps 1,234", "Score 3.5", "Environment Maze-v0"):
        assert part in said(done)
    assert "tensor-optix resume" not in done.output


def test_folders_that_are_no_runs() -> None:
    Path("empty").mkdir()
    assert_fails(invoke("show", "empty"), 1, "empty is not the folder of a run: nothing was begun in it")
    assert_fails(invoke("show", "nowhere"), 1, "There is no run folder 'nowhere'")
