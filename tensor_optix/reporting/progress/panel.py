"""The panel in a terminal."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text

from tensor_optix.core.types import LoopState
from tensor_optix.reporting.progress.status import Status, number, sparkline

STATE_STYLES = {
    LoopState.ACTIVE: "bold green",
    LoopState.COOLING: "bold cyan",
    LoopState.DORMANT: "bold blue",
    LoopState.WATCHDOG: "bold magenta",
}

_SIDE_BY_SIDE_FROM = 80
"""Columns of the terminal from which facts stand side by side: with fewer, the longest of them would be broken."""

_LARGEST_SHARE = 0.005
"""Of the time, that drawing may take."""

_WIDEST = 100
_SPARKLINE_WIDTH = 16


class TerminalPanel:
    """Draws a status again and again in one place, from a thread: whatever the loop does, the clock goes on.

    Args:
        console: Where to.
        status: Returns what to draw.
        seconds: Least time between two drawings; where one takes long, as on a busy machine, it is longer.
    """

    def __init__(self, console: Console, status: Callable[[], Status], seconds: float) -> None:
        self._console = console
        self._status = status
        self._seconds = seconds
        self._live = Live(
            get_renderable=self._drawing, console=console, auto_refresh=False, vertical_overflow="visible"
        )
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._redraw, name="tensor-optix-panel", daemon=True)

    def open(self) -> None:
        """Draw for the first time."""
        self._live.start(refresh=True)
        self._thread.start()

    def show(self) -> None:
        """Draw now; what is drawn regularly needs no call."""
        with interrupts_put_off():
            self._live.refresh()

    def close(self, *, keep: bool = True) -> None:
        """Draw for the last time, and leave it there, or not."""
        with interrupts_put_off():
            self._live.transient = not keep
            self._is_over.set()
            self._thread.join()
            self._live.stop()

    def _redraw(self) -> None:
        pause = self._seconds
        while not self._is_over.wait(pause):
            began = time.perf_counter()
            self._live.refresh()
            pause = max(self._seconds, (time.perf_counter() - began) / _LARGEST_SHARE)

    def _drawing(self) -> Group:
        """Return the panel and an empty line, on which a terminal writes its ^C; behind a full line it would wrap."""
        return Group(panel_of(self._status(), self._console), Text(""))


def panel_of(status: Status, console: Console) -> Panel:
    """Return the panel of a status for a console: facts below one another, or side by side where there is room."""
    facts = _facts(status, console)
    if console.width >= _SIDE_BY_SIDE_FROM:
        half = len(facts) // 2
        table = Table.grid(*(Column(overflow="fold") for _ in range(4)), padding=(0, 1))
        for left, right in zip(facts[:half], facts[half:], strict=True):
            table.add_row(Text(left[0], style="dim"), left[1].append(" "), Text(right[0], style="dim"), right[1])
    else:
        table = Table.grid(Column(), Column(overflow="fold"), padding=(0, 1))
        for name, value in facts:
            table.add_row(Text(name, style="dim"), value)
    shown: list[RenderableType] = [table]
    if status.share_used is not None:
        bar = Table.grid(expand=True)
        bar.add_row(ProgressBar(total=1.0, completed=status.share_used))
        shown.insert(0, bar)
    if status.event:
        shown.append(Text(status.event, style="yellow"))
    return Panel(Group(*shown), title=status.environment or "tensor-optix", title_align="left", width=_width(console))


def _width(console: Console) -> int:
    return min(console.width, _WIDEST)


def _facts(status: Status, console: Console) -> list[tuple[str, Text]]:
    return [
        ("state", Text(status.doing, style=STATE_STYLES[status.state])),
        ("budget", Text(status.budget_in_words)),
        ("steps", Text(status.steps_in_words)),
        ("time", Text(status.time_in_words)),
        ("score", _score(status, console)),
        ("champion", Text(number(status.champion), style="bold")),
        ("greedy", Text(status.greedy_in_words, style="bold")),
        ("window", Text(f"{status.window:,}")),
    ]


def _score(status: Status, console: Console) -> Text:
    line = "" if console.options.ascii_only else sparkline(status.scores, _SPARKLINE_WIDTH)
    return Text.assemble((number(status.score), "bold"), " ", (line, "green"))


@contextlib.contextmanager
def interrupts_put_off() -> Iterator[None]:
    """Let a Ctrl-C that comes meanwhile be felt afterwards: half a drawing would stay on the terminal."""
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is None:  # None: set by something else than Python
        yield
        return
    came: list[tuple[int, FrameType | None]] = []
    handler = signal.signal(signal.SIGINT, lambda *arguments: came.append(arguments))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if came and callable(handler):
            handler(*came[0])
