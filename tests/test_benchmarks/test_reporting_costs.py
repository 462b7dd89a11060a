"""The script that says what reporting costs still runs: short, and for its shape alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.slow
def test_pairs_are_compared(tmp_path):
    figures = tmp_path / "figures.json"
    command = [sys.executable, str(BENCHMARKS / "reporting_costs.py"), "--pairs", "2", "--windows", "3"]
    environment = {**os.environ, "PYTHONPATH": str(BENCHMARKS.parent)}
    subprocess.run([*command, "--json", str(figures)], env=environment, check=True, timeout=280)
    told = json.loads(figures.read_text())
    assert len(told["user_seconds"]) == 2
    assert {"progress", "csv", "monitor"} <= set(told["callbacks"])
    assert 0.0 < told["own_share"]["median"] < 1.0
