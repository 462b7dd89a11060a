"""Returns and advantages of time-major data: ``[T]`` from one stream, ``[T, N]`` from N.

Step t goes from ``o_t`` by ``a_t`` to ``o_{t+1}`` and gives ``r_{t+1}``, called ``reward_t`` here
because it is stored beside ``a_t``. Two flags per step keep episodes apart:

* termination is a discount: ``discount_t = gamma * (1 - terminated_t)``, so nothing is expected
  after an end;
* ``continues_t`` is 0 where step t + 1 of the array belongs to another episode (an end, a
  truncation, a step that only reset): no sum runs across it. What a truncated step can still
  expect comes from the value of its own successor.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tensor_optix.exceptions import InvalidArgumentError

FloatArray = np.ndarray[Any, np.dtype[np.float64]]


def discounted_sums(increments: Any, decays: Any, last: Any = 0.0) -> FloatArray:
    """Return ``y_t = x_t + d_t * y_{t+1}``, worked backwards from ``y_T = last``.

    Args:
        increments: ``x_t``, ``[T]`` or ``[T, N]``.
        decays: ``d_t``, same shape.
        last: ``y_T``, a number or ``[N]``.

    Returns:
        ``[T]`` or ``[T, N]`` float64.
    """
    increments = np.asarray(increments, np.float64)
    decays = np.asarray(decays, np.float64)
    if increments.shape != decays.shape:
        raise InvalidArgumentError(
            f"Increments and decays must have one shape. Received: {increments.shape} and {decays.shape}."
        )
    # Doubling: after pass k each sum reaches over 2^k steps. Ten vectorised passes over 1,024 steps take
    # a tenth of the time of one Python loop over them.
    sums, reach = increments.copy(), decays.copy()
    step = 1
    while step < len(sums):
        sums[:-step] += reach[:-step] * sums[step:]
        reach[:-step] = reach[:-step] * reach[step:]
        step *= 2
    total: FloatArray = sums + reach * np.asarray(last, np.float64)
    return total


def discounted_returns(rewards: Any, discounts: Any, continues: Any, next_values: Any) -> FloatArray:
    """Return ``G_t = reward_t + discount_t * (G_{t+1} where the episode goes on, else v_{t+1})``.

    Args:
        rewards: ``reward_t``, ``[T]`` or ``[T, N]``.
        discounts: ``gamma * (1 - terminated_t)``, same shape.
        continues: 1 where step t + 1 belongs to the same episode, else 0; same shape. The last
            step of the window counts as not continuing: it bootstraps.
        next_values: ``v_{t+1}``, the value of each step's true successor, same shape.
    """
    return lambda_returns(rewards, discounts, continues, next_values, 1.0)


def lambda_returns(rewards: Any, discounts: Any, continues: Any, next_values: Any, lambda_: float) -> FloatArray:
    """Return ``G_t = reward_t + discount_t * ((1 - l_t) v_{t+1} + l_t G_{t+1})``.

    ``l_t`` is ``lambda_`` where the episode goes on within the array and 0 elsewhere. With
    ``lambda_ = 0`` this is the one-step target, with 1 the return that bootstraps at the cuts.
    See "Reinforcement Learning: An Introduction" (Sutton & Barto, 2018), equation 12.18.

    Args:
        rewards: ``reward_t``, ``[T]`` or ``[T, N]``.
        discounts: ``gamma * (1 - terminated_t)``, same shape.
        continues: 1 where step t + 1 belongs to the same episode, else 0; same shape.
        next_values: ``v_{t+1}``, same shape.
        lambda_: In [0, 1].
    """
    rewards, discounts, next_values = (np.asarray(x, np.float64) for x in (rewards, discounts, next_values))
    mixing = _mixing(continues, lambda_)
    return discounted_sums(rewards + discounts * (1.0 - mixing) * next_values, discounts * mixing)


def generalized_advantages(
    rewards: Any, discounts: Any, continues: Any, values: Any, next_values: Any, lambda_: float
) -> FloatArray:
    """Return ``A_t = delta_t + discount_t * l_t * A_{t+1}`` with the one-step errors ``delta``.

    ``delta_t = reward_t + discount_t * v_{t+1} - v_t``; ``l_t`` is ``lambda_`` where the episode
    goes on within the array and 0 elsewhere. See "High-Dimensional Continuous Control Using
    Generalized Advantage Estimation" (Schulman et al., 2016), equation 16.

    Args:
        rewards: ``reward_t``, ``[T]`` or ``[T, N]``.
        discounts: ``gamma * (1 - terminated_t)``, same shape.
        continues: 1 where step t + 1 belongs to the same episode, else 0; same shape.
        values: ``v_t``, same shape.
        next_values: ``v_{t+1}``, the value of each step's true successor, same shape.
        lambda_: In [0, 1].
    """
    rewards, discounts, values, next_values = (
        np.asarray(x, np.float64) for x in (rewards, discounts, values, next_values)
    )
    return discounted_sums(rewards + discounts * next_values - values, discounts * _mixing(continues, lambda_))


def _mixing(continues: Any, lambda_: float) -> FloatArray:
    """Return ``l_t``; the last step has no successor in the array."""
    mixing = lambda_ * np.array(continues, np.float64)
    mixing[-1:] = 0.0
    return mixing
