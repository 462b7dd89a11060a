"""What an on-policy algorithm carries from window to window, apart from weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tensor_optix.adapters.tensorflow.learning.reward_scaler import RewardScaler
from tensor_optix.adapters.tensorflow.learning.window_steps import Steps
from tensor_optix.adapters.tensorflow.saving.state_checks import check_positive
from tensor_optix.core.storage.plain_state import require_like

KL_FACTOR_STEP = 1.3
KL_FACTOR_BOUNDS = (0.03, 5.0)
MIN_SHARE_TAKEN = 0.3


class OnPolicyLearner:
    """The scale of rewards, the learning-rate factor of the KL control, and what draws minibatches.

    Args:
        rng: Draws the minibatches.

    Attributes:
        kl_factor: What the learning rate is multiplied by.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self.kl_factor = 1.0
        self._rng = rng
        self._reward_scaler = RewardScaler()

    def scaled_rewards(self, steps: Steps, gamma: float) -> np.ndarray:
        """Return the window's rewards ``[T, N]`` in units of the spread of returns."""
        return self._reward_scaler.scale(steps.rewards, steps.ended, steps.valid, gamma)

    def adapt(self, kl: float, kl_target: float, share_taken: float) -> None:
        """Choose the learning-rate factor of the next update by what this one came to.

        Down where the KL limit was reached so soon that most minibatches were never used, or where
        the update went too far all the same; up where it went less than half as far as it may.

        Args:
            kl: Of the update.
            kl_target: What it should be.
            share_taken: Share of the planned gradient steps that were taken.
        """
        if share_taken < MIN_SHARE_TAKEN or kl > 2.0 * kl_target:
            self.kl_factor = max(KL_FACTOR_BOUNDS[0], self.kl_factor / KL_FACTOR_STEP)
        elif kl < 0.5 * kl_target:
            self.kl_factor = min(KL_FACTOR_BOUNDS[1], self.kl_factor * KL_FACTOR_STEP)

    def minibatches(self, valid: np.ndarray, num_epochs: float, batch_size: int) -> tuple[np.ndarray, int]:
        """Draw shuffled passes over the valid rows, one after another, cut into minibatches.

        Args:
            valid: Which rows may be drawn, ``[B]`` bool.
            num_epochs: How many passes.
            batch_size: Rows of a minibatch, at most B.

        Returns:
            Row numbers ``[at least num_steps, batch_size]`` int32, and ``num_steps``. The first axis
            is the same for any number of valid rows and for up to twice as many epochs: a compiled
            update need not be compiled again.
        """
        rows = np.flatnonzero(valid)
        batch_size = min(batch_size, len(valid))
        num_steps = max(1, round(num_epochs * len(rows) / batch_size)) if len(rows) else 0
        capacity = -(-next_power_of_two(num_epochs) * len(valid) // batch_size)
        batches = np.zeros((capacity, batch_size), np.int32)
        if num_steps:
            needed = num_steps * batch_size
            passes = np.tile(rows.astype(np.int32), (-(-needed // len(rows)), 1))
            batches[:num_steps] = self._rng.permuted(passes, axis=1).reshape(-1)[:needed].reshape(-1, batch_size)
        return batches, num_steps

    def reseed(self, rng: np.random.Generator) -> None:
        """Draw minibatches from another generator."""
        self._rng = rng

    def on_world_change(self) -> None:
        """Forget the scale of the old world's rewards, and how far a step may go."""
        self._reward_scaler = RewardScaler()
        self.kl_factor = 1.0

    def state_dict(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return arrays and JSON-able values that :meth:`load_state_dict` takes."""
        arrays = {f"rewards.{name}": array for name, array in self._reward_scaler.state_dict().items()}
        return arrays, {"kl_factor": self.kl_factor, "generator": self._rng.bit_generator.state}

    def check_state(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        """Raise unless :meth:`load_state_dict` can take this."""
        own_arrays, own = self.state_dict()
        require_like(meta, own, "learner")
        check_positive("learner", kl_factor=meta["kl_factor"])
        require_like(arrays, own_arrays, "reward scaler")

    def load_state_dict(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        """Become the learner whose ``state_dict`` this is."""
        self._reward_scaler.load_state_dict({name.removeprefix("rewards."): array for name, array in arrays.items()})
        self.kl_factor = float(meta["kl_factor"])
        self._rng.bit_generator.state = meta["generator"]


def next_power_of_two(number: float) -> int:
    """Return the smallest power of two that is not below ``number``."""
    return int(2 ** np.ceil(np.log2(max(number, 1.0))))
