"""What all kinds of actions in a ``Box`` of floats share: scale, bounds, other bounds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import gymnasium as gym
import numpy as np
from keras import ops

from tensor_optix.adapters.tensorflow.actions.action_sampler import ActionSampler

LARGEST_BOUND = 1e9
"""A bound of this size or beyond, or the largest number of its dtype, stands for none: it tells no scale of actions."""

SHARE_OF_BOUND = 0.1
"""How far an action moves per unit, as a share of the only bound there is, where that lies far from 0."""

_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, eq=False)
class BoxSampler(ActionSampler):
    """Actions of a Box, in units in which -1 and 1 are the bounds of the space that they were learned in.

    Where it has one bound or none, unit 0 is the number nearest to 0 that lies a unit inside, and a unit is 1, or a
    tenth of a bound far from 0. A dimension of no width is always its bound and counts for nothing: no probability,
    no entropy, no gradient.

    Args:
        num_outputs: K, or what else the kind needs per action.
        low: Lower bounds of what is taken, flat ``[K]``; -inf where there is none.
        high: Upper bounds of what is taken, flat ``[K]``; inf where there is none.
        centre: The action of unit 0, ``[K]``.
        half_range: How far the action moves per unit, ``[K]``; 0 where it cannot move.
        shape: Shape of one action.
        dtype: Dtype of one action.
    """

    num_outputs: int
    low: np.ndarray
    high: np.ndarray
    centre: np.ndarray
    half_range: np.ndarray
    shape: tuple[int, ...]
    dtype: np.dtype

    @cached_property
    def is_free(self) -> np.ndarray:
        """Which dimensions of an action can be other than they are, ``[K]`` bool."""
        free: np.ndarray = self.half_range > 0
        return free

    @cached_property
    def _unit(self) -> np.ndarray:
        """How far the action moves per unit, ``[K]``; 1 where it cannot move, to divide by."""
        return np.where(self.half_range > 0, self.half_range, 1.0)

    def _difference(self, known: Any, new: Any) -> str | None:
        if known.shape != new.shape:
            return super()._difference(known, new)
        if not np.issubdtype(new.dtype, np.floating):
            return f"{new.dtype} instead of floats"
        low, high = _common_bounds(known, new)
        return None if (low <= high).all() else "no action is within the bounds of both"

    def in_space(self, known: Any, new: Any) -> Self:
        """Return the sampler within other bounds: an action means what it meant, and is in both spaces."""
        low, high = _common_bounds(known, new)
        return replace(self, low=low, high=high, dtype=new.dtype)

    def _to_env(self, units: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        actions = (self.centre + self.half_range * units).clip(self.low, self.high)
        return actions.astype(self.dtype).reshape(shape)

    def explains(self, outputs: np.ndarray, actions: np.ndarray, within: np.ndarray) -> np.ndarray:
        """See :class:`ActionSampler`; what rounding to the dtype of the space moves is allowed, too."""
        expected, rows = self.greedy(outputs), len(outputs)
        rounding = np.spacing(np.maximum(np.abs(expected), np.abs(actions)).astype(self.dtype)).astype(np.float64)
        rounding = np.maximum(rounding, np.spacing(np.abs(expected).astype(np.float32)))
        moved = within[:, np.newaxis] * self.half_range + 2.0 * rounding.reshape(rows, -1)
        difference = np.abs(actions.astype(np.float64) - expected).reshape(rows, -1)
        return np.all(difference <= moved, axis=-1)

    def greedy_layer(self, outputs: Any) -> Any:
        """Return the actions of symbolic units ``[B, K]``, in bounds."""
        centre, half_range = self.centre.astype(np.float32), self.half_range.astype(np.float32)
        actions = outputs if np.all(half_range == 1) and not centre.any() else outputs * half_range + centre
        low, high = _inside(self.low, np.less, _LARGEST), _inside(self.high, np.greater, -_LARGEST)
        actions = self._shaped(ops.maximum(ops.minimum(actions, high), low))
        return actions if self.dtype.itemsize >= 4 else ops.cast(actions, self.dtype.name)


def flat_bounds(space: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the lower and the upper bounds of a Box, flat ``[K]`` float64."""
    low, high = (bound.astype(np.float64).reshape(-1) for bound in (space.low, space.high))
    return low, high


def has_bounds(space: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return where the lower and the upper bounds of a Box tell a scale, ``[K]`` bool each."""
    low, high = flat_bounds(space)
    limit = min(LARGEST_BOUND, float(np.finfo(space.dtype).max))
    return (low > -limit) | (low == high), (high < limit) | (low == high)


def centre_and_half_range(space: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return which action is unit 0 and how far one moves per unit, flat ``[K]`` float64, for actions of a Box."""
    low, high = flat_bounds(space)
    has_low, has_high = has_bounds(space)
    centre, half_range = np.zeros(low.size), np.ones(low.size)
    # One bound is the same seen from above and below: the signs turned round.
    for only, bound, sign in ((has_low & ~has_high, low, 1.0), (has_high & ~has_low, high, -1.0)):
        inwards = sign * bound[only]
        half_range[only] = np.maximum(1.0, SHARE_OF_BOUND * inwards)
        centre[only] = sign * np.maximum(inwards + half_range[only], 0.0)
    both = has_low & has_high
    centre[both] = (low[both] + high[both]) / 2
    half_range[both] = (high[both] - low[both]) / 2
    fixed = low == high
    centre[fixed], half_range[fixed] = low[fixed], 0.0
    return centre, half_range


def is_box_of_floats(space: Any) -> bool:
    """Tell whether actions are vectors or arrays of floats."""
    return isinstance(space, gym.spaces.Box) and np.issubdtype(space.dtype, np.floating)


def _common_bounds(known: Any, new: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return flat bounds ``[K]`` of the actions that are in both."""
    low, high = ((space.low.astype(np.float64), space.high.astype(np.float64)) for space in (known, new))
    return np.maximum(low[0], high[0]).reshape(-1), np.minimum(low[1], high[1]).reshape(-1)


def _inside(bound: np.ndarray, is_outside: np.ufunc, inwards: float) -> np.ndarray:
    """Return bounds in float32 that are not beyond the given ones of more digits, and are finite."""
    rounded = bound.clip(-_LARGEST, _LARGEST).astype(np.float32)
    return np.where(is_outside(rounded, bound), np.nextafter(rounded, np.float32(inwards)), rounded)
