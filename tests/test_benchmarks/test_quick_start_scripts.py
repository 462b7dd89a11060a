"""The scripts behind the README's figures still run: short, and for their shape alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

pytestmark = pytest.mark.slow


def run(script: str, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(BENCHMARKS.parent)}
    command = [sys.executable, str(BENCHMARKS / script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=True, timeout=280).stdout


def last_json(output: str) -> dict[str, Any]:
    return json.loads(output.splitlines()[-1])


def test_a_worker_says_what_it_took_and_reached() -> None:
    outcome = last_json(run("quick_start.py", "CartPole-v1", "--max-windows", "2", "--check-episodes", "3"))
    assert outcome["env_steps"] == 400
    assert outcome["reason"] == "budget"
    assert outcome["seconds"] > 0
    assert outcome["checked_mean"] > 0


def test_a_profile_accounts_for_all_time() -> None:
    profile = last_json(run("quick_start_profile.py", "--max-windows", "3"))
    assert sum(profile["shares"].values()) == pytest.approx(1.0)
    assert min(profile["shares"].values()) >= 0.0
    assert profile["shares"]["learn"] > 0


def test_the_picture_is_drawn(tmp_path: Path) -> None:
    run("plot_quick_start.py", "--max-env-steps", "2000", "--output", str(tmp_path / "run.png"))
    assert (tmp_path / "run.png").stat().st_size > 10_000
