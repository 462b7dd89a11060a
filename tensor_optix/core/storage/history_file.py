"""``history.jsonl``: one line of JSON a window, only ever appended to."""

from __future__ import annotations

import logging
import math
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from tensor_optix.core.run_result import History
from tensor_optix.core.storage.atomic_files import replacing
from tensor_optix.core.storage.history_lines import (
    MAX_LINE_BYTES,
    HistoryTail,
    RowsRead,
    line_of,
    lines_of,
    parsed,
    window_of,
)
from tensor_optix.core.storage.json_files import to_jsonable
from tensor_optix.exceptions import CheckpointError

logger = logging.getLogger(__name__)

_FLUSH_SECONDS = 1.0
_WARN_SECONDS = 60.0
_ROWS_BEFORE = "rows_before"


class HistoryFile:
    """Appends rows to a file so that a crash costs at most the last line.

    Each row is handed to the system at once (a ``kill -9`` loses nothing) and put on the disk about
    once a second (a power cut loses about a second). Where the system refuses, that is logged, the
    rows wait in memory, and the next call tries again.

    A resumed run goes on from an earlier row (``rewind``); the later ones stay until it has made as many, or has
    ended (``settle``).

    Args:
        path: The file; made where it is missing. A torn last line is cut off.

    Raises:
        CheckpointError: The file cannot be opened, or is a link.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._aside_path = path.with_name(f"{path.stem}.aside{path.suffix}")
        self._aside: HistoryFile | None = None
        self._tail: HistoryTail | None = None
        self._beside = bytearray()
        self._waiting = bytearray()
        self._flushed_at = time.monotonic()
        self._warned_at = -math.inf
        self._descriptor = _open(path)
        try:
            self._cut_torn_line()
        except OSError as error:
            os.close(self._descriptor)
            raise CheckpointError(f"Could not read the end of {path}: {error.strerror or error}.") from error

    def append(self, row: dict[str, Any]) -> None:
        """Write a row; NaN and infinity become null. Never raises for what the disk does."""
        self.append_line(line_of(to_jsonable(row)))

    def append_line(self, line: bytes) -> None:
        """Write a row as :func:`line_of` returned it. Never raises for what the disk does."""
        if self._tail is not None:
            self._append_beside(self._tail, line)
            return
        self._waiting += line
        self._hand_over()
        if time.monotonic() - self._flushed_at >= _FLUSH_SECONDS:
            self.flush()

    def rewind(self, num_rows: int, last_window: int | None) -> RowsRead:
        """Go back to the first ``num_rows`` rows, and return what they are: a resumed run makes the later ones again.

        Args:
            num_rows: How many.
            last_window: The ``"window"`` of the last of them, None where not known. Where damage took lines away, their
                number tells no more, and the rows up to this window are written anew.

        Raises:
            CheckpointError: The file cannot be read or written.
        """
        self._hand_over()
        self._let_go_of_tail()
        try:
            rows = self._rewind(num_rows)
            if rows is not None and (not rows.num_rows or last_window in (None, rows.last_window)):
                return rows
            self._let_go_of_tail()
            rows = self._keep_up_to(last_window)
            logger.warning("%s holds %d of its %d rows; the others were lost.", self.path, rows.num_rows, num_rows)
            self._reopen()
        except OSError as error:
            if isinstance(error, CheckpointError):
                raise
            raise CheckpointError(f"Could not rewind {self.path}: {error.strerror or error}.") from error
        return rows

    def rows(self) -> RowsRead:
        """Return what there is of rows, as far as they are whole; nothing changes.

        Raises:
            CheckpointError: The file cannot be read.
        """
        rows = RowsRead()
        rows.read(self.path, sys.maxsize)
        return rows

    def latest(self) -> History:
        """Return the latest rows; lines that are not whole are left out.

        Raises:
            CheckpointError: The file cannot be read.
        """
        history = History()
        for line in lines_of(self.path):
            history.append_line(line)
        return history

    def _keep_up_to(self, last_window: int | None) -> RowsRead:
        """Write the file anew with the whole rows up to a window, and return what they are."""
        rows = RowsRead()
        with replacing(self.path) as (partial,), partial.open("xb") as file:
            for line in lines_of(self.path):
                window = window_of(line)
                if window is not None and _is_up_to(window[0], last_window) and rows.add(line):
                    file.write(line)
        return rows

    def settle(self) -> None:
        """End with the rows of the run that was resumed; older ones that it did not make again go to a file beside.

        Never raises for what the disk does.
        """
        if self._tail is None:
            return
        try:
            if self._tail.num_left > 0:
                shutil.copyfile(self.path, self.path.with_name(f"{self.path.stem}.superseded{self.path.suffix}"))
            self._join(self._tail)
        except OSError as error:
            self._complain(error)

    def _rewind(self, num_rows: int) -> RowsRead | None:
        """Go back to the first rows, and return what they are; None where they are not whole."""
        rows, rows_before = RowsRead(), _rows_before(self._aside_path)
        if rows_before is None or rows_before >= num_rows:
            end = rows.read(self.path, num_rows)
            if rows.num_rows < num_rows:
                return None
            self._aside_path.unlink(missing_ok=True)
            self._tail = HistoryTail(self.path, end, num_rows)
        else:
            end = rows.read(self.path, rows_before)
            own_end = rows.read(self._aside_path, num_rows - rows_before, skip=1)
            if rows.num_rows < num_rows:
                return None
            os.truncate(self._aside_path, own_end)
            self._aside = HistoryFile(self._aside_path)
            self._tail = HistoryTail(self.path, end, rows_before, self._aside, num_rows - rows_before)
        if self._tail.num_left <= 0:
            self._join(self._tail)
        return rows

    def _append_beside(self, tail: HistoryTail, line: bytes) -> None:
        try:
            if not tail.is_next(line):
                self._beside += line
                if self._aside is None:
                    self._aside = tail.aside = HistoryFile(self._aside_path)
                    self._aside.append_line(line_of({_ROWS_BEFORE: tail.shared_rows}))
                self._aside.append_line(bytes(self._beside))
                self._beside.clear()
            if tail.num_left <= 0:
                self._join(tail)
        except OSError as error:
            self._complain(error)

    def _join(self, tail: HistoryTail) -> None:
        """Go on in the one file: all that is in it was made by this run."""
        if self._aside is not None:
            self._aside.flush()
        if self._aside is not None or tail.num_left > 0:
            header_bytes = len(line_of({_ROWS_BEFORE: _rows_before(self._aside_path) or 0}))
            tail.join(None if self._aside is None else self._aside_path, header_bytes)
            self._reopen()
        self._let_go_of_tail()
        self._aside_path.unlink(missing_ok=True)

    def _let_go_of_tail(self) -> None:
        tail, aside, self._tail, self._aside = self._tail, self._aside, None, None
        if tail is not None:
            tail.close()
        if aside is not None:
            aside.close()

    def _reopen(self) -> None:
        """Write to the file that now has the name; the descriptor stays, for another thread may be flushing it."""
        fresh = _open(self.path)
        os.dup2(fresh, self._descriptor, inheritable=False)
        os.close(fresh)

    def flush(self) -> None:
        """Put everything on the disk. Never raises for what the disk does."""
        if self._aside is not None:
            self._aside.flush()
        self._hand_over()
        self._flushed_at = time.monotonic()
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            self._complain(error)

    def sync(self) -> None:
        """Put those rows on the disk that the system was handed; may be called from another thread.

        Raises:
            CheckpointError: The system refused.
        """
        aside = self._aside
        try:
            if aside is not None:
                aside.sync()
        except CheckpointError:
            if self._aside is aside:  # else its rows have just been put into the one file
                raise
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            raise CheckpointError(f"Could not write to {self.path}: {error.strerror or error}.") from error

    def close(self) -> None:
        """Put everything on the disk and let go of the file; safe to call twice."""
        if self._descriptor < 0:
            return
        self.flush()
        self._let_go_of_tail()
        os.close(self._descriptor)
        self._descriptor = -1

    def _hand_over(self) -> None:
        try:
            while self._waiting:
                written = os.write(self._descriptor, self._waiting)
                del self._waiting[:written]
        except OSError as error:
            self._complain(error)

    def _complain(self, error: OSError) -> None:
        if time.monotonic() - self._warned_at >= _WARN_SECONDS:
            self._warned_at = time.monotonic()
            logger.error("Could not write to %s: %s. Its rows wait in memory.", self.path, error.strerror or error)

    def _cut_torn_line(self) -> None:
        """Cut off what follows the last line end: a crash came in the middle of that row."""
        end = os.lseek(self._descriptor, 0, os.SEEK_END)
        begin = max(0, end - MAX_LINE_BYTES)
        os.lseek(self._descriptor, begin, os.SEEK_SET)
        tail = os.read(self._descriptor, end - begin)
        whole = begin + tail.rfind(b"\n") + 1
        if whole == end:
            return
        logger.warning("The last line of %s was torn by a crash and is dropped.", self.path)
        if b"\n" in tail or begin == 0:
            os.ftruncate(self._descriptor, whole)
        else:  # no row of ours is that long: leave the foreign bytes, and begin a line of our own
            os.write(self._descriptor, b"\n")


def _open(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    try:
        return os.open(path, flags, 0o666)
    except OSError as error:
        raise CheckpointError(f"Could not open {path} for appending: {error.strerror or error}.") from error


def _rows_before(aside: Path) -> int | None:
    """Return how many rows of the history come before those in the file beside it; None where there is none."""
    if not aside.is_file() or aside.is_symlink():
        return None
    row = parsed(next(lines_of(aside), b""))
    count = None if row is None else row.get(_ROWS_BEFORE)
    return count if isinstance(count, int) and count >= 0 else None


def _is_up_to(window: Any, last_window: int | None) -> bool:
    return last_window is None or (isinstance(window, int) and window <= last_window)
