"""What is asked of things that users bring and need not derive from a class of ours: for type checkers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol


class EnvLike(Protocol):
    """What can be stepped: a Gymnasium environment, a vector of them, or what behaves like one."""

    def reset(self, *args: Any, **kwargs: Any) -> Any:
        """Return ``(observation, info)``."""
        ...

    def step(self, action: Any, /) -> Any:
        """Return ``(observation, reward, terminated, truncated, info)``."""
        ...


class CanAct(Protocol):
    """What can choose an action: an agent, a :class:`Policy`, or any object with this method."""

    def act(self, observation: Any, /) -> Any:
        """Return an action for one observation."""
        ...


EnvSource = EnvLike | Callable[[], EnvLike]
"""An environment, or what makes one."""
