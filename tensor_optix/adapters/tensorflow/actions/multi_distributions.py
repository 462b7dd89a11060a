"""How likely several independent choices are, in TensorFlow. See ``distributions``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tensor_optix.adapters.tensorflow.actions.distributions import Categorical


class MultiCategorical:
    """C independent choices, their logits side by side in ``[B, K]``; actions are int32 ``[B, C]``.

    Args:
        sizes: How many options each choice has.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        self._sizes = list(sizes)
        self._each = Categorical()

    def log_prob(self, outputs: Any, actions: Any) -> Any:
        """Return the sum over choices of the log-softmax at the option taken."""
        choices = zip(tf.split(outputs, self._sizes, axis=-1), tf.unstack(actions, len(self._sizes), -1), strict=True)
        return tf.add_n([self._each.log_prob(logits, taken) for logits, taken in choices])

    def entropy(self, outputs: Any) -> Any:
        """Return the sum of the entropies of the choices."""
        return tf.add_n([self._each.entropy(logits) for logits in tf.split(outputs, self._sizes, axis=-1)])


class Bernoulli:
    """C independent bits, given by log-odds ``[B, C]``; actions are 0 or 1, float32 ``[B, C]``."""

    def log_prob(self, outputs: Any, actions: Any) -> Any:
        """Return the sum over bits of the log-probability of the value taken."""
        return -tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(labels=actions, logits=outputs), axis=-1)

    def entropy(self, outputs: Any) -> Any:
        """Return the sum of the entropies of the bits."""
        per_bit = tf.nn.sigmoid_cross_entropy_with_logits(labels=tf.sigmoid(outputs), logits=outputs)
        return tf.reduce_sum(per_bit, axis=-1)
