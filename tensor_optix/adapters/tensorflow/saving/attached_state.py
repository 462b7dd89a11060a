"""What else hangs on an agent and has a state: a second network, its optimizer, seeds, generators.

A subclass keeps them as attributes, in lists or dicts, or in objects of its own; they are found by
where they hang, each once, and saved and restored with the learner, or copied for another one to act with.
"""

from __future__ import annotations

import copy
import types
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.random import RandomState

from tensor_optix.adapters.tensorflow.saving.agent_arrays import check_variables, read_variables, write_variables
from tensor_optix.core.attributes import attributes_of, own_attributes
from tensor_optix.core.base_agent import BaseAgent
from tensor_optix.core.storage.exact_json import to_exact
from tensor_optix.exceptions import CheckpointError

_VARIABLES = (keras.Variable, tf.Variable)
_WITH_VARIABLES = (keras.layers.Layer, keras.optimizers.Optimizer, keras.metrics.Metric)
_SEEDS = (keras.random.SeedGenerator, tf.random.Generator)
_GENERATORS = (np.random.Generator, RandomState)
_NETWORKS = (keras.layers.Layer, keras.optimizers.Optimizer)
_COPIED_WHOLE = (keras.Variable, tf.Variable, keras.metrics.Metric, tf.random.Generator, np.random.Generator)
_KEPT = (*_VARIABLES, *_WITH_VARIABLES, *_SEEDS, *_GENERATORS)
_OF_LIBRARIES = ("tensor_optix", "keras", "tensorflow", "tensorboard", "numpy", "gymnasium", "builtins", "logging")
_FUNCTIONS = (types.FunctionType, types.MethodType, types.BuiltinFunctionType)
_MAX_DEPTH = 6
_MOST_ITEMS = 1000
"""Longer lists are records of something: networks are few."""

Groups = Sequence[tuple[str, list[Any]]]
"""Variables by the name that they are saved under."""


def read_attached(agent: BaseAgent, groups: Groups) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the arrays, and what else there is to say, of everything that hangs on the agent.

    Args:
        agent: The agent.
        groups: Variables that are saved anyway.
    """
    arrays: dict[str, np.ndarray] = {}
    described: dict[str, Any] = {}
    names = {id(variable): name for name, variable in _named_variables(agent, groups)}
    for place, thing, variables in _found(agent, groups):
        described[place] = {"kind": type(thing).__name__}
        if isinstance(thing, _GENERATORS):
            described[place]["generator"] = _read_generator(thing)
            continue
        arrays |= read_variables(_prefix(place), variables)
        if isinstance(thing, keras.optimizers.Optimizer) and thing.built:
            trained = [names.get(id(variable)) for variable in thing._trainable_variables]
            described[place]["trains"] = None if None in trained else trained
        elif isinstance(thing, keras.layers.Layer):
            described[place]["build"] = _build_config(thing)
    return arrays, described


def restore_attached(
    agent: BaseAgent, groups: Groups, arrays: Mapping[str, np.ndarray], described: Mapping[str, Any]
) -> list[str]:
    """Give back what :func:`read_attached` found; return what could not be, in phrases.

    Raises:
        StateMismatchError: Something that hangs there has another structure; nothing has changed but
            that what was not built yet is.
    """
    for place, thing, _ in _found(agent, groups):
        _build(agent, groups, thing, described.get(place, {}))
    here = {place: (thing, variables) for place, thing, variables in _found(agent, groups)}
    shared = {place: entry for place, entry in described.items() if place in here}
    parted = {place: _parted(place, *here[place], entry, arrays) for place, entry in shared.items()}
    for place, (saved, _) in parted.items():
        check_variables(_prefix(place), saved, arrays)
    for place, (saved, later) in parted.items():
        write_variables(_prefix(place), saved, arrays)
        for variable in later:
            variable.assign(np.zeros(variable.shape, variable.dtype))
        if isinstance(here[place][0], _GENERATORS) and "generator" in shared[place]:
            _write_generator(here[place][0], shared[place]["generator"])
    lost = [(place, entry["kind"], "is not there yet") for place, entry in described.items() if place not in here]
    lost += [(place, type(here[place][0]).__name__, "is new") for place in here if place not in described]
    return [f"the agent's {place} ({kind}) {why}, so it starts afresh" for place, kind, why in lost]


def _parted(
    place: str, thing: Any, variables: list[Any], entry: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> tuple[list[Any], list[Any]]:
    """Return which variables were saved, and which are to be zero: what was not built when it was saved is now.

    A network that was not built stays as it is; an optimizer that was not had moved nothing.
    """
    num_saved = sum(name.startswith(f"{_prefix(place)}.") for name in arrays)
    if isinstance(thing, keras.optimizers.Optimizer) and "trains" not in entry:
        return variables[:num_saved], variables[num_saved:]
    return (variables if num_saved else []), []


def _found(agent: BaseAgent, groups: Groups) -> Iterator[tuple[str, Any, list[Any]]]:
    """Yield where something with a state hangs, what it is, and those of its variables that nothing before it had."""
    taken = {id(v) for _, group in groups for v in group}
    seen: dict[int, Any] = {}
    own = own_attributes(type(agent))
    for name, value in ((name, value) for name, value in vars(agent).items() if name not in own):
        for place, thing in _walk(value, name, 0, seen):
            variables = [v for v in _variables_of(thing) if id(v) not in taken]
            taken |= {id(variable) for variable in variables}
            if variables or isinstance(thing, _GENERATORS) or _is_unbuilt(thing):
                yield place, thing, variables


def _walk(value: Any, place: str, depth: int, seen: dict[int, Any]) -> Iterator[tuple[str, Any]]:
    if id(value) in seen or depth > _MAX_DEPTH:
        return
    if isinstance(value, _KEPT):
        seen[id(value)] = value
        yield place, value
        return
    for part, inner in _inner_values(value):
        seen[id(value)] = value
        yield from _walk(inner, f"{place}{part}", depth + 1, seen)


def _inner_values(value: Any) -> list[tuple[str, Any]]:
    """Return what a container or an object of the user's own holds, and where; nothing of anything else."""
    if isinstance(value, Mapping):
        return [(f"[{key!r}]", inner) for key, inner in value.items()] if len(value) <= _MOST_ITEMS else []
    if isinstance(value, (list, tuple, deque)):
        return [(f"[{i}]", inner) for i, inner in enumerate(value)] if len(value) <= _MOST_ITEMS else []
    is_foreign = type(value).__module__.split(".")[0] in _OF_LIBRARIES or isinstance(value, (type, *_FUNCTIONS))
    return [] if is_foreign else [(f".{name}", inner) for name, inner in attributes_of(value).items()]


