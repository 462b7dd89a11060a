"""From a Keras model to a plan of NumPy steps: its graph, walked in Keras's own order."""

from collections.abc import Sequence
from itertools import count
from typing import Any

import keras
import numpy as np

from tensor_optix.adapters.tensorflow.acting.numpy.numpy_cells import NUM_STATES, state_arguments
from tensor_optix.adapters.tensorflow.acting.numpy.numpy_conversion import Parameters, UnsupportedLayer
from tensor_optix.adapters.tensorflow.acting.numpy.numpy_layers import converter_of
from tensor_optix.adapters.tensorflow.acting.numpy.numpy_program import Plan, Step


def graph_of(model: keras.Model) -> Any | None:
    """Return the functional graph that a model's call runs, or None where Python code decides.

    Only Keras's own two classes are taken: a subclass may have another ``call``.
    """
    if type(model) is keras.Sequential:
        return model._functional
    own = type(model).__name__ == "Functional" and type(model).__module__.partition(".")[0] == "keras"
    return model if own and hasattr(model, "_nodes_by_depth") else None


def plan_of(model: keras.Model) -> tuple[Plan, Parameters]:
    """Return the model's plan and the parameters it reads, not yet refreshed.

    Raises:
        UnsupportedLayer: Some part of the model has no NumPy form.
    """
    graph = graph_of(model)
    if graph is None:
        raise UnsupportedLayer(f"model of class {type(model).__name__}")
    builder = _Builder(graph)
    builder.plan.outputs.extend(builder.walk(graph, range(len(graph.inputs))))
    if not builder.plan.steps:
        raise UnsupportedLayer("model without layers")
    return builder.plan, builder.parameters


class _Builder:
    def __init__(self, graph: Any) -> None:
        self.plan = Plan([_fixed_shape(x) for x in graph.inputs], [_plain_dtype(x) for x in graph.inputs])
        self.parameters = Parameters()
        self._numbers = count(len(graph.inputs))

    def walk(self, graph: Any, inputs: Sequence[int]) -> list[int]:
        """Add the steps of one graph whose inputs are the given values; return its outputs' numbers."""
        known = dict(zip(map(id, graph.inputs), inputs, strict=True))
        for depth in sorted(graph._nodes_by_depth, reverse=True):
            for node in graph._nodes_by_depth[depth]:
                if not node.is_input:
                    arguments = _tensor_arguments if type(node.operation) not in NUM_STATES else state_arguments
                    results = self._call(node, [known[id(x)] for x in arguments(node)])
                    known.update(zip(map(id, node.outputs), results, strict=True))
        return [known[id(x)] for x in graph.outputs]

    def _call(self, node: Any, inputs: list[int]) -> list[int]:
        layer = node.operation
        nested = graph_of(layer)
        if nested is not None:
            _check_nested_call(node, nested)
            return self.walk(nested, inputs)
        shapes = [(None, *_fixed_shape(x)) for x in node.input_tensors]
        outputs = [next(self._numbers) for _ in node.outputs]
        emit = converter_of(layer)(layer, shapes, self.parameters)
        self.plan.steps.append(Step(emit, tuple(inputs), tuple(outputs)))
        return outputs


def _tensor_arguments(node: Any) -> list[Any]:
    """Return the tensors a layer was called on, in order, where the call has no other meaning."""
    # A model called with training=False overrides what a layer inside it was called with.
    given = ((name, keras.tree.flatten(value)) for name, value in node.arguments.kwargs.items() if name != "training")
    options = {name for name, values in given if any(value is not None for value in values)}  # mask=[None, None]
    if options or len(node.arguments.args) != 1:
        raise UnsupportedLayer(f"'{node.operation.name}' called with {sorted(options) or 'several arguments'}")
    tensors: list[Any] = keras.tree.flatten(node.arguments.args[0])
    if any(not isinstance(x, keras.KerasTensor) for x in tensors):
        raise UnsupportedLayer(f"'{node.operation.name}' called on constants")
    return tensors


def _check_nested_call(node: Any, nested: Any) -> None:
    """Refuse a call that makes the nested model reorder, reshape or cast what it is given."""
    given, expected = node.arguments.args[0], nested.input if len(nested.inputs) > 1 else nested.inputs[0]
    flat = keras.tree.flatten(given)
    if len(flat) == 1 == len(nested.inputs):
        given = flat[0]
    try:
        keras.tree.assert_same_structure(given, expected)
    except (TypeError, ValueError):
        raise UnsupportedLayer(f"nested model '{node.operation.name}' called on another structure") from None
    for x, own in zip(keras.tree.flatten(given), nested.inputs, strict=True):
        if (tuple(x.shape)[1:], x.dtype) != (tuple(own.shape)[1:], own.dtype):
            raise UnsupportedLayer(f"nested model '{node.operation.name}' called on another shape or dtype")


def _fixed_shape(tensor: Any) -> tuple[int, ...]:
    shape: tuple[int, ...] = tuple(tensor.shape)[1:]
    if None in shape:
        raise UnsupportedLayer(f"input of unknown size {shape}")
    return shape


def _plain_dtype(tensor: Any) -> np.dtype:
    name: str = keras.backend.standardize_dtype(tensor.dtype)
    if name == "float32" or name == "bool" or "int" in name:
        return np.dtype(name)
    raise UnsupportedLayer(f"input of dtype {name}")
