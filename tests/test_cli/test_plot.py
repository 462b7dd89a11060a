"""`tensor-optix plot` from outside."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import assert_fails, invoke

SHORT = ["--max-windows", "3", "--seed", "0", "--quiet"]


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_run_is_drawn() -> None:
    invoke("train", "CartPole-v1", *SHORT)
    assert invoke("plot", "tensor_optix_checkpoints/run-0001", "-o", "run.png").exit_code == 0
    assert Path("run.png").read_bytes().startswith(b"\x89PNG")


def test_a_picture_of_an_unknown_kind_is_a_usage_error() -> None:
    Path("empty").mkdir()
    assert_fails(invoke("plot", "empty", "-o", "run.xyz"), 2, "must end in one of .png, .svg, .pdf")
    assert_fails(invoke("plot", "empty", "-o", "empty"), 2, "must end in one of")
    assert_fails(invoke("plot", "nowhere"), 1, "There is no run folder 'nowhere'")
    assert_fails(invoke("plot", "empty"), 1, "There is no history to draw in empty")
