"""What counts as a reward: one real number, made a float at the door, once and for all."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tensor_optix.core.checks import received
from tensor_optix.exceptions import InvalidTypeError

_USUAL = frozenset({float, int, np.float32, np.float64})


def as_reward(reward: Any) -> float:
    """Return a reward as a float: whatever ``float()`` takes, and an array of one number, whatever its shape.

    Raises:
        TypeError: It is no real number: a text or a time, of which ``float()`` or NumPy would make one as well,
            a complex number, or more than one number.
        OverflowError: It is an integer beyond the largest float.
    """
    if type(reward) in _USUAL:
        return float(reward)
    kind = getattr(getattr(reward, "dtype", None), "kind", "f")
    number = reward
    try:
        if kind not in "cmMSU" and hasattr(reward, "item"):
            number = reward.item()
        if kind not in "cmMSU" and not isinstance(number, str | bytes | bytearray) and reward is not np.ma.masked:
            return float(number)
    except (TypeError, ValueError):
        pass
    raise TypeError(f"a reward must be a real number, not {type(reward).__name__} {reward!r:.50}")


def as_rewards(rewards: Any, num_envs: int) -> npt.NDArray[Any]:
    """Return the rewards of one step of several environments, ``[N]``, in a type that fits into floats.

    Args:
        rewards: ``[N]``, or ``[N, 1]``: an array, or a sequence.
        num_envs: N.

    Raises:
        TypeError: They are not N real numbers.
        OverflowError: One is an integer beyond the largest float.
    """
    if type(rewards) is np.ndarray and rewards.dtype.kind in "fiub" and rewards.size == num_envs and rewards.ndim:
        return rewards.reshape(num_envs)
    try:
        each = list(rewards)
    except TypeError:
        each = []
    if len(each) != num_envs:
        raise TypeError(f"there must be {num_envs} rewards, one for each environment, not {rewards!r:.100}")
    return np.array([as_reward(reward) for reward in each])


def rewards_of_window(rewards: Any, flags: Any) -> Any:
    """Return what a pipeline gives as ``EpisodeData.rewards``, as numbers of the same shape as the flags.

    Arrays and lists of numbers are taken as they are; ``Decimal`` and its like become floats, and arrays of one
    number that number.

    Args:
        rewards: ``[T]`` or ``[T, N]``.
        flags: Of the same steps.

    Raises:
        InvalidTypeError: One is no real number.
    """
    try:
        array = np.asarray(rewards)
    except ValueError:  # ragged: whoever looks at their shape says so
        return rewards
    if array.dtype.kind == "O":
        try:
            array = rewards = np.array([as_reward(one) for one in array.ravel()]).reshape(array.shape)
        except (TypeError, OverflowError) as error:
            expected = "`rewards` must be a sequence of numbers, one for each step"
            raise InvalidTypeError(f"{expected}: {error}. {received(rewards)}") from error
    shape = np.shape(flags)
    return array.reshape(shape) if array.shape == (*shape, 1) else rewards
