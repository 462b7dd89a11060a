"""The bar in a notebook."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

from tensor_optix.reporting.progress.lines import text_line
from tensor_optix.reporting.progress.status import Status, number, sparkline

_SPARKLINE_WIDTH = 40


class NotebookBar:
    """Shows a status in an output cell, updated in place.

    Args:
        status: Returns what to show.
        display: IPython's ``display``; None: imported.
    """

    def __init__(self, status: Callable[[], Status], display: Callable[..., Any] | None = None) -> None:
        if display is None:
            from IPython.display import display  # type: ignore[import-not-found, no-redef, unused-ignore]
        self._display: Any = display
        self._status = status
        self._handle: Any = None

    def open(self) -> None:
        """Put it into the cell."""
        self._handle = self._display(Bar(self._status()), display_id=True)

    def show(self) -> None:
        """Show how it is now, in the same place."""
        if self._handle is not None:
            self._handle.update(Bar(self._status()))

    def close(self, *, keep: bool = True) -> None:
        """Leave the last word there."""
        self.show()


class Bar:
    """A status as a notebook draws it.

    Args:
        status: It.
    """

    def __init__(self, status: Status) -> None:
        self._status = status

    def __repr__(self) -> str:
        return text_line(self._status)

    def _repr_html_(self) -> str:
        status = self._status
        share = "" if status.share_used is None else f'<progress value="{status.share_used:.4f}" max="1"></progress> '
        rows = [
            ("state", f"<b>{_safe(status.doing)}</b>"),
            ("budget", share + _safe(status.budget_in_words)),
            ("env steps", _safe(status.steps_in_words)),
            ("time", _safe(status.time_in_words)),
            ("score", f"<b>{number(status.score)}</b> {sparkline(status.scores, _SPARKLINE_WIDTH)}"),
            ("champion", _safe(status.champion_in_words)),
            *([("event", _safe(status.event))] if status.event else []),
        ]
        cells = "".join(f"<tr><td>{name}</td><td style='text-align:left'>{value}</td></tr>" for name, value in rows)
        return f"<table><caption>{_safe(status.environment)}</caption>{cells}</table>"


def _safe(text: str) -> str:
    return html.escape(text)
