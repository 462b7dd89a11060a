"""Cells of Keras in NumPy, against Keras."""

import keras
import numpy as np
import pytest
from helpers.memory_makers import counting_model, gru_model, lstm_layer_model, randomized
from keras import layers as kl

from tensor_optix.adapters.tensorflow.acting.fast_policy import compile_forward


def cell_model(cell, *, as_layer=False, num_states=1):
    seen, states = keras.Input((4,)), [keras.Input((6,)) for _ in range(num_states)]
    if as_layer:
        y, *after = cell(kl.Reshape((1, 4))(seen), initial_state=states if num_states > 1 else states[0])
    else:
        y, after = cell(seen, states)
        after = keras.tree.flatten(after)
    return randomized(keras.Model([seen, *states], [kl.Dense(3)(kl.Flatten()(y)), *after]))


RECOGNISED = {
    "gru": lambda: gru_model(),
    "gru, reset before": lambda: cell_model(kl.GRUCell(6, reset_after=False)),
    "gru without bias": lambda: cell_model(kl.GRUCell(6, use_bias=False)),
    "gru, other activations": lambda: cell_model(kl.GRUCell(6, activation=None, recurrent_activation="hard_sigmoid")),
    "gru layer": lambda: cell_model(kl.GRU(6, return_state=True), as_layer=True),
    "gru layer that gives a sequence": lambda: cell_model(
        kl.GRU(6, return_state=True, return_sequences=True), as_layer=True
    ),
    "lstm": lambda: cell_model(kl.LSTMCell(6), num_states=2),
    "lstm, other activations": lambda: cell_model(kl.LSTMCell(6, activation=None, use_bias=False), num_states=2),
    "lstm layer": lstm_layer_model,
}


@pytest.mark.parametrize("kind", RECOGNISED)
def test_recognised_cells_give_what_keras_gives(kind):
    model = RECOGNISED[kind]()
    forward = compile_forward(model)
    assert forward.kind == "numpy"
    rng = np.random.default_rng(1)
    given = [rng.normal(size=(5, *x.shape[1:])).astype(np.float32) for x in model.inputs]
    expected = [np.asarray(y) for y in model([keras.ops.convert_to_tensor(x) for x in given])]
    for found, wanted in zip(forward(tuple(given)), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=2e-6)
    for found, wanted in zip(forward.one(tuple(x[2] for x in given)), expected, strict=True):
        np.testing.assert_allclose(found, wanted[2], rtol=1e-5, atol=2e-6)


def test_a_refreshed_cell_has_the_new_weights():
    model = cell_model(kl.GRUCell(6))
    forward, given = compile_forward(model), (np.ones(4, np.float32), np.ones(6, np.float32))
    before = forward.one(given)[1]
    randomized(model, seed=9)
    forward.refresh()
    expected = model([keras.ops.convert_to_tensor(x[None]) for x in given])
    assert not np.allclose(before, expected[1][0])
    np.testing.assert_allclose(forward.one(given)[1], expected[1][0], rtol=1e-5, atol=1e-6)


def test_layers_on_several_steps_and_cells_that_are_not_known_are_traced():
    seen, state = keras.Input((4,)), keras.Input((6,))
    y, after = kl.GRU(6, return_state=True)(kl.Reshape((2, 2))(seen), initial_state=state)
    assert compile_forward(keras.Model([seen, state], [kl.Dense(3)(y), after])).kind == "traced"
    y, after = kl.SimpleRNNCell(6)(seen, state)
    assert compile_forward(keras.Model([seen, state], [kl.Dense(3)(y), after])).kind == "traced"
    y, after = kl.GRU(6, return_state=True)(kl.Reshape((1, 4))(seen))  # its states are zeros each time
    assert compile_forward(keras.Model([seen], [kl.Dense(3)(y), after])).kind == "traced"
    assert compile_forward(counting_model()).kind == "traced"
