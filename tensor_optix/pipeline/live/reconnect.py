"""How long to wait before a broken feed is opened again."""

from __future__ import annotations

import numpy as np

FIRST_WAIT_SECONDS = 0.1
ATTEMPTS_BEFORE_FIRST_ITEM = 8


class ReconnectWaits:
    """Waits that double from try to try, up to a ceiling, each shortened by a random part.

    The jitter (a factor in ``[0.5, 1)``) keeps many clients of one server from coming back at the
    same moment.

    Args:
        max_seconds: Ceiling of the wait before jitter.
        rng: Source of the jitter.
    """

    def __init__(self, max_seconds: float, rng: np.random.Generator) -> None:
        self.attempts = 0
        self._max_seconds = max_seconds
        self._rng = rng

    def next_seconds(self) -> float:
        """Return how long to wait before the next attempt, and count it."""
        # The exponent is bounded: an outage of days must not overflow a float.
        wait = min(self._max_seconds, FIRST_WAIT_SECONDS * 2.0 ** min(self.attempts, 60))
        self.attempts += 1
        return wait * float(self._rng.uniform(0.5, 1.0))

    def reset(self) -> None:
        """Start from the shortest wait again: the feed gave something."""
        self.attempts = 0
