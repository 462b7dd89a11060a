"""What each argument of Keras's layers, initializers, optimizers and so on may be, by its name.

A saved object is rebuilt by its constructor. An argument that is not here is refused, whatever the
constructor takes; where a name means another thing in one class, ``OWN_RULES`` says so.
"""

from __future__ import annotations

from tensor_optix.adapters.tensorflow.saving.architectures import rules
from tensor_optix.adapters.tensorflow.saving.architectures.rules import Rule

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

_PLAIN: dict[Rule, tuple[str, ...]] = {
    rules.name: ("name",),
    rules.flag: (
        *("trainable", "use_bias", "center", "synchronized", "renorm", "rms_scaling", "use_scale", "use_gate"),
        *("return_sequences", "return_state", "go_backwards", "stateful", "unroll", "unit_forget_bias"),
        *("reset_after", "zero_output_for_mask", "keepdims", "sparse", "ragged", "optional", "mask_zero"),
        *("tie_weights", "invert", "normalize", "crop_to_aspect_ratio", "pad_to_aspect_ratio", "antialias"),
        *("all_ops", "power_to_db", "expand_dims", "periodic", "flash_attention"),
        *("amsgrad", "nesterov", "centered", "use_ema", "relative_step", "exclude_embeddings"),
        *("staircase", "cycle"),
    ),
    rules.number: (
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
    rules.whole: (*("ema_overwrite_frequency", "gradient_accumulation_steps", "dynamic_growth_steps", "warmup_steps"),),
    rules.any_number: ("mask_value",),
    rules.numbers: (
        *("factor", "value_range", "offset", "mean", "variance", "value", "fill_value", "sigma"),
        *("height_factor", "width_factor", "x_factor", "y_factor", "brightness_factor", "contrast_factor"),
        *("saturation_factor", "hue_factor", "addition_factor", "threshold_factor"),
        *("bin_boundaries", "boundaries", "values"),
    ),
    rules.flag_or_numbers: ("scale",),
    rules.limits: ("renorm_clipping",),
    rules.size: (
        *("units", "filters", "input_dim", "output_dim", "n", "num_tokens", "height", "width", "max_number"),
        *("num_heads", "key_dim", "value_dim", "head_dim", "num_query_heads", "num_key_value_heads"),
        *("sliding_window", "groups", "depth_multiplier", "num_bins", "bins", "fft_length", "frame_length"),
        *("frame_step", "sequence_stride", "sequence_length", "num_mel_bins", "lora_rank"),
    ),
    rules.repeats: ("num_chains", "chain_depth", "num_ops", "power_iterations", "ns_steps"),
    rules.sizes: (
        *("kernel_size", "pool_size", "strides", "dilation_rate", "output_padding", "output_size", "size"),
        *("cropping", "target_shape", "dims", "output_shape", "noise_shape", "batch_shape", "axis", "axes"),
        *("attention_axes", "shared_axes", "input_axes", "output_axes", "tile_grid_size"),
    ),
    rules.word_or_sizes: ("padding",),
    rules.whole_numbers: ("salt",),
    rules.word: (
        *("data_format", "interpolation", "fill_mode", "output_mode", "merge_mode", "score_mode", "mode"),
        *("distribution", "window", "scaling", "side", "bias_axes"),
    ),
    rules.words: ("exclude_layers",),
    rules.equation: ("equation",),
    rules.dtype: ("reverse_dtype",),
    rules.nothing: (*("weights", "quantization_config", "gptq_unpacked_column_size"),),
}

RULE_OF = {argument: rule for rule, arguments in _PLAIN.items() for argument in arguments}

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
    "Hashing": {"mask_value": rules.name},
}
"""Where an argument of one class is another thing than its name says elsewhere."""
