"""What running a traced graph once would take: the memory of all its results, and multiplications."""

from __future__ import annotations

import math
from typing import Any

_FREE = frozenset(("ReadVariableOp", "Identity", "NoOp", "Placeholder"))
_PRODUCTS = frozenset(("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "Einsum"))
_CONVOLUTIONS = frozenset(("Conv2D", "Conv3D", "DepthwiseConv2dNative"))
_TRANSPOSED = frozenset(("Conv2DBackpropInput", "Conv3DBackpropInputV2", "DepthwiseConv2dNativeBackpropInput"))


def result_bytes(graph: Any) -> int:
    """Return what all results in the graph take together, those of shared memory left out."""
    return sum(
        _size(output) * (output.dtype.size or 1)
        for operation in graph.get_operations()
        if operation.type not in _FREE
        for output in operation.outputs
    )


def multiplications(graph: Any) -> float:
    """Return about how many numbers are multiplied in products of matrices and convolutions."""
    return sum(map(_multiplications, graph.get_operations()))


def _multiplications(operation: Any) -> float:
    if operation.type in _PRODUCTS:  # (m k) (k n) -> m n: the root of all sizes multiplied is m k n
        sizes = [_size(tensor) for tensor in (*operation.inputs, *operation.outputs)]
        return math.sqrt(math.prod(sizes))
    if operation.type in _CONVOLUTIONS:
        return _size(operation.outputs[0]) * _per_result(operation.inputs[1])
    if operation.type in _TRANSPOSED:
        return _size(operation.inputs[2]) * _per_result(operation.inputs[1])
    return 0.0


def _per_result(kernel: Any) -> float:
    shape = kernel.shape.as_list() if kernel.shape.rank else [1]
    return _size(kernel) / (shape[-1] or 1)


def _size(tensor: Any) -> int:
    return math.prod(length or 1 for length in (tensor.shape.as_list() if tensor.shape.rank is not None else ()))
