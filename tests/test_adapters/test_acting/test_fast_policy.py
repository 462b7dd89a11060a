"""The NumPy forward pass against Keras itself: `model(x, training=False)` is the oracle throughout."""

import threading
from functools import partial

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers as kl

from tensor_optix.adapters.tensorflow.acting import forward as forward_passes
from tensor_optix.adapters.tensorflow.acting.fast_policy import compile_forward
from tensor_optix.exceptions import IncompatibleModelError, NotBoundError

FEW = settings(max_examples=15, deadline=None, derandomize=True)

ACTIVATIONS = [
    *["linear", "relu", "relu6", "leaky_relu", "elu", "selu", "celu", "tanh", "hard_tanh", "tanh_shrink", "sigmoid"],
    *["log_sigmoid", "hard_sigmoid", "softplus", "softsign", "silu", "swish", "hard_silu", "mish", "gelu", "softmax"],
    *["log_softmax"],
]


def randomize(model, seed=0):
    """Give every variable, moving statistics included, a value that shows when it is not used."""
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        if "seed" in variable.path:
            continue
        value = rng.normal(size=variable.shape) * 0.5
        variable.assign(np.abs(value) + 0.1 if "variance" in variable.path else value)
    return model


def oracle(model, observations):
    outputs = keras.tree.flatten(model(observations, training=False))
    return [np.asarray(y) for y in outputs]


def draw(model, batch_size, seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    return [(scale * rng.normal(size=(batch_size, *x.shape[1:]))).astype(np.float32) for x in model.inputs]


def assert_close(actual, expected):
    actual = list(actual) if isinstance(actual, tuple) else [actual]
    assert len(actual) == len(expected)
    for x, y in zip(actual, expected, strict=True):
        assert x.dtype == np.float32
        largest = np.abs(y[np.isfinite(y)]).max(initial=0)
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-5 * (1 + largest))


def assert_matches(forward, model, *, seed=1):
    for batch_size, scale in [(1, 1.0), (3, 0.1), (8, 5.0)]:
        parts = draw(model, batch_size, seed, scale)
        observations = parts[0] if len(parts) == 1 else parts
        expected = oracle(model, observations)
        assert_close(forward(observations), expected)
        single = parts[0][0] if len(parts) == 1 else [x[0] for x in parts]
        assert_close(forward.one(single), [y[0] for y in expected])


def mlp(*, hidden=8, outputs=3, activation="tanh"):
    stack = [keras.Input((4,)), kl.Dense(hidden, activation), kl.Dense(hidden, activation), kl.Dense(outputs)]
    return randomize(keras.Sequential(stack))


@pytest.mark.parametrize("name", [*ACTIVATIONS, "exponential"])
def test_every_activation_runs_in_numpy_as_in_keras(name):
    model = randomize(keras.Sequential([keras.Input((5,)), kl.Dense(7, activation=name)]))
    forward = compile_forward(model)
    assert forward.kind == "numpy"
    assert_matches(forward, model)
    wide = np.linspace(-120, 120, 40, dtype=np.float32).reshape(8, 5)
    with np.errstate(all="raise", under="ignore"):
        assert_close(forward(wide), oracle(model, wide))


@pytest.mark.parametrize(
    "layer",
    [
        kl.ReLU(),
        kl.ReLU(max_value=1.5),
        kl.ReLU(negative_slope=0.3),
        kl.LeakyReLU(negative_slope=0.1),
        kl.LeakyReLU(negative_slope=2.0),
        kl.ELU(alpha=0.5),
        kl.PReLU(),
        kl.Softmax(),
        kl.Activation("gelu"),
        kl.Activation("linear"),
        kl.Rescaling(0.25, offset=-1.0),
        kl.Rescaling([0.5, 2.0, 1.0, 3.0, 0.1], offset=[0.0, 1.0, 2.0, 3.0, 4.0]),
        kl.Normalization(mean=[1.0, 2.0, 3.0, 4.0, 5.0], variance=[4.0, 1.0, 0.5, 2.0, 0.0]),
        kl.LayerNormalization(),
        kl.LayerNormalization(center=False, scale=False, epsilon=0.1),
        kl.BatchNormalization(),
        kl.BatchNormalization(center=False, scale=False, epsilon=0.1),
        kl.Dropout(0.5),
        kl.GaussianNoise(1.0),
        kl.Identity(),
        kl.Dense(4, activation=kl.LeakyReLU(negative_slope=0.4)),
        kl.Dense(4, use_bias=False),
    ],
    ids=lambda layer: layer.name,
)
def test_every_plain_layer_runs_in_numpy_as_in_keras(layer):
    model = keras.Sequential([keras.Input((5,)), layer, kl.Dense(3)])
    randomize(model)
    forward = compile_forward(model)
    assert forward.kind == "numpy"
    assert_matches(forward, model)


