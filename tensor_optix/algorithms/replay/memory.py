"""The memory of a replay: taken piece by piece, and asked for before it is filled for hours."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from tensor_optix.exceptions import InvalidArgumentError, StateMismatchError

CHUNK_BYTES = 64 * 2**20


class ChunkedArray:
    """Rows of one shape and dtype, allocated piece by piece as they are first written.

    ``state_dict`` hands out views, not copies. A piece that was handed out is copied before any of
    the rows seen in the view is overwritten, so a state may be written to disk while rows are
    replaced: what that costs is one piece of memory for each that is written to meanwhile.

    Args:
        capacity: Number of rows.
        shape: Shape of one row.
        dtype: Dtype of the rows.
        chunk_bytes: Size of a piece; at least one row.
    """

    def __init__(self, capacity: int, shape: tuple[int, ...], dtype: Any, chunk_bytes: int = CHUNK_BYTES) -> None:
        self._shape = shape
        self._dtype = np.dtype(dtype)
        self._capacity = capacity
        self._chunk_rows = min(capacity, max(1, chunk_bytes // max(1, self.row_bytes)))
        self.clear()

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return int(np.prod(self._shape, dtype=np.int64) * self._dtype.itemsize)

    def clear(self) -> None:
        """Forget all rows."""
        count = -(-self._capacity // self._chunk_rows)
        self._chunks: list[Any] = [None] * count
        self._num_frozen = [0] * count

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Return a new array ``[B, ...]`` of these rows."""
        if len(self._chunks) == 1:
            found: np.ndarray = self._chunks[0].take(rows, axis=0)
            return found
        result = np.empty((len(rows), *self._shape), self._dtype)
        for number, places in self._by_chunk(rows):
            result[places] = self._chunks[number][rows[places] - number * self._chunk_rows]
        return result

    def put(self, rows: np.ndarray, values: np.ndarray) -> None:
        """Write ``values`` ``[B, ...]`` to these rows."""
        for number, places in self._by_chunk(rows):
            within = rows[places] - number * self._chunk_rows
            self._writable(number, int(within.min()))[within] = values[places]

    def state_dict(self, num_rows: int) -> dict[str, np.ndarray]:
        """Return the first ``num_rows`` rows as read-only views, one per piece, by number."""
        views = {}
        for number in range(-(-num_rows // self._chunk_rows)):
            filled = min(self._chunk_rows, num_rows - number * self._chunk_rows)
            view = self._chunks[number][:filled]
            view.flags.writeable = False
            self._num_frozen[number] = max(filled, self._num_frozen[number])
            views[str(number)] = view
        return views

    def check_state(self, state: Mapping[str, np.ndarray], num_rows: int) -> None:
        """Raise unless ``state`` is what ``state_dict(num_rows)`` of an equal array returns.

        Raises:
            StateMismatchError: It is not.
        """
        sizes = {str(i // self._chunk_rows): 0 for i in range(0, num_rows, self._chunk_rows)}
        for number in sizes:
            sizes[number] = min(self._chunk_rows, num_rows - int(number) * self._chunk_rows)
        expected = {number: ((size, *self._shape), self._dtype) for number, size in sizes.items()}
        found = {number: (tuple(array.shape), array.dtype) for number, array in state.items()}
        if expected != found:
            raise StateMismatchError(
                f"The saved replay does not fit: its observations come in pieces {found}, here {expected}. "
                "Load it into an agent with the same spaces and the same buffer_size."
            )

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Hold the rows of a state; whole pieces are taken over as they are and copied when written to."""
        self.clear()
        for name, array in state.items():
            number = int(name)
            if len(array) == self._chunk_rows:
                self._chunks[number], self._num_frozen[number] = array, len(array)
            else:
                self._writable(number, 0)[: len(array)] = array

    def _by_chunk(self, rows: np.ndarray) -> list[tuple[int, Any]]:
        """Return for each piece that holds some of ``rows`` its number and their places in ``rows``."""
        if len(rows) == 0:
            return []
        if len(self._chunks) == 1:
            return [(0, slice(None))]
        numbers = rows // self._chunk_rows
        order = np.argsort(numbers, kind="stable")
        starts = np.flatnonzero(np.diff(numbers[order], prepend=-1))
        return [(int(numbers[part[0]]), part) for part in np.split(order, starts[1:])]

    def _writable(self, number: int, lowest_row: int) -> np.ndarray:
        """Return a piece to write to from ``lowest_row`` on, apart from what was handed out of it."""
        old = self._chunks[number]
        if old is not None and lowest_row >= self._num_frozen[number]:
            fresh: np.ndarray = old
        elif old is None:
            fresh = np.empty((self._chunk_rows, *self._shape), self._dtype)
        else:
            fresh = np.array(old)
        if fresh is not old:
            self._chunks[number], self._num_frozen[number] = fresh, 0
        return fresh


def require_memory(needed_bytes: int, buffer_size: int) -> None:
    """Raise unless so many bytes are free.

    Raises:
        InvalidArgumentError: They are not; it says how much is needed, and which size would fit.
    """
    free_bytes = available_memory_bytes()
    if free_bytes is not None and needed_bytes > free_bytes:
        raise InvalidArgumentError(
            f"A replay with buffer_size={buffer_size} would take {needed_bytes / 2**30:.1f} GiB, but "
            f"{free_bytes / 2**30:.1f} GiB of memory are free. "
            f"Pass a smaller one, for example buffer_size={int(buffer_size * 0.8 * free_bytes / needed_bytes)}."
        )


def available_memory_bytes() -> int | None:
    """Return how much memory may still be taken, None where that cannot be told.

    On Linux what the kernel calls available; elsewhere all there is.
    """
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            fields = dict(line.split(":", 1) for line in file)
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError, IndexError):
        pass
    try:
        return int(os.sysconf("SC_PHYS_PAGES")) * int(os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, OSError, ValueError):
        return None
