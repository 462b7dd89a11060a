"""What a layer or an operation of a saved graph is called with: tensors of the graph, and plain data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tensor_optix.adapters.tensorflow.saving.architectures import rules
from tensor_optix.exceptions import UnsafeFileError

Ref = tuple[str, int, int]
"""Which tensor: of this layer, of this of its calls, this one of its results."""

_MAX_TEXT = 200
_MAX_DEPTH = 8


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