@pytest.mark.parametrize(
    "layer",
    [
        kl.Dense(4, "softmax"),
        kl.Softmax(),
        kl.LayerNormalization(),
        kl.LayerNormalization(axis=2),
        kl.BatchNormalization(axis=1),
        kl.BatchNormalization(axis=2),
        kl.PReLU(shared_axes=[1]),
        kl.Reshape((5, -1)),
        kl.Normalization(axis=-1, mean=np.arange(5.0), variance=np.arange(1.0, 6.0)),
    ],
    ids=lambda layer: layer.name,
)
def test_layers_on_sequences_of_vectors(layer):
    model = randomize(keras.Sequential([keras.Input((3, 5)), layer, kl.Flatten(), kl.Dense(2)]))
    forward = compile_forward(model)
    assert forward.kind == "numpy"
    assert_matches(forward, model)


def test_not_a_number_is_not_hidden():
    forward = compile_forward(mlp(activation="relu"))
    assert np.isnan(forward.one(np.array([np.nan, 0, 0, 0]))).all()


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


def test_weights_and_statistics_change_at_refresh_and_not_before():
    model = keras.Sequential([keras.Input((4,)), kl.Dense(8), kl.BatchNormalization(), kl.Dense(2)])
    forward = compile_forward(randomize(model))
    x = np.ones(4, np.float32)
    before = forward.one(x)
    randomize(model, seed=5)
    np.testing.assert_array_equal(forward.one(x), before)
    forward.refresh()
    assert not np.allclose(forward.one(x), before)
    assert_matches(forward, model)


def test_normalization_adapted_again_is_seen_at_refresh():
    rng = np.random.default_rng(0)
    layer = kl.Normalization()
    layer.adapt(rng.normal(3, 2, size=(50, 4)))
    model = keras.Sequential([keras.Input((4,)), layer, kl.Dense(2)])
    forward = compile_forward(model)
    assert forward.kind == "numpy"
    layer.adapt(rng.normal(-5, 7, size=(50, 4)))
    forward.refresh()
    assert_matches(forward, model)


def test_results_are_new_arrays():
    forward = compile_forward(mlp())
    first = forward.one(np.zeros(4))
    kept = first.copy()
    batch = forward(np.zeros((2, 4)))
    kept_batch = batch.copy()
    forward.one(np.ones(4))
    forward(np.ones((2, 4)))
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(batch, kept_batch)


def test_any_number_of_batch_sizes_and_empty_batches():
    model = mlp()
    forward = compile_forward(model)
    for batch_size in [*range(2, 2 + 2 * forward_passes.MAX_PROGRAMS), 2, 1]:
        x = draw(model, batch_size, seed=batch_size)[0]
        assert_close(forward(x), oracle(model, x))
    assert len(forward._programs) == forward_passes.MAX_PROGRAMS
    assert forward(np.zeros((0, 4))).shape == (0, 3)


@pytest.mark.parametrize("make", [np.float32, np.float64, np.int64, np.uint8, list])
def test_observations_of_any_number_type(make):
    model = mlp()
    forward = compile_forward(model)
    plain = np.array([1, 2, 3, 4], np.float32)
    observation = plain.tolist() if make is list else plain.astype(make)
    assert_close(forward.one(observation), [oracle(model, plain[None])[0][0]])
    assert_close(forward([observation, observation]), oracle(model, np.stack([plain, plain])))


def test_bytes_of_an_image():
    stack = [keras.Input((6, 6, 3), dtype="uint8"), kl.Rescaling(1 / 255), kl.Flatten(), kl.Dense(8, "relu")]
    model = randomize(keras.Sequential([*stack, kl.Dense(2)]))
    forward = compile_forward(model)
    assert forward.kind == "numpy"
    images = np.random.default_rng(0).integers(0, 256, (5, 6, 6, 3), dtype=np.uint8)
    assert_close(forward(images), oracle(model, images))
    assert_close(forward.one(images[0]), [oracle(model, images)[0][0]])


def test_bytes_into_a_float_input():
    model = randomize(keras.Sequential([keras.Input((4, 4)), kl.Flatten(), kl.Dense(2)]))
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 4), dtype=np.uint8)
    assert_close(compile_forward(model)(images), oracle(model, images))


@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_discrete_observations_are_looked_up(dtype):
    stack = [keras.Input((1,), dtype=dtype), kl.Embedding(6, 4), kl.Flatten(), kl.Dense(2)]
    model = randomize(keras.Sequential(stack))
    forward = compile_forward(model)
    assert forward.kind == "numpy"
    expected = oracle(model, np.arange(6)[:, None])
    assert_close(forward(np.arange(6)), expected)
    assert_close(forward.one(3), [expected[0][3]])
    assert_close(forward.one(np.int64(5)), [expected[0][5]])
    assert_close(forward.one(np.array([2])), [expected[0][2]])


