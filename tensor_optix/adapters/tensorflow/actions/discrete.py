"""One of n actions: ``Discrete``, drawn from a softmax or epsilon-greedily."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

import gymnasium as gym
import numpy as np
import tensorflow as tf
from keras import ops

from tensor_optix.adapters.tensorflow.actions.action_sampler import NEVER, ActionSampler, PolicyHead, SymbolicNumbers
from tensor_optix.core.mask_layout import MaskLayout

_NO_CHANCE = np.float32(-np.inf)


@dataclass(frozen=True)
class OneOfMany(ActionSampler):
    """One of ``num_outputs`` actions, which are numbered from ``start``; single ones are Python ints."""

    num_outputs: int
    start: int = 0
    outputs_mean = "one logit per action"

    def greedy_one(self, outputs: np.ndarray, mask: np.ndarray | None = None) -> int:
        """Return the action of the largest output as a Python int."""
        outputs = outputs if mask is None else self.masked(outputs, mask)
        return int(outputs.argmax()) + self.start

    def greedy(self, outputs: np.ndarray, masks: np.ndarray | None = None) -> np.ndarray:
        """Return the action of each row's largest output."""
        outputs = outputs if masks is None else self.masked(outputs, masks)
        return outputs.argmax(axis=-1) + self.start

    @property
    def mask_layout(self) -> MaskLayout:
        """One flag for each action."""
        return one_choice_of(self.num_outputs)

    def masked(self, outputs: np.ndarray, masks: np.ndarray) -> np.ndarray:
        """Return outputs that are minus infinity where an action is ruled out."""
        return np.where(masks, outputs, _NO_CHANCE)

    def allows(self, masks: np.ndarray, actions: Any) -> np.ndarray:
        """Tell which actions ``[N]`` masks ``[N, A]`` allow."""
        allowed: np.ndarray = masks[np.arange(len(masks)), self.encode(actions)]
        return allowed

    def masked_layer(self, outputs: Any, masks: Any) -> Any:
        """Return symbolic outputs that are far below all others where an action is ruled out."""
        return outputs + (masks - 1.0) * NEVER

    def encode(self, actions: Any) -> np.ndarray:
        """Return indices into the outputs, int32 ``[B]``."""
        return (np.asarray(actions).reshape(-1) - self.start).astype(np.int32)

    def greedy_layer(self, outputs: Any) -> Any:
        """Return the action of each row's largest output, int64 ``[B]``."""
        return ops.squeeze(counted_from([self.start], index_of_largest(outputs), "int64"), axis=-1)

    def explains(self, outputs: np.ndarray, actions: np.ndarray, within: np.ndarray) -> np.ndarray:
        """See :class:`ActionSampler`."""
        return is_near_largest(outputs, self.encode(actions), within)

    def _difference(self, known: Any, new: Any) -> str | None:
        return None if known.n == new.n else f"{new.n} actions instead of {known.n}"

    def in_space(self, known: Any, new: Any) -> Any:
        """Return the sampler where actions have other numbers."""
        return replace(self, start=int(new.start))


