"""What a command line asked for, and the file in a run's folder that keeps it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from tensor_optix.core.storage.atomic_files import regular_file
from tensor_optix.core.storage.json_files import read_sealed_json, to_jsonable, write_sealed_json
from tensor_optix.core.storage.run_folder import PLAN_FILE, existing_run
from tensor_optix.exceptions import CheckpointError
from tensor_optix.pipeline.environment_names import EnvironmentName, as_given
from tensor_optix.reporting.named_callbacks import NAMED_CALLBACKS

SETTINGS_VERSION = 1
"""Of the settings' names and meanings, in plans and in files of the user's. Earlier plans say none."""

MAX_WINDOW_STEPS = 10_000_000
MAX_ENVS = 4096
MAX_WEIGHTS = 2**28
"""Between hidden layers: a GiB. Files may ask for no more; whoever wants more starts the run from a script."""
MAX_OVERRIDES = 64
MAX_TEXT = 200
MAX_ITEMS = 64


@dataclass(frozen=True)
class TrainingPlan:
    """What the command line asks for; None stands for the default."""

    env_id: str
    env_kwargs: dict[str, Any] = field(default_factory=dict)
    wrappers: tuple[str, ...] = ()
    algorithm: str = "auto"
    seed: int | None = None
    num_envs: int | None = None
    window_size: int | None = None
    max_env_steps: int | None = None
    max_windows: int | None = None
    target_score: float | None = None
    rollback: bool = False
    checkpoint_dir: Path = Path("tensor_optix_checkpoints")
    overrides: dict[str, Any] = field(default_factory=dict)
    evaluation_env: str | None = None
    evaluation_env_kwargs: dict[str, Any] = field(default_factory=dict)
    callbacks: tuple[str, ...] = ()

    @property
    def environment(self) -> EnvironmentName:
        """The environment by its name."""
        return EnvironmentName(self.env_id, self.env_kwargs, self.wrappers)

    @property
    def evaluation_environment(self) -> EnvironmentName | None:
        """What greedy episodes are played in, in the same wrappers; None: the environment itself."""
        if self.evaluation_env is None:
            return None
        return EnvironmentName(self.evaluation_env, self.evaluation_env_kwargs, self.wrappers)


ADDED_LATER: dict[str, Any] = {"evaluation_env": None, "evaluation_env_kwargs": {}, "callbacks": []}
"""Fields that plans of earlier versions do not have, and what these plans mean."""


def write_plan(run_dir: Path, plan: TrainingPlan) -> None:
    """Keep in a run's folder what the command line asked for.

    Raises:
        CheckpointError: The file cannot be written.
    """
    document = {
        "version": SETTINGS_VERSION,
        **asdict(plan),
        "checkpoint_dir": None,
    }  # a folder that was moved is resumed where it lies
    write_sealed_json(run_dir / PLAN_FILE, to_jsonable(document))


def read_plan(run_dir: Path, *, to: str = "resume") -> TrainingPlan:
    """Return what ``write_plan`` kept, for the place where the folder lies now; nothing is imported for it.

    Args:
        run_dir: The run's folder.
        to: What for, ``"resume"`` or ``"repeat"``, for messages.

    Raises:
        CheckpointError: There is no such run, it was not started by the command, or its file says what none asks for.
    """
    existing_run(run_dir)
    try:
        document = read_sealed_json(regular_file(run_dir, PLAN_FILE))
    except CheckpointError as error:
        done, call = ("resumed", f"run(resume={run_dir.as_posix()!r})") if to == "resume" else ("repeated", "run()")
        raise CheckpointError(
            f"{run_dir.as_posix()} cannot be {done} by the command: {error} A run that a script started is {done} "
            f"by that script: RLOptimizer(...).{call}."
        ) from error
    source = (run_dir / PLAN_FILE).as_posix()
    check_version(document.pop("version", SETTINGS_VERSION), source)
    document = ADDED_LATER | document
    environment = EnvironmentName.from_json(document, source)
    document = {**document, **environment.to_json(), "wrappers": environment.wrappers}
    _check_fields(document, source)
    evaluation = _evaluation_kwargs(document, source)
    overrides = {name: as_given(value) for name, value in document["overrides"].items()}
    place = run_dir.resolve().parent
    return TrainingPlan(
        **{
            **document,
            "evaluation_env_kwargs": evaluation,
            "callbacks": tuple(document["callbacks"]),
            "overrides": overrides,
            "checkpoint_dir": place,
        }
    )


def check_version(version: Any, source: str) -> None:
    """Raise unless settings of this version are known here.

    Raises:
        CheckpointError: They are newer, or it is no version.
    """
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise CheckpointError(f"{source}: the version of settings must be a number like 1. Received: {version!r:.80}.")
    if version > SETTINGS_VERSION:
        raise CheckpointError(
            f"{source} was written for a newer tensor-optix: its settings are of version {version}, and this one knows "
            f"them up to {SETTINGS_VERSION}. Install that one: tensor-optix --version says which this is."
        )


def _evaluation_kwargs(document: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Return the arguments of the environment that greedy episodes are played in, checked as those of the other."""
    named = {"env_id": document["evaluation_env"], "env_kwargs": document["evaluation_env_kwargs"]}
    if named["env_id"] is None and not named["env_kwargs"]:
        return {}
    return dict(EnvironmentName.from_json(named, source).kwargs)


