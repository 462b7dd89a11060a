"""One eager gradient step on a loss that the user computes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tensor_optix.core.types import EpisodeData
from tensor_optix.exceptions import InvalidTypeError, NonFiniteError


def custom_step(
    model: Any, optimizer: Any, compute_loss_fn: Callable[..., Any], window: EpisodeData, returns: np.ndarray
) -> dict[str, float]:
    """Minimise ``compute_loss_fn(model, window, returns)`` by one step of the optimizer.

    Raises:
        InvalidTypeError: The result is no scalar tensor, or does not depend on the model.
        NonFiniteError: The loss or its gradient is NaN or infinite; nothing has changed.
    """
    variables = model.trainable_variables
    returns = returns.reshape(np.shape(window.rewards))
    with tf.GradientTape() as tape:
        loss = compute_loss_fn(model, window, returns)
        loss = _scalar(loss)
    grads = tape.gradient(loss, [v.value for v in variables])
    if all(g is None for g in grads):
        raise InvalidTypeError(
            "The result of `compute_loss_fn` does not depend on the model's variables. Call model(observations) inside "
            "it, and stay in TensorFlow or keras.ops: NumPy calls cut the gradient."
        )
    grads = [
        tf.zeros_like(v.value) if g is None else tf.convert_to_tensor(g) for g, v in zip(grads, variables, strict=True)
    ]
    norm = tf.linalg.global_norm(grads)
    numbers = {"loss": float(loss), "grad_norm": float(norm)}
    for name, number in numbers.items():
        if not np.isfinite(number):
            raise NonFiniteError(
                f"`compute_loss_fn` gave a {name} of {number} at window {window.episode_id}; "
                "weights and optimizer are as they were. Bound its logarithms, or lower the learning rate."
            )
    optimizer.apply(grads, variables)
    return numbers


def _scalar(loss: Any) -> Any:
    if not tf.is_tensor(loss) or loss.shape.rank != 0:
        got = f"shape {tuple(loss.shape)}" if tf.is_tensor(loss) else type(loss).__name__
        raise InvalidTypeError(
            f"`compute_loss_fn` must return a scalar tensor. Received: {got}. Take tf.reduce_mean of it."
        )
    return tf.cast(loss, tf.float32)
