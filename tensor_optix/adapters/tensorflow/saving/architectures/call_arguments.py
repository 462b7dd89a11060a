"""What layers, operations and the user's own classes are given: tensors of the graph, plain data, Keras objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras

from tensor_optix.adapters.tensorflow.saving.architectures import rules
from tensor_optix.exceptions import UnsafeFileError

Ref = tuple[str, int, int]
"""Which tensor: of this layer, of this of its calls, this one of its results."""

_MAX_TEXT = 200
_MAX_DEPTH = 8
_DATA = ("__slice__", "__ellipsis__", "__numpy__", "__tensor__")


class CallArguments:
    """Reads the arguments of one call.

    Args:
        tensor_at: Returns the tensor that a reference names.
        largest: The largest size allowed.
    """

    def __init__(self, tensor_at: Callable[[Ref], Any], largest: int) -> None:
        self._tensor_at = tensor_at
        self._largest = largest
        self.num_tensors = 0

    def read(self, value: Any, depth: int = 0) -> Any:
        """Return the argument.

        Raises:
            UnsafeFileError: It is no tensor of the graph and no plain data.
        """
        if depth > _MAX_DEPTH:
            raise UnsafeFileError(f"The saved configuration nests arguments more than {_MAX_DEPTH} levels deep.")
        if isinstance(value, list):
            return [self.read(part, depth + 1) for part in value]
        if isinstance(value, dict):
            return self._described(value, depth)
        if isinstance(value, str):
            if len(value) > _MAX_TEXT:
                raise UnsafeFileError(f"The saved configuration calls a layer with a text of {len(value)} characters.")
            return value
        if value is None or isinstance(value, (bool, float)):
            return value
        try:
            return rules.size(value, self._largest)
        except UnsafeFileError as error:
            raise UnsafeFileError(f"The saved configuration {error}, in a call.") from error

    def _described(self, value: dict[str, Any], depth: int) -> Any:
        name = value.get("class_name")
        if name is None:
            return {key: self.read(part, depth + 1) for key, part in value.items()}
        config = value.get("config")
        if name == "__keras_tensor__" and isinstance(config, dict):
            self.num_tensors += 1
            return self._tensor_at(reference(config.get("keras_history")))
        if name == "__slice__" and isinstance(config, dict) and set(config) == {"start", "stop", "step"}:
            return slice(*(self.read(config[part], depth + 1) for part in ("start", "stop", "step")))
        if name == "__ellipsis__":
            return Ellipsis
        if name in ("__numpy__", "__tensor__"):
            return rules.array(value, self._largest)
        raise UnsafeFileError(
            f"The saved configuration calls a layer with {name!r:.80} of module {value.get('module')!r:.80}, which is "
            "none of Keras's own tensors and no plain data."
        )


def reference(value: Any) -> Ref:
    """Return a reference to a tensor, once it is one."""
    is_one = isinstance(value, list) and len(value) == 3 and isinstance(value[0], str)
    if not is_one or any(isinstance(part, bool) or not isinstance(part, int) or part < 0 for part in value[1:]):
        raise TypeError(f"{value!r:.80} names no tensor of the graph")
    return value[0], value[1], value[2]


class CustomObjects:
    """What ``custom_objects`` holds, looked up as a file calls it.

    Args:
        objects: Classes and functions by name.
    """

    def __init__(self, objects: Mapping[str, Any]) -> None:
        self.objects = dict(objects)

    def named(self, *names: Any) -> Any:
        """Return the first that is called by one of the names, or None."""
        for name in names:
            if isinstance(name, str) and name in self.objects:
                return self.objects[name]
        return None

    def clean(self, reader: Any, value: Any) -> Any:
        """Return what a class of the user's own is given of its saved configuration.

        Objects of Keras's are built by the reader and described anew, so that what the class hands to
        Keras's deserialiser, as Keras's conventions have it, holds nothing of the file.
        """
        if isinstance(value, list):
            return [self.clean(reader, part) for part in value]
        if not isinstance(value, dict):
            return value
        if "class_name" not in value:
            return {key: self.clean(reader, part) for key, part in value.items()}
        if value["class_name"] in _DATA:
            built = CallArguments(no_tensor, reader.demands.largest_size).read(value)
        elif value["class_name"] == "function":
            built = reader.activation(value)
        elif value["class_name"] == "DTypePolicy":
            built = reader.read("policy", value)
        else:
            built = reader.node(value)
        return keras.saving.serialize_keras_object(built)


def no_tensor(place: Any) -> Any:
    """Stand where there can be no tensor."""
    raise TypeError(f"{place!r:.80} is a tensor, where none can be")
