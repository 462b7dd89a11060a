"""The `tensor-optix` command: each of its commands is a file beside this one, and a line at the end.

Only typer and rich are imported here, so that ``--help`` is there at once.
"""

from __future__ import annotations

from typing import Annotated

import typer

from tensor_optix import __version__
from tensor_optix.cli.compare import compare
from tensor_optix.cli.doctor import doctor
from tensor_optix.cli.evaluate import evaluate
from tensor_optix.cli.exits import EXPLANATION
from tensor_optix.cli.export import export
from tensor_optix.cli.list import list_runs
from tensor_optix.cli.plot import plot
from tensor_optix.cli.resume import resume
from tensor_optix.cli.show import show
from tensor_optix.cli.train import train
from tensor_optix.cli.video import video
from tensor_optix.cli.write_report import report

app = typer.Typer(
    help="Trains a reinforcement-learning agent by itself, and says how good it is.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    epilog=EXPLANATION,
)


def main() -> None:
    """Run the command."""
    app(prog_name="tensor-optix")


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(f"tensor-optix {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Trains a reinforcement-learning agent by itself, and says how good it is."""


app.command(epilog=EXPLANATION)(train)
app.command(epilog=EXPLANATION)(resume)
app.command()(evaluate)
app.command()(video)
app.command()(export)
app.command()(plot)
app.command("list")(list_runs)
app.command()(show)
app.command()(report)
app.command()(compare)
app.command()(doctor)
