"""Advantages and returns of a window as tensors, for use inside a traced update.

``functional.returns`` has the same equations in NumPy, with what the flags mean.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

_EPSILON = 1e-8


def discounted_sums(increments: Any, decays: Any) -> Any:
    """Return ``y_t = x_t + d_t * y_{t+1}``, worked backwards from 0, in ``log2 T`` passes.

    Each pass doubles how far every step looks ahead. See "Data Parallel Algorithms" (Hillis &
    Steele, 1986).

    Args:
        increments: ``x_t``, ``[T, N]``.
        decays: ``d_t``, ``[T, N]``.
    """
    num_steps = tf.shape(increments)[0]
    times = tf.range(num_steps)[:, None]

    def look_twice_as_far(ahead: Any, sums: Any, products: Any) -> Any:
        rows = tf.minimum(tf.range(num_steps) + ahead, num_steps - 1)
        inside = times + ahead < num_steps
        later_sums = tf.where(inside, tf.gather(sums, rows), 0.0)
        later_products = tf.where(inside, tf.gather(products, rows), 0.0)
        return 2 * ahead, sums + products * later_sums, products * later_products

    return tf.while_loop(lambda ahead, *_: ahead < num_steps, look_twice_as_far, (tf.constant(1), increments, decays))[
        1
    ]


def generalized_advantages(
    rewards: Any, discounts: Any, continues: Any, values: Any, next_values: Any, lambda_: Any
) -> Any:
    """Return ``A_t = delta_t + discount_t * l_t * A_{t+1}``, with ``l_t = lambda_`` where the episode goes on.

    ``delta_t = reward_t + discount_t * v_{t+1} - v_t``. See "High-Dimensional Continuous Control
    Using Generalized Advantage Estimation" (Schulman et al., 2016), equation 16. All arguments are
    ``[T, N]`` float32, apart from ``lambda_``.
    """
    return discounted_sums(rewards + discounts * next_values - values, discounts * lambda_ * continues)


def masked_mean(x: Any, mask: Any) -> Any:
    """Return the mean of ``x`` where ``mask``."""
    return tf.reduce_sum(tf.where(mask, x, 0.0)) / tf.maximum(tf.reduce_sum(tf.cast(mask, x.dtype)), 1.0)


def masked_variance(x: Any, mask: Any) -> Any:
    """Return the variance of ``x`` where ``mask``."""
    return masked_mean(tf.square(x - masked_mean(x, mask)), mask)


def explained_variance(values: Any, returns: Any, mask: Any) -> Any:
    """Return the share of the returns' variance that the values explain where ``mask``; 0 if there is none."""
    spread, missed = masked_variance(returns, mask), masked_variance(returns - values, mask)
    return tf.where(spread > 0.0, 1.0 - tf.math.divide_no_nan(missed, spread), 0.0)


def standardized(x: Any, mask: Any) -> Any:
    """Return ``x`` shifted and scaled so that it has mean 0 and variance 1 where ``mask``."""
    return (x - masked_mean(x, mask)) / (tf.sqrt(masked_variance(x, mask)) + _EPSILON)
