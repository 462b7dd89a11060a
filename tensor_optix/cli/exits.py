"""How a command ends: what it says to the shell, and one message where it fails.

Only typer and rich are imported here, so that ``--help`` is there at once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import typer
from rich.console import Console

if TYPE_CHECKING:
    from tensor_optix.core.run_result import RunResult

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_STALLED = 3
EXIT_INTERRUPTED = 130

EXPLANATION = (
    "Exit codes: 0 trained, target or budget; 3 stalled (the score never left its first level); 1 error; 2 usage; "
    "130 interrupted. Ctrl-C ends a run after the current window, with a report of at most 10 episodes; a second one "
    "at once."
)


def leave(result: RunResult) -> None:
    """End the command as the run ended.

    Raises:
        typer.Exit: It was interrupted, or stalled.
    """
    if result.is_interrupted:
        raise typer.Exit(EXIT_INTERRUPTED)
    if result.reason == "stalled":
        raise typer.Exit(EXIT_STALLED)


@contextlib.contextmanager
def failures_as_messages(tell: Callable[[str], object] = lambda message: None) -> Iterator[None]:
    """Turn our own errors into one message and an exit code: 2 where an argument is at fault, 1 for all else.

    Args:
        tell: Is given the message, too.
    """
    from tensor_optix.exceptions import InvalidArgumentError, InvalidTypeError, TensorOptixError

    def failed(message: str, code: int = EXIT_FAILED) -> typer.Exit:
        _complain(message)
        tell(message)
        return typer.Exit(code)

    try:
        yield
    except TensorOptixError as error:
        is_usage = isinstance(error, InvalidArgumentError | InvalidTypeError)
        raise failed(str(error), EXIT_USAGE if is_usage else EXIT_FAILED) from None
    except MemoryError as error:
        advice = "Take fewer or smaller windows, environments or networks."
        raise failed(f"There is not enough memory: {error}. {advice}") from None
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_INTERRUPTED) from None


def _complain(text: str) -> None:
    from rich.markup import escape

    Console(stderr=True).print(f"[bold red]Error[/]: {escape(text)}", highlight=False, soft_wrap=True)
