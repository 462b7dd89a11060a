"""What a model from a file costs, before it is paid: calls of layers to build it, and its traced graph to run once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

_RECURRENT_CALLS = 4
"""A recurrent layer is traced as a loop, which takes about as long as so many layers."""

_TENSORS_PER_CALL = 10
"""So many tensors that one call takes or gives take about as long as one layer takes to be built."""

_STEPS_PER_CALL = 25
"""So many turns of a traced loop take about as long as one layer takes to be built."""

_FREE = frozenset(("ReadVariableOp", "Identity", "NoOp", "Placeholder"))
_PRODUCTS = frozenset(("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "Einsum"))
_CONVOLUTIONS = frozenset(("Conv2D", "Conv3D", "DepthwiseConv2dNative"))
_TRANSPOSED = frozenset(("Conv2DBackpropInput", "Conv3DBackpropInputV2", "DepthwiseConv2dNativeBackpropInput"))
_POOLS = frozenset(("MaxPool", "MaxPool3D", "AvgPool", "AvgPool3D"))
_DECOMPOSITIONS = frozenset(("Svd", "Qr", "Eig", "SelfAdjointEigV2"))
_LOOPS = frozenset(("While", "StatelessWhile"))

_PER_DECOMPOSED = 20
"""A matrix of m rows and n columns is decomposed in about so many times m n min(m, n) multiplications."""

_PER_COMPARED = 100
"""What one comparison while sorting takes, in multiplications of a product of matrices."""


def count_call(demands: Any, layer: Any, args: Sequence[Any]) -> None:
    """Count what calling ``layer`` on symbolic tensors comes to, before it is called.

    Raises:
        UnsafeFileError: It is too much.
    """
    tensors = [x for x in keras.tree.flatten(list(args)) if isinstance(x, keras.KerasTensor)]
    shapes = [tuple(x.shape) for x in tensors]
    longest = max((length or 1 for shape in shapes for length in shape), default=1)
    demands.calls((len(shapes) + _num_parts(layer, shapes)) // _TENSORS_PER_CALL)
    demands.calls(_Costs(demands, longest).of(layer, shapes[0] if shapes else ()))


def _num_parts(layer: Any, shapes: list[tuple[Any, ...]]) -> int:
    """Return into how many parts an operation takes a tensor apart, or how often it is done over."""
    if type(layer).__name__ == "Diff":
        return int(layer.n)
    if type(layer).__name__ == "Unstack":
        return int(layer.num or 0) or max((length or 1 for shape in shapes for length in shape), default=1)
    sections = getattr(layer, "indices_or_sections", 1)
    return len(sections) if hasattr(sections, "__len__") else int(sections)


def run_through(demands: Any, layers: list[Any], tensor: Any) -> Any:
    """Call layers one after another on a symbolic tensor, counting, and leave no trace in their graph."""
    before = [(layer, len(layer._inbound_nodes), len(layer._outbound_nodes)) for layer in layers]
    for layer in layers:
        tensor = call(demands, layer, [tensor], {})
    for layer, num_inbound, num_outbound in before:
        del layer._inbound_nodes[num_inbound:], layer._outbound_nodes[num_outbound:]
    return tensor


def call(demands: Any, layer: Any, args: list[Any], kwargs: Mapping[str, Any]) -> Any:
    """Call a layer or an operation on symbolic tensors, once what that costs is counted."""
    count_call(demands, layer, args)
    with demands.building():
        outputs = layer(*args, **kwargs)
    demands.outputs(layer, outputs)
    return outputs


class _Costs:
    """Counts calls of layers.

    Args:
        demands: Is told what has to be built in order to count.
        free_steps: How many steps a sequence of a length that is not fixed is taken for.
    """

    def __init__(self, demands: Any, free_steps: int) -> None:
        self._demands = demands
        self._free_steps = free_steps

    def of(self, layer: Any, shape: tuple[Any, ...]) -> float:
        """Return how many calls one call on a tensor of this shape is."""
        if isinstance(layer, keras.layers.TimeDistributed):
            return 1 + self._steps(shape) * self.of(layer.layer, (*shape[:1], *shape[2:]))
        if isinstance(layer, keras.layers.Bidirectional):
            return sum(self.of(part, shape) for part in (layer.forward_layer, layer.backward_layer))
        if isinstance(layer, keras.layers.RNN):
            num_cells = len(getattr(layer.cell, "cells", [layer.cell]))
            turns = self._steps(shape) if layer.unroll else 1 + self._steps(shape) / _STEPS_PER_CALL
            return _RECURRENT_CALLS + num_cells * turns
        if isinstance(layer, keras.Sequential) and not layer.built:
            return self._of_unbuilt(layer, shape)
        if isinstance(layer, keras.Model):
            return 1 + sum(self._of_part(part) for part in layer.layers)
        inner = getattr(layer, "layer", None) if isinstance(layer, keras.layers.Wrapper) else None
        return 1 if inner is None else 1 + self.of(inner, shape)

    def _of_part(self, part: Any) -> float:
        nodes = getattr(part, "_inbound_nodes", ())
        tensors = nodes[0].input_tensors if nodes else ()
        return max(1, len(nodes)) * self.of(part, tuple(tensors[0].shape) if tensors else ())

    def _of_unbuilt(self, model: keras.Sequential, shape: tuple[Any, ...]) -> float:
        """Build the parts one by one, for only the results of each say what the next one costs."""
        if not shape or None in shape[1:]:
            return 1 + sum(self.of(part, ()) for part in model.layers)
        dtype = (model.layers[0].compute_dtype if model.layers else None) or "float32"
        run_through(self._demands, list(model.layers), keras.KerasTensor(shape, dtype))
        return 1 + len(model.layers)

    def _steps(self, shape: tuple[Any, ...]) -> int:
        return int(shape[1] or self._free_steps) if len(shape) > 1 else self._free_steps


def result_bytes(graph: Any) -> int:
    """Return what all results in the graph take together, those of shared memory left out, a loop's for one turn."""
    own = sum(
        _size(output) * (output.dtype.size or 1)
        for operation in graph.get_operations()
        if operation.type not in _FREE
        for output in operation.outputs
    )
    return own + sum(result_bytes(body) for body, _ in _loops(graph))


