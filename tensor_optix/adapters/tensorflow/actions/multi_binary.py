"""Several bits in one action: ``MultiBinary``."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import tensorflow as tf
from keras import ops

from tensor_optix.adapters.tensorflow.actions.action_sampler import NEVER, PolicyHead, SymbolicNumbers
from tensor_optix.core.mask_layout import MaskLayout


@dataclass(frozen=True, eq=False)
class MultiBinarySampler(PolicyHead):
    """Samples yes or no for each bit; the outputs are log-odds of yes.

    Args:
        num_outputs: How many bits there are.
        shape: Shape of one action.
        dtype: Dtype of one action.
    """

    num_outputs: int
    shape: tuple[int, ...]
    dtype: np.dtype
    space_class = gym.spaces.MultiBinary
    served = "MultiBinary"
    outputs_mean = "one log-odds per bit"

    @classmethod
    def for_space(cls, action_space: gym.spaces.MultiBinary) -> MultiBinarySampler:
        """Make one for a space of any shape."""
        return cls(math.prod(action_space.shape), tuple(action_space.shape), action_space.dtype)

    def draw_noise(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Return logistic noise: log-odds plus it is positive with just that probability."""
        return rng.logistic(size=(count, self.num_outputs)).astype(np.float32)

    @property
    def mask_layout(self) -> MaskLayout:
        """Two flags for each bit: whether it may be 0, and whether it may be 1."""
        return self._mask_layout

    @functools.cached_property
    def _mask_layout(self) -> MaskLayout:
        return MaskLayout((2,) * self.num_outputs)

    def masked(self, outputs: np.ndarray, masks: np.ndarray) -> np.ndarray:
        """Return log-odds that are infinite where a bit has one value left."""
        may_be_0, may_be_1 = masks[..., 0::2], masks[..., 1::2]
        sure = np.where(may_be_1, np.float32(np.inf), np.float32(-np.inf))
        return np.where(may_be_0 & may_be_1, outputs, sure)

    def masked_layer(self, outputs: Any, masks: Any) -> Any:
        """Return symbolic log-odds that are far from 0 where a bit has one value left."""
        pairs = ops.reshape(masks, (-1, self.num_outputs, 2))
        return outputs + (pairs[:, :, 1] - pairs[:, :, 0]) * NEVER

    def log_prob(self, outputs: np.ndarray, actions: Any, masks: np.ndarray | None = None) -> np.ndarray:
        """Return the sum over bits of the log-probability of the value taken."""
        outputs = outputs if masks is None else self.masked(outputs, masks)
        against = np.where(self.encode(actions) > 0, -outputs, outputs)
        return -np.logaddexp(0.0, against).sum(axis=-1)

    def encode(self, actions: Any) -> np.ndarray:
        """Return bits, float32 ``[B, C]``."""
        return np.asarray(actions, np.float32).reshape(-1, self.num_outputs)

    def density(self, log_std: Any) -> Bernoulli:
        """Return the density of all bits together."""
        return Bernoulli()

    def greedy_layer(self, outputs: Any) -> Any:
        """Return the likelier value of each bit."""
        return self._shaped(ops.cast(outputs > 0, self.dtype.name))

    def noisy_layer(self, outputs: Any, noise: SymbolicNumbers) -> Any:
        """Return log-odds with logistic noise, of one draw each: ONNX takes two draws of a shape for one."""
        smallest, share = float(np.finfo(np.float32).tiny), noise.uniform(outputs)
        return outputs + ops.log(ops.maximum(share, smallest)) - ops.log(ops.maximum(1.0 - share, smallest))

    def explains(self, outputs: np.ndarray, actions: np.ndarray, within: np.ndarray) -> np.ndarray:
        """See :class:`ActionSampler`."""
        is_greedy = (outputs > 0) == (self.encode(actions) > 0)
        return np.all(is_greedy | (np.abs(outputs) <= within[:, np.newaxis]), axis=-1)

    def _to_env(self, log_odds: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        return (log_odds > 0).astype(self.dtype).reshape(shape)


class Bernoulli:
    """C independent bits, given by log-odds ``[B, C]``; actions are 0 or 1, float32 ``[B, C]``."""

    def masked(self, outputs: Any, masks: Any) -> Any:
        """Return log-odds that are far from 0 where a bit has one value left."""
        may_be_0, may_be_1 = masks[:, 0::2], masks[:, 1::2]
        return tf.where(may_be_0 & may_be_1, outputs, tf.where(may_be_1, NEVER, -NEVER))

    def log_prob(self, outputs: Any, actions: Any) -> Any:
        """Return the sum over bits of the log-probability of the value taken."""
        return -tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(labels=actions, logits=outputs), axis=-1)

    def entropy(self, outputs: Any) -> Any:
        """Return the sum of the entropies of the bits."""
        per_bit = tf.nn.sigmoid_cross_entropy_with_logits(labels=tf.sigmoid(outputs), logits=outputs)
        return tf.reduce_sum(per_bit, axis=-1)
