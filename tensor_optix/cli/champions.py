"""A run's champion, ready to be played, and what the run's folder says of where it was trained."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tensor_optix.adapters.tensorflow.tf_agent import TFAgent


def without_statistics(env: Any, run_dir: Path) -> list[str]:
    """Give an environment's wrappers what the run's had gathered; return those for which there is nothing."""
    from tensor_optix.core.loop.result_file import read_environment_state
    from tensor_optix.exceptions import CheckpointError, StateMismatchError
    from tensor_optix.pipeline.stepping.env_state import env_state
    from tensor_optix.pipeline.stepping.fresh_wrappers import give_statistics

    try:
        give_statistics(env, read_environment_state(run_dir))
    except (CheckpointError, StateMismatchError):
        return [state["class"] for state in env_state(env).values()]
    return []


def output_folder(run_dir: Path, name: str, output: Path | None) -> Path:
    """Return the folder to write to, by default one of this name in the run's, made; there no link is followed.

    Raises:
        CheckpointError: It cannot be made or written to.
        UnsafeFileError: The run's folder has a link in its place.
    """
    from tensor_optix.core.storage.atomic_files import inside, make_writable_folder

    folder = inside(run_dir, name) if output is None else output
    make_writable_folder(folder)
    return folder


def champion_of(run_dir: Path) -> TFAgent:
    """Return a run's champion; where loading it takes arguments that the command does not have, say where they are."""
    from tensor_optix.adapters.tensorflow.loading import load_agent
    from tensor_optix.exceptions import CheckpointError

    try:
        return load_agent(str(run_dir))
    except CheckpointError as error:
        needed = [name for name in ("custom_objects", "max_load_bytes") if name in str(error)]
        if not needed:
            raise
        arguments = ", ".join(f"{name}=..." for name in needed)
        code = f'evaluate(load_agent("{run_dir.as_posix()}", {arguments}), env)'
        raise type(error)(f"{error} The command has no such option; in Python: {code}.") from error


def recorded_environment(run_dir: Path) -> Mapping[str, Any]:
    """Return what a run's ``run.json`` says of its environment; nothing where that cannot be read."""
    from tensor_optix.core.storage.run_folder import read_run_json
    from tensor_optix.exceptions import CheckpointError

    try:
        facts = read_run_json(run_dir).get("pipeline")
    except CheckpointError:
        return {}
    return facts if isinstance(facts, dict) else {}


def recorded_algorithm(run_dir: Path) -> str | None:
    """Return what the command was asked for that started a run; None where no command did, or none can tell."""
    from tensor_optix.cli.plan import read_plan
    from tensor_optix.exceptions import CheckpointError

    try:
        return read_plan(run_dir).algorithm
    except CheckpointError:
        return None
