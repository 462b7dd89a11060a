"""What users bring that need not derive from a class of ours: what is asked of it, and how a part is made complete.

Whoever takes a part in calls :func:`completed`, once; inside, nobody asks what a part can do: what it does not have of
its interface, the interface's defaults do.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Protocol, TypeVar


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


T = TypeVar("T")


def completed(part: Any, interface: type[T]) -> T:
    """Return a part that has all of its interface.

    One that derives from the interface has it already and is returned as it is. Any other is returned behind a
    stand-in: what the part has, whether of the interface or beyond it, is read from and written to the part; what it
    lacks is the interface's default. Whether it has what has no default is for the caller to check.

    Args:
        part: An agent, evaluator, pipeline, hyperparameter optimizer, ...
        interface: The class that says what such a part has, for example ``BaseAgent``.

    Example:
        >>> class Greeting:
        ...     def hello(self): return "hello"
        ...     def goodbye(self): return "goodbye"
        >>> class French:
        ...     def hello(self): return "bonjour"
        >>> part = completed(French(), Greeting)
        >>> part.hello(), part.goodbye(), isinstance(part, Greeting)
        ('bonjour', 'goodbye', True)
    """
    if isinstance(part, interface):
        return part
    names = {name for name in dir(part) if not name.startswith("_")} | getattr(interface, "__abstractmethods__", set())
    kind = type(part)
    about_kind = {"__module__": kind.__module__, "__qualname__": kind.__qualname__, "__doc__": kind.__doc__}
    of_part = {name: _handed_on(name, part) for name in names}
    make_class: Any = type(interface)
    stand_in = make_class(kind.__name__, (_StandIn, interface), {**about_kind, **of_part})
    return stand_in(part)  # type: ignore[no-any-return]


def original(part: Any) -> Any:
    """Return the part that the user brought, whether it was completed or not."""
    return part._brought if isinstance(part, _StandIn) else part


class _StandIn:
    """Stands for a part that does not derive from its interface."""

    def __init__(self, brought: Any) -> None:
        self._brought = brought

    def __getattr__(self, name: str) -> Any:  # what the part was given after it was completed
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._brought, name)

    def __repr__(self) -> str:
        return repr(self._brought)


def _handed_on(name: str, part: Any) -> Any:
    """Return a method or property that does what the part's own attribute of this name does."""
    found = inspect.getattr_static(part, name, None)
    if name.startswith("_") or inspect.isroutine(found) or isinstance(found, (staticmethod, classmethod)):
        return _calls(name)
    return property(lambda self: getattr(self._brought, name), lambda self, value: setattr(self._brought, name, value))


def _calls(name: str) -> Callable[..., Any]:
    def call(self: _StandIn, *args: Any, **kwargs: Any) -> Any:
        return getattr(self._brought, name)(*args, **kwargs)

    call.__name__ = name
    return call
