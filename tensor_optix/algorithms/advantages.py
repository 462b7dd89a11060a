"""What a window says of each of its actions, from what the value function expects."""

from __future__ import annotations

import numpy as np

from tensor_optix.adapters.tensorflow.learning.window_steps import Steps
from tensor_optix.functional.returns import generalized_advantages

_EPSILON = 1e-8


def advantages_and_returns(
    steps: Steps, rewards: np.ndarray, values: np.ndarray, successor_values: np.ndarray, gamma: float, gae_lambda: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return generalized advantages and the values' targets ``A_t + v_t``, both ``[T * N]`` float64.

    Args:
        steps: The window.
        rewards: Its rewards as they are learned from, ``[T, N]``.
        values: ``v_t``, ``[T * N]``.
        successor_values: Of ``steps.successors``, ``[C]``.
        gamma: Discount of a step that does not terminate.
        gae_lambda: Mixing of longer and shorter returns.
    """
    grid = np.asarray(values, np.float64).reshape(rewards.shape)
    discounts = gamma * (1.0 - steps.terminated)
    following = steps.next_values(grid, successor_values)
    advantages = generalized_advantages(rewards, discounts, steps.continues, grid, following, gae_lambda)
    return advantages.reshape(-1), (advantages + grid).reshape(-1)


def standardized(x: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return ``x`` shifted and scaled so that it has mean 0 and variance 1 where ``mask``."""
    counted = x[mask] if mask.any() else x
    standard: np.ndarray = (x - counted.mean()) / (counted.std() + _EPSILON)
    return standard


def explained_variance(values: np.ndarray, returns: np.ndarray, mask: np.ndarray) -> float:
    """Return the share of the returns' variance that the values explain where ``mask``; 0 if there is none."""
    spread = np.var(returns[mask]) if mask.any() else 0.0
    return float(1.0 - np.var(returns[mask] - values[mask]) / spread) if spread > 0.0 else 0.0
