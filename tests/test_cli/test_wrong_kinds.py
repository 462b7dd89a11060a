"""Every option of every command, with values of the wrong kind: one message and an exit code, never a traceback."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from command_line import assert_fails, invoke, said

from tensor_optix.cli.main import app

COMMANDS: dict[str, Callable[..., None]] = {
    command.name or command.callback.__name__: command.callback
    for command in app.registered_commands
    if command.callback
}
TAKES = {command: ["CartPole-v1"] if command == "train" else ["empty"] for command in COMMANDS}
"""What each command is given besides: a run folder that holds nothing."""

NO_INTEGERS = ["x", "", "1.5", "-1", "1e3", "nan", "64,64", "[1]", "None"]
NO_NUMBERS = ["x", "", "nan", "inf", "64,64", "[1]", "None"]
NO_PAIRS = ["gamma", "=1", "", "=", "nope=1"]
NO_FOLDERS_OF_RUNS = ["a-file", "a-file/below", "nowhere", "x" * 300, "with\0nul"]
NO_FOLDERS = ["a-file", "a-file/below", "x" * 300, "with\0nul"]
NO_PICTURES = ["run.xyz", "run", "", "empty", "x" * 300 + ".png", "a-file/run.png", "with\0nul.png"]
NO_NAMES = ["x", "", "no:where", "a:b:c", "sys", "sys:path", "CartPole-v1", "x" * 300]
NO_MODULES_NAMES = ["a3c", "", "no:where", "a:b:c", "sys:path", "1"]
FOR_OPTION = {
    ("train", "algorithm"): ["a3c", "", "ppo,sac", "1"],
    ("train", "config"): [*NO_FOLDERS, "empty", "a-file.toml", "none.yaml", "empty/run.json"],
    ("train", "memory"): ["x", "", "gru,lstm", "1"],
    ("train", "callback"): ["x", "", "csv,monitor", "sys:path"],
    ("train", "evaluation_env"): NO_NAMES[:6],
    ("train", "evaluation_env_kwargs"): [*NO_PAIRS[:4], "id=3", "a b=3"],
    ("evaluate", "algorithm"): NO_MODULES_NAMES,
    ("resume", "algorithm"): NO_MODULES_NAMES,
    ("video", "algorithm"): NO_MODULES_NAMES,
    ("export", "algorithm"): NO_MODULES_NAMES,
    ("report", "algorithm"): NO_MODULES_NAMES,
    ("compare", "runs"): [*NO_FOLDERS_OF_RUNS, "empty", "name=", "=empty", "name=nowhere"],
    ("export", "format_name"): ["x", "", "onnx,keras", "1", "sys:path"],
    ("train", "settings"): [*NO_PAIRS, "num_env=3", "num_envs=x", "env_kwargs=3", "seed=-1", "rollback=3"],
    ("train", "env"): [*NO_NAMES[:6], "x" * 300, "CartPole-v9"],
    ("list", "folder"): NO_FOLDERS_OF_RUNS,
    ("plot", "output"): NO_PICTURES,
}
FOR_NAME = {"wrapper": NO_NAMES, "env_kwargs": [*NO_PAIRS[:4], "id=3", "a b=3", "size=NaN"], "env": NO_NAMES[:6]}
FOR_KIND = {int: NO_INTEGERS, float: NO_NUMBERS, Path: NO_FOLDERS}


def kinds_of(annotation: Any) -> tuple[type, Any]:
    """Return the type of an option's value, and what typer was told of it."""
    kind, told = get_args(annotation)[:2]
    kinds = [part for part in (get_args(kind) or (kind,)) if part is not type(None)]
    return kinds[0], told


def walk() -> Iterator[Any]:
    """Yield (arguments, whether typer itself refuses) for every option of every command."""
    for command, function in COMMANDS.items():
        hints = get_type_hints(function, include_extras=True)
        for name in inspect.signature(function).parameters:
            kind, told = kinds_of(hints[name])
            if kind is bool:
                continue
            known = FOR_OPTION.get((command, name)) or FOR_NAME.get(name) or FOR_KIND.get(kind)
            for value in known or [f"no wrong values are known for {command} {name}"]:
                option = next(iter(told.param_decls or ()), f"--{name.replace('_', '-')}")
                if type(told).__name__ == "ArgumentInfo":
                    typed = [command, *([value] if name != "env" or command == "train" else ["empty", value])]
                else:
                    typed = [command, *TAKES[command], f"{option}={value}"]
                yield pytest.param(typed, kind in (int, float), id=" ".join(typed)[:60].replace("\0", "0"))


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a-file").touch()
    Path("empty").mkdir()


def assert_is_one_message(done: Any, is_usage: bool) -> None:
    assert isinstance(done.exception, SystemExit), repr(done.exception)
    assert done.exit_code in ((2,) if is_usage else (1, 2)), done.output
    assert "Traceback" not in done.output
    assert said(done).count("Error") == 1 or "Usage:" in done.output


@pytest.mark.parametrize(("typed", "is_usage"), list(walk()))
def test_a_wrong_value_is_one_message(typed: list[str], is_usage: bool) -> None:
    assert "no wrong values are known" not in typed[-1]
    assert_is_one_message(invoke(*typed), is_usage)


def test_all_commands_are_walked() -> None:
    assert set(COMMANDS) == set(TAKES)


@pytest.mark.parametrize("algorithm", ["policy_gradient", "ppo"])
@pytest.mark.parametrize(
    "pair",
    [
        "hidden_units=64,64",
        "hidden_units=64",
        "hidden_units=[64, -1]",
        'hidden_units=["wide"]',
        "hidden_units=[[64]]",
        "hidden_units=[1.5]",
        'hidden_units={"a": 1}',
        "gamma=1.5",
        "gamma=high",
        "gamma=[0.9]",
        "gamma=null",
        "learning_rate=fast",
        "learning_rate=-1",
        "learning_rate=true",
        "learning_rate=[0.1]",
        "seed=-1",
        "seed=1.5",
        "seed=x",
        "num_epochs=0",
    ],
)
def test_a_setting_of_the_wrong_kind_is_a_usage_error(pair: str, algorithm: str) -> None:
    done = invoke("train", "CartPole-v1", "--algorithm", algorithm, "--num-envs", "1", "--set", pair)
    assert_fails(done, 2, pair.partition("=")[0])


def test_what_needs_more_memory_than_there_is_is_one_message() -> None:
    done = invoke("train", "CartPole-v1", "--num-envs", "4096", "--window-size", "10000001")
    assert_is_one_message(done, is_usage=True)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="whoever may write everywhere is not refused")
def test_a_folder_that_must_not_be_written_to_is_one_message() -> None:
    Path("locked").mkdir(mode=0o500)
    done = invoke("train", "CartPole-v1", "--checkpoint-dir", "locked", "--algorithm", "policy_gradient")
    assert_fails(done, 1, "cannot be written to")
