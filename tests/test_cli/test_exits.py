"""What `tensor-optix` says to the shell."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tensor_optix.cli import training
from tensor_optix.cli.main import app
from tensor_optix.core.run_result import RunResult
from tensor_optix.core.types import LoopState

COMMAND = [sys.executable, "-c", "from tensor_optix.cli.main import main; main()"]


@pytest.mark.parametrize(
    ("reason", "is_interrupted", "code"),
    [
        ("trained", False, 0),
        ("target", False, 0),
        ("budget", False, 0),
        ("stalled", False, 3),
        ("stopped", True, 130),
        ("budget", True, 130),
    ],
)
def test_a_run_ends_the_command_as_it_ended(
    monkeypatch: pytest.MonkeyPatch, reason: str, is_interrupted: bool, code: int
) -> None:
    result = RunResult(reason, "", LoopState.ACTIVE, None, None, {}, 0, 0.0, None, {}, (), is_interrupted)
    monkeypatch.setattr(training, "run_training", lambda *_, **__: result)
    assert CliRunner().invoke(app, ["train", "CartPole-v1"]).exit_code == code


@pytest.mark.parametrize("command", [[], ["train"], ["resume"]])
def test_the_help_names_them(command: list[str]) -> None:
    output = " ".join(CliRunner(env={"COLUMNS": "200"}).invoke(app, [*command, "--help"]).output.split())
    assert "Exit codes: 0 trained, target or budget; 3 stalled" in output
    assert "130 interrupted" in output


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
@pytest.mark.slow  # test_train.py presses once and twice, too
@pytest.mark.parametrize("num_presses", [1, 2])
def test_ctrl_c_is_130_however_often(tmp_path: Path, num_presses: int) -> None:
    options = ["--algorithm", "policy_gradient", "--set", "hidden_units=[8]", "--num-envs", "1"]
    with subprocess.Popen(
        [*COMMAND, "train", "CartPole-v1", "--seed", "3", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        start_new_session=True,
    ) as running:
        assert running.stdout is not None
        while "  learning  " not in running.stdout.readline():
            assert running.poll() is None
        for _ in range(num_presses):
            os.killpg(running.pid, signal.SIGINT)
        output, errors = running.communicate(timeout=100)
    assert running.returncode == 130, errors
    assert "Traceback" not in errors
    assert "10 fresh greedy episodes" in output or num_presses == 2
