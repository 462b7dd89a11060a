"""`tensor-optix evaluate` from outside."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from command_line import assert_fails, invoke

SHORT = ["--max-windows", "3", "--seed", "0", "--quiet"]


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_run_is_played() -> None:
    invoke("train", "CartPole-v1", *SHORT)
    done = invoke("evaluate", "tensor_optix_checkpoints/run-0001", "--episodes", "7")
    assert done.exit_code == 0, done.output
    same = invoke("evaluate", "tensor_optix_checkpoints/run-0001", "CartPole-v1", "--episodes", "7")
    assert same.output == done.output
    assert re.search(r"CartPole-v1: mean return [\d.]+ \(95 % interval .*, 7 episodes\)", done.output)


def test_a_missing_folder_is_an_error() -> None:
    assert_fails(invoke("evaluate", "nowhere", "CartPole-v1"), 1, "There is no run folder 'nowhere'")


def test_a_folder_that_names_no_environment_asks_for_one() -> None:
    Path("empty").mkdir()
    assert_fails(invoke("evaluate", "empty"), 1, "tensor-optix evaluate RUN_DIR ENV")


def test_a_folder_without_a_champion_is_an_error() -> None:
    Path("empty").mkdir()
    assert_fails(invoke("evaluate", "empty", "CartPole-v1"), 1, "champion")


def test_it_is_known_to_be_unknown_when_evaluating_too() -> None:
    Path("empty").mkdir()
    assert_fails(invoke("evaluate", "empty", "Akrobot-v1"), 2, "Did you mean Acrobot-v1")
