"""Reads ``history.jsonl`` line by line, and parses no more of it than is asked for.

A run of a month has millions of lines. Those that our own writer wrote begin alike, so that one look at the beginning
tells all that charts and a resumed run need; any other line is parsed.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import logging
import math
import os
import re
import shutil
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np

from tensor_optix.core.run_result import History
from tensor_optix.core.storage.atomic_files import replacing
from tensor_optix.core.storage.json_files import parse_json
from tensor_optix.core.types import LoopState
from tensor_optix.exceptions import CheckpointError

logger = logging.getLogger(__name__)

MAX_LINE_BYTES = 2**20
_STATES = [state.value for state in LoopState]
_NUMBER = rb"(-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|null)"
_BEGINNING = re.compile(
    rb'\{"window": \d+, "state": "(' + "|".join(_STATES).encode() + rb')", "env_steps": (\d+), "score": ' + _NUMBER
    + rb', "champion": ' + _NUMBER + rb"[,}]"
)  # fmt: skip
_WINDOW = re.compile(rb'\{"window": (\d{1,18})[,}]')
_CODES = {state.encode(): code for code, state in enumerate(_STATES)}
_ALARM = b'"alarm": true'


def blocks_of(path: Path) -> Iterator[bytes]:
    """Yield a history file in blocks of whole lines, oldest first; a line that is far too long comes in pieces.

    Raises:
        CheckpointError: The file cannot be read.
    """
    try:
        with path.open("rb") as file:
            while block := file.read(MAX_LINE_BYTES):
                yield block if block.endswith(b"\n") else block + file.readline(MAX_LINE_BYTES)
    except OSError as error:
        raise CheckpointError(f"Could not read {path}: {error.strerror or error}.") from error


def lines_of(path: Path) -> Iterator[bytes]:
    """Yield the lines of a history file, oldest first; one that is far too long comes in pieces.

    Raises:
        CheckpointError: The file cannot be read.
    """
    for block in blocks_of(path):
        yield from block.splitlines(keepends=True)


def line_of(row: dict[str, Any]) -> bytes:
    """Return a row of ``to_jsonable`` as a line of the file."""
    return json.dumps(row, allow_nan=False).encode() + b"\n"


def parsed(line: bytes) -> dict[str, Any] | None:
    """Return the row of a whole line, None for any other."""
    try:
        row = parse_json(line, "")
    except CheckpointError:
        return None
    return row if isinstance(row, dict) and line.endswith(b"\n") else None


def last_row(path: Path) -> dict[str, Any] | None:
    """Return the last whole row of a history file, None where there is none; no more than its end is read.

    Raises:
        CheckpointError: The file cannot be read.
    """
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 2 * MAX_LINE_BYTES))
            lines = file.read(2 * MAX_LINE_BYTES).splitlines(keepends=True)
    except OSError as error:
        raise CheckpointError(f"Could not read {path}: {error.strerror or error}.") from error
    return next((row for row in map(parsed, reversed(lines)) if row is not None), None)


def window_of(line: bytes) -> tuple[Any] | None:
    """Return the ``"window"`` of a whole line, alone in a tuple; None for any other line.

    Of a line that begins as ours do only beginning and end are looked at.
    """
    found = _WINDOW.match(line) if line.endswith(b"}\n") else None
    if found is not None:
        return (int(found[1]),)
    row = parsed(line)
    return None if row is None else (row.get("window"),)


class RowsRead:
    """What a resumed run has of the rows before it, without holding them all.

    Attributes:
        num_rows: How many there are.
        last_window: The ``"window"`` of the last one, None where there is none.
        digest: SHA-256 of their lines, to be gone on with.
        history: The latest of them.
    """

    def __init__(self) -> None:
        self.num_rows = 0
        self.last_window: Any = None
        self.digest = hashlib.sha256()
        self.history = History()

    def read(self, path: Path, num_rows: int, skip: int = 0) -> int:
        """Add the rows of up to ``num_rows`` lines, up to one that is not whole; return where they end in the file.

        Raises:
            CheckpointError: The file cannot be read.
        """
        end, lines = 0, lines_of(path)
        for line in itertools.islice(lines, skip):
            end += len(line)
        for line in itertools.islice(lines, num_rows):
            if not self.add(line):
                break
            end += len(line)
        return end

    def add(self, line: bytes) -> bool:
        """Add the row of a line, if it is whole; tell whether it is."""
        window = window_of(line)
        if window is None:
            return False
        self.last_window = window[0]
        self.num_rows += 1
        self.digest.update(line)
        self.history.append_line(line)
        return True


def read_columns(path: Path) -> dict[str, np.ndarray]:
    """Return what charts need of a history file, one array per quantity, all of the same length.

    ``env_steps``, ``score`` and ``champion`` are floats (NaN where a row has none), ``state`` is text and ``alarm``
    bool. Lines without a state or env steps are left out.

    Raises:
        CheckpointError: The file cannot be read.
    """
    columns, num_bad = columns_and_damage(path)
    if num_bad:
        logger.warning("%d lines of %s are not whole and are left out.", num_bad, path)
    return columns


def columns_and_damage(path: Path) -> tuple[dict[str, np.ndarray], int]:
    """Return what :func:`read_columns` does, and how many lines are left out; nothing is logged.

    Raises:
        CheckpointError: The file cannot be read.
    """
    rows = _Rows()
    for block in blocks_of(path):
        rows.add(block)
    return rows.as_arrays(), rows.num_bad


class _Rows:
    """Columns that grow: 25 bytes a row."""

    def __init__(self) -> None:
        self._columns = array("d"), array("d"), array("d")
        self._states = bytearray()
        self._alarms = array("Q")
        self.num_bad = 0

    def add(self, block: bytes) -> None:
        """Add the rows of some lines."""
        steps, scores, champions = self._columns
        states, has_alarms = self._states, _ALARM in block
        champion_text, champion = b"null", math.nan
        for line in block.splitlines(keepends=True):
            found = _BEGINNING.match(line)
            values = found.groups() if found and line.endswith(b"}\n") else _values_of(parsed(line))
            if values is None:
                self.num_bad += 1
                continue
            if has_alarms and _ALARM in line:
                self._alarms.append(len(states))
            if values[3] != champion_text:
                champion_text, champion = values[3], _float(values[3])
            states.append(_CODES[values[0]])
            steps.append(float(values[1]))
            scores.append(_float(values[2]))
            champions.append(champion)

    def as_arrays(self) -> dict[str, np.ndarray]:
        """Return the columns by name."""
        steps, scores, champions = (np.frombuffer(column) if column else np.zeros(0) for column in self._columns)
        is_alarm = np.zeros(len(steps), dtype=bool)
        is_alarm[np.array(self._alarms, dtype=np.int64)] = True
        is_known = np.isfinite(steps)
        return {
            "env_steps": steps[is_known],
            "state": np.array(_STATES)[np.frombuffer(self._states, dtype=np.uint8)][is_known],
            "score": np.where(np.isfinite(scores), scores, math.nan)[is_known],
            "champion": np.where(np.isfinite(champions), champions, math.nan)[is_known],
            "alarm": is_alarm[is_known],
        }


def _values_of(row: dict[str, Any] | None) -> tuple[Any, ...] | None:
    """Return state, env steps, score and champion of a row that begins otherwise than ours do, None for no such row."""
    if row is None or row.get("state") not in _STATES:
        return None
    return (row["state"].encode(), *(_number(row.get(name)) for name in ("env_steps", "score", "champion")))


def _float(value: bytes | float) -> float:
    return math.nan if value == b"null" else float(value)


def _number(value: Any) -> float:
    with contextlib.suppress(OverflowError):
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    return math.nan


_CHUNK_BYTES = 1 << 20


class Appendable(Protocol):
    """A file of rows."""

    def append_line(self, line: bytes) -> None:
        """Add a row."""


class HistoryTail:
    """Holds the rows of a resumed run against those that the file has already.

    A run that is resumed exactly makes the very same rows again, and nothing is written. From the first row that
    differs its rows go to a file of their own, beside the old ones, which are cut off once there are as many new ones.

    Args:
        path: The history.
        shared_bytes: Where the rows end in it that both have.
        shared_rows: How many those are.
        aside: The file of a run that has left the old rows already, open; None: it has not.
        num_aside: How many rows are in there.

    Attributes:
        num_left: Rows of the file that were not made again yet.
        shared_bytes: Where the rows end that both have.
        shared_rows: How many those are.
    """

    def __init__(
        self, path: Path, shared_bytes: int, shared_rows: int, aside: Appendable | None = None, num_aside: int = 0
    ) -> None:
        self._path = path
        self._reader = path.open("rb")
        self._reader.seek(shared_bytes)
        self.shared_bytes, self.shared_rows = shared_bytes, shared_rows
        self.aside = aside
        self.num_left = _count_lines(self._reader) - num_aside
        self._reader.seek(shared_bytes)

    def is_next(self, line: bytes) -> bool:
        """Take one more row of the run; tell whether it is the one that the file has."""
        self.num_left -= 1
        if self.aside is not None or self._reader.readline() != line:
            return False
        self.shared_bytes += len(line)
        self.shared_rows += 1
        return True

    def join(self, aside: Path | None, header_bytes: int) -> None:
        """Let the run's own rows take the places of the old ones.

        Args:
            aside: Where they are; None: there are no others than those that both have.
            header_bytes: What in that file comes before them.

        Raises:
            CheckpointError: The system refused; both files are what they were.
        """
        with replacing(self._path) as (partial,), partial.open("xb") as joined:
            self._reader.seek(0)
            _copy(self._reader, joined, self.shared_bytes)
            if aside is not None:
                with aside.open("rb") as rows:
                    rows.seek(header_bytes)
                    shutil.copyfileobj(rows, joined, _CHUNK_BYTES)

    def close(self) -> None:
        """Let go of the file."""
        self._reader.close()


def _count_lines(file: BinaryIO) -> int:
    count = 0
    while chunk := file.read(_CHUNK_BYTES):
        count += chunk.count(b"\n")
    return count


def _copy(source: BinaryIO, target: BinaryIO, num_bytes: int) -> None:
    while num_bytes > 0 and (chunk := source.read(min(num_bytes, _CHUNK_BYTES))):
        target.write(chunk)
        num_bytes -= len(chunk)
