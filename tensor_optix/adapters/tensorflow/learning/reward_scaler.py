"""Rewards in units of the spread of discounted returns, so that one set of defaults fits all tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tensor_optix.core.storage.plain_state import require_like
from tensor_optix.functional.linear_baseline import merge_moments
from tensor_optix.functional.returns import discounted_sums

CLIP = 10.0
"""Largest scaled reward."""


class RewardScaler:
    """Divides rewards by the running standard deviation of the return so far.

    The return so far of an environment is ``y_t = gamma * y_{t-1} + reward_t``, started anew with
    each episode. Rewards are divided only, never shifted: a shift would reward longer or shorter
    episodes. See "Implementation Matters in Deep Policy Gradients" (Engstrom et al., 2020).
    """

    def __init__(self) -> None:
        self._count, self._mean, self._variance = 0.0, np.zeros(1), np.zeros(1)
        self._carried = np.zeros(0)

    def scale(self, rewards: np.ndarray, ended: np.ndarray, valid: np.ndarray, gamma: float) -> np.ndarray:
        """Take one more window into the spread and return its rewards in units of it, float64.

        Args:
            rewards: ``[T, N]``, 0 where not valid.
            ended: ``[T, N]`` bool, terminated or truncated.
            valid: ``[T, N]`` bool.
            gamma: Discount.
        """
        num_envs = rewards.shape[1]
        carried = self._carried if len(self._carried) == num_envs else np.zeros(num_envs)
        decays = gamma * ~ended
        # The recurrence runs forward in time: backwards on the reversed window.
        first = rewards[:1] + carried
        so_far = discounted_sums(
            np.concatenate([rewards[:0:-1], first]), np.concatenate([decays[-2::-1], np.zeros((1, num_envs))])
        )[::-1]
        self._carried = decays[-1] * so_far[-1]
        seen = so_far[valid][:, None]
        if len(seen):
            self._count, self._mean, self._variance = merge_moments(self._count, self._mean, self._variance, seen)
        return np.clip(rewards / self.spread, -CLIP, CLIP)

    @property
    def spread(self) -> float:
        """What rewards are divided by; 1 until returns differ."""
        spread = float(np.sqrt(self._variance[0]))
        return spread if spread > 0.0 else 1.0

    def on_world_change(self) -> None:
        """Forget the spread of the old world."""
        self.__init__()  # type: ignore[misc]

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return arrays that :meth:`load_state_dict` takes."""
        return {
            "count": np.array(self._count),
            "mean": self._mean.copy(),
            "variance": self._variance.copy(),
            "carried": self._carried.copy(),
        }

    def check_state(self, state: Mapping[str, Any]) -> None:
        """Raise unless :meth:`load_state_dict` can take this."""
        require_like(state, self.state_dict(), "reward scaler")

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Become the scaler whose ``state_dict`` this is."""
        self._count = float(state["count"])
        self._mean, self._variance, self._carried = (np.array(state[k]) for k in ("mean", "variance", "carried"))
