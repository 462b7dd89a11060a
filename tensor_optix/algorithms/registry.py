"""The one table of algorithms: which class learns, what it serves, and how it is fed where the user says no more.

Presets, the command line and ``load_agent`` read it and no other. A class of this package is imported when it is first
asked for; one of a user's is put in by :func:`register`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gymnasium as gym

from tensor_optix.adapters.tensorflow.saving.agent_class import say_registered
from tensor_optix.core.checks import check_int, nearest, received
from tensor_optix.exceptions import InvalidArgumentError, InvalidTypeError, UnknownEnvironmentError
from tensor_optix.pipeline.named_modules import import_named

if TYPE_CHECKING:
    from tensor_optix.adapters.tensorflow.tf_agent import TFAgent

AUTO = "auto"
"""Stands for the first algorithm that serves the actions, so that none can be called so."""

SPACES = ("Discrete", "MultiDiscrete", "MultiBinary", "Box", "Dict", "Tuple", "Sequence", "Text", "Graph", "OneOf")
"""Gymnasium's kinds of spaces."""


@dataclass(frozen=True)
class Algorithm:
    """What is known of an algorithm before its class is imported.

    Attributes:
        home: ``module:class``.
        serves: Kinds of action spaces, by name.
        num_envs: Environments that step together by default.
        window_steps: Steps of a window by default, of all environments together.
        registered_class: The class, where a user registered it.
    """

    home: str
    serves: tuple[str, ...]
    num_envs: int
    window_steps: int
    registered_class: type[TFAgent] | None = None

    @property
    def class_name(self) -> str:
        """Name of the class, under which its agents are saved."""
        return self.home.partition(":")[2]

    def agent_class(self) -> type[TFAgent]:
        """Return the class, imported if it was not yet."""
        if self.registered_class is not None:
            return self.registered_class
        module, _, name = self.home.partition(":")
        loaded: type[TFAgent] = getattr(importlib.import_module(module), name)
        return loaded

    def is_of(self, kind: type) -> bool:
        """Tell whether ``kind`` is its class; nothing is imported for that."""
        if self.registered_class is not None:
            return kind is self.registered_class
        return self.home == f"{kind.__module__}:{kind.__name__}"


_ALGORITHMS: dict[str, Algorithm] = {
    "ppo": Algorithm(
        "tensor_optix.algorithms.ppo:PPOAgent", ("Discrete", "MultiDiscrete", "MultiBinary", "Box"), 8, 2048
    ),
    "sac": Algorithm("tensor_optix.algorithms.sac:SACAgent", ("Box",), 1, 16),
    "dqn": Algorithm("tensor_optix.algorithms.dqn:DQNAgent", ("Discrete",), 1, 128),
    "policy_gradient": Algorithm("tensor_optix.adapters.tensorflow.tf_agent:TFAgent", ("Discrete", "Box"), 1, 200),
}
"""In the order in which "auto" tries them."""

_OWN = frozenset(_ALGORITHMS)


def register(
    name: str,
    agent_class: type[TFAgent],
    *,
    serves: str | type | Iterable[str | type],
    num_envs: int,
    window_steps: int,
) -> None:
    """Make an algorithm of yours known to ``make_agent``, ``make_pipeline``, the command line and ``load_agent``.

    A class whose constructor asks for a ``model`` is made with a default network and Adam, as ``TFAgent`` is; any other
    builds its own when it is bound, as ``PPOAgent`` does. Overrides of ``make_agent`` reach the constructor by name.

    Args:
        name: What it is asked for by. "auto" comes to it after all that were there before.
        agent_class: Derived from ``TFAgent``, or from an agent that is. Its agents are saved under the class's own
            name, which no other registered class may have.
        serves: The kinds of action spaces it can act in: names like ``"Discrete"``, or classes of ``gymnasium.spaces``.
        num_envs: How many environments step together where the user does not say.
        window_steps: Steps of a window, of all environments together, where the user does not say.

    Raises:
        InvalidTypeError: Something is of the wrong type; ``agent_class`` is no agent.
        InvalidArgumentError: The name is taken or none, a space is unknown, or a number is out of range.

    Example:
        >>> from tensor_optix import PPOAgent, make_agent
        >>> class Careful(PPOAgent):
        ...     pass
        >>> register("careful", Careful, serves=["Discrete"], num_envs=4, window_steps=512)
        >>> type(make_agent("CartPole-v1", "careful")).__name__
        'Careful'
        >>> unregister("careful")
    """
    _check_new_name(name)
    _check_agent_class(agent_class)
    spaces = _names_of_spaces(serves)
    check_int("num_envs", num_envs, at_least=1)
    check_int("window_steps", window_steps, at_least=1)
    home = f"{agent_class.__module__}:{agent_class.__name__}"
    _ALGORITHMS[name] = Algorithm(home, spaces, int(num_envs), int(window_steps), agent_class)
    say_registered(agent_class, True)


def unregister(name: str) -> None:
    """Forget an algorithm of yours, for example before a notebook's cell registers it again.

    Raises:
        InvalidArgumentError: No algorithm of yours is registered under the name.
    """
    yours = [known for known in _ALGORITHMS if known not in _OWN]
    if name not in yours:
        raise InvalidArgumentError(
            f"Only an algorithm of yours can be unregistered. Registered are: {', '.join(yours) or 'none'}. "
            f"Received: {name!r:.200}.{nearest(name, yours)}"
        )
    removed = _ALGORITHMS.pop(name).agent_class()
    say_registered(removed, any(algorithm.is_of(removed) for algorithm in _ALGORITHMS.values()))