@dataclass(frozen=True)
class DiscreteSampler(OneOfMany, PolicyHead):
    """Samples ``Discrete(num_outputs, start=start)`` from logits.

    Gumbel noise on the logits makes the argmax a draw from their softmax. See "Categorical
    Reparameterization with Gumbel-Softmax" (Jang et al., 2017).
    """

    space_class = gym.spaces.Discrete
    served = "Discrete"

    @classmethod
    def for_space(cls, action_space: gym.spaces.Discrete) -> DiscreteSampler:
        """Make one for a space that begins anywhere."""
        return cls(int(action_space.n), int(action_space.start))

    def draw_noise(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Return Gumbel noise."""
        return rng.gumbel(size=(count, self.num_outputs)).astype(np.float32)

    def sample_one(self, outputs: np.ndarray, noise: np.ndarray, mask: np.ndarray | None = None) -> int:
        """Return a draw from the softmax as a Python int."""
        outputs = outputs if mask is None else self.masked(outputs, mask)
        return int((outputs + noise).argmax()) + self.start

    def sample(self, outputs: np.ndarray, noise: np.ndarray, masks: np.ndarray | None = None) -> np.ndarray:
        """Return draws from the softmax of each row."""
        outputs = outputs if masks is None else self.masked(outputs, masks)
        return (outputs + noise).argmax(axis=-1) + self.start

    def noisy_layer(self, outputs: Any, noise: SymbolicNumbers) -> Any:
        """Return logits with Gumbel noise."""
        return outputs + gumbel(outputs, noise)

    def log_prob(self, outputs: np.ndarray, actions: Any, masks: np.ndarray | None = None) -> np.ndarray:
        """Return the log-softmax of outputs ``[N, K]`` at the actions."""
        outputs = outputs if masks is None else self.masked(outputs, masks)
        return log_softmax_at(outputs, self.encode(actions))

    def density(self, log_std: Any) -> Categorical:
        """Return the density of the softmax."""
        return Categorical()


@dataclass(frozen=True)
class EpsilonGreedySampler(OneOfMany):
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

    def sample_one(self, outputs: np.ndarray, noise: np.ndarray, mask: np.ndarray | None = None) -> int:
        """Return one action as a Python int; what is random is any action that is allowed."""
        if noise[0] >= self.epsilon:
            return self.greedy_one(outputs, mask)
        if mask is None:
            return int(noise[1] * self.num_outputs) + self.start
        allowed = mask.nonzero()[0]
        return int(allowed[int(noise[1] * len(allowed))]) + self.start

    def sample(self, outputs: np.ndarray, noise: np.ndarray, masks: np.ndarray | None = None) -> np.ndarray:
        """Return an action for each row."""
        if masks is None:
            random = (noise[:, 1] * self.num_outputs).astype(np.int64)
        else:
            num_before = masks.cumsum(axis=-1)
            random = (num_before > (noise[:, 1] * num_before[:, -1]).astype(np.int64)[:, np.newaxis]).argmax(axis=-1)
        return np.where(noise[:, 0] < self.epsilon, random + self.start, self.greedy(outputs, masks))

    def noisy_layer(self, outputs: Any, noise: SymbolicNumbers) -> Any:
        """Return the values, or now and then random numbers in their place."""
        is_random = noise.uniform(outputs[:, :1]) < self.epsilon
        # What a mask rules out stays so: it is that far below.
        return ops.where(is_random, noise.uniform(outputs) + ops.minimum(outputs + NEVER / 2, 0.0), outputs)

    def log_prob(self, outputs: np.ndarray, actions: Any, masks: np.ndarray | None = None) -> np.ndarray:
        """Return the log-probability ``[B]`` of actions ``[B]``."""
        taken = self.encode(actions)
        if masks is None:
            chance = np.full(len(outputs), self.epsilon / self.num_outputs)
        else:
            chance = self.epsilon * masks[np.arange(len(masks)), taken] / masks.sum(axis=-1)
            outputs = self.masked(outputs, masks)
        chance += (1.0 - self.epsilon) * (outputs.argmax(axis=-1) == taken)
        with np.errstate(divide="ignore"):
            return np.log(chance).astype(np.float32)


class Categorical:
    """A distribution over ``K`` actions, given by logits ``[B, K]``; actions are int32 ``[B]``."""

    def masked(self, outputs: Any, masks: Any) -> Any:
        """Return logits that are far below all others where an action is ruled out."""
        return tf.where(masks, outputs, -NEVER)

    def log_prob(self, outputs: Any, actions: Any) -> Any:
        """Return the log-softmax of the outputs at the actions."""
        # -cross_entropy is log_softmax(outputs)[action], in one fused operation with its gradient.
        return -tf.nn.sparse_softmax_cross_entropy_with_logits(labels=actions, logits=outputs)

    def entropy(self, outputs: Any) -> Any:
        """Return the entropy of the softmax."""
        log_probs = tf.nn.log_softmax(outputs)
        return -tf.reduce_sum(tf.exp(log_probs) * log_probs, axis=-1)


@functools.cache
def one_choice_of(num_options: int) -> MaskLayout:
    """Return the layout of a mask with one flag for each of so many options."""
    return MaskLayout((num_options,))


def log_softmax_at(logits: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Return the log-softmax of logits ``[N, K]`` at indices ``[N]``, in NumPy."""
    # On the way of every live action: scipy's logsumexp takes 100 us for one row, this 10.
    below_top = logits - logits.max(axis=-1, keepdims=True)
    return below_top[np.arange(len(logits)), indices] - np.log(np.exp(below_top).sum(axis=-1))


def is_near_largest(logits: np.ndarray, indices: np.ndarray, within: np.ndarray) -> np.ndarray:
    """Tell whether the logits ``[N, K]`` at indices ``[N]`` are the largest, if each is off by ``[N]`` at most."""
    taken: np.ndarray = logits[np.arange(len(logits)), indices]
    return taken >= logits.max(axis=-1) - 2 * within


def gumbel(logits: Any, noise: SymbolicNumbers) -> Any:
    """Return symbolic Gumbel noise, finite also where a uniform number is 0."""
    smallest = float(np.finfo(np.float32).tiny)
    exponential = -ops.log(ops.maximum(noise.uniform(logits), smallest))
    return -ops.log(ops.maximum(exponential, smallest))


def index_of_largest(logits: Any) -> Any:
    """Return the index of the largest of symbolic ``[..., K]``, the first of equal ones, int32 ``[..., 1]``."""
    # ops.argmax looks at the bits of each number on TensorFlow, to tell -0 from 0: ONNX and TFLite cannot.
    return ops.top_k(logits, 1)[1]


def counted_from(start: Any, options: Any, dtype: str) -> Any:
    """Return symbolic options, numbered from 0, as they are numbered from ``start``."""
    options = ops.cast(options, "int64")
    if np.any(start):
        # Not a sum: TFLite makes a BiasAdd of it, which it then cannot do for integers.
        options = options - np.negative(start).astype(np.int64)
    return options if dtype == "int64" else ops.cast(options, dtype)
