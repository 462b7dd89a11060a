"""`tensor-optix plot`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tensor_optix.cli.exits import failures_as_messages
from tensor_optix.cli.options import RunDir


def plot(
    run_dir: RunDir,
    output: Annotated[Path, typer.Option("--output", "-o", help="Image file to write.")] = Path("run.png"),
) -> None:
    """Draw a run: scores, states and champions over environment steps."""
    from tensor_optix.reporting.report import plot_run

    with failures_as_messages():
        Console().print(f"Drawn: {plot_run(run_dir, output)}", highlight=False, soft_wrap=True)
