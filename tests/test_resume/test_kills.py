"""``kill -9`` or a power cut at any moment, then resume: the run ends as if nothing had happened."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HOME = Path(__file__).parents[2]
HELPERS = HOME / "tests" / "helpers"

pytestmark = pytest.mark.skipif(os.name != "posix", reason="forks, and kills with SIGKILL")


def output_of(*command):
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(HOME), str(HOME / "benchmarks")]),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    done = subprocess.run(
        [sys.executable, *map(str, command)], env=environment, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, (done.stderr + done.stdout)[-6000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("num_kills", [10, pytest.param(100, marks=pytest.mark.slow)])
def test_a_numpy_agent_at_every_moment(tmp_path, num_kills):
    report = output_of(HELPERS / "kill_runs.py", tmp_path, num_kills, num_kills)
    assert len(report["kills"]) >= num_kills
    assert len({moment for moment, _ in report["kills"]}) == 7
    assert report["num_power_cuts"] >= num_kills / 4 or not sys.platform.startswith("linux")
    assert report["differing"] == []


def test_an_algorithm(tmp_path):
    """Once: each process loads TensorFlow, which is most of what this takes."""
    kill_algorithm(tmp_path, "tf_agent", 1, 0)


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["tf_agent", "ppo", "ppo+gru", "dqn", "sac"])
def test_every_algorithm(tmp_path, algorithm):
    kill_algorithm(tmp_path, algorithm, 6, 3)


def kill_algorithm(folder, algorithm, num_kills, num_cuts):
    """The benchmark's short form."""
    options = ["--parts", "kills", "--algorithms", algorithm, "--kills", num_kills, "--power-cuts", num_cuts]
    options += ["--tuners", "backoff", "--env-steps", 1500]
    output = folder / "report.json"
    output_of(HOME / "benchmarks" / "durability.py", *options, "--output", output)
    report = json.loads(output.read_text())
    for what, number in (("kills", num_kills), ("power_cuts", num_cuts)):
        if number == 0:
            continue
        found = report[what][algorithm]
        assert found["kills"] == number
        assert found["kills_in_runs_that_ended_bit_identical"] == number
        assert found["runs_that_differ"] == []