def test_an_input_without_dimensions():
    inputs = keras.Input(())
    model = randomize(keras.Model(inputs, kl.Dense(2)(kl.Reshape((1,))(inputs))))
    forward = compile_forward(model)
    assert forward.kind == "numpy"
    x = np.array([1.0, -2.0, 0.5], np.float32)
    assert_close(forward(x), oracle(model, x))
    assert_close(forward.one(-2.0), [oracle(model, x)[0][1]])


def two_inputs(structure):
    place, speed = keras.Input((3,), name="place"), keras.Input((2,), name="speed")
    x = kl.Concatenate()([kl.Dense(4, "relu")(place), kl.Dense(3, "tanh")(speed)])
    outputs = [kl.Dense(2)(x), kl.Dense(1)(x)]
    inputs = {"speed": speed, "place": place} if structure == "dict" else [place, speed]
    return randomize(keras.Model(inputs, outputs))


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


def test_nested_functional_models_share_weights():
    inputs = keras.Input((4,))
    trunk = keras.Model(inputs, [kl.Dense(6, "tanh")(inputs), kl.Dense(5)(inputs)])
    first, second = trunk(kl.Rescaling(2.0)(inputs)), trunk(inputs)
    model = randomize(keras.Model(inputs, kl.Dense(2)(kl.Concatenate()([*first, *second]))))
    forward = compile_forward(model)
    assert forward.kind == "numpy"
    assert_matches(forward, model)


def test_a_sequential_model_is_built_from_a_sample():
    model = keras.Sequential([kl.Dense(4, "relu"), kl.Dense(2)])
    forward = compile_forward(model, sample=np.zeros(3))
    assert forward.kind == "numpy"
    assert_matches(forward, model)


def test_a_snapshot_stays_as_it_was():
    model = mlp()
    forward = compile_forward(model)
    x = np.random.default_rng(0).normal(size=(6, 4)).astype("f")
    expected = oracle(model, x)
    snapshot = forward.snapshot()
    randomize(model, seed=3)
    forward.refresh()
    assert snapshot.kind == "numpy"
    assert_close(snapshot(x), expected)
    assert_close(snapshot.one(x[0]), [expected[0][0]])
    assert_close(snapshot.snapshot()(x), expected)
    assert_close(forward(x), oracle(model, x))


def test_a_snapshot_cannot_be_refreshed():
    with pytest.raises(NotBoundError, match="snapshot of a forward pass is frozen"):
        compile_forward(mlp()).snapshot().refresh()


def test_a_snapshot_serves_many_threads_while_the_model_changes():
    model = mlp(hidden=32)
    forward = compile_forward(model)
    snapshot = forward.snapshot()
    x = np.random.default_rng(0).normal(size=(16, 4)).astype("f")
    expected = oracle(model, x)[0]
    wrong = []

    def act(row):
        for _ in range(300):
            if not np.allclose(snapshot.one(x[row]), expected[row], atol=1e-4):
                wrong.append(row)
            if not np.allclose(snapshot(x[: row + 2]), expected[: row + 2], atol=1e-4):
                wrong.append(row)

    threads = [threading.Thread(target=act, args=(row,)) for row in range(4)]
    for thread in threads:
        thread.start()
    for seed in range(20):
        randomize(model, seed)
        forward.refresh()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("shape", [(), (3,), (1,), (4, 1, 1), (2, 4)])
def test_one_observation_of_a_wrong_shape_is_refused(shape):
    with pytest.raises(IncompatibleModelError, match=r"takes .*shape \(4,\), but received"):
        compile_forward(mlp()).one(np.zeros(shape))


@pytest.mark.parametrize("shape", [(), (4,), (2, 3), (2, 4, 4)])
def test_a_batch_of_a_wrong_shape_is_refused(shape):
    with pytest.raises(IncompatibleModelError, match=r"takes .*shape \('batch', 4\), but received"):
        compile_forward(mlp())(np.zeros(shape))


def test_missing_parts_and_unequal_batches_are_refused():
    forward = compile_forward(two_inputs("dict"))
    with pytest.raises(IncompatibleModelError, match=r"parts .*'place'.* but received the keys \['place'\]"):
        forward.one({"place": np.zeros(3)})
    with pytest.raises(IncompatibleModelError, match="object of type ndarray"):
        forward.one(np.zeros(3))
    with pytest.raises(IncompatibleModelError, match=r"hold \[2, 3\] rows|hold \[3, 2\] rows"):
        forward({"place": np.zeros((3, 3)), "speed": np.zeros((2, 2))})


def test_a_model_of_unknown_inputs_needs_a_sample():
    with pytest.raises(NotBoundError, match="pass one observation as sample="):
        compile_forward(keras.Sequential([kl.Dense(2)]))
