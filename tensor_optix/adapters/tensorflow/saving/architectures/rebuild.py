"""Models and optimizers as text, and back; and whether that will work, told before anything is lost."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import keras

from tensor_optix.adapters.tensorflow.saving.architectures.reader import ConfigReader
from tensor_optix.adapters.tensorflow.saving.architectures.sharing import mark_shared
from tensor_optix.adapters.tensorflow.saving.demands.ledger import Demands
from tensor_optix.exceptions import CheckpointError, UnsafeFileError


def config_of(thing: Any) -> str | None:
    """Return the Keras configuration as JSON, or None where a subclass gives none."""
    try:
        node = keras.saving.serialize_keras_object(thing)
        mark_shared(node, thing)
        return json.dumps(node)
    except (NotImplementedError, TypeError, ValueError):
        return None


def build_from_config(text: str, custom_objects: Mapping[str, Any] | None, demands: Demands | int) -> Any:
    """Return the Keras model or optimizer that :func:`config_of` described.

    Args:
        text: The JSON.
        custom_objects: The user's own classes and functions by name.
        demands: Counts what is asked for; a number is how many numbers were saved with it.

    Raises:
        UnsafeFileError: A class is not allowed, or a size is out of proportion.
        CheckpointError: The configuration cannot be read, or Keras cannot build from it.
    """
    counted = demands if isinstance(demands, Demands) else Demands(demands)
    try:
        built = ConfigReader(custom_objects or {}, counted).node(json.loads(text))
        if not isinstance(built, (keras.Model, keras.optimizers.Optimizer)):
            raise TypeError(f"it describes a {type(built).__name__}")
        return built
    except (UnsafeFileError, MemoryError):
        raise
    except Exception as error:
        raise CheckpointError(f"The saved model or optimizer cannot be built: {error}") from error


def check_rebuildable(thing: Any, custom_objects: Mapping[str, Any] | None = None) -> None:
    """Raise unless a model or optimizer can be built again from what is saved of it.

    Args:
        thing: The Keras model or optimizer.
        custom_objects: The user's own classes and functions by name, as ``load_agent`` will be given them.

    Raises:
        CheckpointError: It cannot; the message says why.
    """
    text = config_of(thing)
    if text is None:
        raise CheckpointError(
            f"{type(thing).__name__} gives no configuration: define get_config(), and save what __init__ takes."
        )
    variables = list(thing.variables)
    demands = Demands(sum(math.prod(variable.shape) for variable in variables), max_bytes=2**62)
    built = build_from_config(text, custom_objects, demands)
    expected = [tuple(variable.shape) for variable in variables]
    found = [tuple(variable.shape) for variable in built.variables]
    if built.built and thing.built and isinstance(thing, keras.Model) and found != expected:
        raise CheckpointError(
            f"{type(thing).__name__} '{thing.name}' comes back with weights of other shapes: {found!r:.200} in the "
            f"place of {expected!r:.200}. Let get_config() save everything that __init__ takes."
        )
