"""A window as off-policy algorithms read it: which steps there are, and what follows which."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tensor_optix.core.types import EpisodeData
from tensor_optix.exceptions import NonFiniteError


@dataclass(frozen=True)
class WindowSteps:
    """The steps of one window, time-major; N = 1 for a single environment.

    Attributes:
        window_id: Number of the window.
        fresh_start: Whether it began with a reset of its own.
        observations: One array ``[T, N, ...]`` per part of an observation.
        successors: The same for the observations after each step; empty where they are not told.
        actions: ``[T, N, ...]``.
        rewards: ``[T, N]`` float32.
        terminated: ``[T, N]`` bool.
        truncated: ``[T, N]`` bool.
        valid: ``[T, N]`` bool, False on steps that only reset.
        follows: ``[T - 1, N]`` bool, where step t + 1 goes on with the episode of step t.
        is_step: ``[T, N]`` bool, where the whole transition is known.
        needs_end: ``[T, N]`` bool, where the successor is no step of this window.
    """

    window_id: int
    fresh_start: bool
    observations: list[np.ndarray]
    successors: list[np.ndarray]
    actions: np.ndarray
    rewards: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    valid: np.ndarray
    follows: np.ndarray
    is_step: np.ndarray
    needs_end: np.ndarray

    @classmethod
    def of(cls, window: EpisodeData, example: Any) -> WindowSteps:
        """Read a window ``[T, ...]`` or ``[T, N, ...]`` whose observations are nested as ``example`` is."""
        rewards = _two_axes(window.rewards, np.float32)
        num_axes = np.ndim(window.rewards)

        def with_envs(array: Any) -> np.ndarray:
            array = np.asarray(array)
            return array.reshape(*rewards.shape, *array.shape[num_axes:])

        observations = [with_envs(part) for part in flat_leaves(example, window.observations)]
        told = window.next_observations is not None
        successors = [with_envs(part) for part in flat_leaves(example, window.next_observations)] if told else []
        terminated, truncated = _two_axes(window.terminated, np.bool_), _two_axes(window.truncated, np.bool_)
        valid = np.ones(rewards.shape, np.bool_) if window.valid is None else _two_axes(window.valid, np.bool_)
        follows = valid[:-1] & valid[1:] & ~terminated[:-1] & ~truncated[:-1]
        for seen, after in zip(observations, successors, strict=False):
            follows &= _all_equal(after[:-1], seen[1:])
        goes_on = np.zeros(rewards.shape, np.bool_)
        goes_on[:-1] = follows
        return cls(
            window_id=window.episode_id,
            fresh_start=bool(window.metadata.get("fresh_start", False)),
            observations=observations,
            successors=successors,
            actions=with_envs(window.actions),
            rewards=rewards,
            terminated=terminated,
            truncated=truncated,
            valid=valid,
            follows=follows,
            is_step=valid if told else valid & (terminated | goes_on),
            needs_end=valid & ~terminated & ~goes_on & told,
        )

    def check_finite(self) -> None:
        """Raise if anything that would be learned from is NaN or infinite.

        Raises:
            NonFiniteError: Names what and which step.
        """
        named = [("observation", part, self.valid) for part in self.observations]
        named += [("observation", part, self.needs_end) for part in self.successors]
        named += [("action", self.actions, self.valid), ("reward", self.rewards, self.valid)]
        for name, array, counts in named:
            if array.dtype.kind != "f" or np.isfinite(array).all():
                continue
            bad = ~np.isfinite(array).all(axis=tuple(range(2, array.ndim))) & counts
            if bad.any():
                step, env = (int(i) for i in np.argwhere(bad)[0])
                raise NonFiniteError(
                    f"Window {self.window_id} holds {int(bad.sum())} steps whose {name} is NaN or infinite, the first "
                    f"at step {step} of environment {env}. Nothing was learned from it. "
                    "Look into the environment, or clip what it returns."
                )


def flat_leaves(example: Any, nested: Any) -> Iterator[Any]:
    """Yield the arrays in ``nested``, in the order of ``example``: an array, or a dict or tuple of them."""
    if isinstance(example, Mapping):
        for key, part in example.items():
            yield from flat_leaves(part, nested[key])
    elif isinstance(example, tuple):
        for part, value in zip(example, nested, strict=True):
            yield from flat_leaves(part, value)
    else:
        yield nested


def nested_like(example: Any, leaves: Sequence[Any]) -> Any:
    """Return what :func:`flat_leaves` took apart, nested as ``example`` is."""
    remaining = iter(leaves)

    def build(part: Any) -> Any:
        if isinstance(part, Mapping):
            return {key: build(value) for key, value in part.items()}
        return tuple(build(value) for value in part) if isinstance(part, tuple) else next(remaining)

    return build(example)


def _all_equal(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Tell for each row ``[T, N]`` whether all its numbers are equal."""
    return np.asarray((left == right).all(axis=tuple(range(2, left.ndim))))


def _two_axes(values: Any, dtype: Any) -> np.ndarray:
    array = np.asarray(values, dtype)
    return array if array.ndim == 2 else array.reshape(-1, 1)
