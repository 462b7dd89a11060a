"""Models from their saved configuration: the layers are made anew, and called as the graph says."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import keras

from tensor_optix.adapters.tensorflow.saving.architectures import rules
from tensor_optix.adapters.tensorflow.saving.architectures.allowed import operation_named
from tensor_optix.adapters.tensorflow.saving.architectures.call_arguments import CallArguments, no_tensor, reference
from tensor_optix.adapters.tensorflow.saving.costs import call, run_through
from tensor_optix.exceptions import UnsafeFileError

_SEQUENTIAL_KEYS = frozenset(("name", "trainable", "dtype", "layers", "build_input_shape"))
_GRAPH_KEYS = frozenset(("layers", "input_layers", "output_layers"))
_FUNCTIONAL_KEYS = _GRAPH_KEYS | {"name", "trainable", "dtype"}


class _NotYetError(Exception):
    """A tensor that a later call gives."""


def read_sequential(reader: Any, config: Any) -> keras.Sequential:
    """Return a ``Sequential`` model; built, if it begins with its inputs."""
    _check_keys("Sequential", config, _SEQUENTIAL_KEYS, {"layers"})
    layers = [reader.read("layer", node) for node in _entries(config["layers"])]
    if layers and isinstance(layers[0], keras.layers.InputLayer):
        run_through(reader.demands, layers[1:], layers[0].output)
    with reader.demands.building():
        return keras.Sequential(layers, **_named(config))


def read_functional(reader: Any, config: Any, model_class: Any = keras.Model) -> Any:
    """Return a functional model, its graph called anew."""
    known = _FUNCTIONAL_KEYS if model_class is keras.Model else frozenset(config)
    _check_keys("Functional", config, known, _GRAPH_KEYS)
    graph = _Graph(reader, _entries(config["layers"]))
    inputs, outputs = (graph.structure(config[key]) for key in ("input_layers", "output_layers"))
    others = {key: reader.custom.clean(reader, config[key]) for key in set(config) - _FUNCTIONAL_KEYS}
    with reader.demands.building():
        return model_class(inputs=inputs, outputs=outputs, **_named(config), **others)


class _Graph:
    """Layers by name, and what each of their calls gave.

    Args:
        reader: Reads the layers.
        entries: The layers' descriptions, each with the calls that the graph holds of it.
    """

    def __init__(self, reader: Any, entries: list[Any]) -> None:
        self._reader = reader
        self._layers: dict[str, Any] = {}
        self._results: dict[str, list[list[Any]]] = {}
        waiting = {}
        for entry in entries:
            if not isinstance(entry, dict) or not isinstance(entry.get("inbound_nodes"), list):
                raise TypeError(f"{entry!r:.80} is no layer of a graph")
            name = rules.name(entry.get("name"), 0)
            if name in self._layers:
                raise TypeError(f"two layers are called {name!r:.80}")
            self._layers[name] = layer = self._made(entry)
            is_input = isinstance(layer, keras.layers.InputLayer)
            self._results[name] = [[layer.output]] if is_input else []
            waiting[name] = list(entry["inbound_nodes"])
        self._run(waiting)

    def structure(self, value: Any) -> Any:
        """Return tensors in lists and dicts as ``value`` holds references to them."""
        if isinstance(value, dict):
            return {key: self.structure(part) for key, part in value.items()}
        if not isinstance(value, list):
            raise TypeError(f"{value!r:.80} names no tensor of the graph")
        if not (len(value) == 3 and isinstance(value[0], str)):
            return [self.structure(part) for part in value]
        self._reader.demands.calls(0.1)
        name, call_index, place = reference(value)
        # Keras counts the calls of models within models from one on.
        is_model = type(self._layers.get(name)).__name__ == "Functional"
        try:
            return self._tensor_at((name, call_index - is_model, place))
        except _NotYetError as error:
            raise TypeError(f"{value!r:.80} is none of the graph's results") from error

    def _made(self, entry: dict[str, Any]) -> Any:
        operation = operation_named(entry.get("module"), entry.get("class_name"))
        if operation is None:
            return self._reader.node(entry, "layer", in_graph=True)
        return _operation(self._reader, operation, entry.get("config"))

    def _run(self, waiting: dict[str, list[Any]]) -> None:
        """Call each layer as often as the graph says, in any order in which all tensors exist."""
        while any(waiting.values()):
            num_left = sum(map(len, waiting.values()))
            for name, calls in waiting.items():
                self._reader.demands.calls(0)
                while calls and self._called(name, calls[0]):
                    del calls[0]
            if sum(map(len, waiting.values())) == num_left:
                stuck = [name for name, calls in waiting.items() if calls]
                raise TypeError(f"the graph has a loop, or no tensor for {stuck!r:.80}")

    def _called(self, name: str, node: Any) -> bool:
        if not isinstance(node, dict) or set(node) != {"args", "kwargs"} or not isinstance(node["kwargs"], dict):
            raise TypeError(f"{node!r:.80} is no call of {name!r:.80}")
        given = CallArguments(self._tensor_at, self._reader.demands.largest_size)
        try:
            args, kwargs = [given.read(part) for part in _entries(node["args"])], given.read(node["kwargs"])
        except _NotYetError:
            return False
        if not given.num_tensors:  # it would be computed here and now
            raise UnsafeFileError(f"The saved configuration calls {name!r:.80} on no tensor of the graph.")
        layer = self._layers[name]
        _check_call(layer, kwargs)
        if type(layer).__name__ == "GetItem" and len(args) == 2 and isinstance(args[1], list):
            args[1] = tuple(args[1])
        outputs = call(self._reader.demands, layer, args, kwargs)
        self._results[name].append(keras.tree.flatten(outputs))
        return True

    def _tensor_at(self, place: tuple[str, int, int]) -> Any:
        name, call_index, index = place
        if name not in self._results:
            raise TypeError(f"no layer of the graph is called {name!r:.80}")
        if len(self._results[name]) <= call_index:
            raise _NotYetError
        if call_index < 0 or len(self._results[name][call_index]) <= index:
            raise TypeError(f"{place!r:.80} is none of the graph's results")
        return self._results[name][call_index][index]


def read_custom(reader: Any, found: Any, config: Any) -> Any:
    """Return an object of the user's own class; what it holds of Keras's is rebuilt first."""
    if not isinstance(found, type):
        return found
    is_graph = isinstance(config, dict) and set(config) >= _GRAPH_KEYS and issubclass(found, keras.Model)
    if is_graph:
        return read_functional(reader, config, found)
    reader.demands.calls(1)
    clean = reader.custom.clean(reader, config)
    with keras.saving.custom_object_scope(reader.custom.objects):
        return found.from_config(clean) if hasattr(found, "from_config") else found(**clean)


def _operation(reader: Any, found: type, config: Any) -> Any:
    parameters = set(inspect.signature(found.__init__).parameters) - {"self"}  # type: ignore[misc]
    if not isinstance(config, dict) or set(config) - parameters:
        raise UnsafeFileError(
            f"The saved configuration gives the operation {found.__name__} what it does not take: {config!r:.80}."
        )
    reader.demands.calls(1)
    given = CallArguments(no_tensor, reader.demands.largest_size)
    return found(**{key: given.read(value) for key, value in config.items()})


def _check_call(layer: Any, kwargs: Mapping[str, Any]) -> None:
    """Refuse arguments by name that the layer's ``call`` does not have."""
    parameters = inspect.signature(layer.call).parameters
    unknown = set(kwargs) - set(parameters) - {"mask", "training"}
    if unknown and not any(p.kind == p.VAR_KEYWORD for p in parameters.values()):
        raise UnsafeFileError(f"The saved configuration calls {layer.name!r:.80} with {sorted(unknown)!r:.80}.")


def _check_keys(owner: str, config: Any, known: frozenset[str], needed: Any) -> None:
    if not isinstance(config, dict) or not set(needed) <= set(config):
        raise TypeError(f"the configuration of {owner} lacks {sorted(needed)}")
    if set(config) - known:
        raise UnsafeFileError(f"The saved configuration gives {owner} what it does not take: {set(config) - known}.")


def _named(config: Mapping[str, Any]) -> dict[str, Any]:
    named: dict[str, Any] = {}
    if config.get("name") is not None:
        named["name"] = rules.name(config["name"], 0)
    if config.get("trainable") is not None:
        named["trainable"] = rules.flag(config["trainable"], 0)
    return named


def _entries(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r:.80} is no list")
    return value


READERS: dict[str, Callable[..., Any]] = {"sequential": read_sequential, "functional": read_functional}
