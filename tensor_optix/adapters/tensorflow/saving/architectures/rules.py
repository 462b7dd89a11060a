"""What each argument of Keras's layers, optimizers and so on may be, by its name, and what each rule lets pass.

A rule takes a value and the largest size allowed, and returns the value clean, or raises. None is
left to the constructor: it either stands for a default there or is refused there. An argument that is
not here is refused, whatever the constructor takes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from tensor_optix.exceptions import UnsafeFileError

Rule = Callable[[Any, int], Any]

MAX_REPEATS = 64
"""How often a layer may do something that costs time each time, such as mixing one more image."""

DTYPES = frozenset(
    (
        *("bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"),
        *("float16", "bfloat16", "float32", "float64"),
    )
)
POLICIES = DTYPES | {"mixed_float16", "mixed_bfloat16"}

_WORD = re.compile(r"[A-Za-z0-9_.\- ]{0,64}")
_EQUATION = re.compile(r"[A-Za-z.,\->() 0-9]{1,200}")
_MAX_NAME = 500
_MAX_SIZES = 64
_MAX_DEPTH = 6
_MAX_BITS = 64


def flag(value: Any, largest: int) -> bool:
    """Return a bool."""
    if not isinstance(value, bool):
        raise _wrong(value, "true or false")
    return value


def number(value: Any, largest: int) -> float:
    """Return a number other than NaN: not a size, so it may be large, and infinite."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
        raise _wrong(value, "a number")
    _check_bits(value)
    return value


def any_number(value: Any, largest: int) -> float:
    """Return a number, which may be NaN: what a missing value looks like."""
    return value if isinstance(value, float) else number(value, largest)


def whole(value: Any, largest: int) -> int:
    """Return a whole number that is no size, such as a seed or a count of steps."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong(value, "a whole number")
    _check_bits(value)
    return value


def size(value: Any, largest: int) -> int:
    """Return a whole number that memory may be asked for.

    Raises:
        UnsafeFileError: It is out of proportion to what was saved.
    """
    whole(value, largest)
    if abs(value) > largest:
        raise UnsafeFileError(f"asks for a size of {value}; {largest} are allowed for what was saved with it")
    return int(value)


def repeats(value: Any, largest: int) -> int:
    """Return how often something is done over."""
    if size(value, largest) > MAX_REPEATS:
        raise UnsafeFileError(f"asks for {value} repetitions; {MAX_REPEATS} are allowed")
    return int(value)


def sizes(value: Any, largest: int, depth: int = 0) -> Any:
    """Return a size, or sizes as tuples: of a kernel, a shape, axes, a padding; a free dimension is None."""
    if not isinstance(value, (list, tuple)):
        return None if value is None and depth else size(value, largest)
    if len(value) > _MAX_SIZES or depth >= _MAX_DEPTH:
        raise _wrong(value, f"at most {_MAX_SIZES} sizes")
    return tuple(sizes(part, largest, depth + 1) for part in value)


def whole_numbers(value: Any, largest: int) -> Any:
    """Return a whole number, or a list of a few."""
    if isinstance(value, (list, tuple)) and len(value) <= _MAX_SIZES:
        return [whole(part, largest) for part in value]
    return whole(value, largest)


def numbers(value: Any, largest: int, depth: int = 0) -> Any:
    """Return a number, lists of numbers, or the array that an array's description stands for."""
    if isinstance(value, dict):
        return array(value, largest)
    if not isinstance(value, (list, tuple)):
        return None if value is None and depth else number(value, largest)
    if depth >= _MAX_DEPTH:
        raise _wrong(value, "numbers in fewer lists")
    return [numbers(part, largest, depth + 1) for part in value]


def flag_or_numbers(value: Any, largest: int) -> Any:
    """Return a bool where one is given, else numbers."""
    return value if isinstance(value, bool) else numbers(value, largest)


def limits(value: Any, largest: int) -> dict[str, float]:
    """Return numbers by the name of what they limit."""
    if not isinstance(value, dict) or len(value) > _MAX_SIZES:
        raise _wrong(value, "limits by name")
    return {word(key, largest): number(part, largest) for key, part in value.items()}


def array(value: Any, largest: int) -> Any:
    """Return the array that Keras's ``__numpy__`` or ``__tensor__`` describes."""
    if set(value) != {"class_name", "config"} or value["class_name"] not in ("__numpy__", "__tensor__"):
        raise _wrong(value, "numbers")
    content = value["config"]
    if not isinstance(content, dict) or set(content) != {"value", "dtype"} or content["dtype"] not in DTYPES:
        raise _wrong(value, f"an array of one of {', '.join(sorted(DTYPES))}")
    if content["dtype"] == "bfloat16":
        raise _wrong(value, "an array of a dtype that NumPy has")
    made = np.array(content["value"], content["dtype"])
    if made.dtype.name != content["dtype"]:
        raise _wrong(value, "an array of numbers")
    return made


