"""Whoever acts is told where episodes begin: agents with memory forget there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tensor_optix.core.base_agent import BaseAgent

Tell = Callable[[Any], None]
"""Takes which environments begin an episode with the next observation, ``[N]`` bool."""


def told_beginnings(act: Any) -> Tell | None:
    """Return what tells whoever acts; None where they do not want to know.

    Args:
        act: An agent's method, or what has ``begin_episodes`` itself.
    """
    actor = getattr(act, "__self__", act)
    tell: Tell | None = getattr(actor, "begin_episodes", None)
    is_default = getattr(type(actor), "begin_episodes", None) is BaseAgent.begin_episodes
    return None if is_default or getattr(actor, "remembers", True) is False else tell


def remembered(act: Any, num_envs: int) -> Any:
    """Return what whoever acts remembers of the episodes that run, see ``BaseAgent.memory_states``."""
    states = getattr(getattr(act, "__self__", act), "memory_states", None)
    return None if states is None else states(num_envs)


class Beginnings:
    """Where episodes begin in environments that step together, all of them at first.

    Args:
        num_envs: N.
        resets_by_a_step: Whether the step after an end only resets (next-step autoreset).
    """

    def __init__(self, num_envs: int, resets_by_a_step: bool) -> None:
        self._first = np.ones(num_envs, np.bool_)
        self._ended = np.zeros(num_envs, np.bool_) if resets_by_a_step else None

    def tell(self, tell: Tell) -> None:
        """Tell who acts on the next observation, if an episode begins with it anywhere."""
        if np.count_nonzero(self._first):
            tell(self._first.copy())
            self._first[:] = False

    def follow(self, ended: np.ndarray) -> None:
        """Note where a step ended an episode, ``[N]`` bool."""
        if self._ended is None:
            self._first |= ended
        else:
            self._first |= self._ended
            self._ended = ended.copy()
