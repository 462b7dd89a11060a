"""What is drawn from a replay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Batch:
    """B transitions of up to n steps.

    ``G_t = r_t + gamma r_{t+1} + ... + gamma^(k-1) r_{t+k-1}``, where k is n, or less where the
    episode ended or was cut before; what is still to come is worth
    ``discounts_t * v(next_observations_t)``.

    Attributes:
        rows: Where they lie in the buffer, ``[B]`` int64, for ``update_priorities``.
        observations: ``o_t``, ``[B, ...]``, nested as the environment's.
        actions: ``a_t``, ``[B, ...]``.
        returns: ``G_t``, ``[B]`` float32.
        discounts: ``gamma^k``, 0 where the episode terminated, ``[B]`` float32.
        next_observations: ``o_{t+k}``; without meaning where the discount is 0.
        weights: Importance weights over the largest of all steps, at most 1, ``[B]`` float32; all 1 where sampling is
            uniform.
        next_masks: What is allowed on ``o_{t+k}``, ``[B, A]`` bool; None where no mask was ever told.
    """

    rows: np.ndarray
    observations: Any
    actions: np.ndarray
    returns: np.ndarray
    discounts: np.ndarray
    next_observations: Any
    weights: np.ndarray
    next_masks: np.ndarray | None = None
