"""A Gaussian squeezed into a Box by tanh: how it is sampled, and how likely its samples are.

Outputs ``[B, 2 K]`` of a policy are K means and K logs of the spread. ``a = tanh(u)`` with
``u ~ N(mean, std)`` lies in ``(-1, 1)``, the *unit* action; -1 and 1 stand for the bounds of the Box.
See "Soft Actor-Critic" (Haarnoja et al., 2018), appendix C.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf

LOG_STD_BOUNDS = (-20.0, 2.0)

_HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)
_LARGEST_UNIT = 1.0 - 1e-6


def mean_and_log_std(outputs: Any) -> tuple[Any, Any]:
    """Split outputs ``[B, 2 K]`` into the means and the clipped logs of the spread, ``[B, K]`` each."""
    mean, log_std = tf.split(outputs, 2, axis=-1)
    return mean, tf.clip_by_value(log_std, *LOG_STD_BOUNDS)


def sample_and_log_prob(outputs: Any, noise: Any) -> tuple[Any, Any]:
    """Return unit actions ``tanh(mean + std * noise)`` ``[B, K]`` and ``log p`` of them ``[B]``.

    Args:
        outputs: ``[B, 2 K]``.
        noise: Standard normal, ``[B, K]``; gradients flow to the outputs alone.
    """
    mean, log_std = mean_and_log_std(outputs)
    u = mean + tf.exp(log_std) * noise
    normal = -0.5 * tf.square(noise) - log_std - _HALF_LOG_TWO_PI
    return tf.tanh(u), tf.reduce_sum(normal - log_tanh_slope(u), axis=-1)


def log_prob(outputs: Any, actions: Any) -> Any:
    """Return ``log p`` of unit actions ``[B, K]`` under outputs ``[B, 2 K]``, in nats, ``[B]``.

    Actions are held 1e-6 away from the bounds, where the density is not finite.
    """
    mean, log_std = mean_and_log_std(outputs)
    u = tf.atanh(tf.clip_by_value(actions, -_LARGEST_UNIT, _LARGEST_UNIT))
    normal = -0.5 * tf.square((u - mean) * tf.exp(-log_std)) - log_std - _HALF_LOG_TWO_PI
    return tf.reduce_sum(normal - log_tanh_slope(u), axis=-1)


def log_tanh_slope(u: Any) -> Any:
    """Return ``log(1 - tanh(u)^2)`` without cancellation or overflow, for any u."""
    return 2.0 * (math.log(2.0) - u - tf.math.softplus(-2.0 * u))


@dataclass(frozen=True, eq=False)
class SquashedSampler:
    """Samples actions of a bounded Box, in NumPy.

    Args:
        low: Lower bounds of what is taken, flat ``[K]``.
        high: Upper bounds of what is taken, flat ``[K]``.
        centre: The action of unit action 0, ``[K]``.
        half_range: How far the action moves per unit, ``[K]``.
        shape: Shape of one action.
        dtype: Dtype of one action.
        uniform: Whether actions are drawn evenly from the Box, whatever the policy says.
    """

    low: np.ndarray
    high: np.ndarray
    centre: np.ndarray
    half_range: np.ndarray
    shape: tuple[int, ...]
    dtype: np.dtype
    uniform: bool = False

    @classmethod
    def for_bounds(cls, low: np.ndarray, high: np.ndarray, *, uniform: bool = False) -> SquashedSampler:
        """Make a sampler for finite bounds ``low`` and ``high``."""
        flat_low, flat_high = low.astype(np.float64).reshape(-1), high.astype(np.float64).reshape(-1)
        centre, half_range = (flat_low + flat_high) / 2, (flat_high - flat_low) / 2
        return cls(flat_low, flat_high, centre, half_range, low.shape, low.dtype, uniform)

    @property
    def num_actions(self) -> int:
        """K, dimensions of an action."""
        return self.low.size

    @property
    def num_outputs(self) -> int:
        """A mean and a spread per action dimension."""
        return 2 * self.low.size

    def with_uniform(self, uniform: bool) -> SquashedSampler:
        """Return the same sampler, uniform or not."""
        return replace(self, uniform=uniform)

    def draw_noise(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Return standard normal noise, and beside it evenly distributed units, ``[count, 2 K]``."""
        normal = rng.standard_normal((count, self.num_actions), np.float32)
        return np.concatenate([normal, rng.uniform(-1.0, 1.0, normal.shape).astype(np.float32)], axis=1)

    def sample_one(self, outputs: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Return one action for outputs ``[2 K]`` and noise ``[2 K]``."""
        return self._to_env(self._units(outputs, noise), self.shape)

    def sample(self, outputs: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Return an action for each row."""
        return self._to_env(self._units(outputs, noise), (len(outputs), *self.shape))

    def greedy_one(self, outputs: np.ndarray) -> np.ndarray:
        """Return the squashed mean."""
        return self._to_env(np.tanh(outputs[: self.num_actions]), self.shape)

    def greedy(self, outputs: np.ndarray) -> np.ndarray:
        """Return the squashed means."""
        return self._to_env(np.tanh(outputs[:, : self.num_actions]), (len(outputs), *self.shape))

    def encode(self, actions: Any) -> np.ndarray:
        """Return unit actions, float32 ``[B, K]``."""
        flat = np.asarray(actions, np.float64).reshape(-1, self.num_actions)
        width = np.where(self.half_range > 0, self.half_range, 1.0)
        # Not within low and high: a replay may hold actions from where more was taken.
        within = np.clip(flat, self.centre - self.half_range, self.centre + self.half_range)
        return ((within - self.centre) / width).astype(np.float32)

    def _units(self, outputs: np.ndarray, noise: np.ndarray) -> np.ndarray:
        k = self.num_actions
        if self.uniform:
            return noise[..., k:]
        std = np.exp(outputs[..., k:].clip(*LOG_STD_BOUNDS))
        units: np.ndarray = np.tanh(outputs[..., :k] + std * noise[..., :k])
        return units

    def _to_env(self, units: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        actions = (self.centre + self.half_range * units).clip(self.low, self.high)
        return actions.astype(self.dtype).reshape(shape)