def _read_generator(generator: Any) -> dict[str, Any]:
    if isinstance(generator, RandomState):
        return dict(generator.get_state(legacy=False))
    return dict(generator.bit_generator.state)


def _write_generator(generator: Any, state: dict[str, Any]) -> None:
    if isinstance(generator, RandomState):
        generator.set_state(state)
    else:
        generator.bit_generator.state = state


def _variables_of(thing: Any) -> list[Any]:
    if isinstance(thing, _VARIABLES):
        return [thing]
    if isinstance(thing, _WITH_VARIABLES):
        return list(thing.variables)
    if isinstance(thing, _SEEDS):
        return [thing.state]
    return []


def _is_unbuilt(thing: Any) -> bool:
    return isinstance(thing, keras.layers.Layer) and not thing.built


def _named_variables(agent: BaseAgent, groups: Groups) -> Iterator[tuple[str, Any]]:
    """Yield every variable of the agent's under the name that its value is saved by."""
    groups = [*groups, *((_prefix(place), variables) for place, _, variables in _found(agent, groups))]
    yield from ((f"{prefix}.{i}", variable) for prefix, group in groups for i, variable in enumerate(group))


def _build(agent: BaseAgent, groups: Groups, thing: Any, entry: Mapping[str, Any]) -> None:
    """Make the variables that the thing had when it was saved: most of them come with the first use only."""
    if _is_unbuilt(thing) and entry.get("build"):
        thing.build_from_config(entry["build"])
    elif isinstance(thing, keras.optimizers.Optimizer) and not thing.built and entry.get("trains"):
        named = dict(_named_variables(agent, groups))
        if all(name in named for name in entry["trains"]):
            thing.build([named[name] for name in entry["trains"]])


def _build_config(layer: Any) -> Any:
    """Return what builds the layer before it is first called, where that can be saved."""
    config = layer.get_build_config()
    try:
        to_exact(config, "build")
    except CheckpointError:
        return None
    return config


def _prefix(place: str) -> str:
    return f"attached.{place}"


def attached_copies(agent: BaseAgent, networks: Iterable[Any]) -> dict[str, Any]:
    """Return, by attribute, what a class of the user's own keeps: what acting moves is copied, networks are shared.

    What an agent's state does not look into (libraries' objects, long lists) is shared, too.

    Args:
        agent: Whose.
        networks: Those that it consists of.
    """
    own = own_attributes(type(agent))
    done: dict[int, Any] = {id(agent): agent, **{id(v): v for network in networks for v in network.variables}}
    return {name: _copied(value, done, 0) for name, value in vars(agent).items() if name not in own}


def _copied(value: Any, done: dict[int, Any], depth: int) -> Any:
    if id(value) in done or depth > _MAX_DEPTH or isinstance(value, _NETWORKS):
        return done.get(id(value), value)
    if isinstance(value, keras.random.SeedGenerator):
        done[id(value)] = keras.random.SeedGenerator(0)
        done[id(value)].state.assign(value.state)
    elif isinstance(value, _COPIED_WHOLE):
        done[id(value)] = copy.deepcopy(value)
    elif _inner_values(value):
        _copy_holder(value, done, depth)
    return done.get(id(value), value)


def _copy_holder(value: Any, done: dict[int, Any], depth: int) -> None:
    """Copy a container or an object of the user's own, and within it what acting moves."""
    if isinstance(value, tuple):
        parts = [_copied(part, done, depth + 1) for part in value]
        done[id(value)] = type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
        return
    try:
        held = done[id(value)] = copy.copy(value)
    except Exception:  # a class of the user's own may forbid it
        done[id(value)] = value
        return
    if isinstance(value, list):
        held[:] = [_copied(part, done, depth + 1) for part in value]
        return
    inner = value if isinstance(value, dict) else getattr(value, "__dict__", {})
    own = held if isinstance(value, dict) else getattr(held, "__dict__", {})
    own.update({name: _copied(part, done, depth + 1) for name, part in inner.items()})
