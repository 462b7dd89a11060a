"""Noise for acting, drawn in blocks from a generator of its own, and saved without the block."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

BLOCK_ROWS = 1024

DrawNoise = Callable[[np.random.Generator, int], np.ndarray]


class NoiseStream:
    """Hands out rows of noise; restoring its state continues with the very next row.

    Args:
        rng: The generator; nothing else may draw from it.
        draw: ``draw(rng, count)`` returns noise ``[count, K]``.
    """

    def __init__(self, rng: np.random.Generator, draw: DrawNoise) -> None:
        self._rng = rng
        self._draw = draw
        self._position = 0
        self._refill()

    def one(self) -> np.ndarray:
        """Return noise ``[K]``."""
        if self._position == BLOCK_ROWS:
            self._refill()
        self._position += 1
        row: np.ndarray = self._block[self._position - 1]
        return row

    def batch(self, count: int) -> np.ndarray:
        """Return noise ``[count, K]``: the rows that ``one`` would have given."""
        end = self._position + count
        if end <= BLOCK_ROWS:
            rows: np.ndarray = self._block[self._position : end]
            self._position = end
            return rows
        return np.stack([self.one() for _ in range(count)])

    def state_dict(self) -> dict[str, Any]:
        """Return the generator's state when the block was drawn, and how much of it was used."""
        return {"generator": self._block_start, "position": self._position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Draw the same block again and go on from the same row."""
        self._rng.bit_generator.state = state["generator"]
        self._refill()
        self._position = state["position"]

    def _refill(self) -> None:
        self._block_start = self._rng.bit_generator.state
        self._block = self._draw(self._rng, BLOCK_ROWS)
        self._position = 0
