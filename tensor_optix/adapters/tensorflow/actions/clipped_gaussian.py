"""A Box's actions from a diagonal Gaussian around the outputs, clipped to the bounds."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf
from scipy import special

from tensor_optix.adapters.tensorflow.actions.action_sampler import PolicyHead, SymbolicNumbers
from tensor_optix.adapters.tensorflow.actions.box import (
    BoxSampler,
    centre_and_half_range,
    flat_bounds,
    is_box_of_floats,
)

AT_BOUND = 1e-6
"""How near to a bound, in units of the output, an action counts as clipped."""

INITIAL_STD = 0.6
"""First spread, where 1 is half the width of the Box."""

_HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)
_TAIL_FROM = -5.0


@dataclass(frozen=True, eq=False)
class GaussianSampler(BoxSampler, PolicyHead):
    """Samples a Box action around the means ``[K]`` that the outputs are, clipped to the bounds.

    Args:
        std: Spread in units of the output, ``[K]``.
        first_std: The spread that it was made with, in every dimension.
    """

    std: np.ndarray
    first_std: float
    served = "a Box of floats"
    outputs_mean = "one mean per action dimension"

    @classmethod
    def serves(cls, action_space: Any) -> bool:
        """Tell whether the space is a Box of floats, with bounds or without."""
        return is_box_of_floats(action_space)

    @classmethod
    def for_space(cls, action_space: Any, std: float = INITIAL_STD) -> GaussianSampler:
        """Make a sampler in which outputs -1 and 1 are the bounds of the space, where it has them."""
        spread = np.full(math.prod(action_space.shape), std, np.float32)
        scale = centre_and_half_range(action_space)
        bounds = flat_bounds(action_space)
        return cls(spread.size, *bounds, *scale, action_space.shape, action_space.dtype, spread, std)

    @cached_property
    def is_free(self) -> np.ndarray:
        """Which dimensions can be other than they are, ``[K]`` bool: bounds that another space drew closer count."""
        free: np.ndarray = (self.half_range > 0) & (self.low < self.high)
        return free

    @property
    def log_std(self) -> np.ndarray:
        """Log of the spread that it was made with, ``[K]``."""
        return np.log(np.full(self.num_outputs, self.first_std, np.float32))

    def with_log_std(self, log_std: np.ndarray) -> GaussianSampler:
        """Return the same sampler with another spread ``[K]``; the first one comes back to the last bit."""
        std = np.where(log_std == self.log_std, np.float32(self.first_std), np.exp(log_std))
        return replace(self, std=np.array(std, np.float32))

    def draw_noise(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Return standard normal noise."""
        return rng.standard_normal((count, self.num_outputs), np.float32)

    def log_prob(self, outputs: np.ndarray, actions: Any) -> np.ndarray:
        """Return the log-density ``[N]``: the normal one inside the bounds, the tail's mass at them."""
        units = self.encode(actions)
        low, high = self._to_units(self.low), self._to_units(self.high)
        z = (units - outputs) / self.std
        inside = -0.5 * np.square(z) - np.log(self.std) - 0.5 * np.log(2.0 * np.pi)
        at_low, at_high = units <= low + AT_BOUND, units >= high - AT_BOUND
        behind = special.log_ndtr(np.where(at_low, z, -z))
        return np.where(at_low | at_high, behind, inside).sum(axis=-1, where=self.is_free)

    def noisy_layer(self, outputs: Any, noise: SymbolicNumbers) -> Any:
        """Return units around the means."""
        return outputs + noise.normal(outputs) * self.std

    def encode(self, actions: Any) -> np.ndarray:
        """Return actions in units of the output, clipped to the bounds, float32 ``[B, K]``."""
        return self._to_units(np.asarray(actions, np.float64).reshape(-1, self.num_outputs)).astype(np.float32)

    def density(self, log_std: Any) -> ClippedGaussian:
        """Return the density within the bounds."""
        return ClippedGaussian(log_std, self._to_units(self.low), self._to_units(self.high), self.is_free)

    def has_density_of(self, other: Any) -> bool:
        """Tell whether both hold actions within the same bounds."""
        return np.array_equal(self.low, other.low) and np.array_equal(self.high, other.high)

    def _drawn(self, outputs: np.ndarray, noise: np.ndarray) -> np.ndarray:
        return outputs + self.std * noise

    def _to_units(self, flat_actions: np.ndarray) -> np.ndarray:
        """Return what output stands for these actions ``[..., K]``, clipped to the bounds."""
        return (np.clip(flat_actions, self.low, self.high) - self.centre) / self._unit


