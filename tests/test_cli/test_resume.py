"""`tensor-optix resume`: a run that was killed goes on to the very end it would have had."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_line import assert_fails, invoke

from tensor_optix.core.storage.json_files import read_sealed_json, write_sealed_json
from tensor_optix.core.storage.run_folder import RunFolder

COMMAND = [sys.executable, "-c", "from tensor_optix.cli.main import main; main()"]
OPTIONS = ["--algorithm", "policy_gradient", "--set", "hidden_units=[8]", "--num-envs", "1", "--window-size", "200"]
SLOWLY = ["--learning-rate", "1e-5"]  # greedy episodes stay short, of which a report has a hundred
TRAIN = ["train", "CartPole-v1", "--seed", "3", *OPTIONS, *SLOWLY]
PLACE = "tensor_optix_checkpoints/run-0001"


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def reached(output: str) -> list[str]:
    return [line for line in output.splitlines() if line.startswith(("Reached", "Env steps"))]


@pytest.mark.skipif(os.name != "posix", reason="sends SIGKILL")
def test_a_killed_run_is_resumed_with_all_its_options(tmp_path: Path) -> None:
    expected = invoke(*TRAIN, "--max-windows", "40", "--quiet", "--checkpoint-dir", "left-alone")
    assert expected.exit_code == 0, expected.output
    running = subprocess.Popen([*COMMAND, *TRAIN, "--max-windows", "40"], stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    deadline = time.monotonic() + 120
    while not Path(PLACE, "checkpoint", "a", "loop.json").exists() or "  window " not in running.stdout.readline():
        assert time.monotonic() < deadline
        assert running.poll() is None
    running.send_signal(signal.SIGKILL)
    running.wait()
    done = invoke("resume", PLACE, "--quiet")
    assert done.exit_code == 0, done.output
    assert "max_episodes=40" in done.output
    assert reached(done.output) == reached(expected.output)
    first, second = (Path(place, "history.jsonl").read_text() for place in ("left-alone/run-0001", PLACE))
    assert first == second
    assert [path.name for path in Path("tensor_optix_checkpoints").iterdir()] == ["run-0001"]


def test_a_larger_budget_may_be_given() -> None:
    invoke(*TRAIN, "--max-windows", "2", "--quiet")
    done = invoke("resume", PLACE, "--quiet", "--max-windows", "4")
    assert done.exit_code == 0, done.output
    assert "max_episodes=4" in done.output


def test_and_is_the_budget_from_then_on() -> None:
    invoke(*TRAIN, "--max-windows", "2", "--quiet")
    larger = invoke("resume", PLACE, "--quiet", "--max-windows", "4")
    files = {path: path.read_bytes() for path in Path(PLACE).rglob("*") if path.is_file()}
    again = invoke("resume", PLACE, "--quiet")
    assert again.exit_code == 0, again.output
    assert reached(again.output) == reached(larger.output) != []
    assert files == {path: path.read_bytes() for path in Path(PLACE).rglob("*") if path.is_file()}


def test_a_seed_that_was_drawn_is_told_and_used_again() -> None:
    options = ["CartPole-v1", *OPTIONS, "--max-windows", "2", "--quiet"]
    seeds = [
        line
        for call in (["train", *options], ["resume", PLACE, "--quiet"], ["resume", PLACE, "-q", "--max-windows", "3"])
        for line in invoke(*call).output.splitlines()
        if line.startswith("Seed")
    ]
    assert len(seeds) == 3
    assert len(set(seeds)) == 1
    assert read_sealed_json(Path(PLACE, "command.json"))["seed"] == int(seeds[0].split()[1])


def test_a_missing_folder_is_an_error() -> None:
    assert_fails(invoke("resume", "nowhere"), 1, "There is no run folder 'nowhere'")


def test_a_run_of_a_script_is_resumed_by_the_script() -> None:
    Path("run-0001").mkdir()
    assert_fails(invoke("resume", "run-0001"), 1, "is resumed by that script: RLOptimizer(...).run(resume='run-0001')")


def test_a_run_that_is_in_use_is_refused_and_not_called_interrupted() -> None:
    invoke(*TRAIN, "--max-windows", "1", "--quiet")
    with RunFolder.open(PLACE):
        done = invoke("resume", PLACE, "--quiet")
    assert_fails(done, 1, "is in use by the process with pid")
    assert "Interrupted" not in done.output


def test_a_plan_that_no_command_wrote_is_refused() -> None:
    invoke(*TRAIN, "--max-windows", "1", "--quiet")
    path = Path(PLACE, "command.json")
    document = read_sealed_json(path)
    write_sealed_json(path, {**document, "surprise": 1})
    assert_fails(invoke("resume", PLACE), 1, "says something that no command asked for")
