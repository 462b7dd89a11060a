"""Models and optimizers as text, and back; and whether that will work, told before anything is lost."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import keras

from tensor_optix.adapters.tensorflow.saving.architectures.reader import ConfigReader
from tensor_optix.adapters.tensorflow.saving.demands import Demands
from tensor_optix.exceptions import CheckpointError, UnsafeFileError


def configs_of(parts: Mapping[str, Any]) -> dict[str, str | None]:
    """Return the Keras configurations of models and optimizers that belong together, as JSON.

    Layers that stand in several of them are told to be one. None where a subclass gives no
    configuration, and for a part that is None.
    """
    nodes = {name: _node_of(part) for name, part in parts.items()}
    _mark_shared((node, parts[name]) for name, node in nodes.items() if node is not None)
    return {name: None if node is None else _text_of(node) for name, node in nodes.items()}


class Rebuilder:
    """Builds models and optimizers that belong together: a layer that was one in several of them is one again.

    Args:
        custom_objects: The user's own classes and functions by name.
        demands: Counts what is asked for; a number is how many numbers were saved with it.
    """

    def __init__(self, custom_objects: Mapping[str, Any] | None, demands: Demands | int) -> None:
        counted = demands if isinstance(demands, Demands) else Demands(demands)
        self._reader = ConfigReader(custom_objects or {}, counted)

    def build(self, text: str) -> Any:
        """Return the Keras model or optimizer that :func:`configs_of` described.

        Raises:
            UnsafeFileError: A class is not allowed, or a size is out of proportion.
            CheckpointError: The configuration cannot be read, or Keras cannot build from it.
        """
        try:
            built = self._reader.node(json.loads(text))
            if not isinstance(built, (keras.Model, keras.optimizers.Optimizer)):
                raise TypeError(f"it describes a {type(built).__name__}")
            return built
        except (UnsafeFileError, MemoryError):
            raise
        except Exception as error:
            raise CheckpointError(f"The saved model or optimizer cannot be built: {error}") from error


def check_rebuildable(thing: Any, custom_objects: Mapping[str, Any] | None = None) -> None:
    """Raise unless what is saved of models and optimizers is enough to build them again.

    Args:
        thing: The Keras model or optimizer, or a dict of those that belong together.
        custom_objects: The user's own classes and functions by name, as ``load_agent`` will be given them.

    Raises:
        CheckpointError: It is not; the message says why.
    """
    parts = thing if isinstance(thing, Mapping) else {"": thing}
    texts = configs_of(parts)
    num_weights = sum(math.prod(variable.shape) for part in parts.values() for variable in part.variables)
    rebuilder = Rebuilder(custom_objects, Demands(num_weights, max_bytes=2**62))
    built = {}
    for name, part in parts.items():
        text = texts[name]
        if text is None:
            raise CheckpointError(
                f"{type(part).__name__} gives no configuration: define get_config(), and save what __init__ takes."
            )
        built[name] = rebuilder.build(text)
        _build_like(part, built[name])
        _check_weights(part, built[name])
    models = [name for name, part in parts.items() if isinstance(part, keras.Model) and built[name].variables]
    if _occurrences([parts[name] for name in models]) != _occurrences([built[name] for name in models]):
        sharing = " and ".join(filter(None, models)) or "the parts of the model"
        raise CheckpointError(
            f"What {sharing} share would come back as several. Let them be made by keras.Model(inputs, "
            "outputs) or keras.Sequential, of which it is known what they share; or let one model give both outputs."
        )


def _build_like(part: Any, built: Any) -> None:
    """Let a model that is only built when it is called make its weights, where Keras can tell how."""
    if isinstance(part, keras.Model) and part.built and not built.built:
        try:
            built.build_from_config(part.get_build_config())
        except Exception:  # then its weights cannot be compared
            return


def _check_weights(part: Any, built: Any) -> None:
    expected, found = ([tuple(variable.shape) for variable in model.variables] for model in (part, built))
    if built.variables and part.built and isinstance(part, keras.Model) and found != expected:
        raise CheckpointError(
            f"{type(part).__name__} '{part.name}' comes back with weights of other shapes: {found!r:.200} in the "
            f"place of {expected!r:.200}. Let get_config() save everything that __init__ takes."
        )


def _occurrences(models: list[Any]) -> list[int]:
    """Return for each variable where it first stood: what is shared shows, whatever it is called."""
    first: dict[int, int] = {}
    return [first.setdefault(id(variable), len(first)) for model in models for variable in model.variables]


def _node_of(part: Any) -> dict[str, Any] | None:
    try:
        return None if part is None else keras.saving.serialize_keras_object(part)
    except Exception:  # whatever the user's get_config() raises: it is told before the run
        return None


def _text_of(node: dict[str, Any]) -> str | None:
    try:
        return json.dumps(node)
    except (TypeError, ValueError):
        return None


def _mark_shared(described_parts: Iterable[tuple[dict[str, Any], Any]]) -> None:
    """Give all descriptions of the same layer the same ``shared_object_id``, so that they come back as one.

    Keras tells it within one graph, by names, but not between a model and the models in it, nor between
    two models that share a trunk.

    Args:
        described_parts: What ``keras.saving.serialize_keras_object`` returned, which is changed, and of
            which; of several models that are saved together, each.
    """
    places: dict[int, list[dict[str, Any]]] = {}
    for node, thing in described_parts:
        for described, layer in _places(node, thing):
            places.setdefault(id(layer), []).append(described)
    several = [found for found in places.values() if len(found) > 1]
    for number, found in enumerate(several):
        for described in found:
            described["shared_object_id"] = number


def _places(node: Any, thing: Any) -> Iterator[tuple[dict[str, Any], Any]]:
    if not isinstance(node, dict) or not isinstance(node.get("config"), dict):
        return
    yield node, thing
    config = node["config"]
    for key, parts in (("layers", _parts_of(thing)), ("cells", getattr(thing, "cells", None))):
        if isinstance(config.get(key), list) and parts is not None and len(config[key]) == len(parts):
            for described, part in zip(config[key], parts, strict=True):
                yield from _places(described, part)
    for key in ("layer", "cell"):
        if key in config and isinstance(getattr(thing, key, None), keras.Layer):
            yield from _places(config[key], getattr(thing, key))


def _parts_of(model: Any) -> list[Any] | None:
    if isinstance(model, keras.Sequential):
        return list(model._layers)
    return list(model.operations) if hasattr(model, "operations") else None
