"""Where a run's wall time goes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")

STEPPING, LEARNING, GREEDY = "acting and stepping", "learning", "greedy episodes"
"""What is timed; all else is the loop itself: judging, saving, callbacks."""


class Stopwatch:
    """Adds up seconds by what they were spent on, since the latest ``start_run``.

    Attributes:
        seconds: So far, by name.
    """

    def __init__(self) -> None:
        self.start_run()

    def start_run(self) -> None:
        """Begin anew."""
        self.seconds = dict.fromkeys((STEPPING, LEARNING, GREEDY), 0.0)

    @contextmanager
    def on(self, what: str) -> Iterator[None]:
        """Count the time within as spent on ``what``."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[what] += time.perf_counter() - began

    def waiting_for(self, items: Iterator[Item]) -> Iterator[Item]:
        """Hand on windows, and count what each took to come as acting and stepping."""
        nothing = object()
        while True:
            with self.on(STEPPING):
                item = next(items, nothing)
            if item is nothing:
                return
            yield item  # type: ignore[misc]