def word(value: Any, largest: int) -> str:
    """Return a short word, such as the name of a mode, which the constructor knows or refuses."""
    if not isinstance(value, str) or not _WORD.fullmatch(value):
        raise _wrong(value, "a short word")
    return value


def words(value: Any, largest: int) -> list[str]:
    """Return a list of words."""
    if not isinstance(value, list) or len(value) > _MAX_SIZES:
        raise _wrong(value, f"a list of at most {_MAX_SIZES} words")
    return [word(part, largest) for part in value]


def word_or_sizes(value: Any, largest: int) -> Any:
    """Return a word where one is given, else sizes: a padding is either."""
    return word(value, largest) if isinstance(value, str) else sizes(value, largest)


def name(value: Any, largest: int) -> str:
    """Return what something is called."""
    if not isinstance(value, str) or len(value) > _MAX_NAME:
        raise _wrong(value, f"a name of at most {_MAX_NAME} characters")
    return value


def equation(value: Any, largest: int) -> str:
    """Return an equation of Einstein's, or a pattern of axes."""
    if not isinstance(value, str) or not _EQUATION.fullmatch(value):
        raise _wrong(value, "an equation such as 'ab,bc->ac'")
    return value


def dtype(value: Any, largest: int) -> str:
    """Return the name of a dtype."""
    if value not in DTYPES:
        raise _wrong(value, f"one of {', '.join(sorted(DTYPES))}")
    return str(value)


def nothing(value: Any, largest: int) -> None:
    """Refuse everything but None: what it stands for is not read from files."""
    raise UnsafeFileError(f"is {value!r:.80}, which is not read from files")


def _check_bits(value: Any) -> None:
    if isinstance(value, int) and abs(value) >= 2**_MAX_BITS:
        raise UnsafeFileError(f"asks for a number of {math.floor(math.log2(abs(value)))} bits; {_MAX_BITS} are allowed")


def _wrong(value: Any, expected: str) -> TypeError:
    return TypeError(f"is {value!r:.80}, not {expected}")


OBJECTS = {
    "activation": ("activation", "recurrent_activation"),
    "initializer": (
        *("kernel_initializer", "recurrent_initializer", "bias_initializer", "beta_initializer"),
        *("gamma_initializer", "moving_mean_initializer", "moving_variance_initializer"),
        *("depthwise_initializer", "pointwise_initializer", "embeddings_initializer", "alpha_initializer"),
    ),
    "regularizer": (
        *("kernel_regularizer", "recurrent_regularizer", "bias_regularizer", "activity_regularizer"),
        *("beta_regularizer", "gamma_regularizer", "depthwise_regularizer", "pointwise_regularizer"),
        *("embeddings_regularizer", "alpha_regularizer"),
    ),
    "constraint": (
        *("kernel_constraint", "recurrent_constraint", "bias_constraint", "beta_constraint"),
        *("gamma_constraint", "depthwise_constraint", "pointwise_constraint", "embeddings_constraint"),
        "alpha_constraint",
    ),
    "layer": ("layer", "backward_layer", "cell"),
    "layers": ("cells",),
    "policy": ("dtype",),
    "seed": ("seed",),
    "rate": ("learning_rate",),
    "optimizer": ("inner_optimizer",),
}
"""Arguments that are objects of their own, by what they must be."""

OBJECT_OF = {argument: kind for kind, arguments in OBJECTS.items() for argument in arguments}

