"""Environments that tell which actions are allowed, and raise on any other."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

SPACES: dict[str, gym.Space[Any]] = {
    "discrete": gym.spaces.Discrete(5, start=3),
    "multi_discrete": gym.spaces.MultiDiscrete([3, 2, 4]),
    "multi_binary": gym.spaces.MultiBinary(3),
}


class IllegalActionError(Exception):
    """An action was taken that was not allowed."""


def choices(space: Any) -> list[int]:
    """Return how many options each choice of an action has."""
    if isinstance(space, gym.spaces.Discrete):
        return [int(space.n)]
    return [2] * int(space.n) if isinstance(space, gym.spaces.MultiBinary) else space.nvec.tolist()


def options_of(space: Any, action: Any) -> np.ndarray:
    """Return the option that each choice takes, counted from 0."""
    return np.asarray(action).reshape(-1) - getattr(space, "start", 0)


def is_allowed(space: Any, mask: np.ndarray, action: Any) -> bool:
    """Tell whether a mask allows an action."""
    starts = np.cumsum([0, *choices(space)[:-1]])
    return bool(np.all(mask[starts + options_of(space, action)]))


class OnlyAllowed(gym.Env[Any, Any]):
    """Allows other options at each step, at least one for each choice, and pays for the last one that is allowed.

    Episodes take turns in being terminated and truncated. What is told with the last observation of a terminated one
    allows nothing, as at the end of a board game.

    Args:
        action_space: One of ``SPACES``.
        told: How it tells what is allowed: in ``"info"``, by the ``"method"`` action_masks(), in the ``"key"`` of its
            observation, or not at all (None); the observation is the mask in any case.
        length: Steps of an episode.
    """

    def __init__(self, action_space: gym.Space[Any], told: str | None = "info", length: int = 7) -> None:
        self.action_space = action_space
        self.told = told
        self.length = length
        self.sizes = choices(action_space)
        shown = gym.spaces.Box(0.0, 1.0, (sum(self.sizes),), np.float32)
        mask = gym.spaces.MultiBinary(sum(self.sizes))
        self.observation_space = (
            gym.spaces.Dict({"action_mask": mask, "observation": shown}) if told == "key" else shown
        )
        self.num_episodes = 0
        self.num_taken = 0
        if told == "method":
            self.action_masks = lambda: self.mask

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.num_episodes = 1 if seed is not None else self.num_episodes + 1  # a seed begins all anew
        self.step_in_episode = 0
        self._draw()
        return self._seen(), self._info()

    def step(self, action: Any) -> Any:
        if not self.action_space.contains(action) or not is_allowed(self.action_space, self.mask, action):
            raise IllegalActionError(f"{action!r} was taken where {self.mask.astype(int)} is allowed")
        self.num_taken += 1
        parts = np.split(self.mask, np.cumsum(self.sizes)[:-1])
        best = [int(np.flatnonzero(part)[-1]) for part in parts]
        reward = float(np.mean(options_of(self.action_space, action) == best))
        self.step_in_episode += 1
        over = self.step_in_episode == self.length
        terminated = over and self.num_episodes % 2 == 0
        self._draw(nothing=terminated)
        return self._seen(), reward, terminated, over and not terminated, self._info()

    def _draw(self, nothing: bool = False) -> None:
        mask = self.np_random.random(sum(self.sizes)) < 0.4
        starts = np.cumsum([0, *self.sizes[:-1]])
        for start, size in zip(starts, self.sizes, strict=True):
            mask[start + self.np_random.integers(size)] = True
        self.mask = np.zeros_like(mask) if nothing else mask

    def _seen(self) -> Any:
        shown = self.mask.astype(np.float32)
        return {"action_mask": self.mask.astype(np.int8), "observation": shown} if self.told == "key" else shown

    def _info(self) -> dict[str, Any]:
        return {"action_mask": self.mask.astype(np.int8)} if self.told == "info" else {}
