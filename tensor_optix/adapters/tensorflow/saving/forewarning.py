"""What ``load_agent`` will ask for, or will not be able to do: told before anything is trained."""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import keras

from tensor_optix.adapters.tensorflow.saving.agent_class import BY_SCRIPT, is_found, is_ours, own_arguments
from tensor_optix.adapters.tensorflow.saving.architectures.rebuild import check_rebuildable
from tensor_optix.core.base_agent import BaseAgent
from tensor_optix.exceptions import CheckpointError

_KINDS = (
    *(keras.layers.Layer, keras.initializers.Initializer, keras.regularizers.Regularizer),
    *(keras.constraints.Constraint, keras.optimizers.Optimizer, keras.Operation),
)
"""What a configuration tells the class of."""

_LAMBDA = "<lambda>"


def loading_caveats(
    agent: BaseAgent, parts: Mapping[str, Any], compute_loss_fn: Any, structure: Mapping[str, Any]
) -> list[str]:
    """Return, in sentences, what has to be known to load the agent without the script that made it; none: nothing.

    Args:
        agent: The agent.
        parts: Its networks and optimizer by name; None for what there is not.
        compute_loss_fn: The user's own loss, where it has one.
        structure: Arguments that are saved with it.
    """
    parts = {name: part for name, part in parts.items() if part is not None}
    asked_for = {} if is_found(type(agent)) else {type(agent).__name__: type(agent)}
    obstacles = _obstacles_of_class(agent, structure)
    why_not = _why_not(parts, {})
    if why_not:
        own = _own_objects(parts.values())
        why_not = _why_not(parts, own)
        asked_for |= {} if why_not else own
    if why_not:
        obstacles.append(why_not)
    if obstacles:
        return [f"load_agent will not be able to make this agent: {' '.join(obstacles)} Or: {BY_SCRIPT}"]
    if compute_loss_fn is not None:
        asked_for[getattr(compute_loss_fn, "__name__", "loss")] = compute_loss_fn
    if not asked_for:
        return []
    objects = ", ".join(f"{name!r}: {_as_written(found, name)}" for name, found in asked_for.items())
    return [f"load_agent will ask for what is yours: load_agent(run_dir, custom_objects={{{objects}}})"]


def _as_written(found: Any, name: str) -> str:
    return f"keras.layers.{name}" if found is keras.layers.Lambda else getattr(found, "__name__", name)


def _obstacles_of_class(agent: BaseAgent, structure: Mapping[str, Any]) -> list[str]:
    """Return why an agent of a class of the user's own cannot be made again."""
    cls = type(agent)
    if is_ours(cls):
        return []
    _, lost = own_arguments(agent)
    if lost:
        return [f"the arguments {lost} of {cls.__name__} cannot be saved; only numbers, texts and lists of them can."]
    parent = next(base for base in cls.__mro__ if is_ours(base))
    models = [name for name in inspect.signature(parent).parameters if name in ("model", "actor", "critic")]
    given = [*models, "optimizer", "hyperparams", *structure]
    try:
        inspect.signature(cls).bind_partial(**dict.fromkeys(given))
    except TypeError as error:
        return [
            f"{cls.__name__}.__init__ {error}, which {parent.__name__} takes; let it take **kwargs and hand them on."
        ]
    return []


def _why_not(parts: Mapping[str, Any], custom_objects: Mapping[str, Any]) -> str:
    """Return why models and optimizers cannot be made from what is saved of them, with a remedy; empty if they can."""
    try:
        check_rebuildable(parts, custom_objects)
    except CheckpointError as error:
        lambdas = [phrase for part in parts.values() for phrase in _lambdas_in(part)]
        if not lambdas:
            return str(error)
        return (
            f"the code of {', '.join(lambdas)} is no part of what is saved. Make it a layer of your own (a class "
            "derived from keras.layers.Layer) or a named function, and load_agent will ask for it; or use keras.ops."
        )
    return ""


def _lambdas_in(part: Any) -> Iterator[str]:
    for thing in _walk([part]):
        if _is_lambda(thing):
            yield f"the Lambda layer {thing.name!r}"
        elif isinstance(thing, keras.layers.Layer):
            names = [name for name, value in vars(thing).items() if getattr(value, "__name__", None) == _LAMBDA]
            yield from (f"the lambda that is the {name} of layer {thing.name!r}" for name in names)


def _is_lambda(thing: Any) -> bool:
    return isinstance(thing, keras.layers.Lambda) and getattr(thing.function, "__name__", None) == _LAMBDA


def _own_objects(parts: Iterable[Any]) -> dict[str, Any]:
    """Return the user's own classes and functions in models and optimizers, by the name that a file calls them."""
    own = {}
    for thing in _walk(parts):
        found = thing if isinstance(thing, types.FunctionType) else type(thing)
        is_yours = not found.__module__.startswith("keras.") and found.__name__ != _LAMBDA
        if is_yours or (found is keras.layers.Lambda and not _is_lambda(thing)):
            own[found.__name__] = found
    return own


def _walk(things: Iterable[Any]) -> Iterator[Any]:
    """Yield models, layers and what they hold of the kinds that a configuration names, each once."""
    waiting, seen = list(things), set()
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, (list, tuple)):
            waiting += thing
        elif isinstance(thing, dict):
            waiting += thing.values()
        elif isinstance(thing, (types.FunctionType, *_KINDS)):
            yield thing
            waiting += list(getattr(thing, "__dict__", {}).values())
