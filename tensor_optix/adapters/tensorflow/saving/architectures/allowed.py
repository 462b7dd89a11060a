"""The classes, functions and operations of Keras that a saved configuration may name, and those that it may not.

Allowed is what is listed. A class that a later Keras adds is refused until it stands here, with its
arguments in ``rules``.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import keras


def _names(text: str) -> list[str]:
    return text.split()


LAYERS = _names(
    """
    Activation ActivityRegularization AdaptiveAveragePooling1D AdaptiveAveragePooling2D
    AdaptiveAveragePooling3D AdaptiveMaxPooling1D AdaptiveMaxPooling2D AdaptiveMaxPooling3D Add
    AdditiveAttention AlphaDropout Attention AugMix AutoContrast Average AveragePooling1D
    AveragePooling2D AveragePooling3D AvgPool1D AvgPool2D AvgPool3D BatchNormalization Bidirectional
    CategoryEncoding CenterCrop Concatenate ContrastLimitedAdaptiveHistogramEqualization Conv1D
    Conv1DTranspose Conv2D Conv2DTranspose Conv3D Conv3DTranspose ConvLSTM1D ConvLSTM2D ConvLSTM3D
    Convolution1D Convolution1DTranspose Convolution2D Convolution2DTranspose Convolution3D
    Convolution3DTranspose Cropping1D Cropping2D Cropping3D CutMix Dense DepthwiseConv1D
    DepthwiseConv2D Discretization Dot Dropout ELU EinsumDense Embedding Equalization Flatten GRU
    GRUCell GaussianDropout GaussianNoise GlobalAveragePooling1D GlobalAveragePooling2D
    GlobalAveragePooling3D GlobalAvgPool1D GlobalAvgPool2D GlobalAvgPool3D GlobalMaxPool1D
    GlobalMaxPool2D GlobalMaxPool3D GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D
    GroupNormalization GroupQueryAttention HashedCrossing Hashing Identity InputLayer LSTM LSTMCell
    LayerNormalization LeakyReLU Masking MaxNumBoundingBoxes MaxPool1D MaxPool2D MaxPool3D
    MaxPooling1D MaxPooling2D MaxPooling3D Maximum MelSpectrogram Minimum MixUp MultiHeadAttention
    Multiply Normalization PReLU Permute RMSNormalization RNN RandAugment RandomBrightness
    RandomColorDegeneration RandomColorJitter RandomContrast RandomCrop RandomElasticTransform
    RandomErasing RandomFlip RandomGaussianBlur RandomGrayscale RandomHue RandomInvert
    RandomPerspective RandomPosterization RandomRotation RandomSaturation RandomSharpness RandomShear
    RandomTranslation RandomZoom ReLU RepeatVector Rescaling Reshape Resizing ReversibleEmbedding
    STFTSpectrogram SeparableConv1D SeparableConv2D SeparableConvolution1D SeparableConvolution2D
    SimpleRNN SimpleRNNCell Softmax Solarization SpatialDropout1D SpatialDropout2D SpatialDropout3D
    SpectralNormalization StackedRNNCells Subtract TimeDistributed UnitNormalization UpSampling1D
    UpSampling2D UpSampling3D ZeroPadding1D ZeroPadding2D ZeroPadding3D
    """
)

INITIALIZERS = _names(
    """
    Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity IdentityInitializer LecunNormal
    LecunUniform Ones Orthogonal OrthogonalInitializer RandomNormal RandomUniform STFT STFTInitializer
    TruncatedNormal VarianceScaling Zeros
    constant glorot_normal glorot_uniform he_normal he_uniform identity lecun_normal lecun_uniform ones
    orthogonal random_normal random_uniform stft truncated_normal variance_scaling zeros
    """
)

REGULARIZERS = _names("L1 L1L2 L2 OrthogonalRegularizer l1 l1_l2 l2 orthogonal_regularizer")

CONSTRAINTS = _names("MaxNorm MinMaxNorm NonNeg UnitNorm max_norm min_max_norm non_neg unit_norm")

OPTIMIZERS = _names(
    """
    Adadelta Adafactor Adagrad Adam AdamW Adamax Ftrl Lamb Lion LossScaleOptimizer Muon Nadam RMSprop
    SGD ScheduleFreeAdamW
    """
)

SCHEDULES = _names(
    """
    CosineDecay CosineDecayRestarts ExponentialDecay InverseTimeDecay PiecewiseConstantDecay
    PolynomialDecay
    """
)

ACTIVATIONS = _names(
    """
    celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu
    linear log_sigmoid log_softmax mish relu relu6 selu sigmoid silu soft_shrink softmax softplus
    softsign sparse_plus sparse_sigmoid sparsemax squareplus swish tanh tanh_shrink
    """
)

REFUSED = {
    "keras.layers": {
        "Lambda": "it runs code that the file holds",
        "TFSMLayer": "it loads and runs a program from a path that the file names",
        "JaxLayer": "it calls functions that the file names",
        "FlaxLayer": "it hands over to a module that the file names",
        "TorchModuleWrapper": "it unpickles a module that the file holds",
        "StringLookup": "it reads a vocabulary from a path that the file names",
        "IntegerLookup": "it reads a vocabulary from a path that the file names",
        "TextVectorization": "it reads a vocabulary from a path that the file names",
        "Pipeline": "it calls layers outside of the graph, where nothing is counted",
        "Layer": "it computes nothing: subclasses are meant",
        "Wrapper": "it computes nothing: subclasses are meant",
        "InputSpec": "it is no layer",
    },
    "keras.initializers": {"Initializer": "it computes nothing: subclasses are meant"},
    "keras.regularizers": {"Regularizer": "it computes nothing: subclasses are meant"},
    "keras.constraints": {"Constraint": "it computes nothing: subclasses are meant"},
    "keras.optimizers": {
        "Optimizer": "it computes nothing: subclasses are meant",
        "MultiOptimizer": "it sorts variables by regular expressions that the file holds",
        "OptimizerMap": "it sorts variables by regular expressions that the file holds",
    },
    "keras.optimizers.schedules": {"LearningRateSchedule": "it computes nothing: subclasses are meant"},
    "keras.activations": {"threshold": "it needs arguments that an activation is not given"},
}
"""What is public in Keras and not built from a file, by module, and why."""

MODULES: dict[str, tuple[Any, tuple[str, list[str]]]] = {
    "keras.layers": (keras.layers, ("layer", LAYERS)),
    "keras.initializers": (keras.initializers, ("initializer", INITIALIZERS)),
    "keras.regularizers": (keras.regularizers, ("regularizer", REGULARIZERS)),
    "keras.constraints": (keras.constraints, ("constraint", CONSTRAINTS)),
    "keras.optimizers": (keras.optimizers, ("optimizer", OPTIMIZERS)),
    "keras.optimizers.schedules": (keras.optimizers.schedules, ("rate", SCHEDULES)),
}

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
"""The operations on tensors that a functional model may hold, by module: ``x * 2.0``, ``x[:, :2]``, ``keras.ops.dot``.

