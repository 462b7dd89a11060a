"""One example of every layer of Keras's that a file may ask for, in a model, with an input for it."""

import inspect

import keras
import numpy as np
from keras import layers

from tensor_optix.adapters.tensorflow.saving.architectures.rebuild import Rebuilder, configs_of

VECTOR, SEQUENCE, IMAGE, VOLUME = (4,), (6, 4), (8, 8, 3), (4, 4, 4, 2)
IMAGE_LAYERS = """
    AugMix AutoContrast CenterCrop ContrastLimitedAdaptiveHistogramEqualization CutMix MixUp RandAugment
    RandomBrightness RandomColorDegeneration RandomColorJitter RandomContrast RandomCrop
    RandomElasticTransform RandomErasing RandomFlip RandomGaussianBlur RandomGrayscale RandomHue
    RandomInvert RandomPerspective RandomPosterization RandomRotation RandomSaturation RandomSharpness
    RandomShear RandomTranslation RandomZoom Resizing Solarization
"""
SHAPES = {
    **dict.fromkeys(IMAGE_LAYERS.split(), IMAGE),
    **dict.fromkeys(("Bidirectional", "GRU", "LSTM", "SimpleRNN", "RNN", "TimeDistributed", "Masking"), SEQUENCE),
    "ConvLSTM1D": (3, 6, 2),
    "ConvLSTM2D": (3, 6, 6, 2),
    "ConvLSTM3D": (3, 4, 4, 4, 2),
    "MelSpectrogram": (1000,),
    "STFTSpectrogram": (1000, 1),
}
MERGING = ("Dot", "Add", "Average", "Concatenate", "Maximum", "Minimum", "Multiply", "Subtract")
MERGING += ("Attention", "AdditiveAttention")
CELLS = ("GRUCell", "LSTMCell", "SimpleRNNCell", "StackedRNNCells")
INTEGERS = ("Embedding", "ReversibleEmbedding", "CategoryEncoding", "Hashing", "Discretization")
NOT_IN_A_GRAPH = ("InputLayer", "Equalization", "MaxNumBoundingBoxes")
"""Layers that Keras itself makes no functional model of, or that take nothing but a certain dict."""
RANDOM_EVERY_TIME = ("AugMix",)

NEEDED = {
    **{"rate": 0.2, "activation": "relu", "output_size": 2, "pool_size": 2, "filters": 2, "kernel_size": 2},
    **{"units": 2, "height": 2, "width": 2, "num_tokens": 3, "axes": 1, "equation": "ab,bc->ac", "output_shape": 3},
    **{"input_dim": 3, "output_dim": 2, "head_dim": 2, "num_query_heads": 2, "num_key_value_heads": 1},
    **{"num_bins": 3, "max_number": 3, "num_heads": 2, "key_dim": 2, "dims": (1,), "factor": 0.2, "n": 2},
    **{"height_factor": 0.1, "width_factor": 0.1, "scale": 2.0, "target_shape": (4, 1), "stddev": 0.1},
}
OWN = {
    "Discretization": {"bin_boundaries": [0.0, 1.0]},
    "RandomPosterization": {"factor": 3},
    "CategoryEncoding": {"num_tokens": 3},
    "GroupNormalization": {"groups": 2},
    "MelSpectrogram": {"fft_length": 256, "sequence_stride": 128},
    "InputLayer": {"shape": (4,)},
}


def make_layer(name):
    """Return a layer of this class, with the largest seed where it takes one."""
    found, given = getattr(layers, name), dict(OWN.get(name, {}))
    for argument, parameter in inspect.signature(found.__init__).parameters.items():
        is_needed = parameter.default is inspect.Parameter.empty and parameter.kind == parameter.POSITIONAL_OR_KEYWORD
        if argument == "seed":
            given[argument] = 2**31 - 1
        elif argument == "self" or argument in given or not is_needed:
            continue
        elif argument == "layer":
            given[argument] = layers.LSTM(2) if name == "Bidirectional" else layers.Dense(2)
        elif argument == "cell":
            given[argument] = layers.GRUCell(2)
        elif argument == "cells":
            given[argument] = [layers.GRUCell(2), layers.LSTMCell(2)]
        else:
            given[argument] = NEEDED[argument]
    return found(**given)


def shape_for(name):
    """Return the shape of one example for a layer of this class."""
    by_dimension = {"1D": SEQUENCE, "2D": IMAGE, "3D": VOLUME}
    return SHAPES.get(name, by_dimension.get(name[-2:], by_dimension.get(name.removesuffix("Transpose")[-2:], VECTOR)))


def model_with(name):
    """Return a functional model around the layer, and two examples for it."""
    made, rng = make_layer(name), np.random.default_rng(0)
    if name in MERGING or name in ("MultiHeadAttention", "GroupQueryAttention", "HashedCrossing"):
        shape, dtype = ((), "int32") if name == "HashedCrossing" else (SEQUENCE, "float32")
        inputs = [keras.Input(shape, dtype=dtype) for _ in range(2)]
        outputs = made(*inputs) if name.endswith("Attention") and name not in MERGING else made(inputs)
        return keras.Model(inputs, outputs), [rng.random((2, *shape)).astype(dtype) for _ in inputs]
    if name in CELLS:
        made, name = layers.RNN(made), "RNN"
    shape, dtype = ((2,), "int32") if name in INTEGERS else (shape_for(name), "float32")
    inputs = keras.Input(shape, dtype=dtype)
    return keras.Model(inputs, made(inputs)), rng.random((2, *shape)).astype(dtype)


def config_of(thing):
    """Return the Keras configuration of one model or optimizer as JSON, None where a subclass gives none."""
    return configs_of({"": thing})[""]


def build_from_config(text, custom_objects, demands):
    """Return the Keras model or optimizer that :func:`config_of` described."""
    return Rebuilder(custom_objects, demands).build(text)
