"""Keras objects from a saved configuration, without trusting it.

Keras's own safe mode refuses lambdas but still imports what a file names. Here every object in the
configuration is looked up before Keras sees it: it must be a layer, model, initializer and so on of
Keras's public modules, or be named by the user.
"""

from __future__ import annotations

import contextlib
import json
import math
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import keras

from tensor_optix.exceptions import CheckpointError, UnsafeFileError

_MODULES = {
    "keras": keras,
    "keras.models": keras.models,
    "keras.layers": keras.layers,
    "keras.initializers": keras.initializers,
    "keras.regularizers": keras.regularizers,
    "keras.constraints": keras.constraints,
    "keras.optimizers": keras.optimizers,
    "keras.activations": keras.activations,
}
_KINDS = (
    keras.layers.Layer,
    keras.initializers.Initializer,
    keras.regularizers.Regularizer,
    keras.constraints.Constraint,
    keras.optimizers.Optimizer,
    keras.DTypePolicy,
)
# They run code, load files, or hand over to another framework.
_FORBIDDEN = frozenset(
    (
        *("Lambda", "TFSMLayer", "JaxLayer", "FlaxLayer", "TorchModuleWrapper"),
        *("StringLookup", "IntegerLookup", "TextVectorization", "Pipeline"),
    )
)
_DATA_CLASSES = frozenset(("__tuple__", "__numpy__", "__tensor__", "__keras_tensor__", "__ellipsis__", "__typespec__"))
_MAX_PLAIN_NUMBER = 10**6
_MIN_WEIGHTS = 1000
_MAX_OUTPUT = 10**8


def build_from_config(text: str, custom_objects: Mapping[str, Any] | None, largest: int) -> Any:
    """Return the Keras object that ``keras.saving.serialize_keras_object`` described, as JSON.

    Args:
        text: The JSON.
        custom_objects: The user's own classes and functions by name.
        largest: How many numbers were saved with it. No number in the configuration may exceed this
            (or a million), and its layers may not have more weights (or a thousand).

    Raises:
        UnsafeFileError: A class is not allowed, or a size is out of proportion.
        CheckpointError: The configuration cannot be read, or Keras cannot build from it.
    """
    custom = dict(custom_objects or {})
    try:
        config = json.loads(text)
        for node in _nodes(config):
            _check_node(node, custom, max(largest, _MAX_PLAIN_NUMBER))
        with at_most(largest):
            built = keras.saving.deserialize_keras_object(config, custom_objects=custom, safe_mode=True)
        _check_outputs(built)
        if not isinstance(built, (keras.Model, keras.optimizers.Optimizer)):
            raise TypeError(f"it describes a {type(built).__name__}")
        return built
    except (UnsafeFileError, MemoryError):
        raise
    except Exception as error:
        raise CheckpointError(f"The saved model or optimizer cannot be built: {error}") from error


@contextlib.contextmanager
def at_most(num_saved: int) -> Iterator[None]:
    """Refuse weights beyond what was saved (or a thousand), before anything is allocated for them.

    Keras allocates a layer's weights as soon as it knows their shapes, in ``add_weight``: while this
    is in force, what is made in this thread is counted there.

    Args:
        num_saved: How many numbers were saved.

    Raises:
        UnsafeFileError: More weights are asked for.
    """
    num_weights = max(num_saved, _MIN_WEIGHTS)
    add_weight, owner, total = keras.layers.Layer.add_weight, threading.get_ident(), 0
    refusal: UnsafeFileError | None = None

    def counted(layer: Any, shape: Any = None, *args: Any, **kwargs: Any) -> Any:
        nonlocal total, refusal
        if threading.get_ident() == owner:
            total += math.prod(shape or ())
            if total > num_weights:
                refusal = UnsafeFileError(
                    f"The saved configuration asks for {total:,} weights or more; {num_weights:,} numbers were saved "
                    "with it."
                )
                raise refusal
        return add_weight(layer, shape, *args, **kwargs)

    keras.layers.Layer.add_weight = counted
    try:
        yield
    except Exception as error:
        if refusal is not None:  # which Keras may have wrapped in one of its own
            raise refusal from error
        raise
    finally:
        keras.layers.Layer.add_weight = add_weight


def _check_outputs(layer: Any) -> None:
    """Refuse a layer that makes something huge of one example; in a model that was not called yet.

    Raises:
        UnsafeFileError: One does.
    """
    for inner in getattr(layer, "layers", ()):
        _check_outputs(inner)
    for tensor in keras.tree.flatten(getattr(layer, "output", None)):
        size = math.prod(length or 1 for length in getattr(tensor, "shape", ()))
        if size > _MAX_OUTPUT:
            raise UnsafeFileError(
                f"The saved configuration asks for {size:,} numbers after layer {layer.name!r:.80}; "
                f"{_MAX_OUTPUT:,} are allowed for one example."
            )


def _nodes(config: Any) -> Iterator[Any]:
    yield config
    if isinstance(config, dict):
        children = [child for key, child in config.items() if key != "shared_object_id"]  # a name, no size
    else:
        children = config if isinstance(config, list) else []
    for child in children:
        yield from _nodes(child)


def _check_node(node: Any, custom: Mapping[str, Any], largest: int) -> None:
    is_too_large = abs(node) > largest if isinstance(node, int) else isinstance(node, float) and not math.isfinite(node)
    if is_too_large:  # a fraction is no size
        raise UnsafeFileError(
            f"The saved configuration asks for a size of {node}; {largest} numbers were saved with it."
        )
    if not isinstance(node, dict) or "class_name" not in node:
        return
    name, module = node["class_name"], node.get("module")
    registered = node.get("registered_name")
    if name in _DATA_CLASSES - {"__typespec__"} or {name, registered} & set(custom):
        return
    if name == "function" or name in _FORBIDDEN or not _is_known(module, name):
        wanted = node.get("config") if name == "function" and isinstance(node.get("config"), str) else name
        raise UnsafeFileError(
            f"The saved configuration uses {wanted!r:.80} of module {module!r:.80}, which is none of Keras's own "
            f"layers. If it is yours and you trust it, name it: custom_objects={{{wanted!r:.80}: ...}}."
        )


def _is_known(module: Any, name: Any) -> bool:
    if not isinstance(module, str) or not isinstance(name, str):
        return False
    if (module, name) == ("keras.src.models.functional", "Functional"):
        return True
    if module in _MODULES:
        found = getattr(_MODULES[module], name, None)
        return isinstance(found, type) and issubclass(found, _KINDS)
    # Arithmetic on tensors in a functional model, such as x * 2.0, is kept as an operation.
    return module.startswith("keras.src.ops.") and any(
        kind.__name__ == name and kind.__module__ == module for kind in keras.Operation.__subclasses__()
    )
