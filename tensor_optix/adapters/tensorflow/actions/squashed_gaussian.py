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
from keras import ops

from tensor_optix.adapters.tensorflow.actions.action_sampler import SymbolicNumbers
from tensor_optix.adapters.tensorflow.actions.box import BoxSampler, centre_and_half_range, flat_bounds

LOG_STD_BOUNDS = (-20.0, 2.0)

_HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)
_LARGEST_UNIT = 1.0 - 1e-6


def mean_and_log_std(outputs: Any) -> tuple[Any, Any]:
    """Split outputs ``[B, 2 K]`` into the means and the clipped logs of the spread, ``[B, K]`` each."""
    mean, log_std = tf.split(outputs, 2, axis=-1)
    return mean, tf.clip_by_value(log_std, *LOG_STD_BOUNDS)


def sample_and_log_prob(outputs: Any, noise: Any, is_free: np.ndarray | None = None) -> tuple[Any, Any]:
    """Return unit actions ``tanh(mean + std * noise)`` ``[B, K]`` and ``log p`` of them ``[B]``.

    Args:
        outputs: ``[B, 2 K]``.
        noise: Standard normal, ``[B, K]``; gradients flow to the outputs alone.
        is_free: Which dimensions count, ``[K]`` bool: the others are 0. All, if not given.
    """
    mean, log_std = mean_and_log_std(outputs)
    u = mean + tf.exp(log_std) * noise
    normal = -0.5 * tf.square(noise) - log_std - _HALF_LOG_TWO_PI
    units, log_probs = tf.tanh(u), normal - log_tanh_slope(u)
    if is_free is not None and not is_free.all():
        units, log_probs = (x * is_free.astype(np.float32) for x in (units, log_probs))
    return units, tf.reduce_sum(log_probs, axis=-1)


def log_tanh_slope(u: Any) -> Any:
    """Return ``log(1 - tanh(u)^2)`` without cancellation or overflow, for any u."""
    return 2.0 * (math.log(2.0) - u - tf.math.softplus(-2.0 * u))


@dataclass(frozen=True, eq=False)
class SquashedSampler(BoxSampler):
    """Samples actions of a bounded Box, in NumPy.

    Args:
        uniform: Whether actions are drawn evenly from the Box, whatever the policy says.
    """

    uniform: bool = False
    outputs_mean = "a mean and a log of the spread per action dimension"

    @classmethod
    def for_space(cls, action_space: Any, *, uniform: bool = False) -> SquashedSampler:
        """Make a sampler for a Box with finite bounds."""
        bounds, scale = flat_bounds(action_space), centre_and_half_range(action_space)
        return cls(2 * bounds[0].size, *bounds, *scale, action_space.shape, action_space.dtype, uniform)

    @property
    def num_actions(self) -> int:
        """K, dimensions of an action."""
        return self.low.size

    def with_uniform(self, uniform: bool) -> SquashedSampler:
        """Return the same sampler, uniform or not."""
        return replace(self, uniform=uniform)

    def draw_noise(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Return standard normal noise, and beside it evenly distributed units, ``[count, 2 K]``."""
        normal = rng.standard_normal((count, self.num_actions), np.float32)
        return np.concatenate([normal, rng.uniform(-1.0, 1.0, normal.shape).astype(np.float32)], axis=1)

    def log_prob(self, outputs: np.ndarray, actions: Any) -> np.ndarray:
        """Return ``log p`` ``[N]`` of the unit actions that these are, in nats.

        They are held 1e-6 away from the bounds, where the density is not finite.
        """
        k = self.num_actions
        if self.uniform:
            return np.full(len(outputs), -int(self.is_free.sum()) * math.log(2.0))
        log_std = outputs[:, k:].clip(*LOG_STD_BOUNDS)
        u = np.arctanh(self.encode(actions).clip(-_LARGEST_UNIT, _LARGEST_UNIT))
        normal = -0.5 * np.square((u - outputs[:, :k]) / np.exp(log_std)) - log_std - _HALF_LOG_TWO_PI
        log_probs = normal - 2.0 * (math.log(2.0) - u - np.logaddexp(0.0, -2.0 * u))
        return log_probs.sum(axis=-1, where=self.is_free)

    def encode(self, actions: Any) -> np.ndarray:
        """Return unit actions, float32 ``[B, K]``."""
        flat = np.asarray(actions, np.float64).reshape(-1, self.num_actions)
        # Not within low and high: a replay may hold actions from where more was taken.
        within = np.clip(flat, self.centre - self.half_range, self.centre + self.half_range)
        return ((within - self.centre) / self._unit).astype(np.float32)

    def noisy_layer(self, outputs: Any, noise: SymbolicNumbers) -> Any:
        """Return outputs whose means are drawn around what they were; evenly drawn actions are none of the policy's."""
        mean, log_std = ops.split(outputs, 2, axis=-1)
        std = ops.exp(ops.clip(log_std, *LOG_STD_BOUNDS))
        return ops.concatenate([mean + std * noise.normal(mean), log_std], axis=-1)

    def greedy_layer(self, outputs: Any) -> Any:
        """Return the squashed means, in bounds."""
        return super().greedy_layer(ops.tanh(ops.split(outputs, 2, axis=-1)[0]))

    def _drawn(self, outputs: np.ndarray, noise: np.ndarray) -> np.ndarray:
        k = self.num_actions
        if self.uniform:
            return noise[..., k:]
        std = np.exp(outputs[..., k:].clip(*LOG_STD_BOUNDS))
        units: np.ndarray = np.tanh(outputs[..., :k] + std * noise[..., :k])
        return units

    def _likeliest(self, outputs: np.ndarray) -> np.ndarray:
        units: np.ndarray = np.tanh(outputs[..., : self.num_actions])
        return units
