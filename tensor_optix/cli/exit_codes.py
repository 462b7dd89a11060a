"""What the command says to the shell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

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
