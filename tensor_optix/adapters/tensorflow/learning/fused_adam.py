"""Keras's Adam in one operation per variable, where that changes nothing but speed.

Keras spells Adam out in about ten small operations per variable, which on a small network cost as
much as the network itself. TensorFlow has the same formula as one kernel; it works on the Keras
optimizer's own slots, so the optimizer stays the user's and is saved as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

_EXTRAS = (
    *("weight_decay", "clipnorm", "global_clipnorm", "clipvalue", "use_ema", "gradient_accumulation_steps"),
    *("loss_scale_factor", "amsgrad"),
)


def apply_gradients(optimizer: Any, gradients: Sequence[Any], variables: Sequence[Any]) -> None:
    """Do what ``optimizer.apply(gradients, variables)`` does; can be traced.

    Args:
        optimizer: A built Keras optimizer. A plain ``Adam`` is run by the fused kernel, any other
            (weight decay, clipping, averaging, ...) by Keras.
        gradients: One tensor per variable.
        variables: All the variables that the optimizer was built for, in that order.
    """
    if not is_plain_adam(optimizer):
        optimizer.apply(gradients, variables)
        return
    step = tf.cast(optimizer.iterations.value, tf.float32) + 1.0
    beta_1, beta_2 = tf.constant(optimizer.beta_1, tf.float32), tf.constant(optimizer.beta_2, tf.float32)
    beta_1_power, beta_2_power = tf.pow(beta_1, step), tf.pow(beta_2, step)
    rate = tf.cast(optimizer.learning_rate.value, tf.float32)
    slots = zip(variables, optimizer._momentums, optimizer._velocities, gradients, strict=True)
    for variable, momentum, velocity, gradient in slots:
        tf.raw_ops.ResourceApplyAdam(
            var=variable.value.handle,
            m=momentum.value.handle,
            v=velocity.value.handle,
            beta1_power=beta_1_power,
            beta2_power=beta_2_power,
            lr=rate,
            beta1=beta_1,
            beta2=beta_2,
            epsilon=tf.constant(optimizer.epsilon, tf.float32),
            grad=gradient,
        )
    optimizer.iterations.assign_add(1)


def is_plain_adam(optimizer: Any) -> bool:
    """Tell whether the optimizer is Keras's ``Adam`` in float32 with none of its extras."""
    if type(optimizer) is not keras.optimizers.Adam or any(getattr(optimizer, name, None) for name in _EXTRAS):
        return False
    return all(v.dtype == "float32" for v in (*optimizer._momentums, *optimizer._velocities))
