"""Files of settings, whoever wrote them and whatever is in them."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from tensor_optix.cli.plan import TrainingPlan, write_plan
from tensor_optix.cli.settings.config import MAX_BYTES, read_config, settings_of
from tensor_optix.core.storage.json_files import read_sealed_json, write_sealed_json
from tensor_optix.core.storage.run_folder import RunFolder
from tensor_optix.exceptions import CheckpointError, MissingExtraError, TensorOptixError

needs_yaml = pytest.mark.skipif(importlib.util.find_spec("yaml") is None, reason="PyYAML is not installed")
EXPECTED = {
    "env": "CartPole-v1",
    "num_envs": 3,
    "wrappers": ("a:b",),
    "agent": {"learning_rate": 1e-3, "hidden_units": (8, 8)},
}
TOML = """
version = 1
env = "CartPole-v1"
num-envs = 3
wrappers = ["a:b"]
[agent]
learning_rate = 1e-3
hidden_units = [8, 8]
"""
YAML = """
version: 1
env: CartPole-v1
num_envs: 3
wrappers: ["a:b"]
agent:
  learning_rate: 1e-3
  hidden_units: [8, 8]
"""
JSON = json.dumps({**EXPECTED, "version": 1})


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run() -> Path:
    with RunFolder.create("runs") as folder:
        folder.write_run_json({})
        write_plan(folder.path, TrainingPlan("CartPole-v1", seed=5, num_envs=3, overrides={"gamma": 0.9}))
        return folder.path


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.toml", TOML), ("a.json", JSON), *(pytest.param(f"a.{e}", YAML, marks=needs_yaml) for e in ("yaml", "yml"))],
)
def test_all_formats_say_the_same(name: str, text: str) -> None:
    Path(name).write_text(text)
    config = read_config(Path(name))
    assert dict(config.settings) == EXPECTED
    assert config.run_dir is None


@pytest.mark.parametrize("name", ["", "run.json", "command.json"])
def test_a_run_is_what_it_was_asked_for_and_may_be_a_stranger_s(run: Path, name: str) -> None:
    config = read_config(run / name)
    assert config.run_dir == run
    assert {name: config.settings[name] for name in ("env", "seed", "num_envs", "agent", "checkpoint_dir")} == {
        "env": "CartPole-v1",
        "seed": 5,
        "num_envs": 3,
        "agent": {"gamma": 0.9},
        "checkpoint_dir": run.parent,
    }


@pytest.mark.parametrize("is_linked", [False, True])
def test_another_file_in_the_folder_of_a_run_may_be_a_stranger_s_too(run: Path, is_linked: bool) -> None:
    within = run / "mine.toml"
    within.write_text(TOML)
    Path("link.toml").symlink_to(within)
    assert read_config(Path("link.toml") if is_linked else within).run_dir is not None


def test_a_file_of_the_user_s_reached_through_the_folder_of_a_run_may_be_a_stranger_s_wish(run: Path) -> None:
    Path("mine.toml").write_text(TOML)
    (run / "link.toml").symlink_to(Path("mine.toml").absolute())
    assert read_config(run / "link.toml").run_dir == run


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "x", "Settings are read from a file that ends in .toml, .yaml, .yml, .json, or from the folder"),
        ("a.toml", "x", "a.toml is no TOML"),
        ("a.toml", "env = \"x\"\nenv = \"y\"", "a.toml is no TOML"),
        ("a.json", "[3]", "a.json must hold settings by name"),
        ("a.json", '{"seed": NaN}', "a.json is no JSON"),
        ("a.toml", "version = 2", "a.toml was written for a newer tensor-optix: its settings are of version 2"),
        ("a.toml", "version = 'x'", "the version of settings must be a number like 1"),
        ("a.toml", "num_env = 3", "Did you mean 'num_envs'"),
        ("a.toml", "num_envs = 'x'", "a.toml: `num_envs` must be"),
        ("a.toml", "env_kwargs = 2001-01-01", "a.toml: `env_kwargs`"),
    ],
)  # fmt: skip
def test_a_file_that_is_none_is_told_why(name: str, text: str, message: str) -> None:
    Path(name).write_text(text)
    with pytest.raises(TensorOptixError, match=message):
        read_config(Path(name))


def test_a_file_that_is_not_there_or_far_too_large() -> None:
    with pytest.raises(TensorOptixError, match=r"There is no file of settings 'nowhere\.toml'"):
        read_config(Path("nowhere.toml"))
    Path("large.toml").write_text("#" * (MAX_BYTES + 1))
    with pytest.raises(CheckpointError, match=r"large\.toml"):
        read_config(Path("large.toml"))


def test_a_run_of_a_newer_version_is_refused(run: Path) -> None:
    write_sealed_json(run / "command.json", {**read_sealed_json(run / "command.json"), "version": 9, "more": 1})
    with pytest.raises(CheckpointError, match="was written for a newer tensor-optix"):
        read_config(run)


def test_yaml_without_its_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    monkeypatch.delitem(sys.modules, "tensor_optix.cli.settings.plain_yaml", raising=False)
    Path("a.yaml").write_text(YAML)
    with pytest.raises(MissingExtraError, match=r"tensor-optix\[yaml\]: pip install pyyaml"):
        read_config(Path("a.yaml"))


def test_a_plan_becomes_settings_by_name() -> None:
    settings = settings_of(TrainingPlan("CartPole-v1", overrides={"gamma": 0.9}))
    assert (settings["env"], settings["agent"]) == ("CartPole-v1", {"gamma": 0.9})
