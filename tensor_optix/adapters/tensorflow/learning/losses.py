"""What is minimised, and its gradients: pure functions of tensors, traced into the update, and the user's own loss."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tensor_optix.adapters.tensorflow.learning import model_losses
from tensor_optix.adapters.tensorflow.learning.keras_optimizers import apply_by_keras
from tensor_optix.adapters.tensorflow.learning.loss_scale import divided, loss_scale, told_norm
from tensor_optix.core.types import EpisodeData
from tensor_optix.exceptions import InvalidTypeError, NonFiniteError

logger = logging.getLogger(__name__)

_MAX_LOG_RATIO = 20.0


def mean_of(x: Any, shares: Any = None) -> Any:
    """Return the mean of ``x``, ``[B]``; ``shares`` say how much each row counts, ``[B]`` of sum 1, None: all alike."""
    return tf.reduce_mean(x) if shares is None else tf.reduce_sum(shares * x)


def clipped_surrogate(log_ratio: Any, advantages: Any, clip_ratio: Any, shares: Any = None) -> tuple[Any, Any]:
    """Return ``-mean(min(rho_t A_t, clip(rho_t, 1 - c, 1 + c) A_t))`` with ``rho_t = exp(log_ratio_t)``.

    And its derivative by each log-ratio, ``[B]``: written out, both take half the operations that differentiating the
    loss adds to a gradient step. See "Proximal Policy Optimization Algorithms" (Schulman et al., 2017), equation 7.

    Args:
        log_ratio: ``log pi(a_t | o_t) - log b(a_t | o_t)`` to the policy b that acted, ``[B]``.
        advantages: ``A_t``, ``[B]``.
        clip_ratio: c, how far a ratio may move before it earns nothing more.
        shares: How much each row counts, see :func:`mean_of`.
    """
    earned = tf.exp(tf.clip_by_value(log_ratio, -_MAX_LOG_RATIO, _MAX_LOG_RATIO)) * advantages
    limit = advantages + clip_ratio * tf.abs(advantages)
    share = 1.0 / tf.cast(tf.size(earned), tf.float32) if shares is None else shares
    return -mean_of(tf.minimum(earned, limit), shares), tf.where(earned <= limit, -share * earned, 0.0)


def approximate_kl(log_ratio: Any, shares: Any = None) -> Any:
    """Return the estimate ``mean(rho - 1 - log rho)`` of ``KL(b || pi)`` from samples of b.

    It is unbiased, never negative, and varies less than ``-mean(log rho)``. See "Approximating KL
    Divergence" (Schulman, 2020, http://joschu.net/blog/kl-approx.html).

    Args:
        log_ratio: ``log pi(a_t | o_t) - log b(a_t | o_t)``, ``[B]``.
        shares: How much each row counts, see :func:`mean_of`.
    """
    bounded = tf.clip_by_value(log_ratio, -_MAX_LOG_RATIO, _MAX_LOG_RATIO)
    return mean_of(tf.math.expm1(bounded) - bounded, shares)


def dense_gradients(
    tape: Any, target: Any, variables: Sequence[Any], slopes: Any = None, scale: Any = None
) -> list[Any]:
    """Return one float32 tensor per variable: zeros where a variable does not reach the target.

    Args:
        tape: Watched what led to the target.
        target: A loss, or a list of tensors.
        variables: What to differentiate by.
        slopes: Derivatives of the loss by each tensor of the list.
        scale: By what derivatives are multiplied on their way back through the network, so that they do not vanish
            in half precision; None where they are not.
    """
    sources = [getattr(v, "value", v) for v in variables]
    if scale is not None:
        slopes = scale if slopes is None else [slope * scale for slope in slopes]
    found = tape.gradient(target, sources, slopes)
    dense = [tf.zeros_like(v) if g is None else tf.convert_to_tensor(g) for g, v in zip(found, sources, strict=True)]
    return divided([tf.cast(gradient, tf.float32) for gradient in dense], scale)


def custom_step(
    model: Any,
    optimizer: Any,
    compute_loss_fn: Callable[..., Any],
    window: EpisodeData,
    returns: np.ndarray,
    spread: tuple[Any, Any] | None = None,
) -> dict[str, float]:
    """Minimise ``compute_loss_fn(model, window, returns)``, and what the model adds to it, by one optimizer step.

    Args:
        model: What the loss is of.
        optimizer: Built for the model's variables.
        compute_loss_fn: The user's loss.
        window: What it is given.
        returns: Of the window's steps.
        spread: An optimizer and the one variable that it trains, where the loss depends on that; None for nothing.

    Raises:
        InvalidTypeError: The result is no scalar tensor, or does not depend on the model.
        NonFiniteError: The loss or its gradient is NaN or infinite; nothing has changed.
    """
    variables, statistics = model.trainable_variables, model.non_trainable_variables
    before = [variable.numpy() for variable in statistics]
    returns = returns.reshape(np.shape(window.rewards))
    earlier = {id(loss) for loss in model_losses.from_call(model)}
    with tf.GradientTape(persistent=True) as tape:
        loss = _scalar(compute_loss_fn(model, window, returns))
        added = [x for x in model_losses.from_call(model) if id(x) not in earlier]
        added = model_losses.total([*map(_eager, added), *model_losses.from_weights(variables)])
    scale = loss_scale(optimizer)
    trained = [*variables, *([] if spread is None else [spread[1]])]
    reached = [g is not None for g in tape.gradient(loss, [v.value for v in trained])]
    if not any(reached):
        raise InvalidTypeError(
            "The result of `compute_loss_fn` does not depend on the model's variables. Call model(observations) inside "
            "it, and stay in TensorFlow or keras.ops: NumPy calls cut the gradient."
        )
    parts = [loss] if added is None else [loss, added]
    grads = dense_gradients(tape, parts, trained, [tf.ones_like(part) for part in parts], scale)
    loss = tf.add_n(parts)
    norm = told_norm(tf.linalg.global_norm(grads), optimizer)
    numbers = {"loss": float(loss), "grad_norm": float(norm)}
    for name, number in numbers.items():
        if not np.isfinite(number):
            for variable, value in zip(statistics, before, strict=True):
                variable.assign(value)
            raise NonFiniteError(
                f"`compute_loss_fn` gave a {name} of {number} at window {window.episode_id}; "
                "weights and optimizer are as they were. Bound its logarithms, or lower the learning rate."
            )
    if spread is not None and not reached[-1] and not optimizer.iterations.numpy():
        logger.warning(
            "`compute_loss_fn` does not depend on the spread of the actions, which stays at %s units of output. "
            "To learn it, call agent.log_prob(outputs, actions) in the loss, or use agent.log_std.",
            np.round(np.exp(spread[1].numpy()), 3),
        )
    apply_by_keras(optimizer, grads[: len(variables)], variables)
    if spread is not None and reached[-1]:
        spread[0].learning_rate.assign(optimizer.learning_rate)
        apply_by_keras(spread[0], grads[-1:], [spread[1]])
    return numbers


def _eager(loss: Any) -> Any:
    if not hasattr(loss, "numpy"):
        raise InvalidTypeError(
            "`compute_loss_fn` calls the model inside a tf.function, where what its layers add to the loss "
            f"({loss.name}) cannot be read. Call the model outside of it."
        )
    return loss


def _scalar(loss: Any) -> Any:
    if not tf.is_tensor(loss) or loss.shape.rank != 0:
        got = f"shape {tuple(loss.shape)}" if tf.is_tensor(loss) else type(loss).__name__
        raise InvalidTypeError(
            f"`compute_loss_fn` must return a scalar tensor. Received: {got}. Take tf.reduce_mean of it."
        )
    return tf.cast(loss, tf.float32)
