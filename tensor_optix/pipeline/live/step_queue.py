"""The bounded queue between the thread that lives with the feed and the loop's thread."""

from __future__ import annotations

import threading
from collections import deque
from enum import Enum

from tensor_optix.pipeline.live.live_window import LiveStep


class Signal(Enum):
    """What the queue hands out beside steps."""

    GAP = "steps are missing between the last one and the next"
    END = "nothing will follow"


class StepQueue:
    """A queue of steps, bounded, that never hides a gap.

    Args:
        capacity: How many steps it holds.
        drop_oldest: What to do when full: let go of the oldest step (True), or let the feed wait.
    """

    def __init__(self, capacity: int, *, drop_oldest: bool) -> None:
        self.dropped_steps = 0
        self._capacity = capacity
        self._drop_oldest = drop_oldest
        self._entries: deque[LiveStep | Signal] = deque()
        self._num_queued = 0
        self._closed = False
        self._error: BaseException | None = None
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return self._num_queued

    def put(self, step: LiveStep) -> None:
        """Add a step; when full, wait or drop the oldest. Does nothing on a closed queue."""
        with self._changed:
            if self._drop_oldest:
                while self._num_queued >= self._capacity:
                    self._drop()
            else:
                self._changed.wait_for(lambda: self._closed or self._num_queued < self._capacity)
            if not self._closed:
                self._entries.append(step)
                self._num_queued += 1
                self._changed.notify_all()

    def put_gap(self) -> None:
        """Note that steps are missing from here on. Takes no room."""
        with self._changed:
            if not self._closed and (not self._entries or self._entries[-1] is not Signal.GAP):
                self._entries.append(Signal.GAP)
                self._changed.notify_all()

    def get(self, timeout_seconds: float) -> LiveStep | Signal | None:
        """Take what is oldest; None when nothing came in time.

        Raises:
            BaseException: What ``close`` was given, once everything before it is taken.
        """
        with self._changed:
            if not self._entries and not self._closed:
                self._changed.wait(timeout_seconds)
            if self._entries:
                entry = self._entries.popleft()
                if not isinstance(entry, Signal):
                    self._num_queued -= 1
                    self._changed.notify_all()
                return entry
            if self._error is not None:
                raise self._error
            return Signal.END if self._closed else None

    def close(self, error: BaseException | None = None) -> None:
        """Take no more: whoever reads gets what is left, then ``error`` or the end."""
        with self._changed:
            if not self._closed:
                self._closed = True
                self._error = error
                self._changed.notify_all()

    def clear(self) -> None:
        """Let go of everything queued."""
        with self._changed:
            self._entries.clear()
            self._num_queued = 0
            self._changed.notify_all()

    def _drop(self) -> None:
        if self._entries[0] is Signal.GAP:
            self._entries.popleft()
        self._entries.popleft()
        self._num_queued -= 1
        self.dropped_steps += 1
        if not self._entries or self._entries[0] is not Signal.GAP:
            self._entries.appendleft(Signal.GAP)
