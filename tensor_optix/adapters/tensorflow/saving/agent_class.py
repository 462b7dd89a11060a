"""Which class a saved agent is of: told in its file, and found again; your own only where you name or register it."""

from __future__ import annotations

import functools
import inspect
import logging
import math
from collections.abc import Callable, Mapping
from typing import Any

from tensor_optix.core.base_agent import BaseAgent
from tensor_optix.exceptions import CheckpointError, UnsafeFileError

BY_SCRIPT = "Build the agent as in the training script, bind it, and call CheckpointRegistry(run_dir).load_best(agent)."
"""What always brings an agent back."""

logger = logging.getLogger(__name__)


def remember_arguments(cls: type) -> None:
    """Let agents of a class of your own remember what they were made with, so that it can be saved."""
    maker = next(base for base in cls.__mro__ if "__init__" in vars(base))  # cls, or beside TFAgent a mixin
    if not is_ours(cls) and not is_ours(maker):
        cls.__init__ = _remembering(cls.__init__)  # type: ignore[misc]


def is_ours(cls: type) -> bool:
    """Tell whether an agent's class is one of this package, not derived from one."""
    return "_saved_as" in vars(cls)


def say_registered(cls: type, is_registered: bool) -> None:
    """Remember whether a class of the user's own is in the registry of algorithms, which stands above this module."""
    if not is_ours(cls):
        cls._is_registered = is_registered  # type: ignore[attr-defined]


def is_found(cls: type) -> bool:
    """Tell whether ``load_agent`` finds an agent's class by itself: one of this package, or one that is registered."""
    return is_ours(cls) or vars(cls).get("_is_registered", False)


def describe_class(agent: BaseAgent, saved_as: str, described: Mapping[str, Any]) -> dict[str, Any]:
    """Return, JSON-able, what tells an agent's class and how one is made, ``described`` included.

    Args:
        agent: The agent.
        saved_as: The class of this package that it is, or is derived from.
        described: What that class says of it.
    """
    cls = type(agent)
    if is_ours(cls):
        return {"agent": saved_as, **described}
    own, lost = own_arguments(agent)
    structure = {**described.get("structure", {}), **own}
    told = {"agent": cls.__name__, "derived_from": saved_as, **described, "structure": structure}
    return {**told, "lost_arguments": lost} if lost else told


def own_arguments(agent: BaseAgent) -> tuple[dict[str, Any], list[str]]:
    """Return what only a class of your own takes: the arguments that can be saved, and the names of the others."""
    args, kwargs = getattr(agent, "_made_with", ((), {}))
    given = dict(inspect.signature(type(agent)).bind(*args, **kwargs).arguments) if args or kwargs else {}
    parameters = inspect.signature(type(agent)).parameters
    for name in list(given):
        if parameters[name].kind is inspect.Parameter.VAR_POSITIONAL:
            del given[name]
        elif parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
            given |= given.pop(name)
    parent = next(cls for cls in type(agent).__mro__ if is_ours(cls))
    own = {name: value for name, value in given.items() if name not in inspect.signature(parent).parameters}
    lost = [name for name, value in own.items() if not _can_be_saved(value)]
    return {name: value for name, value in own.items() if name not in lost}, lost


def make(
    saved: Mapping[str, Any],
    custom_objects: Mapping[str, Any] | None,
    class_named: Callable[[Any], type | None],
    build: Any,
    hyperparams: Any,
) -> Any:
    """Return an agent of the class that was saved, made as it was made then.

    Args:
        saved: What :func:`describe_class` returned.
        custom_objects: The user's own classes and functions by name.
        class_named: Returns the class that is known under a name without being named by the user, None for any other.
        build: Makes the Keras object that is saved under a name.
        hyperparams: What it begins with.

    Raises:
        UnsafeFileError: It is of a class of the user's own, which is neither known nor named in ``custom_objects``.
        CheckpointError: That class cannot be made from what was saved.
    """
    custom = custom_objects or {}
    cls = _class_of(saved, custom, class_named)
    try:
        loss = saved.get("compute_loss_fn")
        agent = cls.rebuilt(saved, build, hyperparams, None if loss is None else custom.get(loss))
    except TypeError as error:
        raise CheckpointError(f"A {cls.__name__} cannot be made from what was saved: {error}. {BY_SCRIPT}") from error
    if loss is not None and loss not in custom:
        logger.warning(
            "The agent learned by a loss of your own. Without custom_objects={%r: ...} it acts as it did, but learns "
            "by the loss of a %s.",
            loss,
            cls.__name__,
        )
    return agent


def _class_of(saved: Mapping[str, Any], custom: Mapping[str, Any], class_named: Callable[[Any], type | None]) -> Any:
    name = saved.get("agent", "TFAgent")
    own = custom.get(name) if isinstance(name, str) else None
    if own is None:
        own = class_named(name)
    if own is None:
        parent = saved.get("derived_from")
        is_derived = class_named(parent) is not None
        origin = f"a class of your own, derived from {parent}" if is_derived else "a class that is not known here"
        raise UnsafeFileError(
            f"The saved agent is a {name!r:.80}: {origin}. If you trust it, name it: "
            f"custom_objects={{{name!r:.80}: ...}}. Or import first what registers it with "
            "tensor_optix.algorithms.register."
        )
    if not isinstance(own, type) or not any(is_ours(cls) for cls in own.__mro__):
        raise CheckpointError(
            f"The saved agent is a {name!r:.80}, but custom_objects gives {own!r:.80} for it: no class derived from "
            "TFAgent."
        )
    if saved.get("lost_arguments") and not is_ours(own):
        raise CheckpointError(
            f"The {name:.80} was made with arguments that could not be saved: {saved['lost_arguments']!r:.200}. "
            f"{BY_SCRIPT}"
        )
    return own


def _remembering(init: Any) -> Any:
    @functools.wraps(init)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> None:
        if "_made_with" not in vars(self):
            self._made_with = (args, kwargs)
        init(self, *args, **kwargs)

    return wrapped


def _can_be_saved(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(_can_be_saved(part) for part in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or type(value) in (bool, int, str)
