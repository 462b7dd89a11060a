"""Several choices in one action: ``MultiDiscrete`` and ``MultiBinary``, sampled in NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np


@dataclass(frozen=True, eq=False)
class MultiDiscreteSampler:
    """Samples each of C choices from its own logits; the outputs are those logits side by side.

    Args:
        sizes: How many options each choice has, C numbers.
        start: First option of each choice, ``[C]``.
        shape: Shape of one action.
        dtype: Dtype of one action.
    """

    sizes: tuple[int, ...]
    start: np.ndarray
    shape: tuple[int, ...]
    dtype: np.dtype

    @classmethod
    def for_space(cls, space: gym.spaces.MultiDiscrete) -> MultiDiscreteSampler:
        """Make a sampler for a space of any shape."""
        start = np.broadcast_to(getattr(space, "start", 0), space.nvec.shape)
        return cls(tuple(space.nvec.reshape(-1).tolist()), start.reshape(-1), space.shape, space.dtype)

    @property
    def num_outputs(self) -> int:
        """One logit per option of each choice."""
        return sum(self.sizes)

    def draw_noise(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Return Gumbel noise."""
        return rng.gumbel(size=(count, self.num_outputs)).astype(np.float32)

    def sample_one(self, outputs: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Return a draw from the softmax of each choice."""
        return self.greedy_one(outputs + noise)

    def sample(self, outputs: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Return a draw from the softmax of each choice, for each row."""
        return self.greedy(outputs + noise)

    def greedy_one(self, outputs: np.ndarray) -> np.ndarray:
        """Return the option of the largest logit of each choice."""
        return self._to_env(outputs, self.shape)

    def greedy(self, outputs: np.ndarray) -> np.ndarray:
        """Return the option of the largest logit of each choice, for each row."""
        return self._to_env(outputs, (len(outputs), *self.shape))

    def encode(self, actions: Any) -> np.ndarray:
        """Return indices into each choice's logits, int32 ``[B, C]``."""
        return (np.asarray(actions).reshape(-1, len(self.sizes)) - self.start).astype(np.int32)

    def _to_env(self, logits: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        ends = np.cumsum(self.sizes)[:-1]
        options = np.stack([part.argmax(axis=-1) for part in np.split(logits, ends, axis=-1)], axis=-1)
        return (options + self.start).astype(self.dtype).reshape(shape)


@dataclass(frozen=True, eq=False)
class MultiBinarySampler:
    """Samples yes or no for each bit; the outputs are log-odds of yes.

    Args:
        shape: Shape of one action.
        dtype: Dtype of one action.
    """

    shape: tuple[int, ...]
    dtype: np.dtype

    @classmethod
    def for_space(cls, space: gym.spaces.MultiBinary) -> MultiBinarySampler:
        """Make a sampler for a space of any shape."""
        return cls(tuple(space.shape), space.dtype)

    @property
    def num_outputs(self) -> int:
        """One log-odds per bit."""
        return int(np.prod(self.shape))

    def draw_noise(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Return logistic noise: log-odds plus it is positive with just that probability."""
        return rng.logistic(size=(count, self.num_outputs)).astype(np.float32)

    def sample_one(self, outputs: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Return a draw of each bit."""
        return self.greedy_one(outputs + noise)

    def sample(self, outputs: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Return a draw of each bit, for each row."""
        return self.greedy(outputs + noise)

    def greedy_one(self, outputs: np.ndarray) -> np.ndarray:
        """Return the likelier value of each bit."""
        return (outputs > 0).astype(self.dtype).reshape(self.shape)

    def greedy(self, outputs: np.ndarray) -> np.ndarray:
        """Return the likelier value of each bit, for each row."""
        return (outputs > 0).astype(self.dtype).reshape(len(outputs), *self.shape)

    def encode(self, actions: Any) -> np.ndarray:
        """Return bits, float32 ``[B, C]``."""
        return np.asarray(actions, np.float32).reshape(-1, self.num_outputs)
