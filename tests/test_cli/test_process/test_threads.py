"""Threads of TensorFlow: one for small networks, what a resumed run had, and never other than the user said."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from tensor_optix.cli.process.threads import VARIABLE, are_small, intra_op_threads, threads_for, threads_of
from tensor_optix.core.storage.json_files import write_sealed_json
from tensor_optix.pipeline.environment_names import EnvironmentName

VECTOR = gym.spaces.Box(-1.0, 1.0, (4,))
IMAGE = gym.spaces.Box(0, 255, (84, 84, 3), np.uint8)

IN_A_NEW_PROCESS = """
import os
from tensor_optix.cli.process.threads import intra_op_threads
with intra_op_threads("1"):
    import tensorflow as tf
    tf.constant([1.0]) + 1.0
    print(os.environ["TF_NUM_INTRAOP_THREADS"])
print("TF_NUM_INTRAOP_THREADS" in os.environ)
"""


@pytest.mark.parametrize(
    ("space", "hidden_units", "is_small"),
    [
        (VECTOR, None, True),
        (VECTOR, (256, 256), True),
        (VECTOR, [64], True),
        (VECTOR, (1024, 1024), False),
        (VECTOR, "x", False),
        (IMAGE, None, False),
        (gym.spaces.Box(0, 255, (64, 64), np.uint8), None, False),
        (gym.spaces.Dict({"camera": IMAGE, "speed": VECTOR}), None, False),
        (gym.spaces.Dict({"speed": VECTOR}), None, True),
        (gym.spaces.Tuple([VECTOR, IMAGE]), None, False),
        (gym.spaces.Box(-1.0, 1.0, (5000,)), None, False),
        (gym.spaces.Discrete(500), None, True),
    ],
)
def test_small_networks_are_told_from_others(space: gym.Space[Any], hidden_units: Any, is_small: bool) -> None:
    assert are_small(space, hidden_units) is is_small


def test_a_small_run_takes_one() -> None:
    assert threads_for(EnvironmentName("CartPole-v1"), {}) == "1"
    assert threads_for(EnvironmentName("CartPole-v1"), {"hidden_units": (2048, 2048)}) is None


@pytest.mark.parametrize(
    ("recorded", "number"),
    [
        ({VARIABLE: "1"}, "1"),
        ({VARIABLE: "8"}, "8"),
        ({}, None),
        ({VARIABLE: 1}, None),
        ({VARIABLE: "0"}, None),
        ({VARIABLE: "99999"}, None),
        ({VARIABLE: "x"}, None),
        ("x", None),
    ],
)
def test_a_resumed_run_takes_what_it_had(tmp_path: Path, recorded: Any, number: str | None) -> None:
    write_sealed_json(tmp_path / "run.json", {"threads": recorded})
    assert threads_of(tmp_path) == number


def test_a_run_that_does_not_say_takes_what_there_are(tmp_path: Path) -> None:
    assert threads_of(tmp_path) is None


def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "7")
    with intra_op_threads("1"):
        assert os.environ[VARIABLE] == "7"
    with intra_op_threads(None):
        assert os.environ[VARIABLE] == "7"


def test_it_is_set_until_the_run_is_over() -> None:
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    command = [sys.executable, "-c", IN_A_NEW_PROCESS]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == ["1", "False"]
