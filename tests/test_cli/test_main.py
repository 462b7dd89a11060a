"""The command line as a whole."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from command_line import assert_fails, invoke
from typer.testing import CliRunner

import tensor_optix
from tensor_optix.cli.main import app

COMMAND = [sys.executable, "-c", "from tensor_optix.cli.main import main; main()"]

NAMES = ("train", "resume", "evaluate", "video", "export", "plot", "list", "show", "report", "compare", "doctor")
HOMES = {"report": "write_report"}
"""Files that are named otherwise: `reporting` has a file of the command's name."""


def name_of(command: Any) -> str:
    return str(command.name or command.callback.__name__)


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_each_command_is_a_file_of_its_own() -> None:
    commands = {name_of(command): command.callback.__module__ for command in app.registered_commands}
    assert commands == {name: f"tensor_optix.cli.{HOMES.get(name, name)}" for name in NAMES}


@pytest.mark.parametrize("command", ["evaluate", "resume", "plot", "show", "video", "export", "report"])
def test_a_folder_of_runs_is_no_run_and_they_are_named(command: str) -> None:
    for name in ("run-0001", "run-0002"):
        Path("runs", name, "checkpoint").mkdir(parents=True)
    assert_fails(invoke(command, "runs"), 1, "'runs' is not a run, but holds some. Name one: runs/run-0002 is the")


def test_help_is_asked_for_by_one_letter_too() -> None:
    for command in ([], ["train"], ["resume"], ["evaluate"]):
        assert invoke(*command, "-h").output == invoke(*command, "--help").output


@pytest.mark.parametrize("command", [[], *([name] for name in NAMES)])
def test_help_is_readable_at_80_columns(command: list[str]) -> None:
    """No line is wider, and no column of help texts is so narrow that it is a pillar of words."""
    output = CliRunner(env={"COLUMNS": "80"}).invoke(app, [*command, "--help"]).output
    assert max(map(len, output.splitlines())) <= 80
    assert len(output.splitlines()) < 90
    assert "…" not in output


@pytest.mark.parametrize("start", [[sys.executable, "-m", "tensor_optix"], COMMAND])
def test_help_imports_no_more_than_it_needs_and_has_one_name(start: list[str]) -> None:
    done = subprocess.run([*start, "--help"], capture_output=True, text=True, check=True)
    assert "Usage: tensor-optix " in done.stdout
    look = "import sys; from tensor_optix.cli.main import app; print([n for n in sys.modules if n in HEAVY])"
    heavy = {"numpy", "scipy", "gymnasium", "tensorflow", "keras", "filelock", "yaml"}
    code = look.replace("HEAVY", repr(heavy))
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_are_told_how_to_complete(shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    done = CliRunner(env={"COLUMNS": "120"}).invoke(app, ["--show-completion", shell], prog_name="tensor-optix")
    assert done.exit_code == 0, done.output
    assert "tensor-optix" in done.output
    assert "_TENSOR_OPTIX_COMPLETE" in done.output


def test_commands_and_algorithms_are_completed() -> None:
    words = {"tensor-optix tr": "train", "tensor-optix train --algorithm p": "policy_gradient"}
    for typed, completed in words.items():
        environment = {"_TENSOR_OPTIX_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": "1"}
        environment["COMP_CWORD"] = str(len(typed.split()) - 1)
        done = subprocess.run(COMMAND, capture_output=True, text=True, env={**os.environ, **environment})
        assert completed in done.stdout.split(), done.stderr


def test_the_version_is_shown() -> None:
    assert invoke("--version").output == f"tensor-optix {tensor_optix.__version__}\n"