def check_plan(plan: TrainingPlan, source: str) -> None:
    """Raise unless a plan asks for no more than a file may that somebody else may have written.

    Raises:
        CheckpointError: It asks for more.
    """
    _check_fields(to_jsonable(asdict(plan)), source)


def _check_fields(document: Mapping[str, Any], source: str) -> None:
    if set(document) != {field.name for field in fields(TrainingPlan)}:
        raise CheckpointError(f"{source} says something that no command asked for: {sorted(document)!s:.400}.")
    at_most = {"num_envs": MAX_ENVS, "window_size": MAX_WINDOW_STEPS}
    is_right = {
        "algorithm": isinstance(document["algorithm"], str) and len(document["algorithm"]) <= MAX_TEXT,
        "seed": _is_count(document["seed"], at_least=0),
        **{name: _is_count(document[name]) for name in ("max_env_steps", "max_windows")},
        **{name: _is_count(document[name], at_most=most) for name, most in at_most.items()},
        "target_score": document["target_score"] is None or _is_number(document["target_score"]),
        "rollback": isinstance(document["rollback"], bool),
        "overrides": are_overrides(document["overrides"]),
        "callbacks": _are_callbacks(document["callbacks"]),
    }
    if all(is_right.values()):
        is_right["window_size"] = (document["num_envs"] or 1) * (document["window_size"] or 1) <= MAX_WINDOW_STEPS
        is_right["overrides"] = _num_weights(document["overrides"]) <= MAX_WEIGHTS
    wrong = [f"{name}={document[name]!r:.{MAX_TEXT}}" for name, right in is_right.items() if not right]
    if wrong:
        raise CheckpointError(f"{source} says something that no command asked for: {', '.join(wrong)}.")


def _is_count(value: Any, at_least: int = 1, at_most: int = 2**63 - 1) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and at_least <= value <= at_most)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _are_callbacks(value: Any) -> bool:
    return isinstance(value, list) and all(name in NAMED_CALLBACKS for name in value) and len(set(value)) == len(value)


def are_overrides(value: Any) -> bool:
    """Tell whether a value may be an agent's settings in a file."""
    return (
        isinstance(value, dict)
        and len(value) <= MAX_OVERRIDES
        and all(_is_setting(item) or _is_list_of_settings(item) for item in value.values())
    )


def _num_weights(overrides: Mapping[str, Any]) -> int:
    """Return how many weights lie between hidden layers, at their ends, and in a memory, where these are such."""
    hidden, memory = overrides.get("hidden_units"), overrides.get("memory_units", 0)
    layers = hidden if isinstance(hidden, list) and all(isinstance(units, int) for units in hidden) else []
    units = memory if isinstance(memory, int) else 0  # what is no number of units, whoever makes the agent says so
    between = sum(int(before) * int(after) for before, after in itertools.pairwise([1, *layers, 1]))
    return between + 4 * units * (units + int(max([1, *layers])))


def _is_list_of_settings(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= MAX_ITEMS and all(_is_setting(item) for item in value)


def _is_setting(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= MAX_TEXT
    return value is None or isinstance(value, bool) or _is_number(value)
