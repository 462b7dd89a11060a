"""How likely an action is under a model's outputs, in TensorFlow: the learning half of a policy.

Actions are the encoded ones of ``action_sampling``: indices into logits, or units of the output.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import tensorflow as tf

from tensor_optix.adapters.tensorflow.actions.action_sampling import AT_BOUND

_HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)
_TAIL_FROM = -5.0


class Distribution(Protocol):
    """The density of a policy head; all methods can be traced."""

    def log_prob(self, outputs: Any, actions: Any) -> Any:
        """Return ``log p(a | o)``, ``[B]``, of encoded actions."""
        ...

    def entropy(self, outputs: Any) -> Any:
        """Return the entropy in nats, ``[B]``."""
        ...


class Categorical:
    """A distribution over ``K`` actions, given by logits ``[B, K]``; actions are int32 ``[B]``."""

    def log_prob(self, outputs: Any, actions: Any) -> Any:
        """Return the log-softmax of the outputs at the actions."""
        # -cross_entropy is log_softmax(outputs)[action], in one fused operation with its gradient.
        return -tf.nn.sparse_softmax_cross_entropy_with_logits(labels=actions, logits=outputs)

    def entropy(self, outputs: Any) -> Any:
        """Return the entropy of the softmax."""
        log_probs = tf.nn.log_softmax(outputs)
        return -tf.reduce_sum(tf.exp(log_probs) * log_probs, axis=-1)


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
    """

    def __init__(self, log_std: Any, low: Any, high: Any) -> None:
        self._log_std = log_std
        self._low = tf.constant(low, tf.float32)
        self._high = tf.constant(high, tf.float32)

    def log_prob(self, outputs: Any, actions: Any) -> Any:
        """Return the normal density inside the bounds and the tail's probability at them."""
        log_std = tf.convert_to_tensor(self._log_std)
        z = (actions - outputs) * tf.exp(-log_std)
        inside = -0.5 * tf.square(z) - log_std - _HALF_LOG_TWO_PI
        at_low, at_high = actions <= self._low + AT_BOUND, actions >= self._high - AT_BOUND
        behind = log_normal_cdf(tf.where(at_low, z, -z))
        return tf.reduce_sum(tf.where(at_low | at_high, behind, inside), axis=-1)

    def entropy(self, outputs: Any) -> Any:
        """Return the entropy before clipping: it keeps the spread from dying at a bound, too."""
        total = tf.reduce_sum(tf.convert_to_tensor(self._log_std) + 0.5 + _HALF_LOG_TWO_PI)
        return tf.fill(tf.shape(outputs)[:1], total)


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