They map tensors to tensors by a fixed rule. Not listed are those that call a function they are given (``map``,
``cond``, ``scan``, ...).
"""

BASE_OF: dict[str, Any] = {
    "layer": keras.layers.Layer,
    "initializer": keras.initializers.Initializer,
    "regularizer": keras.regularizers.Regularizer,
    "constraint": keras.constraints.Constraint,
    "optimizer": keras.optimizers.Optimizer,
    "rate": keras.optimizers.schedules.LearningRateSchedule,
    "model": keras.Model,
}
"""What an object of each kind must be."""

MODELS = {
    ("keras", "Sequential"): "sequential",
    ("keras.models", "Sequential"): "sequential",
    ("keras", "Functional"): "functional",
    ("keras.models", "Functional"): "functional",
    ("keras", "Model"): "functional",
    ("keras.models", "Model"): "functional",
    ("keras.src.models.functional", "Functional"): "functional",
}
"""How models of each class are read."""


def class_named(module: Any, class_name: Any) -> tuple[str, type] | None:
    """Return the kind and the class of a listed name, or None."""
    if module not in MODULES or class_name not in MODULES[module][1][1]:
        return None
    found = getattr(MODULES[module][0], class_name, None)
    return None if found is None else (MODULES[module][1][0], found)


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


def _subclasses(parent: Any) -> Iterator[Any]:
    for child in parent.__subclasses__():
        if child.__module__ in OPERATIONS or child.__module__.startswith("keras.src.ops."):
            yield child
            yield from _subclasses(child)
