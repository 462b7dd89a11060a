"""What running a traced graph once would take: the memory of all its results, and multiplications."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

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
