"""The command line as a whole."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import assert_fails, invoke

import tensor_optix
from tensor_optix.cli.main import app


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_each_command_is_a_file_of_its_own() -> None:
    commands = {command.callback.__name__: command.callback.__module__ for command in app.registered_commands}
    assert commands == {name: f"tensor_optix.cli.{name}" for name in ("train", "resume", "evaluate", "plot")}


@pytest.mark.parametrize("command", ["evaluate", "resume", "plot"])
def test_a_folder_of_runs_is_no_run_and_they_are_named(command: str) -> None:
    for name in ("run-0001", "run-0002"):
        Path("runs", name, "checkpoint").mkdir(parents=True)
    assert_fails(invoke(command, "runs"), 1, "'runs' is not a run, but holds some. Name one: runs/run-0002 is the")


def test_the_version_is_shown() -> None:
    assert invoke("--version").output == f"tensor-optix {tensor_optix.__version__}\n"
