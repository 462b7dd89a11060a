"""Lines where there is no terminal: a pipe, a file, a log."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict

from rich.console import Console

from tensor_optix.reporting.progress.status import Status, number


class Lines:
    """Prints a line of text, or of JSON, whenever it is time to.

    Args:
        console: Where to.
        status: Returns what to print.
        as_json: JSON instead of text.
    """

    def __init__(self, console: Console, status: Callable[[], Status], *, as_json: bool = False) -> None:
        self._console = console
        self._status = status
        self._text_of = json_line if as_json else text_line

    def open(self) -> None:
        """Print the first line."""
        self.show()

    def show(self) -> None:
        """Print a line."""
        self._console.print(self._text_of(self._status()), markup=False, highlight=False, soft_wrap=True)

    def close(self, *, keep: bool = True) -> None:
        """Print the last line, where it matters."""
        if keep:
            self.show()


def text_line(status: Status) -> str:
    """Return a status in one line."""
    parts = [
        status.environment,
        status.doing,
        f"window {status.window:,}",
        f"env steps {status.env_steps:,}",
        "" if math.isnan(status.steps_per_second) else f"{status.steps_per_second:,.0f} steps/s",
        f"score {number(status.score)}",
        f"champion {status.champion_in_words}",
        f"budget {status.budget_in_words}" if status.share_used is not None else "",
        f"time {status.time_in_words}",
        status.event,
    ]
    return "  ".join(part for part in parts if part)


def json_line(status: Status) -> str:
    """Return a status as one line of JSON; what is not known is null."""
    row = asdict(status)
    count = len(row.pop("champion_returns"))
    row["champion_greedy"] = sum(status.champion_returns) / count if count else None
    row["champion_episodes"] = count
    del row["scores"]
    row["state"] = status.state.value
    finite = {
        key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in row.items()
    }
    return json.dumps(finite)
