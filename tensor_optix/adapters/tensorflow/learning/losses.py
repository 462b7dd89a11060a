"""What is minimised, and its gradients: pure functions of tensors, traced into the update, and the user's own loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tensor_optix.core.types import EpisodeData
from tensor_optix.exceptions import InvalidTypeError, NonFiniteError

_MAX_LOG_RATIO = 20.0


def clipped_surrogate(log_ratio: Any, advantages: Any, clip_ratio: Any) -> tuple[Any, Any]:
    """Return ``-mean(min(rho_t A_t, clip(rho_t, 1 - c, 1 + c) A_t))`` with ``rho_t = exp(log_ratio_t)``.

    And its derivative by each log-ratio, ``[B]``: written out, both take half the operations that differentiating the
    loss adds to a gradient step. See "Proximal Policy Optimization Algorithms" (Schulman et al., 2017), equation 7.

    Args:
        log_ratio: ``log pi(a_t | o_t) - log b(a_t | o_t)`` to the policy b that acted, ``[B]``.
        advantages: ``A_t``, ``[B]``.
        clip_ratio: c, how far a ratio may move before it earns nothing more.
    """
    earned = tf.exp(tf.clip_by_value(log_ratio, -_MAX_LOG_RATIO, _MAX_LOG_RATIO)) * advantages
    limit = advantages + clip_ratio * tf.abs(advantages)
    share = 1.0 / tf.cast(tf.size(earned), tf.float32)
    return -share * tf.reduce_sum(tf.minimum(earned, limit)), tf.where(earned <= limit, -share * earned, 0.0)


def approximate_kl(log_ratio: Any) -> Any:
    """Return the estimate ``mean(rho - 1 - log rho)`` of ``KL(b || pi)`` from samples of b.

    It is unbiased, never negative, and varies less than ``-mean(log rho)``. See "Approximating KL
    Divergence" (Schulman, 2020, http://joschu.net/blog/kl-approx.html).

    Args:
        log_ratio: ``log pi(a_t | o_t) - log b(a_t | o_t)``, ``[B]``.
    """
    bounded = tf.clip_by_value(log_ratio, -_MAX_LOG_RATIO, _MAX_LOG_RATIO)
    return tf.reduce_mean(tf.math.expm1(bounded) - bounded)


def dense_gradients(tape: Any, target: Any, variables: Sequence[Any], slopes: Any = None) -> list[Any]:
    """Return one tensor per variable: zeros where a variable does not reach the target.

    Args:
        tape: Watched what led to the target.
        target: A loss, or a list of tensors.
        variables: What to differentiate by.
        slopes: Derivatives of the loss by each tensor of the list.
    """
    sources = [getattr(v, "value", v) for v in variables]
    found = tape.gradient(target, sources, slopes)
    return [tf.zeros_like(v) if g is None else tf.convert_to_tensor(g) for g, v in zip(found, sources, strict=True)]


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
