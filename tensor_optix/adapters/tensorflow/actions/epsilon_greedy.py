"""Epsilon-greedy acting on action values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tensor_optix.adapters.tensorflow.actions.action_sampling import DiscreteSampler


@dataclass(frozen=True)
class EpsilonGreedySampler(DiscreteSampler):
    """Takes the action of the largest value, or with probability ``epsilon`` any action.

    Args:
        num_outputs: Number of actions.
        start: The first action.
        epsilon: Share of random actions.
    """

    epsilon: float = 0.0

    def with_epsilon(self, epsilon: float) -> EpsilonGreedySampler:
        """Return the same sampler with another share of random actions."""
        return replace(self, epsilon=epsilon)

    def draw_noise(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Return two uniform numbers per action: whether it is random, and which one it then is."""
        return rng.random((count, 2))

    def sample_one(self, outputs: np.ndarray, noise: np.ndarray) -> int:
        """Return one action as a Python int."""
        if noise[0] < self.epsilon:
            return int(noise[1] * self.num_outputs) + self.start
        return int(outputs.argmax()) + self.start

    def log_prob(self, outputs: np.ndarray, actions: Any) -> np.ndarray:
        """Return the log-probability ``[B]`` of actions ``[B]``."""
        chance = np.full(len(outputs), self.epsilon / self.num_outputs)
        chance += (1.0 - self.epsilon) * (outputs.argmax(axis=-1) == self.encode(actions))
        with np.errstate(divide="ignore"):
            return np.log(chance).astype(np.float32)

    def sample(self, outputs: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Return an action for each row."""
        random = (noise[:, 1] * self.num_outputs).astype(np.int64)
        return np.where(noise[:, 0] < self.epsilon, random, outputs.argmax(axis=-1)) + self.start
