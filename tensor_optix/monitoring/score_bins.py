"""The whole history of a series in bounded memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tensor_optix.core.storage.plain_state import as_type, require_finite
from tensor_optix.core.storage.stateful import WithState
from tensor_optix.exceptions import StateMismatchError

Floats = npt.NDArray[np.float64]


class ScoreBins(WithState):
    """Means and spreads of equally long bins; neighbours merge when all bins are full.

    Values are kept as differences from the first one, so that a common offset costs no digits.

    Args:
        capacity: Most bins kept, an even number.

    Attributes:
        bin_size: Scores per full bin, a power of two.
        num_bins: Full bins; the last, still open one is not counted.
        means: Mean of each full bin, ``[capacity]``.
        scatters: Sum of squared deviations from the bin's mean, ``[capacity]``.
        roughness: Sum of squared one-step differences, ``[capacity]``.
    """

    def __init__(self, capacity: int = 512) -> None:
        self.capacity = capacity
        self.bin_size = 1
        self.num_bins = 0
        self.means: Floats = np.zeros(capacity)
        self.scatters: Floats = np.zeros(capacity)
        self.roughness: Floats = np.zeros(capacity)
        self._origin: float | None = None
        self._last = 0.0
        self._open = [0.0, 0.0, 0.0, 0.0]  # count, mean, scatter, roughness

    def add(self, score: float) -> None:
        """Take in one score."""
        if self._origin is None:
            self._origin = score
        value = score - self._origin
        count, mean, scatter, rough = self._open
        count += 1.0
        step = value - mean if count > 1 else 0.0
        mean = mean + step / count if count > 1 else value
        scatter += step * (value - mean)
        rough += (value - self._last) ** 2
        self._last = value
        self._open = [count, mean, scatter, rough]
        if count == self.bin_size:
            self._close()

    @property
    def last(self) -> float:
        """The newest score, as a difference from the first one."""
        return self._last

    def values(self) -> Floats:
        """Return the means of the full bins: the scores themselves until bins are merged."""
        return self.means[: self.num_bins]

    def difference_sd(self) -> float:
        """Return the root mean square of all one-step differences over sqrt(2)."""
        count = max(self.num_bins * self.bin_size - 1, 1)
        return float(np.sqrt(self.roughness[: self.num_bins].sum() / (2.0 * count)))

    def _close(self) -> None:
        _, mean, scatter, rough = self._open
        i = self.num_bins
        self.means[i], self.scatters[i], self.roughness[i] = mean, scatter, rough
        self.num_bins += 1
        self._open = [0.0, 0.0, 0.0, 0.0]
        if self.num_bins == self.capacity:
            self._merge()

    def _merge(self) -> None:
        half = self.capacity // 2
        left, right = self.means[0::2], self.means[1::2]
        between = (right - left) ** 2 * (self.bin_size / 2.0)
        self.scatters[:half] = self.scatters[0::2] + self.scatters[1::2] + between
        self.roughness[:half] = self.roughness[0::2] + self.roughness[1::2]
        self.means[:half] = (left + right) / 2.0
        self.num_bins = half
        self.bin_size *= 2

    def state_dict(self) -> dict[str, Any]:
        """Return everything as JSON-able values."""
        return {
            "bin_size": self.bin_size,
            "means": self.means[: self.num_bins].tolist(),
            "scatters": self.scatters[: self.num_bins].tolist(),
            "roughness": self.roughness[: self.num_bins].tolist(),
            "origin": self._origin,
            "last": self._last,
            "open": list(self._open),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what ``state_dict`` returned.

        Raises:
            StateMismatchError: It holds more bins than fit, or not as many of each kind.
        """
        counts = {len(state[name]) for name in ("means", "scatters", "roughness")}
        if len(counts) > 1 or max(counts) >= self.capacity:
            raise StateMismatchError(
                f"Expected fewer than {self.capacity} bins of equal number. Received: {sorted(counts)}."
            )
        if len(state["open"]) != len(self._open):
            raise StateMismatchError(
                f"Expected {len(self._open)} sums of the open bin. Received: {state['open']!r:.80}."
            )
        for name in ("means", "scatters", "roughness", "open"):
            require_finite(as_type(state[name], list[float], name), name)
        require_finite(
            [as_type(state["origin"], float | None, "origin"), as_type(state["last"], float, "last")], "bins"
        )
        self.bin_size = int(state["bin_size"])
        self.num_bins = max(counts)
        for name in ("means", "scatters", "roughness"):
            getattr(self, name)[: self.num_bins] = state[name]
        self._origin = None if state["origin"] is None else float(state["origin"])
        self._last = float(state["last"])
        self._open = [float(v) for v in state["open"]]