PLAIN: dict[Rule, tuple[str, ...]] = {
    name: ("name",),
    flag: (
        *("trainable", "use_bias", "center", "synchronized", "renorm", "rms_scaling", "use_scale", "use_gate"),
        *("return_sequences", "return_state", "go_backwards", "stateful", "unroll", "unit_forget_bias"),
        *("reset_after", "zero_output_for_mask", "keepdims", "sparse", "ragged", "optional", "mask_zero"),
        *("tie_weights", "invert", "normalize", "crop_to_aspect_ratio", "pad_to_aspect_ratio", "antialias"),
        *("all_ops", "power_to_db", "expand_dims", "periodic", "flash_attention"),
        *("amsgrad", "nesterov", "centered", "use_ema", "relative_step", "exclude_embeddings"),
        *("staircase", "cycle"),
    ),
    number: (
        *("rate", "dropout", "recurrent_dropout", "stddev", "alpha", "negative_slope", "max_value", "min_value"),
        *("threshold", "momentum", "epsilon", "renorm_momentum", "l1", "l2", "logit_soft_cap", "clip_limit"),
        *("sampling_rate", "min_freq", "max_freq", "top_db", "mag_exp", "min_power", "ref_power"),
        *("minval", "maxval", "gain", "beta_1", "beta_2", "rho", "weight_decay", "clipnorm", "clipvalue"),
        *("global_clipnorm", "ema_momentum", "loss_scale_factor", "beta_2_decay", "epsilon_1", "epsilon_2"),
        *("clip_threshold", "initial_accumulator_value", "learning_rate_power", "l1_regularization_strength"),
        *("l2_regularization_strength", "l2_shrinkage_regularization_strength", "beta", "initial_scale"),
        *("adam_beta_1", "adam_beta_2", "adam_weight_decay", "muon_a", "muon_b", "muon_c", "adam_lr_ratio"),
        *("rms_rate", "initial_learning_rate", "decay_rate", "end_learning_rate", "power", "warmup_target"),
        *("t_mul", "m_mul", "decay_steps", "first_decay_steps", "lora_alpha"),
    ),
    whole: (*("ema_overwrite_frequency", "gradient_accumulation_steps", "dynamic_growth_steps", "warmup_steps"),),
    any_number: ("mask_value",),
    numbers: (
        *("factor", "value_range", "offset", "mean", "variance", "value", "fill_value", "sigma"),
        *("height_factor", "width_factor", "x_factor", "y_factor", "brightness_factor", "contrast_factor"),
        *("saturation_factor", "hue_factor", "addition_factor", "threshold_factor"),
        *("bin_boundaries", "boundaries", "values"),
    ),
    flag_or_numbers: ("scale",),
    limits: ("renorm_clipping",),
    size: (
        *("units", "filters", "input_dim", "output_dim", "n", "num_tokens", "height", "width", "max_number"),
        *("num_heads", "key_dim", "value_dim", "head_dim", "num_query_heads", "num_key_value_heads"),
        *("sliding_window", "groups", "depth_multiplier", "num_bins", "bins", "fft_length", "frame_length"),
        *("frame_step", "sequence_stride", "sequence_length", "num_mel_bins", "lora_rank"),
    ),
    repeats: ("num_chains", "chain_depth", "num_ops", "power_iterations", "ns_steps"),
    sizes: (
        *("kernel_size", "pool_size", "strides", "dilation_rate", "output_padding", "output_size", "size"),
        *("cropping", "target_shape", "dims", "output_shape", "noise_shape", "batch_shape", "axis", "axes"),
        *("attention_axes", "shared_axes", "input_axes", "output_axes", "tile_grid_size"),
    ),
    word_or_sizes: ("padding",),
    whole_numbers: ("salt",),
    word: (
        *("data_format", "interpolation", "fill_mode", "output_mode", "merge_mode", "score_mode", "mode"),
        *("distribution", "window", "scaling", "side", "bias_axes"),
    ),
    words: ("exclude_layers",),
    equation: ("equation",),
    dtype: ("reverse_dtype",),
    nothing: (*("weights", "quantization_config", "gptq_unpacked_column_size"),),
}

RULE_OF = {argument: rule for rule, arguments in PLAIN.items() for argument in arguments}

ALWAYS = ("name", "trainable", "dtype", "activity_regularizer")
"""Arguments that every layer takes."""

BY_KEYWORDS = {
    "AdditiveAttention": ("seed",),
    "ConvLSTM1D": ("unroll", "zero_output_for_mask"),
    "ConvLSTM2D": ("unroll", "zero_output_for_mask"),
    "ConvLSTM3D": ("unroll", "zero_output_for_mask"),
    "GRU": ("zero_output_for_mask",),
    "LSTM": ("zero_output_for_mask",),
    "SimpleRNN": ("zero_output_for_mask",),
    "LayerNormalization": ("rms_scaling",),
    "ReversibleEmbedding": ("quantization_config",),
    **dict.fromkeys(
        ("AutoContrast", "MaxNumBoundingBoxes", "RandomBrightness", "RandomContrast", "Solarization"), ("data_format",)
    ),
}
"""Arguments that a class takes and saves without naming them in its constructor."""

OWN_RULES: dict[str, dict[str, Rule]] = {
    "Hashing": {"mask_value": name},
}
"""Where an argument of one class is another thing than its name says elsewhere."""
