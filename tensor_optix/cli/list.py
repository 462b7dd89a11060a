"""`tensor-optix list`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tensor_optix.cli.answer import Answer, answering, printable
from tensor_optix.cli.options import Json

if TYPE_CHECKING:
    from tensor_optix.cli.run_facts import RunFacts

NARROW = 100
"""Columns below which each run takes two lines."""


def list_runs(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder that holds runs.")] = Path(
        "tensor_optix_checkpoints"
    ),
    as_json: Json = False,
) -> None:
    """Show the runs in a folder, and what each came to."""
    with answering(as_json) as answer:
        from tensor_optix.cli.run_facts import RunFacts

        runs = [RunFacts.of(run) for run in _runs_in(folder)]
        answer.document["runs"] = [run.summary() for run in runs]
        if not runs:
            answer.say(f"No runs in {folder.as_posix()}.")
            answer.suggest("tensor-optix train CartPole-v1")
            return
        _draw(answer, runs)
        answer.suggest(f"tensor-optix show {shlex.quote(runs[-1].run_dir.as_posix())}")


def _runs_in(folder: Path) -> list[Path]:
    """Return the runs in a folder.

    Raises:
        CheckpointError: There is no such folder, or it is a run itself.
    """
    from tensor_optix.core.storage.run_folder import list_runs as runs_in
    from tensor_optix.core.storage.run_folder import was_started
    from tensor_optix.exceptions import CheckpointError

    try:
        is_there = folder.is_dir()
    except (OSError, ValueError):  # a name too long, or with a NUL in it
        is_there = False
    if not is_there:
        raise CheckpointError(
            f"There is no folder {folder.as_posix()!r:.200}. Name one that holds runs, or begin a run: "
            "tensor-optix train CartPole-v1."
        )
    if was_started(folder):
        place = shlex.quote(folder.as_posix())
        raise CheckpointError(f"{folder.as_posix()} is a run itself: tensor-optix show {place}.")
    return [run for run in runs_in(folder) if was_started(run)]


def _draw(answer: Answer, runs: list[RunFacts]) -> None:
    rows = [[printable(cell) for cell in _cells(run)] for run in runs]
    if answer.console.is_terminal and answer.console.width < NARROW:
        for name, verdict, reached, env, algorithm, steps, began in rows:
            answer.say(f"{name}  {verdict:<10}  {reached}", f"  {env}, {algorithm}, {steps} env steps, {began}")
        return
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in ("Run", "Verdict", "Confirmed mean", "Environment", "Algorithm", "Env steps", "Began (UTC)"):
        table.add_column(heading, justify="right" if heading == "Env steps" else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    answer.show(table)


def _cells(run: RunFacts) -> list[str]:
    result = None if run.outcome is None else run.outcome.result
    reached = "-"
    if result is not None and result.report is not None:
        low, high = result.report.interval
        reached = f"{result.report.mean:.2f} ({low:.2f} to {high:.2f})"
    steps = "-" if run.env_steps is None else f"{run.env_steps:,}"
    began = "-" if run.started is None else run.started[:16].replace("T", " ")
    return [run.run_dir.name, run.verdict, reached, run.env or "-", run.algorithm or "-", steps, began]