def multiplications(graph: Any) -> float:
    """Return about how many numbers are multiplied, or what takes as long, in all turns of the graph's loops."""
    own = sum(map(_multiplications, graph.get_operations()))
    return own + sum(turns * multiplications(body) for body, turns in _loops(graph))


def _multiplications(operation: Any) -> float:
    if operation.type in _PRODUCTS:  # (m k) (k n) -> m n: the root of all sizes multiplied is m k n
        sizes = [_size(tensor) for tensor in (*operation.inputs, *operation.outputs)]
        return math.sqrt(math.prod(sizes))
    if operation.type in _CONVOLUTIONS:
        return _size(operation.outputs[0]) * _per_result(operation.inputs[1])
    if operation.type in _TRANSPOSED:
        return _size(operation.inputs[2]) * _per_result(operation.inputs[1])
    if operation.type in _POOLS:
        return float(_size(operation.outputs[0]) * math.prod(operation.get_attr("ksize")))
    if operation.type in _DECOMPOSITIONS:
        matrix = operation.inputs[0]
        return float(_PER_DECOMPOSED * _size(matrix) * min(length or 1 for length in matrix.shape[-2:]))
    if operation.type == "TopKV2":
        return _PER_COMPARED * _size(operation.inputs[0]) * math.log2(1 + (operation.inputs[0].shape[-1] or 1))
    return 0.0


def _loops(graph: Any) -> list[tuple[Any, int]]:
    """Return the body of each loop, and how often it runs."""
    loops = [operation for operation in graph.get_operations() if operation.type in _LOOPS]
    return [(graph._get_function(loop.get_attr("body").name).graph, _turns(loop)) for loop in loops]


def _turns(loop: Any) -> int:
    """Return how often a loop runs: no more than the largest count or the longest list that it is given."""
    turns = 1
    for given in loop.inputs:
        if given.op.type == "TensorListFromTensor":
            turns = max(turns, int(given.op.inputs[0].shape[0] or 1))
        elif given.dtype.is_integer and given.shape.rank == 0:
            turns = max(turns, int(tf.get_static_value(given) or 1))
    return turns


def _per_result(kernel: Any) -> float:
    shape = kernel.shape.as_list() if kernel.shape.rank else [1]
    return _size(kernel) / (shape[-1] or 1)


def _size(tensor: Any) -> int:
    return math.prod(length or 1 for length in (tensor.shape.as_list() if tensor.shape.rank is not None else ()))
