"""Scaled losses: what keeps small gradients from vanishing in half precision, and how gradients come out as without.

Keras scales a loss in ``train_step`` (``optimizer.scale_loss``) and divides in ``optimizer.apply``. Here gradients are
divided as soon as they are taken, so that their norms, their limits and what is told of them are those of the loss
itself, and multiplied again on their way into Keras.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


def loss_scale(optimizer: Any) -> Any:
    """Return by what an optimizer wants the loss multiplied, a float32 scalar; None where it does not. Can be traced.

    Args:
        optimizer: A built Keras optimizer.
    """
    scales_itself = type(optimizer).scale_loss is not keras.optimizers.Optimizer.scale_loss
    if not scales_itself and not optimizer.loss_scale_factor:
        return None
    return tf.cast(optimizer.scale_loss(tf.constant(1.0)), tf.float32)


def divided(gradients: Sequence[Any], scale: Any) -> list[Any]:
    """Return the gradients of a loss from those of ``scale`` times that loss."""
    return list(gradients) if scale is None else [gradient / scale for gradient in gradients]


def multiplied(gradients: Sequence[Any], scale: Any) -> list[Any]:
    """Return the gradients of ``scale`` times a loss from those of that loss."""
    return list(gradients) if scale is None else [gradient * scale for gradient in gradients]


def told_norm(norm: Any, *optimizers: Any) -> Any:
    """Return a norm of gradients as it is told: 0 where they overflowed and all optimizers leave such a step out.

    A ``LossScaleOptimizer`` skips what is not finite and halves its scale. Once that is at 1 nothing was scaled, and
    the gradient itself is not finite.
    """
    if not all(isinstance(optimizer, keras.optimizers.LossScaleOptimizer) for optimizer in optimizers):
        return norm
    scale = tf.reduce_min([loss_scale(optimizer) for optimizer in optimizers])
    return tf.where((scale > 1.0) & ~tf.math.is_finite(norm), 0.0, norm)
