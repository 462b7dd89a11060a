"""How a run is going, while it runs."""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Column, Table
from rich.text import Text

from tensor_optix.core.callbacks import LoopCallback
from tensor_optix.core.types import EvalMetrics, LoopState, PolicySnapshot

STATE_STYLES = {
    LoopState.ACTIVE: "bold green",
    LoopState.COOLING: "bold cyan",
    LoopState.DORMANT: "bold blue",
    LoopState.WATCHDOG: "bold magenta",
}
_RATE_SECONDS = 10.0


class HasState(Protocol):
    """Whatever knows what the loop is doing: an ``RLOptimizer`` or a ``LoopController``."""

    @property
    def state(self) -> LoopState:
        """What the loop is doing."""
        ...


class Progress(LoopCallback):
    """Shows state, window, env steps, speed, score and champion: a panel, or lines in a file.

    Args:
        console: Where to; default: standard output. A panel is drawn where it is a terminal.
        panel_seconds: Least time between two drawings of the panel.
        line_seconds: Least time between two plain lines, where there is no terminal.
        clock: Returns seconds.

    Example:
        >>> progress = Progress()
        >>> optimizer = RLOptimizer(agent, pipeline, callbacks=[progress])  # doctest: +SKIP
        >>> progress.follow(optimizer).run()  # doctest: +SKIP
    """

    def __init__(
        self,
        console: Console | None = None,
        *,
        panel_seconds: float = 0.2,
        line_seconds: float = 5.0,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._console = console or Console()
        self._interval_seconds = panel_seconds if self._console.is_terminal else line_seconds
        self._clock = clock
        self._source: HasState | None = None
        self._live: Live | None = None
        self._started = -float("inf")
        self._last_shown = -float("inf")
        self._steps = StepCounter()
        self._rate: deque[tuple[float, int]] = deque()
        self._window = 0
        self._score: float | None = None
        self._champion: PolicySnapshot | None = None
        self._event = ""

    def follow(self, source: Any) -> Any:
        """Take the optimizer whose state is shown, and return it."""
        self._source = source
        return source

    # ---------------------------------------------------------------- hooks

    def on_loop_start(self) -> None:
        """Open the panel."""
        self._started = self._clock()
        if self._console.is_terminal:
            self._live = Live(self._drawing(), console=self._console, auto_refresh=False)
            self._live.start()

    def on_loop_stop(self) -> None:
        """Show the last word and close the panel; nothing if the run never began."""
        if math.isfinite(self._started):
            self._show()
        if self._live is not None:
            with interrupts_put_off():
                self._live.update(self._panel())
                self._live.stop()
            self._live = None

    def on_episode_end(self, episode_id: int, eval_metrics: EvalMetrics | None) -> None:
        """Take note of a window, and show it if it is time to."""
        self._window = episode_id
        self._steps.count_window(None if eval_metrics is None else eval_metrics.env_steps)
        if eval_metrics is not None:
            self._score = eval_metrics.primary_score
        if self._clock() - self._last_shown >= self._interval_seconds:
            self._show()

    def on_improvement(self, snapshot: PolicySnapshot) -> None:
        """Take note of the champion."""
        self._champion = snapshot

    def on_plateau(self, episode_id: int, state: LoopState) -> None:
        """Say so."""
        self._event = f"window {episode_id:,}: a plateau; cooling down"

    def on_dormant(self, episode_id: int) -> None:
        """Say so, at once: what comes next takes a moment."""
        self._event = f"window {episode_id:,}: DORMANT; the champion plays its last episodes"
        self._show()

    def on_degradation(self, episode_id: int, eval_metrics: EvalMetrics) -> None:
        """Say so."""
        self._event = f"window {episode_id:,}: degradation, score {eval_metrics.primary_score:.4g}"

    # ---------------------------------------------------------------- drawing

    def _show(self) -> None:
        self._last_shown = self._clock()
        if self._live is not None:
            with interrupts_put_off():
                self._live.update(self._drawing(), refresh=True)
        elif not self._console.is_terminal:
            self._console.print(self._line(), highlight=False, soft_wrap=True)

    def _drawing(self) -> Group:
        """Return the panel and an empty line, on which a terminal writes its ^C; behind a full line it would wrap."""
        return Group(self._panel(), Text(""))

    def _panel(self) -> Panel:
        names = [Text(name, style="dim") for name in self._values()]
        values = [Text(value, style=self._style_of(name)) for name, value in self._values().items()]
        table = Table.grid(*(Column(justify="right", min_width=8) for _ in names), padding=(0, 3))
        table.add_row(*names)
        table.add_row(*values)
        if self._width_of(table) <= self._console.width:
            return self._framed(table)
        table = Table.grid(Column(), Column(justify="right"), padding=(0, 3))
        for name, value in zip(names, values, strict=True):
            table.add_row(name, value)
        return self._framed(table, expand=True)

    def _framed(self, table: Table, expand: bool = False) -> Panel:
        return Panel(table, title="tensor-optix", title_align="left", subtitle=self._event or None, expand=expand)

    def _width_of(self, table: Table) -> int:
        """Return the columns that it takes with its frame."""
        unlimited = self._console.options.update(max_width=1000)
        return self._console.measure(self._framed(table), options=unlimited).maximum

    def _line(self) -> str:
        return "  ".join(f"{name} {value}" for name, value in self._values().items())

    def _values(self) -> dict[str, str]:
        champion = None if self._champion is None else self._champion.eval_metrics.primary_score
        return {
            "state": self._source.state.name if self._source is not None else "-",
            "window": f"{self._window:,}",
            "env steps": f"{self._steps.total:,}",
            "steps/s": f"{self._steps_per_second():,.0f}",
            "score": _number(self._score),
            "champion": _number(champion),
            "seconds": f"{self._clock() - self._started:.0f}",
        }

    def _style_of(self, name: str) -> str:
        if name == "state" and self._source is not None:
            return STATE_STYLES[self._source.state]
        return "bold" if name in ("score", "champion") else ""

    def _steps_per_second(self) -> float:
        """Return the speed over the last seconds."""
        now = self._clock()
        self._rate.append((now, self._steps.total))
        while len(self._rate) > 2 and now - self._rate[1][0] > _RATE_SECONDS:
            self._rate.popleft()
        seconds, steps = now - self._rate[0][0], self._steps.total - self._rate[0][1]
        return steps / seconds if seconds > 0 else 0.0


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


class StepCounter:
    """Env steps of all windows, also of those whose count was not told because they gave no evidence."""

    def __init__(self) -> None:
        self.total = 0
        self._windows = 0
        self._first: tuple[int, int] | None = None
        self._steps_per_window = 0.0

    def count_window(self, total: int | None) -> None:
        """Add one window; ``total`` counts all env steps up to its end, where known."""
        self._windows += 1
        if total is None:
            self.total += round(self._steps_per_window)
            return
        first_windows, first_total = self._first or (0, 0)
        self._steps_per_window = (total - first_total) / (self._windows - first_windows)
        self._first = self._first or (self._windows, total)
        self.total = total


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