class ClippedGaussian:
    """A diagonal Gaussian around outputs ``[B, K]`` whose samples are clipped to bounds.

    Clipping gathers all the mass beyond a bound at the bound. So an action inside has the normal
    density, and an action at a bound the probability of the tail behind it: nothing but the clipped
    action has to be remembered, and the gradient is that of what the environment saw. See "Clipped
    Action Policy Gradient" (Fujita & Maeda, 2018).

    Args:
        log_std: A variable ``[K]``: log of the spread, in units of the output.
        low: Lower bounds ``[K]`` in units of the output, -inf where there is none.
        high: Upper bounds ``[K]``.
        is_free: Which dimensions count, ``[K]`` bool; all, if not given.
    """

    def __init__(self, log_std: Any, low: Any, high: Any, is_free: np.ndarray | None = None) -> None:
        self._log_std = log_std
        self._counts = None if is_free is None or is_free.all() else tf.constant(is_free, tf.float32)
        self._low = tf.constant(low, tf.float32)
        self._high = tf.constant(high, tf.float32)

    def masked(self, outputs: Any, masks: Any) -> Any:
        """There are no masks for numbers."""
        raise NotImplementedError("A Box has no action masks.")

    def log_prob(self, outputs: Any, actions: Any) -> Any:
        """Return the normal density inside the bounds and the tail's probability at them."""
        log_std = tf.convert_to_tensor(self._log_std)
        z = (actions - outputs) * tf.exp(-log_std)
        inside = -0.5 * tf.square(z) - log_std - _HALF_LOG_TWO_PI
        at_low, at_high = actions <= self._low + AT_BOUND, actions >= self._high - AT_BOUND
        behind = log_normal_cdf(tf.where(at_low, z, -z))
        return tf.reduce_sum(self._counted(tf.where(at_low | at_high, behind, inside)), axis=-1)

    def entropy(self, outputs: Any) -> Any:
        """Return the entropy before clipping: it keeps the spread from dying at a bound, too."""
        total = tf.reduce_sum(self._counted(tf.convert_to_tensor(self._log_std) + 0.5 + _HALF_LOG_TWO_PI))
        return tf.fill(tf.shape(outputs)[:1], total)

    def _counted(self, each: Any) -> Any:
        return each if self._counts is None else each * self._counts


def log_normal_cdf(z: Any) -> Any:
    """Return ``log Phi(z)`` without underflow, with finite gradients everywhere.

    Below -5 it is the first three terms of the asymptotic series (Abramowitz & Stegun, 26.2.12),
    there right to 3e-4 in absolute terms.
    """
    tail = z < _TAIL_FROM
    near = tf.math.log(0.5 * tf.math.erfc(-tf.where(tail, 0.0, z) / math.sqrt(2.0)))
    far_z = tf.where(tail, z, _TAIL_FROM)
    inverse = 1.0 / tf.square(far_z)
    series = tf.math.log1p(-inverse + 3.0 * tf.square(inverse) - 15.0 * inverse * tf.square(inverse))
    far = -0.5 * tf.square(far_z) - tf.math.log(-far_z) - _HALF_LOG_TWO_PI + series
    return tf.where(tail, far, near)
