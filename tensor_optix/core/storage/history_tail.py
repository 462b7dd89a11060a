"""The rows of a history that a resumed run makes again: they stay until it has made as many."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import BinaryIO, Protocol

from tensor_optix.core.storage.atomic_files import replacing

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
