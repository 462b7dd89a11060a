"""From a model's outputs to actions an environment takes, in NumPy: the acting half of a policy.

Samplers are immutable, so a frozen policy may share them. Noise comes from outside, drawn in
blocks beforehand: drawing it one action at a time would cost as much as a small network.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from scipy import special

AT_BOUND = 1e-6
"""How near to a bound, in units of the output, an action counts as clipped."""


class ActionSampler(Protocol):
    """How outputs ``[K]`` or ``[N, K]`` become actions.

    Attributes:
        num_outputs: K, how many numbers per observation the model must give.
    """

    num_outputs: int

    def draw_noise(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Return noise ``[count, K]`` for ``count`` actions."""
        ...

    def sample_one(self, outputs: np.ndarray, noise: np.ndarray) -> Any:
        """Return the action that outputs ``[K]`` and noise ``[K]`` make."""
        ...

    def sample(self, outputs: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Return actions ``[N, ...]`` from outputs ``[N, K]`` and noise ``[N, K]``."""
        ...

    def greedy_one(self, outputs: np.ndarray) -> Any:
        """Return the most likely action for outputs ``[K]``."""
        ...

    def greedy(self, outputs: np.ndarray) -> np.ndarray:
        """Return the most likely actions ``[N, ...]`` for outputs ``[N, K]``."""
        ...

    def encode(self, actions: Any) -> np.ndarray:
        """Turn actions ``[B, ...]`` of the environment into what the density is asked about."""
        ...


@dataclass(frozen=True)
class DiscreteSampler:
    """Samples ``Discrete(num_outputs, start=start)`` from logits.

    Gumbel noise on the logits makes the argmax a draw from their softmax. See "Categorical
    Reparameterization with Gumbel-Softmax" (Jang et al., 2017).
    """

    num_outputs: int
    start: int = 0

    def draw_noise(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Return Gumbel noise."""
        return rng.gumbel(size=(count, self.num_outputs)).astype(np.float32)

    def sample_one(self, outputs: np.ndarray, noise: np.ndarray) -> int:
        """Return a draw from the softmax as a Python int."""
        return int((outputs + noise).argmax()) + self.start

    def sample(self, outputs: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Return draws from the softmax of each row."""
        return (outputs + noise).argmax(axis=-1) + self.start

    def greedy_one(self, outputs: np.ndarray) -> int:
        """Return the action of the largest logit as a Python int."""
        return int(outputs.argmax()) + self.start

    def greedy(self, outputs: np.ndarray) -> np.ndarray:
        """Return the action of each row's largest logit."""
        return outputs.argmax(axis=-1) + self.start

    def log_prob(self, outputs: np.ndarray, actions: Any) -> np.ndarray:
        """Return the log-probability ``[N]`` of actions under the softmax of outputs ``[N, K]``."""
        # On the way of every live action: scipy's logsumexp takes 100 us for one row, this 10.
        below_top = outputs - outputs.max(axis=-1, keepdims=True)
        chosen = below_top[np.arange(len(outputs)), self.encode(actions)]
        return chosen - np.log(np.exp(below_top).sum(axis=-1))

    def encode(self, actions: Any) -> np.ndarray:
        """Return indices into the logits, int32 ``[B]``."""
        return (np.asarray(actions).reshape(-1) - self.start).astype(np.int32)


@dataclass(frozen=True, eq=False)
class GaussianSampler:
    """Samples a Box action from a diagonal Gaussian around the outputs, clipped to the bounds.

    Args:
        low: Lower bounds, flat ``[K]``; -inf where there is none.
        high: Upper bounds, flat ``[K]``; inf where there is none.
        centre: The action of output 0, ``[K]``.
        half_range: How far the action moves per unit of output, ``[K]``.
        std: Spread in units of the output, ``[K]``.
        shape: Shape of one action.
        dtype: Dtype of one action.
        first_std: The spread that it was made with, in every dimension.
    """

    low: np.ndarray
    high: np.ndarray
    centre: np.ndarray
    half_range: np.ndarray
    std: np.ndarray
    shape: tuple[int, ...]
    dtype: np.dtype
    first_std: float

    @classmethod
    def for_bounds(cls, low: np.ndarray, high: np.ndarray, std: float) -> GaussianSampler:
        """Make a sampler in which outputs -1 and 1 are the bounds ``low`` and ``high``.

        A dimension without two finite bounds takes the output as it is.
        """
        flat_low, flat_high = low.astype(np.float64).reshape(-1), high.astype(np.float64).reshape(-1)
        bounded = np.isfinite(flat_low) & np.isfinite(flat_high) & (flat_high > flat_low)
        centre, half_range = np.zeros(low.size), np.ones(low.size)
        centre[bounded] = (flat_low[bounded] + flat_high[bounded]) / 2
        half_range[bounded] = (flat_high[bounded] - flat_low[bounded]) / 2
        spread = np.full(low.size, std, np.float32)
        return cls(flat_low, flat_high, centre, half_range, spread, low.shape, low.dtype, std)

    @property
    def num_outputs(self) -> int:
        """One mean per action dimension."""
        return self.low.size

    @property
    def log_std(self) -> np.ndarray:
        """Log of the spread that it was made with, ``[K]``."""
        return np.log(np.full(self.num_outputs, self.first_std, np.float32))

    def with_log_std(self, log_std: np.ndarray) -> GaussianSampler:
        """Return the same sampler with another spread ``[K]``; the first one comes back to the last bit."""
        std = np.where(log_std == self.log_std, np.float32(self.first_std), np.exp(log_std))
        return replace(self, std=np.array(std, np.float32))

    def has_bounds_of(self, other: GaussianSampler) -> bool:
        """Tell whether both hold actions within the same bounds."""
        return np.array_equal(self.low, other.low) and np.array_equal(self.high, other.high)

    def draw_noise(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Return standard normal noise."""
        return rng.standard_normal((count, self.num_outputs), np.float32)

    def sample_one(self, outputs: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Return the mean moved by noise times spread, in bounds."""
        return self._to_env(outputs + self.std * noise, self.shape)

    def sample(self, outputs: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Return each mean moved by noise times spread, in bounds."""
        return self._to_env(outputs + self.std * noise, (len(outputs), *self.shape))

    def greedy_one(self, outputs: np.ndarray) -> np.ndarray:
        """Return the mean, in bounds."""
        return self._to_env(outputs, self.shape)

    def greedy(self, outputs: np.ndarray) -> np.ndarray:
        """Return the means, in bounds."""
        return self._to_env(outputs, (len(outputs), *self.shape))

    def log_prob(self, outputs: np.ndarray, actions: Any) -> np.ndarray:
        """Return the log-density ``[N]``: the normal one inside the bounds, the tail's mass at them."""
        units = self.encode(actions)
        low, high = self.to_units(self.low), self.to_units(self.high)
        z = (units - outputs) / self.std
        inside = -0.5 * np.square(z) - np.log(self.std) - 0.5 * np.log(2.0 * np.pi)
        at_low, at_high = units <= low + AT_BOUND, units >= high - AT_BOUND
        behind = special.log_ndtr(np.where(at_low, z, -z))
        return np.where(at_low | at_high, behind, inside).sum(axis=-1)

    def encode(self, actions: Any) -> np.ndarray:
        """Return actions in units of the output, clipped to the bounds, float32 ``[B, K]``."""
        flat = np.asarray(actions, np.float64).reshape(-1, self.num_outputs)
        return self.to_units(flat).astype(np.float32)

    def to_units(self, flat_actions: np.ndarray) -> np.ndarray:
        """Return what output stands for these actions ``[..., K]``, clipped to the bounds."""
        return (np.clip(flat_actions, self.low, self.high) - self.centre) / self.half_range

    def _to_env(self, units: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        actions = (self.centre + self.half_range * units).clip(self.low, self.high)
        return actions.astype(self.dtype).reshape(shape)
