"""The command in this process, and a module of a user's in the current folder."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
from typer.testing import CliRunner

from tensor_optix.cli import environments
from tensor_optix.cli.main import app

MODULE = """
from pathlib import Path
import gymnasium as gym

Path("{name}-was-imported").touch()

class Maze(gym.Env):
    observation_space = gym.spaces.Box(-1.0, 1.0, (3,))
    action_space = gym.spaces.Discrete(2)

    def __init__(self, size=3):
        self.size, self.num_steps = size, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.num_steps = 0
        return self.np_random.uniform(-1, 1, 3).astype("float32"), {{}}

    def step(self, action):
        self.num_steps += 1
        return self.np_random.uniform(-1, 1, 3).astype("float32"), float(self.size), self.num_steps >= 10, False, {{}}

class Plus(gym.RewardWrapper):
    def reward(self, reward):
        return reward + 1

class Twice(gym.RewardWrapper):
    def reward(self, reward):
        return 2 * reward

def twice(env):
    return Twice(env)

gym.register("{name}-v0", entry_point="{name}:Maze")
"""
SMALL = ["--max-windows", "2", "--seed", "0", "--quiet", "--algorithm", "policy_gradient", "--set", "hidden_units=[4]"]
SMALL += ["--num-envs", "2", "--window-size", "50"]
RUN = "tensor_optix_checkpoints/run-0001"


def invoke(*arguments: str) -> Any:
    return CliRunner(env={"COLUMNS": "120"}).invoke(app, list(arguments))


def write_module(name: str, folder: Path = Path()) -> None:
    """Write a module that registers ``<name>-v0`` (returns of 10 x size) and has wrappers Plus and twice."""
    (folder / f"{name}.py").write_text(MODULE.format(name=name), encoding="utf-8")


def was_imported(name: str) -> bool:
    return name in sys.modules or Path(f"{name}-was-imported").exists()


def forget(name: str) -> None:
    """Make this process one that never heard of a module, as the next command's process."""
    sys.modules.pop(name, None)
    gym.registry.pop(f"{name}-v0", None)
    environments._NAMED_BY_THE_USER.discard(name)
    sys.path[:] = [entry for entry in sys.path if not (Path(entry) / f"{name}.py").exists()]
    Path(f"{name}-was-imported").unlink(missing_ok=True)


def said(done: Any) -> str:
    """Return what a command wrote, as one line."""
    return " ".join(done.output.split())


def assert_fails(done: Any, exit_code: int, message: str) -> None:
    assert done.exit_code == exit_code, done.output
    assert message in said(done)
    assert "Traceback" not in done.output
    assert len(re.findall("^Error: ", done.output, re.MULTILINE)) == 1
