"""The callback that follows a run and has it shown."""

from __future__ import annotations

import contextlib
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Protocol

from rich.console import Console

from tensor_optix.core.callbacks import LoopCallback
from tensor_optix.core.checks import check_choice
from tensor_optix.core.run_result import RunResult
from tensor_optix.core.run_view import RunView
from tensor_optix.core.types import EpisodeData, EvalMetrics, LoopState
from tensor_optix.exceptions import TensorOptixError
from tensor_optix.reporting.progress.lines import Lines
from tensor_optix.reporting.progress.notebook import NotebookBar
from tensor_optix.reporting.progress.panel import TerminalPanel
from tensor_optix.reporting.progress.status import Status, number, playing_in_words, state_in_words

logger = logging.getLogger(__name__)

STYLES = ("auto", "panel", "lines", "json", "notebook")

_STARTING = "starting"
_RATE_SECONDS = 10.0
_SCORES_IN_MIND = 400


class Display(Protocol):
    """A way to show how a run is going."""

    def open(self) -> None:
        """Show it for the first time."""
        ...

    def show(self) -> None:
        """Show how it is now."""
        ...

    def close(self, *, keep: bool = True) -> None:
        """Show it for the last time; ``keep``: whether that still matters to anybody."""
        ...


class Progress(LoopCallback):
    """Shows how a run is going: a panel in a terminal, a line now and then in a file, a bar in a notebook.

    Args:
        console: Where to; default: standard output.
        panel_seconds: Time between two drawings of a panel or a bar.
        line_seconds: Least time between two lines.
        clock: Returns seconds.
        style: "auto", "panel", "lines", "json" (lines of it) or "notebook".

    Raises:
        InvalidTypeError: ``style`` is no text.
        InvalidArgumentError: ``style`` is unknown.

    Example:
        >>> callbacks = [Progress(line_seconds=60.0, style="json")]
    """

    def __init__(
        self,
        console: Console | None = None,
        *,
        panel_seconds: float = 1.0,
        line_seconds: float = 5.0,
        clock: Callable[[], float] = time.perf_counter,
        style: str = "auto",
    ) -> None:
        check_choice("style", style, STYLES)
        self._console = console or Console()
        self._style = _fitting(self._console) if style == "auto" else style
        self._interval_seconds = line_seconds if self._style in ("lines", "json") else panel_seconds
        self._panel_seconds = panel_seconds
        self._clock = clock
        self._run: RunView | None = None
        self._display: Display | None = None
        self._last_shown = -math.inf
        self._opened = 0.0
        self._rate: deque[tuple[float, int]] = deque()
        self._scores: deque[float] = deque(maxlen=_SCORES_IN_MIND)
        self._share_at_start: tuple[float, float] | None = None
        self._known = Status()
        self._playing = ""
        self._ending = ""
        self._lock = threading.Lock()

    def follow(self, source: Any) -> Any:
        """Return what is given; a run tells of itself, so that nothing needs to be followed."""
        return source

    def open(self, environment: str = "", doing: str = _STARTING) -> None:
        """Show something at once; see :meth:`ahead`. A run does so by itself."""
        self._known = replace(self._known, environment=environment or self._known.environment, doing=doing)
        if self._display is None:
            self._opened = self._clock()
            self._display = self._made_display()
            self._display.open()
            self._last_shown = self._clock()
        else:
            self._show()

    @contextlib.contextmanager
    def ahead(self, environment: str, doing: str) -> Iterator[None]:
        """Show something before a run, while what it needs is got ready; let go of the display where that fails.

        Args:
            environment: Name of what will be trained in.
            doing: What is being done meanwhile.

        Example:
            >>> with Progress(style="lines").ahead("CartPole-v1", "loading TensorFlow"):
            ...     pass
            CartPole-v1  loading TensorFlow  window 0  env steps 0  score -  champion -  time 0 s
        """
        self.open(environment, doing)
        try:
            yield
        except BaseException:
            if self._display is not None:
                display, self._display = self._display, None
                display.close(keep=False)
            raise

    # ---------------------------------------------------------------- hooks

    def on_run_start(self, run: RunView) -> None:
        """Take the run, and show that it begins."""
        self._rate.clear()
        self._playing, self._ending, self._share_at_start = _STARTING, "", None
        self._known = replace(self._known, event="", budget=run.budget)
        name = ""
        with contextlib.suppress(TensorOptixError):  # closed by an earlier run: then its name is known
            name = _name_of(run.environment)
        self.open(name, _STARTING)
        self._run = run

    def on_loop_start(self) -> None:
        """Find out where it begins; the first window is shown at once."""
        self._playing, self._last_shown = "", -math.inf
        if self._run is not None:
            self._scores = deque((s for s in self._run.history.get("score", []) if s is not None), _SCORES_IN_MIND)
            self._share_at_start = (self._clock(), self._run.share_used or 0.0)
            self._known = replace(self._known, environment=_name_of(self._run.environment))
            self._rate.append((self._clock(), self._run.env_steps["training"]))

    def on_window(self, row: Mapping[str, Any], window: EpisodeData) -> None:
        """Take note of a window, and show it if it is time to."""
        self._playing = ""
        if row["score"] is not None:
            self._scores.append(row["score"])
        now = self._clock()
        self._note_rate(now, row["env_steps"])
        if self._style != "panel" and now - self._last_shown >= self._interval_seconds:
            self._show()

    def on_greedy_episodes(self, use: str, num_episodes: int) -> None:
        """Say what is being played; where it takes a while, at once."""
        self._playing = playing_in_words(use, num_episodes)
        if use == "report" or self._clock() - self._last_shown >= self._interval_seconds:
            self._show()

    def on_plateau(self, episode_id: int, state: LoopState) -> None:
        """Say so."""
        self._known = replace(self._known, event=f"window {episode_id:,}: a plateau; proof is being gathered")

    def on_dormant(self, episode_id: int) -> None:
        """Say so, at once: what comes next takes a moment."""
        self._known = replace(
            self._known, event=f"window {episode_id:,}: trained; the champion plays its last episodes"
        )
        self._show()

    def on_degradation(self, episode_id: int, eval_metrics: EvalMetrics) -> None:
        """Say so; the cause is added once it is found."""
        self._known = replace(
            self._known, event=f"window {episode_id:,}: alarm, the score fell to {number(eval_metrics.primary_score)}"
        )
        self._show()

    def on_run_end(self, result: RunResult) -> None:
        """Say what came of it."""
        self._ending = f"ended: {result.reason}"
        self._known = replace(self._known, event=result.explanation)

    def on_loop_stop(self) -> None:
        """Show the last word, and let go of the display."""
        if self._display is None:
            return
        self._playing = ""
        display, self._display = self._display, None
        display.close()
        self._run = None

    # ---------------------------------------------------------------- what is shown

    def status(self) -> Status:
        """Return how it is now; may be called from any thread."""
        run = self._run
        if run is None:
            return replace(self._known, seconds=self._clock() - self._opened)
        try:
            with self._lock:
                self._known = self._looked_at(run)
        except Exception as error:  # the loop is changing what is read: shown the next time
            logger.debug("Progress could not be read: %s", error)
        return self._known

    def _looked_at(self, run: RunView) -> Status:
        share, champion, cause = run.share_used, run.champion, run.cause
        event = self._known.event
        if cause and "alarm" in event and "cause" not in event:
            event = f"{event}; cause: {cause}"
        scores = tuple(self._scores)
        return replace(
            self._known,
            state=run.state,
            doing=self._ending or self._playing or state_in_words(run.state, run.looks),
            seconds=run.seconds,
            window=run.windows,
            env_steps=run.env_steps["training"],
            steps_per_second=self._steps_per_second(),
            share_used=share,
            seconds_left=self._seconds_left(share),
            score=scores[-1] if scores else None,
            scores=scores,
            champion=None if champion is None else champion.eval_metrics.primary_score,
            champion_returns=run.champion_returns,
            event=event,
        )

    def _show(self) -> None:
        self._last_shown = self._clock()
        if self._display is not None:
            self._display.show()

    def _made_display(self) -> Display:
        if self._style == "panel":
            return TerminalPanel(self._console, self.status, self._panel_seconds)
        if self._style == "notebook":
            return NotebookBar(self.status)
        return Lines(self._console, self.status, as_json=self._style == "json")

    def _note_rate(self, now: float, env_steps: int) -> None:
        self._rate.append((now, env_steps))
        while len(self._rate) > 2 and now - self._rate[1][0] > _RATE_SECONDS:
            self._rate.popleft()

    def _steps_per_second(self) -> float:
        """Return the speed over the last seconds."""
        if not self._rate:
            return math.nan
        (first, before), (last, after) = self._rate[0], self._rate[-1]
        return (after - before) / (last - first) if last > first else math.nan

    def _seconds_left(self, share: float | None) -> float | None:
        if share is None or self._share_at_start is None or self._ending:
            return None
        began, before = self._share_at_start
        gained = share - before
        return (self._clock() - began) * (1.0 - share) / gained if gained > 0 else None


def _fitting(console: Console) -> str:
    """Return how to show a run on a console."""
    if console.is_jupyter:
        return "notebook"
    return "panel" if console.is_terminal else "lines"


def _name_of(environment: Mapping[str, Any]) -> str:
    name, count = environment.get("env_id") or "", environment.get("num_envs") or 1
    return f"{name} x {count}" if name and count > 1 else str(name)
