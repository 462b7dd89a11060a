"""Several choices in one action: ``MultiDiscrete``."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import gymnasium as gym
import numpy as np
import tensorflow as tf
from keras import ops

from tensor_optix.adapters.spaces.observation_parts import choices_of
from tensor_optix.adapters.tensorflow.actions.action_sampler import NEVER, PolicyHead, SymbolicNumbers
from tensor_optix.adapters.tensorflow.actions.discrete import (
    Categorical,
    counted_from,
    gumbel,
    index_of_largest,
    is_near_largest,
    log_softmax_at,
)
from tensor_optix.core.mask_layout import MaskLayout


@dataclass(frozen=True, eq=False)
class MultiDiscreteSampler(PolicyHead):
    """Samples each of C choices from its own logits; the outputs are those logits side by side.

    Args:
        num_outputs: How many options all choices have.
        sizes: How many options each choice has, C numbers.
        start: First option of each choice, ``[C]``.
        shape: Shape of one action.
        dtype: Dtype of one action.
    """

    num_outputs: int
    sizes: tuple[int, ...]
    start: np.ndarray
    shape: tuple[int, ...]
    dtype: np.dtype
    space_class = gym.spaces.MultiDiscrete
    served = "MultiDiscrete"
    outputs_mean = "one logit per option"

    @classmethod
    def for_space(cls, action_space: gym.spaces.MultiDiscrete) -> MultiDiscreteSampler:
        """Make one for a space of any shape."""
        start, counts = (part.reshape(-1) for part in choices_of(action_space))
        sizes = tuple(counts.tolist())
        return cls(sum(sizes), sizes, start, action_space.shape, action_space.dtype)

    def draw_noise(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Return Gumbel noise."""
        return rng.gumbel(size=(count, self.num_outputs)).astype(np.float32)

    @property
    def mask_layout(self) -> MaskLayout:
        """The options of all choices side by side."""
        return self._mask_layout

    @functools.cached_property
    def _mask_layout(self) -> MaskLayout:
        return MaskLayout(self.sizes)

    def masked(self, outputs: np.ndarray, masks: np.ndarray) -> np.ndarray:
        """Return logits that are minus infinity where an option is ruled out."""
        return np.where(masks, outputs, np.float32(-np.inf))

    def masked_layer(self, outputs: Any, masks: Any) -> Any:
        """Return symbolic logits that are far below all others where an option is ruled out."""
        return outputs + (masks - 1.0) * NEVER

    def log_prob(self, outputs: np.ndarray, actions: Any, masks: np.ndarray | None = None) -> np.ndarray:
        """Return the sum over choices of the log-softmax at the option taken."""
        outputs = outputs if masks is None else self.masked(outputs, masks)
        choices = zip(self._split(outputs), self.encode(actions).T, strict=True)
        return np.sum([log_softmax_at(logits, taken) for logits, taken in choices], axis=0)

    def encode(self, actions: Any) -> np.ndarray:
        """Return indices into each choice's logits, int32 ``[B, C]``."""
        return (np.asarray(actions).reshape(-1, len(self.sizes)) - self.start).astype(np.int32)

    def density(self, log_std: Any) -> MultiCategorical:
        """Return the density of all choices together."""
        return MultiCategorical(self.sizes)

    def greedy_layer(self, outputs: Any) -> Any:
        """Return the option of the largest logit of each choice."""
        if len(set(self.sizes)) == 1:
            logits = ops.reshape(outputs, (-1, len(self.sizes), self.sizes[0]))
            options = ops.reshape(index_of_largest(logits), (-1, len(self.sizes)))
        else:
            parts = ops.split(outputs, np.cumsum(self.sizes)[:-1].tolist(), axis=-1)
            options = ops.concatenate([index_of_largest(part) for part in parts], axis=-1)
        return self._shaped(counted_from(self.start, options, self.dtype.name))

    def noisy_layer(self, outputs: Any, noise: SymbolicNumbers) -> Any:
        """Return logits with Gumbel noise."""
        return outputs + gumbel(outputs, noise)

    def explains(self, outputs: np.ndarray, actions: np.ndarray, within: np.ndarray) -> np.ndarray:
        """See :class:`ActionSampler`."""
        choices = zip(self._split(outputs), self.encode(actions).T, strict=True)
        return np.all([is_near_largest(logits, taken, within) for logits, taken in choices], axis=0)

    def _difference(self, known: Any, new: Any) -> str | None:
        return None if np.array_equal(known.nvec, new.nvec) else "other numbers of options"

    def in_space(self, known: Any, new: Any) -> MultiDiscreteSampler:
        """Return the sampler where options have other numbers."""
        return replace(self, start=choices_of(new)[0].reshape(-1), dtype=new.dtype)

    def _to_env(self, logits: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        options = np.stack([part.argmax(axis=-1) for part in self._split(logits)], axis=-1)
        return (options + self.start).astype(self.dtype).reshape(shape)

    def _split(self, logits: np.ndarray) -> list[np.ndarray]:
        return np.split(logits, np.cumsum(self.sizes)[:-1], axis=-1)


class MultiCategorical:
    """C independent choices, their logits side by side in ``[B, K]``; actions are int32 ``[B, C]``.

    Args:
        sizes: How many options each choice has.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        self._sizes = list(sizes)
        self._each = Categorical()

    def masked(self, outputs: Any, masks: Any) -> Any:
        """Return logits that are far below all others where an option is ruled out."""
        return self._each.masked(outputs, masks)

    def log_prob(self, outputs: Any, actions: Any) -> Any:
        """Return the sum over choices of the log-softmax at the option taken."""
        choices = zip(tf.split(outputs, self._sizes, axis=-1), tf.unstack(actions, len(self._sizes), -1), strict=True)
        return tf.add_n([self._each.log_prob(logits, taken) for logits, taken in choices])

    def entropy(self, outputs: Any) -> Any:
        """Return the sum of the entropies of the choices."""
        return tf.add_n([self._each.entropy(logits) for logits in tf.split(outputs, self._sizes, axis=-1)])
