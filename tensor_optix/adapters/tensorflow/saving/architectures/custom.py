"""The user's own classes and functions, which a file may use because the user named them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from tensor_optix.adapters.tensorflow.saving.architectures.call_arguments import CallArguments

_DATA = ("__slice__", "__ellipsis__", "__numpy__", "__tensor__")


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
            built = CallArguments(_no_tensor, reader.demands.largest_size).read(value)
        elif value["class_name"] == "function":
            built = reader.activation(value)
        elif value["class_name"] == "DTypePolicy":
            built = reader.read("policy", value)
        else:
            built = reader.node(value)
        return keras.saving.serialize_keras_object(built)


def _no_tensor(place: Any) -> Any:
    raise TypeError(f"{place!r:.80} is a tensor, where none can be")
