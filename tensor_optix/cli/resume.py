"""What `tensor-optix resume` does, and the file in a run's folder that lets it."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

if TYPE_CHECKING:
    from tensor_optix.cli.training import TrainingPlan

PLAN_FILE = "command.json"


def resume(
    run_dir: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="Folder of a run that was interrupted.")],
    max_env_steps: Annotated[
        int | None, typer.Option(min=1, help="Largest number of environment steps. [dim]Default: as it was.[/]")
    ] = None,
    max_windows: Annotated[
        int | None, typer.Option(min=1, help="Largest number of windows. [dim]Default: as it was.[/]")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No live progress, only the result.")] = False,
) -> None:
    """Go on with a run as if it had never been interrupted."""
    from tensor_optix.cli.main import failures_as_messages
    from tensor_optix.cli.training import run_training

    with failures_as_messages():
        plan = read_plan(run_dir)
        plan = replace(
            plan, max_env_steps=max_env_steps or plan.max_env_steps, max_windows=max_windows or plan.max_windows
        )
        run_training(plan, Console(), quiet=quiet, resume=run_dir)


def write_plan(run_dir: Path, plan: TrainingPlan) -> None:
    """Keep in a run's folder what the command line asked for.

    Raises:
        CheckpointError: The file cannot be written.
    """
    from tensor_optix.core.storage.json_files import to_jsonable, write_sealed_json

    document = {**asdict(plan), "checkpoint_dir": None}  # a folder that was moved is resumed where it lies
    write_sealed_json(run_dir / PLAN_FILE, to_jsonable(document))


def read_plan(run_dir: Path) -> TrainingPlan:
    """Return what ``write_plan`` kept, for the place where the folder lies now.

    Raises:
        CheckpointError: There is no such run, or it was not started by the command.
    """
    from tensor_optix.cli.training import TrainingPlan
    from tensor_optix.core.storage.atomic_files import regular_file
    from tensor_optix.core.storage.json_files import read_sealed_json
    from tensor_optix.exceptions import CheckpointError

    if not run_dir.is_dir():
        raise CheckpointError(f"There is no run folder {run_dir.as_posix()!r}.")
    try:
        document = read_sealed_json(regular_file(run_dir, PLAN_FILE))
    except CheckpointError as error:
        raise CheckpointError(
            f"{run_dir.as_posix()} cannot be resumed by the command: {error} A run that a script started is resumed "
            f"by that script: RLOptimizer(...).run(resume={run_dir.as_posix()!r})."
        ) from error
    known = {field.name for field in fields(TrainingPlan)}
    if set(document) != known or not isinstance(document["overrides"], dict):
        raise CheckpointError(f"{run_dir / PLAN_FILE} says something that no command asked for: {sorted(document)}.")
    overrides = {name: _as_given(value) for name, value in document["overrides"].items()}
    return TrainingPlan(**{**document, "overrides": overrides, "checkpoint_dir": run_dir.resolve().parent})


def _as_given(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
