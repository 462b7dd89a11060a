"""What is told before it matters: what ``load_agent`` will ask for, what cannot be saved, what was made otherwise."""

from __future__ import annotations

import inspect
import json
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import keras
import tensorflow as tf

from tensor_optix.adapters.tensorflow.acting.model_inputs import ModelInputs
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

_STATEFUL: tuple[str, ...] = (
    "RandomStandardNormal",
    "RandomUniform",
    "RandomUniformInt",
    "TruncatedNormal",
    "RandomShuffle",
)
_STATEFUL += ("Multinomial", "ParameterizedTruncatedNormal", "RandomGamma", "RandomPoissonV2")

_TOLD_ELSEWHERE = ("agent", "observation_space", "action_space")
_OWNER = "the agent's"
_MOST_TOLD = 5
_ABSENT = "absent"

# Names differ from process to process, initial values were overwritten, and rates are tuned.
_NO_STRUCTURE = ("name", "seed", "shared_object_id", "registered_name", "module", "build_config", "learning_rate")
_INITIALIZER = "_initializer"


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


def generators_of_the_process() -> dict[str, str]:
    """Return, by name, where the generators stand that Keras and TensorFlow have for the whole process."""
    from keras.src.backend.common import global_state
    from tensorflow.python.eager import context

    found = {}
    seeds = global_state.get_global_attribute("global_seed_generator")
    found["keras.random without a seed"] = "" if seeds is None else repr(seeds.state.numpy().tolist())
    generator = getattr(context.context(), "_rng", None)
    found["tf.random"] = "" if generator is None else repr(generator.getstate())
    return found


def draws_of_tensorflow(model: Any, inputs: ModelInputs) -> list[str]:
    """Return, in a phrase, which operations of an agent's model draw from a state inside TensorFlow.

    Only layers that are not Keras's own can have such: a model without any is not looked through.
    """
    if not any(type(layer).__module__.split(".")[0] != "keras" for layer in _layers_of(model)):
        return []
    specs = [tf.TensorSpec([2, *shape], dtype) for shape, dtype in zip(inputs.shapes, inputs.dtypes, strict=True)]
    traced = tf.function(lambda *parts: model(inputs.pack(list(parts)), training=True))
    try:
        kinds = sorted({kind for kind in _operations(traced.get_concrete_function(*specs).graph) if kind in _STATEFUL})
    except Exception:  # a model that cannot be traced draws nothing that could be found
        return []
    if not kinds:
        return []
    return [
        f"the agent's model draws random numbers from a state inside TensorFlow ({', '.join(kinds)}), which cannot be "
        "saved: after a resume other numbers come. Draw them with keras.random and a SeedGenerator of the layer"
    ]


def _layers_of(model: Any) -> list[Any]:
    return list(model._flatten_layers())


def _operations(graph: Any) -> Iterator[str]:
    definition = graph.as_graph_def()
    yield from (node.op for node in definition.node)
    yield from (node.op for function in definition.library.function for node in function.node_def)


def architecture_differences(saved: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Return how two descriptions of agents differ in what they compute, in phrases; empty if they do not.

    Args:
        saved: That of the agent that was saved.
        here: That of this one.
    """
    found: list[str] = []
    for name in [*here, *(name for name in saved if name not in here)]:
        if name not in _TOLD_ELSEWHERE:
            place = _OWNER if name == "structure" else f"{_OWNER} {name}"
            found += _differences(place, _structure_of(saved.get(name)), _structure_of(here.get(name)))
    more = len(found) - _MOST_TOLD
    return [*found[:_MOST_TOLD], f"and {more} more differences of structure"] if more > 0 else found


def _structure_of(value: Any) -> Any:
    """Return a part of a description without what does not matter; a Keras configuration is a part as JSON."""
    if isinstance(value, str) and value.startswith("{"):
        try:
            value = json.loads(value)
        except ValueError:
            return value
    return _plain(value, {name: f"layer {i}" for i, name in enumerate(_layer_names(value))})


def _layer_names(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        layers = value.get("layers")
        for layer in layers if isinstance(layers, list) else ():
            config = layer.get("config") if isinstance(layer, Mapping) else None
            if isinstance(config, Mapping) and isinstance(config.get("name"), str):
                yield config["name"]
        for part in value.values():
            yield from _layer_names(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _layer_names(part)


def _plain(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        kept = (key for key in value if key not in _NO_STRUCTURE and not str(key).endswith(_INITIALIZER))
        return {str(key): _plain(value[key], names) for key in kept}
    if isinstance(value, (list, tuple)):
        return [_plain(part, names) for part in value]
    return names.get(value, value) if isinstance(value, str) else value


def _differences(place: str, saved: Any, here: Any) -> Iterator[str]:
    """Yield a phrase for each place at which two plain structures differ."""
    if isinstance(saved, dict) and isinstance(here, dict) and saved.get("class_name") == here.get("class_name"):
        for key in [*here, *(key for key in saved if key not in here)]:
            inner = place if key == "config" else f"{place}{' ' if place.endswith(_OWNER) else '.'}{key}"
            yield from _differences(inner, saved.get(key, _ABSENT), here.get(key, _ABSENT))
    elif isinstance(saved, list) and isinstance(here, list) and len(saved) == len(here):
        for i, (then, now) in enumerate(zip(saved, here, strict=True)):
            yield from _differences(f"{place}[{i}]", then, now)
    elif saved != here:
        yield f"{place} was {_short(saved)}, is {_short(here)}"


def _short(value: Any) -> str:
    if isinstance(value, dict) and "class_name" in value:
        return str(value["class_name"])
    if isinstance(value, (dict, list)) and len(value) > 3:
        return f"{len(value)} entries"
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}..."
