"""Cells along many steps, and their gradients, against the cells themselves."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.memory_makers import gru_model, lstm_layer_model
from keras import layers as kl

from tensor_optix.adapters.tensorflow.models.memory_models import memory_of
from tensor_optix.adapters.tensorflow.recurrent import fused_cells
from tensor_optix.adapters.tensorflow.recurrent.stepped_model import SteppedModel

LENGTH, WIDTH, SIZE, UNITS = 7, 4, 3, 5
KINDS = {"gru": (kl.GRUCell, fused_cells.gru, 1), "lstm": (kl.LSTMCell, fused_cells.lstm, 2)}


def step_by_step(cell, seen, first, states):
    kept = []
    for t in range(LENGTH):
        states = [tf.where(first[t][:, None], 0.0, state) for state in states]
        states = keras.tree.flatten(cell(seen[t], states)[1])
        kept.append(states)
    return [tf.stack(x) for x in zip(*kept, strict=True)]


@pytest.mark.parametrize("kind", KINDS)
def test_states_and_all_gradients_are_those_of_the_cell_called_at_each_step(kind):
    make, run, num_states = KINDS[kind]
    rng, cell = np.random.default_rng(0), make(UNITS)
    cell.build((None, SIZE))
    for variable in cell.trainable_variables:
        variable.assign(0.7 * rng.normal(size=variable.shape))
    draw = lambda *shape: tf.constant(rng.normal(size=shape), tf.float32)  # noqa: E731
    seen, first = draw(LENGTH, WIDTH, SIZE), tf.constant(rng.random((LENGTH, WIDTH)) < 0.3)
    states = [draw(WIDTH, UNITS) for _ in range(num_states)]
    weights = [draw(LENGTH, WIDTH, UNITS) for _ in range(num_states)]
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([seen, *states])
        keeps = tf.cast(~first, tf.float32)[:, :, None]
        parts = [tf.convert_to_tensor(x) for x in (cell.kernel, cell.recurrent_kernel, cell.bias)]
        found, expected = run(seen, keeps, *parts, *states), step_by_step(cell, seen, first, states)
        totals = [tf.add_n([tf.reduce_sum(x * w) for x, w in zip(y, weights, strict=True)]) for y in (found, expected)]
    for x, y in zip(found, expected, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)
    for source in [seen, *states, *(variable.value for variable in cell.trainable_variables)]:
        own, wanted = (tape.gradient(total, source) for total in totals)
        np.testing.assert_allclose(own, wanted, rtol=1e-4, atol=1e-5)


def stepped(model):
    return SteppedModel(memory_of(model, np.zeros(4, np.float32)))


def test_only_a_usual_cell_between_states_and_new_states_is_fused():
    def model_of(cell, between=lambda x: x, beside=lambda y, state: y):
        seen, state = keras.Input((4,)), keras.Input((6,))
        y, after = cell(seen, between(state))
        y = beside(y, state)
        return keras.Model([seen, state], [kl.Dense(3)(y), kl.Dense(1)(y), after])

    assert stepped(gru_model())._fused is not None
    assert stepped(gru_model(skip=True))._fused is not None
    others = [
        model_of(kl.GRUCell(6, reset_after=False)),
        model_of(kl.GRUCell(6, activation="relu")),
        model_of(kl.GRUCell(6, use_bias=False)),
        model_of(kl.SimpleRNNCell(6)),
        model_of(kl.GRUCell(6), between=kl.Rescaling(0.5)),
        model_of(kl.GRUCell(6), beside=lambda y, state: kl.Concatenate()([y, state])),
        lstm_layer_model(),
    ]
    assert [stepped(model)._fused for model in others] == [None] * len(others)