def registered() -> dict[str, Algorithm]:
    """Return the algorithms by name, in the order in which "auto" tries them."""
    return dict(_ALGORITHMS)


def algorithm_named(name: Any, *, current_folder_first: bool = False) -> Algorithm | None:
    """Return the algorithm of a name, or of ``module:name``, whose module is imported first; None: "auto".

    Args:
        name: What the user asked for.
        current_folder_first: Where to look for the module first, see ``import_named``.

    Raises:
        InvalidTypeError: It is no text.
        InvalidArgumentError: There is none of this name, also after the import, or no such module.
        UnsafeFileError: The module lies in the folder of a run.
    """
    known = [AUTO, *_ALGORITHMS]
    if not isinstance(name, str):
        raise InvalidTypeError(f"`algorithm` must be one of {', '.join(known)}. {received(name)}")
    module, colon, bare = name.rpartition(":")
    if colon:
        _import_registering(module, bare, name, current_folder_first)
    elif name not in known:
        raise InvalidArgumentError(
            f"`algorithm` must be one of {', '.join(known)}, or module:name of one that a module of yours registers. "
            f"{received(name)}{nearest(name, known)}"
        )
    return _ALGORITHMS.get(bare)


def algorithm_of(agent: Any) -> Algorithm | None:
    """Return the algorithm of an agent's class or of its nearest parent; None: it is of no class that is known."""
    for kind in type(agent).__mro__:
        found = next((algorithm for algorithm in _ALGORITHMS.values() if algorithm.is_of(kind)), None)
        if found is not None:
            return found
    return None


def class_named(class_name: Any) -> type[TFAgent] | None:
    """Return the registered class of this name; None: there is none, and nothing is imported."""
    found = next((algorithm for algorithm in _ALGORITHMS.values() if algorithm.class_name == class_name), None)
    return None if found is None else found.agent_class()


# ---------------------------------------------------------------- checks


def _import_registering(module: str, bare: str, name: str, current_folder_first: bool) -> None:
    if not bare or not all(part.isidentifier() for part in module.split(".")):
        raise InvalidArgumentError(
            "An algorithm of yours is named like 'module:name', the module as Python imports it. "
            f"Received: {name!r:.200}."
        )
    try:
        import_named(module, name, current_folder_first=current_folder_first)
    except UnknownEnvironmentError as error:
        raise InvalidArgumentError(str(error)) from error
    if bare not in _ALGORITHMS:
        raise InvalidArgumentError(
            f"The module {module!r} registers no algorithm {bare!r:.200}. Known are {', '.join(_ALGORITHMS)}; it "
            f"should call tensor_optix.algorithms.register({bare!r:.200}, ...) when it is imported."
        )


def _check_new_name(name: Any) -> None:
    if not isinstance(name, str):
        raise InvalidTypeError(f"`name` must be a text, the name of the algorithm. {received(name)}")
    if not name or not name.isprintable() or any(mark in name for mark in ": ,") or len(name) > 100:
        raise InvalidArgumentError(
            "`name` must be a word of at most 100 characters without spaces, commas and colons, like 'careful_ppo'. "
            f"Received: {name!r:.200}."
        )
    if name == AUTO or name in _ALGORITHMS:
        whose = (
            f"by {_ALGORITHMS[name].home}" if name != AUTO else "it stands for the first one that serves the actions"
        )
        way_out = "" if name == AUTO or name in _OWN else f", or call unregister({name!r}) first"
        raise InvalidArgumentError(f"The name {name!r} is taken: {whose}. Choose another one{way_out}.")


def _check_agent_class(agent_class: Any) -> None:
    from tensor_optix.adapters.tensorflow.tf_agent import TFAgent

    if not isinstance(agent_class, type) or not issubclass(agent_class, TFAgent):
        is_object = isinstance(agent_class, TFAgent)
        hint = f" Give the class itself: {type(agent_class).__name__}." if is_object else ""
        raise InvalidTypeError(
            "`agent_class` must be a class derived from TFAgent (PPOAgent, DQNAgent and SACAgent are). "
            f"{received(agent_class)}{hint} An agent of another kind is trained by a script: "
            "RLOptimizer(agent, pipeline)."
        )
    for name, algorithm in _ALGORITHMS.items():
        if algorithm.class_name == agent_class.__name__ and not algorithm.is_of(agent_class):
            raise InvalidArgumentError(
                f"A class named {agent_class.__name__!r} is registered already, as {name!r} ({algorithm.home}), and "
                "agents are saved under the names of their classes. Give yours another name."
            )


def _names_of_spaces(serves: Any) -> tuple[str, ...]:
    kinds = [serves] if isinstance(serves, str | type) else serves
    expected = f"`serves` must be a list of kinds of action spaces: {', '.join(SPACES)}."
    if not isinstance(kinds, Iterable):
        raise InvalidTypeError(f"{expected} {received(serves)}")
    given = list(kinds)
    unknown = [kind for kind in given if _name_of_space(kind) is None]
    if not given or unknown:
        hint = nearest(unknown[0], SPACES) if unknown else ""
        raise InvalidArgumentError(f"{expected} {received(serves)}{hint}")
    return tuple(filter(None, map(_name_of_space, given)))


def _name_of_space(kind: Any) -> str | None:
    """Return the name of a kind of spaces, also of a class of the user's own; None: it is none."""
    if isinstance(kind, type):
        return kind.__name__ if issubclass(kind, gym.Space) else None
    return kind if isinstance(kind, str) and kind in SPACES else None
