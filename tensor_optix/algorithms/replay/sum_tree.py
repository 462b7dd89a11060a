"""Draws in proportion to priorities, with updates in logarithmic time, vectorised."""

from __future__ import annotations

from typing import Any

import numpy as np


class SumTree:
    """A complete binary tree whose inner nodes hold the sums of their children.

    See "Prioritized Experience Replay" (Schaul et al., 2016), appendix B.2.1.

    Args:
        capacity: Number of leaves; all start at 0.

    Example:
        >>> tree = SumTree(3)
        >>> tree.update(np.array([0, 2]), np.array([1.0, 3.0]))
        >>> tree.find(np.array([0.5, 1.5])).tolist()
        [0, 2]
    """

    def __init__(self, capacity: int) -> None:
        self._num_levels = max(0, int(capacity - 1).bit_length())
        self._first_leaf = 1 << self._num_levels
        self._nodes = np.zeros(2 * self._first_leaf)

    @property
    def total(self) -> float:
        """Sum of all leaves."""
        return float(self._nodes[1])

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self._nodes.nbytes

    def values(self, leaves: Any) -> np.ndarray:
        """Return the values of these leaves, an index array or a slice."""
        found: np.ndarray = self._nodes[self._first_leaf :][leaves]
        return found

    def update(self, leaves: np.ndarray, values: Any) -> None:
        """Set leaves; where one is named twice, the last value holds."""
        nodes = leaves + self._first_leaf
        self._nodes[nodes] = values
        for _ in range(self._num_levels):
            nodes = nodes >> 1
            self._nodes[nodes] = self._nodes[2 * nodes] + self._nodes[2 * nodes + 1]

    def rebuild(self, values: np.ndarray) -> None:
        """Set the first ``len(values)`` leaves, and the others to 0."""
        self._nodes[self._first_leaf :] = 0.0
        self._nodes[self._first_leaf : self._first_leaf + len(values)] = values
        width = self._first_leaf
        while width > 1:
            level = self._nodes[width : 2 * width]
            width //= 2
            self._nodes[width : 2 * width] = level[0::2] + level[1::2]

    def find(self, targets: np.ndarray) -> np.ndarray:
        """Return for each target the leaf in which the running sum of the leaves passes it.

        Args:
            targets: Numbers in ``[0, total)``.

        Returns:
            Leaves, int64; never one whose value is 0, however the sums were rounded.
        """
        rest, nodes = np.array(targets, np.float64), np.ones(len(targets), np.int64)
        for _ in range(self._num_levels):
            left = 2 * nodes
            left_sum = self._nodes[left]
            goes_right = ((rest >= left_sum) & (self._nodes[left + 1] > 0)) | (left_sum <= 0)
            rest -= np.where(goes_right, left_sum, 0.0)
            nodes = left + goes_right
        return nodes - self._first_leaf
