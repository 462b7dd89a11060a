"""Every episode in a CSV file, as Stable-Baselines3's ``Monitor`` writes it."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from tensor_optix.core.callbacks import LoopCallback
from tensor_optix.core.run_view import RunView
from tensor_optix.core.storage.atomic_files import replacing
from tensor_optix.core.types import EpisodeData
from tensor_optix.reporting.shared.run_files import checked_place, place_of

logger = logging.getLogger(__name__)

MONITOR_FILE = "0.monitor.csv"
"""Its name in the run's folder: what Stable-Baselines3's ``load_results`` looks for."""

_COLUMNS = "r,l,t"


class MonitorCallback(LoopCallback):
    """Writes return, length and time of every training episode: ``load_results(run_dir)`` and plots made of it work.

    The first line is JSON (``#{"t_start": ..., "env_id": ...}``), then come columns ``r,l,t``. ``t`` are the seconds of
    the run at the end of the window in which the episode ended. Greedy episodes of the loop are not among them.

    Args:
        path: File to write; its name should end with ``monitor.csv``. Default: ``0.monitor.csv`` in the run's folder.

    Raises:
        InvalidTypeError: ``path`` is no path.
        CheckpointError: Its folder cannot be written to.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self._given = checked_place(path)
        self._run: RunView | None = None
        self._file: IO[str] | None = None
        self._was_said = False

    def on_run_start(self, run: RunView) -> None:
        """Take the run."""
        self._run = run

    def on_loop_start(self) -> None:
        """Go on behind the episodes so far; those that a resumed run plays again are dropped."""
        if self._run is None:
            return
        try:
            self._open(self._run)
        except OSError as error:
            self._give_up(error)

    def on_window(self, row: Mapping[str, Any], window: EpisodeData) -> None:
        """Write the episodes that ended in a window."""
        if self._file is None or self._run is None:
            return
        if window.completed_returns is None or window.completed_lengths is None:
            self._say_that_none_are_told()
            return
        seconds = self._run.seconds
        episodes = zip(window.completed_returns, window.completed_lengths, strict=True)
        lines = [f"{float(reached):.6f},{int(length)},{seconds:.6f}\n" for reached, length in episodes]
        if lines:
            try:
                self._file.write("".join(lines))
                self._file.flush()
            except OSError as error:
                self._give_up(error)

    def on_loop_stop(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self, run: RunView) -> None:
        path = place_of(self._given, run, MONITOR_FILE)
        lines = _lines_of(path)
        episodes = [line for line in lines[2:] if _seconds_of(line) <= run.seconds_before] if run.windows else []
        header = lines[:1] if lines and run.windows else [_header(run)]
        with replacing(path, flush=False) as (partial,):
            partial.write_text("\n".join([*header, _COLUMNS, *episodes]) + "\n", encoding="utf-8")
        self._file = path.open("a", encoding="utf-8")

    def _give_up(self, error: OSError) -> None:
        self._file = None
        sentence = f"MonitorCallback could not write and is off: {error}"
        logger.warning("%s.", sentence)
        if self._run is not None:
            self._run.note(sentence)

    def _say_that_none_are_told(self) -> None:
        if not self._was_said:
            self._was_said = True
            logger.warning("MonitorCallback has nothing to write: the pipeline does not tell which episodes ended.")


def _header(run: RunView) -> str:
    return "#" + json.dumps({"t_start": time.time() - run.seconds, "env_id": run.environment.get("env_id")})


def _lines_of(path: Path) -> list[str]:
    """Return the whole lines of a file that is one of ours, [] of any other."""
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    lines = text.split("\n")[:-1]
    return lines if len(lines) >= 2 and lines[0].startswith("#") and lines[1] == _COLUMNS else []


def _seconds_of(line: str) -> float:
    try:
        return float(line.split(",")[2])
    except (IndexError, ValueError):
        return float("inf")
