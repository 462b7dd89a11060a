"""Whole models in NumPy, of any graph, against Keras itself."""

from functools import partial

import keras
import numpy as np
import pytest
from acting_checks import ACTIVATIONS, assert_close, assert_matches, draw, oracle, randomize, two_inputs
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers as kl

from tensor_optix.adapters.tensorflow.acting.fast_policy import compile_forward

FEW = settings(max_examples=15, deadline=None, derandomize=True)

widths = st.integers(2, 9)
activations = st.sampled_from(ACTIVATIONS)
hidden_layers = st.one_of(
    st.builds(partial, st.just(kl.Dense), widths, activation=activations, use_bias=st.booleans()),
    st.builds(partial, st.just(kl.Activation), activations),
    st.builds(partial, st.just(kl.ELU), st.floats(0.1, 2.0)),
    st.builds(partial, st.just(kl.LayerNormalization), center=st.booleans(), scale=st.booleans()),
    st.builds(partial, st.just(kl.BatchNormalization), center=st.booleans(), scale=st.booleans()),
    st.builds(partial, st.just(kl.Rescaling), st.floats(-2, 2), st.floats(-2, 2)),
    st.sampled_from([kl.PReLU, kl.ReLU, kl.LeakyReLU, kl.Softmax, kl.Identity, partial(kl.Dropout, 0.5)]),
)
"""Makers of layers: Keras draws from global generators, so none may run inside a strategy."""


def assert_runs_in_numpy(model, seed):
    randomize(model, seed)
    forward = compile_forward(model)
    assert forward.kind == "numpy"
    assert_matches(forward, model, seed=seed)
    randomize(model, seed + 1)
    forward.refresh()
    assert_matches(forward, model, seed=seed)


@FEW
@given(stack=st.lists(hidden_layers, min_size=1, max_size=5), size=widths, outputs=widths, seed=st.integers(0, 999))
def test_random_sequential_models(stack, size, outputs, seed):
    layers = [keras.Input((size,)), *(make() for make in stack), kl.Dense(outputs)]
    assert_runs_in_numpy(keras.Sequential(layers), seed)


MERGES = [kl.Add, kl.Subtract, kl.Multiply, kl.Average, kl.Maximum, kl.Minimum]


def grow_graph(draw_from):
    """Grow a graph of random branches: each new tensor comes from one or two earlier ones."""
    width = draw_from(widths)
    inputs = [keras.Input((draw_from(widths),)) for _ in range(draw_from(st.integers(1, 3)))]
    shared = kl.Dense(width, activation=draw_from(activations))
    tensors = [shared(kl.Dense(width)(x)) for x in inputs]
    for _ in range(draw_from(st.integers(1, 5))):
        x, y = (tensors[draw_from(st.integers(0, len(tensors) - 1))] for _ in range(2))
        kind = draw_from(st.sampled_from(["layer", "shared", "nested", "merge", "concatenate"]))
        if kind == "layer":
            grown = kl.Dense(width, activation=draw_from(activations))(draw_from(hidden_layers)()(x))
        elif kind == "shared":
            grown = shared(x)
        elif kind == "nested":
            grown = keras.Sequential([keras.Input((width,)), draw_from(hidden_layers)(), kl.Dense(width)])(x)
        elif kind == "merge":
            grown = kl.LayerNormalization()(draw_from(st.sampled_from(MERGES))()([x, y]))
        else:
            grown = kl.Dense(width)(kl.Concatenate()([x, y, x]))
        tensors.append(grown)
    outputs = [kl.Dense(draw_from(widths))(x) for x in tensors[-draw_from(st.integers(1, 2)) :]]
    return keras.Model(*(x if len(x) > 1 else x[0] for x in (inputs, outputs)))


@FEW
@given(data=st.data(), seed=st.integers(0, 999))
def test_random_functional_models(data, seed):
    assert_runs_in_numpy(grow_graph(data.draw), seed)


def test_dropout_called_for_training_is_off_when_acting():
    inputs = keras.Input((4,))
    model = randomize(keras.Model(inputs, kl.Dense(2)(kl.Dropout(0.5)(inputs, training=True))))
    forward = compile_forward(model)
    assert forward.kind == "numpy"
    assert_matches(forward, model)


def test_nested_functional_models_share_weights():
    inputs = keras.Input((4,))
    trunk = keras.Model(inputs, [kl.Dense(6, "tanh")(inputs), kl.Dense(5)(inputs)])
    first, second = trunk(kl.Rescaling(2.0)(inputs)), trunk(inputs)
    model = randomize(keras.Model(inputs, kl.Dense(2)(kl.Concatenate()([*first, *second]))))
    forward = compile_forward(model)
    assert forward.kind == "numpy"
    assert_matches(forward, model)


@pytest.mark.parametrize("structure", ["dict", "list"])
def test_dict_observations_and_several_outputs(structure):
    model = two_inputs(structure)
    forward = compile_forward(model)
    assert forward.kind == "numpy"
    rng = np.random.default_rng(0)
    place, speed = rng.normal(size=(5, 3)).astype("f"), rng.normal(size=(5, 2)).astype("f")
    observations = {"place": place, "speed": speed, "unused": place}
    fed = {"place": place, "speed": speed} if structure == "dict" else [place, speed]
    expected = oracle(model, fed)
    assert_close(forward(observations), expected)
    assert_close(forward.one({"speed": speed[2], "place": place[2]}), [y[2] for y in expected])


def test_tuple_observations():
    model = two_inputs("list")
    forward = compile_forward(model)
    parts = draw(model, 3)
    assert_close(forward(tuple(parts)), oracle(model, parts))
    assert_close(forward.one(tuple(x[0] for x in parts)), [y[0] for y in oracle(model, parts)])


def test_an_input_without_dimensions():
    inputs = keras.Input(())
    model = randomize(keras.Model(inputs, kl.Dense(2)(kl.Reshape((1,))(inputs))))
    forward = compile_forward(model)
    assert forward.kind == "numpy"
    x = np.array([1.0, -2.0, 0.5], np.float32)
    assert_close(forward(x), oracle(model, x))
    assert_close(forward.one(-2.0), [oracle(model, x)[0][1]])
