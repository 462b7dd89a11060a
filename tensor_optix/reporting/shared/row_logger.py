"""What all loggers share: rows with the same keys, none twice, and an end of it where writing fails."""

from __future__ import annotations

import logging
import math
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

from tensor_optix.core.callbacks import LoopCallback
from tensor_optix.core.run_result import RunResult
from tensor_optix.core.run_view import RunView
from tensor_optix.core.types import EpisodeData
from tensor_optix.reporting.shared.log_keys import STEP_KEY, LogKeys, WindowFacts

logger = logging.getLogger(__name__)

SECONDS_TOGETHER = 0.25
"""What windows of so long came to is worked out at once."""


class RowLogger(LoopCallback):
    """Base of the loggers: hands each of them the rows of a run as named numbers.

    A resumed run goes on behind the rows that are there: what an interrupted one wrote after its last checkpoint is
    not written again. Rows of quick windows are written together, at least four times a second:
    that costs half as much. Where writing fails, that is said once, and the run goes on without this logger.

    Args:
        every_seconds: Least time between two rows; 0: every window has one. The last window always has.
    """

    def __init__(self, every_seconds: float = 0.0) -> None:
        self._every_seconds = every_seconds
        self._run: RunView | None = None
        self._keys: LogKeys | None = None
        self._is_open = False
        self._news = 0
        self._ended: list[tuple[float, WindowFacts, dict[str, float]]] = []
        self._waiting: dict[str, float] = {}
        self._last_worked = self._last_written = -math.inf

    @abstractmethod
    def open(self, run: RunView) -> None:
        """Get ready to write: a new run, or the next rows of one that is resumed or runs once more."""

    @abstractmethod
    def write(self, env_steps: int, values: dict[str, float]) -> None:
        """Write a row."""

    def flush(self) -> None:
        """Let others read what was written. Default: nothing."""

    def finish(self, result: RunResult) -> None:
        """Write what a run came to. Default: nothing."""

    def close(self) -> None:
        """Let go of everything. Default: nothing."""

    # ---------------------------------------------------------------- hooks

    def on_run_start(self, run: RunView) -> None:
        """Take the run."""
        self._run, self._is_open = run, False

    def on_loop_start(self) -> None:
        """Open; by now it is known what a resumed run goes on from."""
        run = self._run
        if run is None:
            return
        self._keys, self._news, self._ended, self._waiting = LogKeys(run), 0, [], {}
        self._is_open = True
        self._trying("open", self.open, run)

    def on_window(self, row: Mapping[str, Any], window: EpisodeData) -> None:
        """Note what the window's row is made of, and write what has been noted, if it is time to."""
        if not self._is_open or self._keys is None or self._run is None:
            return
        now = time.monotonic()
        self._news, news = self._run.news(self._news)
        self._ended.append((now, self._keys.facts_of(row, window), news))
        if now - self._last_worked >= SECONDS_TOGETHER:
            self._last_worked = now
            self._write_ended()

    def on_run_end(self, result: RunResult) -> None:
        """Write the last rows, and what the run came to."""
        if self._is_open and self._run is not None:
            self._write_ended()
            self._waiting.update(self._run.news(self._news)[1])
            self._write_waiting()
            self._trying("write", self.finish, result)

    def on_loop_stop(self) -> None:
        """Close."""
        if self._is_open:
            self._write_ended()
            self._trying("close", self.close)
            self._is_open = False

    def _write_ended(self) -> None:
        ended, self._ended = self._ended, []
        for now, facts, news in ended:
            if self._keys is not None:
                self._waiting = {**self._waiting, **self._keys.numbers_of(facts), **news}
            if self._is_open and now - self._last_written >= self._every_seconds:
                self._last_written = now
                self._write_waiting()
        if ended and self._is_open:
            self._trying("write", self.flush)

    def _write_waiting(self) -> None:
        if STEP_KEY in self._waiting:
            values, self._waiting = self._waiting, {}
            self._trying("write", self.write, int(values[STEP_KEY]), values)

    def _trying(self, what: str, action: Callable[..., None], *arguments: Any) -> None:
        try:
            action(*arguments)
        except Exception as error:
            self._is_open = False
            sentence = f"{type(self).__name__} could not {what} and is off: {type(error).__name__}: {error}"
            logger.warning("%s.", sentence)
            if self._run is not None:
                self._run.note(sentence)


def result_values(result: RunResult) -> dict[str, float]:
    """Return what a run came to as named numbers."""
    values = {f"result/env_steps_{use}": float(steps) for use, steps in result.env_steps.items()}
    values |= {"result/windows": float(result.windows), "result/seconds": float(result.seconds)}
    if result.report is not None:
        low, high = result.report.interval
        values |= {"result/mean": result.report.mean, "result/interval_low": low, "result/interval_high": high}
        values["result/num_episodes"] = float(result.report.num_episodes)
    return {key: value for key, value in values.items() if math.isfinite(value)}
