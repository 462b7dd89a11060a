"""Rewards as a value function meets them: less what all of them share, in units of what they usually are.

A constant c in the reward of every step adds c / (1 - gamma) to every value of a task that never ends, and to those of
episodes of one fixed length what it adds up to until their end. No action gains by it; but a value function must learn
it to the last digit before the differences between actions show. So it is taken away, where that leaves the task the
same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tensor_optix.core.storage.plain_state import require_like
from tensor_optix.exceptions import StateMismatchError

FEW_EPISODES = 10
"""Where lengths differ among so few, nothing was known of them yet."""

ROUNDING = 1e-6
"""What differs from the level by a smaller share of it does not differ."""

_NOWHERE = -(2**40)
"""Steps of an episode that nobody counted from its start: its length comes out negative."""

LARGEST = 1e30
"""What is larger is no reward but a fault: it overflows float32, which is to be told, not made usual."""


@dataclass(frozen=True)
class RewardUnits:
    """What is taken from rewards, and what they are divided by.

    Attributes:
        level: Taken from the reward of a step after which the episode may go on.
        last_level: Taken from that of a step that terminates.
        size: What they are divided by.
    """

    level: float = 0.0
    last_level: float = 0.0
    size: float = 1.0

    @property
    def is_neutral(self) -> bool:
        """Whether rewards stay as they are."""
        return self.level == self.last_level == 0.0 and self.size == 1.0

    def convert(self, rewards: np.ndarray, terminated: np.ndarray) -> np.ndarray:
        """Return rewards in these units, float64.

        Args:
            rewards: In the environment's own, any shape.
            terminated: Which of the steps terminated, bool, same shape.
        """
        if self.is_neutral:
            return np.asarray(rewards, np.float64)
        level = self.level if self.level == self.last_level else np.where(terminated, self.last_level, self.level)
        return (np.asarray(rewards, np.float64) - level) / self.size


class RewardLevel:
    """The level of rewards, found once they differ: their median then, or what they all were before.

    It is taken away while no action can decide how long it is earned: while no episode terminates, or all terminate
    after one number of steps. Where the first ever to terminate comes after many that did not, it is still taken away,
    and an end is worth minus what the level would have brought from there on, which moves all values alike. Otherwise
    rewards stay as they are: with episodes of other lengths a constant says whether to end them.
    """

    def __init__(self) -> None:
        self._level = 0.0
        self._is_settled = self._is_endless = False
        self._constant = np.zeros(0)
        self._num_ended = self._terminated_length = self._longest_other = 0
        self._running = np.zeros(0, np.int64)
        self._is_lost = False  # until the next window: an earlier state comes back as it was

    def units(self, gamma: float) -> RewardUnits:
        """Return what is taken away, at this discount."""
        if not self._is_endless:
            return RewardUnits(self._level, self._level)
        return RewardUnits(self._level, self._level / (1.0 - gamma)) if gamma < 1.0 else RewardUnits()

    def observe(
        self, rewards: np.ndarray, terminated: np.ndarray, ended: np.ndarray, valid: np.ndarray, fresh_start: bool
    ) -> bool:
        """Take in one more window and return whether the level is another one now.

        Args:
            rewards: ``[T, N]``.
            terminated: ``[T, N]`` bool.
            ended: ``[T, N]`` bool, terminated or truncated.
            valid: ``[T, N]`` bool.
            fresh_start: Whether the window began with a reset.
        """
        before = self._level
        if self._is_settled and (self._level == 0.0 or self._is_endless):
            return False
        if self._lengths_differ(terminated, ended, valid, fresh_start):
            is_late = self._is_settled and not self._terminated_length and self._num_ended >= FEW_EPISODES
            self._is_settled, self._is_endless = True, is_late
            self._level = self._level if is_late else 0.0
        elif not self._is_settled:
            self._settle(rewards[valid])
        return self._level != before

    def _settle(self, rewards: np.ndarray) -> None:
        seen = np.concatenate([self._constant, rewards])
        if seen.size and seen.min() == seen.max():
            self._constant = seen[:1]
        elif seen.size:
            middle = (len(rewards) - 1) // 2
            self._level = float(self._constant[0] if self._constant.size else np.partition(rewards, middle)[middle])
            self._is_settled = True

    def _lengths_differ(self, terminated: np.ndarray, ended: np.ndarray, valid: np.ndarray, fresh_start: bool) -> bool:
        """Count on, and return whether actions may decide after how many steps an episode terminates."""
        if fresh_start or len(self._running) != valid.shape[1]:
            self._running = np.zeros(valid.shape[1], np.int64)
        elif self._is_lost:
            self._running[:] = _NOWHERE
        self._is_lost = False
        counts = self._running + np.cumsum(valid, axis=0)
        env, step = np.nonzero(ended.T)
        at_end = counts[step, env]
        begins = np.concatenate([[0], at_end[:-1]])
        begins[np.flatnonzero(np.diff(env, prepend=-1))] = 0
        lengths, by_itself = at_end - begins, terminated[step, env]
        self._running = counts[-1].copy()
        self._running[env] = counts[-1][env] - at_end  # of several ends the last is written last

        own = lengths[by_itself & (lengths > 0)]
        longest = max(self._longest_other, int(lengths[~by_itself].max(initial=0)), int(self._running.max(initial=0)))
        expected = self._terminated_length or (int(own[0]) if len(own) else 0)
        if expected and (longest >= expected or bool((own != expected).any())):
            return True
        self._terminated_length, self._longest_other = expected, longest
        self._num_ended += len(lengths)
        return False

    def lose_place(self) -> None:
        """Forget how long the running episodes are: they are others than when they were counted."""
        self._is_lost = True

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return arrays that :meth:`load_state_dict` takes."""
        counts = (self._num_ended, self._terminated_length, self._longest_other)
        return {
            "level": np.array(self._level),
            "flags": np.array([self._is_settled, self._is_endless]),
            "constant": self._constant.copy(),
            "counts": np.array(counts, np.int64),
            "running": self._running.copy(),
        }

    def check_state(self, state: Mapping[str, Any]) -> None:
        """Raise unless :meth:`load_state_dict` can take this."""
        _check(state, self.state_dict(), "reward level")

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Become the level whose ``state_dict`` this is; that of an agent that had none takes nothing away."""
        self.__init__()  # type: ignore[misc]
        if not state:
            self._is_settled = True
            return
        self._level = float(state["level"])
        self._is_settled, self._is_endless = (bool(flag) for flag in state["flags"])
        self._constant, self._running = np.array(state["constant"]), np.array(state["running"])
        self._num_ended, self._terminated_length, self._longest_other = (int(count) for count in state["counts"])


class RewardSize:
    """What rewards usually are: the mean size, over the whole past, of those that differ from the level."""

    def __init__(self) -> None:
        self._count, self._total, self._is_fixed = 0.0, 0.0, False

    @property
    def value(self) -> float:
        """The size; 1 until there was such a reward."""
        return self._total / self._count if self._count else 1.0

    def observe(self, rewards: np.ndarray, level: float) -> None:
        """Take in more rewards, ``[B]``."""
        if self._is_fixed:
            return
        sizes = np.abs(rewards - level)
        sizes = sizes[(sizes > ROUNDING * abs(level)) & (sizes < LARGEST)]
        self._count += len(sizes)
        self._total += float(sizes.sum())

    def forget(self) -> None:
        """Begin anew, at another level."""
        self._count, self._total = 0.0, 0.0

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return arrays that :meth:`load_state_dict` takes."""
        return {"sums": np.array([self._count, self._total]), "is_fixed": np.array([self._is_fixed])}

    def check_state(self, state: Mapping[str, Any]) -> None:
        """Raise unless :meth:`load_state_dict` can take this."""
        _check(state, self.state_dict(), "reward size")

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Become the size whose ``state_dict`` this is; that of an agent that had none stays 1."""
        self.__init__()  # type: ignore[misc]
        if not state:
            self._is_fixed = True
            return
        self._count, self._total = (float(part) for part in state["sums"])
        self._is_fixed = bool(state["is_fixed"][0])


def as_lists(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return arrays as JSON-able lists and numbers."""
    return {name: array.tolist() for name, array in arrays.items()}


def as_arrays(lists: Mapping[str, Any], own: Mapping[str, np.ndarray], name: str) -> dict[str, np.ndarray]:
    """Return what :func:`as_lists` returned of a part whose state is ``own`` now as arrays again.

    Raises:
        StateMismatchError: It is no such thing.
    """
    try:
        return {key: np.array(values, own[key].dtype) for key, values in lists.items()}
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise StateMismatchError(f"The saved reward {name} is {lists!r:.80}, which it cannot be: {error}.") from error


def _check(state: Mapping[str, Any], own: Mapping[str, np.ndarray], name: str) -> None:
    if not state:
        return
    require_like(state, own, name)
    for key, array in own.items():
        found = state[key]
        fits = found.shape == array.shape or key in ("running", "constant")
        if not fits or not np.isfinite(found).all() or bool((found < 0).any() and key in ("counts", "sums")):
            raise StateMismatchError(
                f"The saved {name}'s `{key}` is {found.tolist()!r:.80}, which it cannot be. "
                "The file was altered; an earlier one may be whole."
            )
