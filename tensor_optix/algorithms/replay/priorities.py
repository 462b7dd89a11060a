"""Which steps a prioritised replay draws, and how learning corrects for it."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from tensor_optix.adapters.tensorflow.saving.state_checks import require_numbers
from tensor_optix.core.storage.plain_state import as_type, require_finite
from tensor_optix.exceptions import StateMismatchError

_SMALLEST = 1e-6


class Priorities:
    """A priority per row, and draws in proportion to a power of it.

    See "Prioritized Experience Replay" (Schaul et al., 2016), the proportional variant.

    Args:
        capacity: Number of rows; all start at 0, which is never drawn.
    """

    def __init__(self, capacity: int) -> None:
        self._values = np.zeros(capacity)
        self._tree = SumTree(capacity)
        self.clear()

    def clear(self) -> None:
        """Set all to 0."""
        self._values[:] = 0.0
        self._tree.rebuild(np.zeros(0))
        self._exponent: float | None = None
        self._largest = 1.0
        self._smallest: float | None = math.inf

    def remove(self, rows: np.ndarray) -> None:
        """Let these rows never be drawn."""
        self._set(rows, 0.0)

    def put_new(self, rows: np.ndarray) -> None:
        """Give rows the largest priority so far, so that they are drawn soon."""
        self._set(rows, self._largest)

    def update(self, rows: np.ndarray, errors: np.ndarray) -> None:
        """Set priorities to absolute errors ``[B]``; of repeated rows the last holds."""
        values = np.abs(np.asarray(errors, np.float64)) + _SMALLEST
        self._largest = max(self._largest, float(values.max()))
        self._set(rows, values)

    def draw(
        self, rng: np.random.Generator, size: int, exponent: float, correction: float, num_steps: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return rows and importance weights.

        Args:
            rng: Source of randomness.
            size: B.
            exponent: Rows are drawn in proportion to their priority to this power.
            correction: Weights are ``(num_steps * probability) ** -correction``, over the largest of all rows: that of
                a row does not depend on what is drawn with it.
            num_steps: How many rows could be drawn.

        Returns:
            Rows ``[B]`` int64 in random order, one from each of B equal shares of the sum, and
            weights ``[B]`` float32.
        """
        if exponent != self._exponent:
            self._exponent = exponent
            self._tree.rebuild(_power(self._values, exponent))
        shares = (np.arange(size) + rng.random(size)) * (self._tree.total / size)
        rows = rng.permutation(self._tree.find(shares))
        rarest = _power(np.array([self._least()]), exponent)
        scale = num_steps / self._tree.total
        weights, largest = ((scale * x) ** -correction for x in (self._tree.values(rows), rarest))
        return rows, np.minimum(weights / largest, 1.0).astype(np.float32)

    def state_dict(self, num_rows: int) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return arrays of the first ``num_rows`` rows and JSON-able values."""
        # The powers too: computed anew in another order of rows, they might differ in the last bit.
        arrays = {"priorities": self._values[:num_rows].copy(), "powers": self._tree.values(slice(num_rows)).copy()}
        return arrays, {"exponent": self._exponent, "largest": self._largest}

    def check_state(self, arrays: Mapping[str, np.ndarray], meta: Any) -> None:
        """Raise unless :meth:`load_state_dict` can take this.

        Raises:
            StateMismatchError: It says what none can.
        """
        found = as_type(meta, dict[str, float | None], "priorities")
        exponent, largest = as_type(found.get("exponent"), float | None, "exponent"), found.get("largest")
        require_finite([exponent, as_type(largest, float, "largest priority")], "priorities")
        if not 0.0 <= (exponent or 0.0) <= 1.0 or largest <= 0.0:
            raise StateMismatchError(f"The saved priorities say {meta!r:.80}. Expected an exponent from 0 to 1.")
        for name in ("priorities", "powers"):
            require_numbers(arrays[name], np.dtype(np.float64), name, 0.0, sys.float_info.max)

    def load_state_dict(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        """Become what :meth:`state_dict` returned."""
        self.clear()
        self._values[: len(arrays["priorities"])] = arrays["priorities"]
        self._tree.rebuild(arrays["powers"])
        self._exponent, self._largest, self._smallest = meta["exponent"], float(meta["largest"]), None

    def _least(self) -> float:
        """Return the smallest priority of all rows that may be drawn."""
        if self._smallest is None:
            self._smallest = float(self._values.min(where=self._values > 0, initial=math.inf))
        return self._smallest

    def _set(self, rows: np.ndarray, values: Any) -> None:
        before, self._values[rows] = self._values[rows], values
        after = self._values[rows]
        if (before == self._smallest).any():
            self._smallest = None  # it may be gone: looked for when it is asked for
        elif self._smallest is not None:
            self._smallest = float(after.min(where=after > 0, initial=self._smallest))
        if self._exponent is not None:
            self._tree.update(rows, _power(self._values[rows], self._exponent))


def _power(values: np.ndarray, exponent: float) -> np.ndarray:
    """Return ``values ** exponent``; those of 0 stay 0 with any exponent."""
    return np.where(values > 0, np.where(values > 0, values, 1.0) ** exponent, 0.0)


def priority_bytes(capacity: int) -> int:
    """Return the bytes that priorities of so many rows take."""
    return 8 * capacity + 16 * (1 << max(0, int(capacity - 1).bit_length()))


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
