"""Rows in a CSV file, as Stable-Baselines3 and Keras's ``CSVLogger`` write them."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import IO

from tensor_optix.core.run_view import RunView
from tensor_optix.core.storage.atomic_files import replacing
from tensor_optix.reporting.shared.log_keys import WINDOW_KEY
from tensor_optix.reporting.shared.row_logger import RowLogger
from tensor_optix.reporting.shared.run_files import checked_place, place_of

CSV_FILE = "progress.csv"
"""Its name in the run's folder: that of Stable-Baselines3."""


class CSVLogger(RowLogger):
    """Writes a row a window, under the keys of ``reporting.shared.log_keys``.

    The file can be read while the run goes on. A number that comes up later gets a column of its own, empty above.

    Args:
        path: File to write; default: ``progress.csv`` in the run's folder.
        every_seconds: Least time between two rows; 0: every window has one.

    Raises:
        InvalidTypeError: ``path`` is no path.
        CheckpointError: Its folder cannot be written to.

    Example:
        >>> callbacks = [CSVLogger("cartpole.csv", every_seconds=1.0)]
    """

    def __init__(self, path: str | os.PathLike[str] | None = None, *, every_seconds: float = 0.0) -> None:
        super().__init__(every_seconds)
        self._given = checked_place(path)
        self._path = Path(CSV_FILE)
        self._columns: list[str] = []
        self._file: IO[str] | None = None

    def open(self, run: RunView) -> None:
        """Go on behind the rows of the windows so far; what lies beyond them is dropped."""
        self._path = place_of(self._given, run, CSV_FILE)
        rows = [row for row in _rows_of(self._path) if _window_of(row) <= run.windows] if run.windows else []
        self._columns = list(dict.fromkeys(key for row in rows for key in row))
        self._rewrite(rows)

    def write(self, env_steps: int, values: dict[str, float]) -> None:
        """Add a row, and columns for what is new in it."""
        new = [key for key in sorted(values) if key not in self._columns]
        if new:
            self.flush()
            self._columns += new
            self._rewrite(_rows_of(self._path))
        if self._file is not None:
            csv.writer(self._file, lineterminator="\n").writerow([values.get(key, "") for key in self._columns])

    def flush(self) -> None:
        """Write what waits in memory."""
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _rewrite(self, rows: list[dict[str, str]]) -> None:
        self.close()
        with replacing(self._path, flush=False) as (partial,), partial.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self._columns, restval="", lineterminator="\n")
            if self._columns:
                writer.writeheader()
            writer.writerows(rows)
        self._file = self._path.open("a", newline="", encoding="utf-8")


def _rows_of(path: Path) -> list[dict[str, str]]:
    """Return the whole rows of a file; the last one may have been cut off by a crash."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        lines = [line for line in file if line.endswith("\n")]
    return [row for row in csv.DictReader(lines) if None not in row and None not in row.values()]


def _window_of(row: dict[str, str]) -> float:
    try:
        return float(row.get(WINDOW_KEY, ""))
    except ValueError:
        return float("inf")
