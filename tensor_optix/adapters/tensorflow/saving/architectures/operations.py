"""The operations on tensors that a functional model may hold: ``x * 2.0``, ``x[:, :2]``, ``keras.ops.concatenate``.

Listed are those that map tensors to tensors by a fixed rule. Not listed are those that call a function
they are given (``map``, ``cond``, ``scan``, ...).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import keras

OPERATIONS = {
    "keras.src.ops.numpy": """
        Abs Absolute Add All Amax Amin Angle Any Append Arccos Arccosh Arcsin Arcsinh Arctan Arctan2
        Arctanh Argmax Argmin Argpartition Argsort ArraySplit Average BitwiseAnd BitwiseInvert
        BitwiseLeftShift BitwiseNot BitwiseOr BitwiseRightShift BitwiseXor BroadcastTo Cbrt Ceil Clip
        Concatenate Conj Conjugate Copy Correlate Cos Cosh CountNonzero Cross Cumprod Cumsum Deg2rad
        Diag Diagflat Diagonal Diff Digitize Divide DivideNoNan Dot Dsplit Dstack Einsum EmptyLike
        Equal Exp Exp2 ExpandDims Expm1 Fabs Flip Fliplr Flipud Floor FloorDivide Fmax Fmin Fmod
        FullLike GetItem Greater GreaterEqual Heaviside Hsplit Hstack Hypot I0 Imag Inner Isclose
        Isfinite Isinf Isnan Isneginf Isposinf Isreal LeftShift Less LessEqual Log Log10 Log1p Log2
        Logaddexp Logaddexp2 LogicalAnd LogicalNot LogicalOr LogicalXor Matmul Max Maximum Mean Median
        Min Minimum Mod Moveaxis Multiply NanToNum Nanargmax Nanargmin Nanmax Nanmean Nanmedian Nanmin
        Nanprod Nanstd Nansum Nanvar Negative NotEqual OnesLike Outer Pad Percentile Power Prod Ptp
        Quantile Rad2deg Ravel Real Reciprocal Repeat Reshape RightShift Roll Rot90 Round Select Sign
        Signbit Sin Sinc Sinh Sort Split Sqrt Square Squeeze Stack Std Subtract Sum Swapaxes Take
        TakeAlongAxis Tan Tanh Tensordot Tile Trace Transpose Trapezoid Tril Triu TrueDivide Trunc Var
        Vdot Vsplit Vstack Where ZerosLike
    """,
    "keras.src.ops.nn": """
        AdaptiveAveragePool AdaptiveMaxPool AveragePool BatchNorm Celu DepthToSpace
        DotProductAttention Elu Gelu Glu HardShrink HardSigmoid HardSilu HardTanh LayerNorm LeakyRelu
        LogSigmoid LogSoftmax MaxPool Moments MultiHot Normalize OneHot RMSNorm Relu Relu6 Selu Sigmoid
        Silu SoftShrink Softmax Softplus Softsign SpaceToDepth SparsePlus SparseSigmoid Sparsemax
        Squareplus TanhShrink Threshold
    """,
    "keras.src.ops.core": "Cast SaturateCast StopGradient Unstack Slice",
    "keras.src.ops.math": "Erf Erfc Erfinv ExtractSequences Logsumexp Rsqrt TopK",
    "keras.src.ops.linalg": "Norm",
    "keras.src.ops.einops": "Rearrange",
    "keras.src.ops.image": "HSVToRGB RGBToGrayscale RGBToHSV Resize PadImages CropImages",
    "keras.src.activations.activations": "ReLU Mish",
}
"""Names by module."""


@functools.cache
def _known() -> dict[tuple[str, str], type]:
    listed = {(module, name) for module, names in OPERATIONS.items() for name in names.split()}
    return {
        key: found for found in _subclasses(keras.Operation) if (key := (found.__module__, found.__name__)) in listed
    }


def operation_named(module: Any, class_name: Any) -> Any:
    """Return a listed operation's class, or None."""
    if not isinstance(module, str) or not isinstance(class_name, str):
        return None
    return _known().get((module, class_name))


def _subclasses(parent: type) -> Iterator[type]:
    for child in parent.__subclasses__():
        if child.__module__ in OPERATIONS or child.__module__.startswith("keras.src.ops."):
            yield child
            yield from _subclasses(child)
