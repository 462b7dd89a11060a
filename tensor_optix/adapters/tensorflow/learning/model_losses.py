"""What a model adds to the loss that it is trained on: its regularisers, and what its layers add in a call.

As in ``keras.Model.fit``: ``kernel_regularizer`` and its like, ``activity_regularizer``, ``add_loss``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf


def from_call(model: Any) -> list[Any]:
    """Return what the layers added in the model's last call, without the regularisers of weights."""
    losses = list(model.losses)
    num_regularized = sum(variable.regularizer is not None for variable in model.trainable_variables)
    return losses[: len(losses) - num_regularized]


def from_weights(variables: Sequence[Any]) -> list[Any]:
    """Return the regularisers of some variables."""
    return [variable.regularizer(variable) for variable in variables if variable.regularizer is not None]


def total(losses: Sequence[Any]) -> Any:
    """Return the sum in float32, None of none."""
    return tf.add_n([tf.cast(loss, tf.float32) for loss in losses]) if losses else None
