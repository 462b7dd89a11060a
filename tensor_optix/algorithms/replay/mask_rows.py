"""What was allowed on the observations of a replay, a bit for each option."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensor_optix.core.mask_layout import MaskLayout

_EVERYTHING = 255


class MaskRows:
    """Masks by row, eight flags in a byte; nothing is kept until the first one is told.

    Args:
        capacity: Rows.
        layout: Of a mask; None where there are no masks, and none is ever put.
    """

    def __init__(self, capacity: int, layout: MaskLayout | None) -> None:
        self.layout = layout
        self._capacity = capacity
        self._packed: np.ndarray | None = None

    @property
    def is_told(self) -> bool:
        """Whether any mask was put."""
        return self._packed is not None

    def put(self, rows: np.ndarray, masks: np.ndarray | None) -> None:
        """Write masks ``[B, A]`` to these rows; None where everything is allowed."""
        if masks is None and self._packed is None:
            return
        if self._packed is None:
            self._packed = np.full((self._capacity, self._num_bytes), _EVERYTHING, np.uint8)
        self._packed[rows] = _EVERYTHING if masks is None else np.packbits(masks, axis=-1)

    def take(self, rows: np.ndarray) -> np.ndarray | None:
        """Return masks ``[B, A]`` of these rows; None where none was ever told."""
        if self._packed is None or self.layout is None:
            return None
        return np.unpackbits(self._packed[rows], axis=-1, count=self.layout.size).view(np.bool_)

    def clear(self) -> None:
        """Forget all."""
        self._packed = None

    def state_dict(self, num_rows: int) -> dict[str, np.ndarray]:
        """Return the first rows, packed; nothing where no mask was ever told."""
        return {} if self._packed is None else {"masks": self._packed[:num_rows].copy()}

    def shapes(self, num_rows: int, arrays: Any) -> dict[str, tuple[int, ...]]:
        """Return what shape saved masks must have, if there are any among ``arrays``."""
        return {"masks": (num_rows, self._num_bytes)} if "masks" in arrays else {}

    def load_state_dict(self, arrays: Any) -> None:
        """Become what ``state_dict`` returned."""
        self.clear()
        if "masks" in arrays:
            self._packed = np.full((self._capacity, self._num_bytes), _EVERYTHING, np.uint8)
            self._packed[: len(arrays["masks"])] = arrays["masks"]

    @property
    def _num_bytes(self) -> int:
        return 0 if self.layout is None else -(-self.layout.size // 8)
