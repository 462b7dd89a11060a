"""What running a model once would take, worked out from its graph: held against sums done by hand."""

import math

import keras
import pytest
import tensorflow as tf
from keras import layers, ops

from tensor_optix.adapters.tensorflow.saving.costs import multiplications, result_bytes


def traced(model):
    spec = tf.TensorSpec((1, *model.input_shape[1:]))
    return tf.function(lambda x: model(x, training=False), autograph=False).get_concrete_function(spec).graph


def graph_of(shape, function):
    inputs = keras.Input(shape)
    return traced(keras.Model(inputs, function(inputs)))


@pytest.mark.parametrize(
    ("shape", "layer", "expected"),
    [
        ((10,), layers.Dense(3), 10 * 3),
        ((8, 8, 2), layers.Conv2D(5, 3, padding="same"), 64 * 5 * 9 * 2),
        ((20, 4), layers.LSTM(3), 20 * 4 * 3 * (4 + 3)),
        ((20, 4), layers.GRU(3), 20 * 3 * 3 * (4 + 3)),
        ((20, 4), layers.Bidirectional(layers.SimpleRNN(3)), 2 * 20 * 3 * (4 + 3)),
        ((7, 8, 8, 1), layers.ConvLSTM2D(3, 3, padding="same"), 7 * 64 * 9 * 4 * 3 * (1 + 3)),
        ((100, 4), layers.AveragePooling1D(30, strides=1, padding="same"), 100 * 4 * 30),
        ((9, 9, 4), layers.MaxPooling2D(5, strides=1, padding="same"), 81 * 4 * 25),
    ],
)
def test_multiplications_are_counted_in_every_turn_of_a_loop(shape, layer, expected):
    found = multiplications(graph_of(shape, layer))
    assert expected <= found <= 1.3 * expected + 200


def test_singular_values_take_as_long_as_their_matrices_are_narrow():
    graph = graph_of((40, 60), lambda x: ops.norm(x, ord="nuc", axis=[1, 2], keepdims=True))
    assert multiplications(graph) == 20 * 40 * 60 * 40


def test_sorting_takes_longer_than_it_looks():
    assert multiplications(graph_of((1000,), lambda x: ops.sort(x, axis=1))) == pytest.approx(1e5 * math.log2(1001))


def test_memory_is_that_of_one_turn():
    short, long = (result_bytes(graph_of((steps, 4), layers.LSTM(3))) for steps in (2, 2002))
    assert 2000 * 4 * 4 <= long - short < 5 * 2000 * 4 * 4
