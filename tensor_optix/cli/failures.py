"""How a command fails: one message and an exit code.

Only typer and rich are imported here, so that ``--help`` is there at once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import typer
from rich.console import Console

from tensor_optix.cli.exit_codes import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE


@contextlib.contextmanager
def failures_as_messages() -> Iterator[None]:
    """Turn our own errors into one message and an exit code: 2 where an argument is at fault, 1 for all else."""
    from tensor_optix.exceptions import InvalidArgumentError, InvalidTypeError, TensorOptixError

    try:
        yield
    except TensorOptixError as error:
        _complain(str(error))
        is_usage = isinstance(error, InvalidArgumentError | InvalidTypeError)
        raise typer.Exit(EXIT_USAGE if is_usage else EXIT_FAILED) from None
    except MemoryError as error:
        _complain(f"There is not enough memory: {error}. Take fewer or smaller windows, environments or networks.")
        raise typer.Exit(EXIT_FAILED) from None
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_INTERRUPTED) from None


def _complain(text: str) -> None:
    from rich.markup import escape

    Console(stderr=True).print(f"[bold red]Error[/]: {escape(text)}", highlight=False, soft_wrap=True)
