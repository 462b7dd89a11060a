"""`tensor-optix plot`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from tensor_optix.cli.answer import answering
from tensor_optix.cli.options import Json, RunDir


def plot(
    run_dir: RunDir,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Image file to write.")] = Path(
        "run.png"
    ),
    as_json: Json = False,
) -> None:
    """Draw a run: scores, states and champions over environment steps."""
    from tensor_optix.reporting.report import plot_run

    with answering(as_json) as answer:
        drawn = plot_run(run_dir, output)
        answer.document["picture"] = drawn
        answer.say(f"Drawn: {drawn}")
        answer.suggest(f"tensor-optix show {shlex.quote(run_dir.as_posix())}")
