"""What has no NumPy form runs as one traced function, and gives what Keras gives."""

import logging
import re
import threading

import keras
import numpy as np
import pytest
from keras import layers as kl

from tensor_optix.adapters.tensorflow.acting.fast_policy import compile_forward
from tensor_optix.adapters.tensorflow.acting.numpy import numpy_layers
from tensor_optix.exceptions import IncompatibleModelError, NotBoundError


class Doubled(kl.Dense):
    def call(self, inputs, training=None):
        return 2 * super().call(inputs)


class Counting(keras.Model):
    """A subclassed model that counts how often its Python code runs."""

    def __init__(self):
        super().__init__()
        self.hidden, self.head = kl.Dense(8, "tanh"), kl.Dense(2)
        self.python_calls = 0

    def call(self, inputs):
        self.python_calls += 1
        return self.head(self.hidden(inputs))


class TwoPart(keras.Model):
    def __init__(self):
        super().__init__()
        self.head = kl.Dense(2)

    def call(self, inputs):
        parts = [inputs["place"], inputs["speed"]] if isinstance(inputs, dict) else list(inputs)
        return {"policy": self.head(keras.ops.concatenate(parts, axis=-1)), "value": parts[0][:, :1]}


class Noisy(keras.Model):
    """Draws noise at inference too, from a seed state of its own."""

    def __init__(self):
        super().__init__()
        self.head = kl.Dense(3)
        self.seeds = keras.random.SeedGenerator(1)

    def call(self, inputs):
        outputs = self.head(inputs)
        return outputs + keras.random.normal(keras.ops.shape(outputs), seed=self.seeds)


def graph_with(call, shape=(4,)):
    inputs = keras.Input(shape)
    return keras.Model(inputs, kl.Dense(2)(kl.Flatten()(call(inputs))))


def with_relu_twin():
    def relu(x):
        return keras.ops.maximum(x, 0.5)

    return graph_with(lambda x: kl.Dense(4, activation=relu)(x))


def lora():
    model = keras.Sequential([keras.Input((4,)), kl.Dense(4)])
    model.layers[0].enable_lora(2)
    model.layers[0].lora_kernel_b.assign(np.ones((2, 4)))
    return model


UNRECOGNISED = {
    "Conv2D": (lambda: graph_with(kl.Conv2D(3, 2), (5, 5, 2)), "Conv2D"),
    "LSTM": (lambda: graph_with(kl.LSTM(3), (5, 2)), "'lstm.*' called with 1 tensors"),
    "layer subclass": (lambda: graph_with(Doubled(4)), "Doubled"),
    "own activation": (with_relu_twin, "activation <function"),
    "activation object": (lambda: graph_with(kl.Dense(4, activation=kl.PReLU())), "as an activation"),
    "raw operation": (lambda: graph_with(lambda x: keras.ops.sin(x)), "Sin"),
    "mixed precision": (lambda: graph_with(kl.Dense(4, dtype="mixed_float16")), "mixed_float16|Cast"),
    "float64 layer": (lambda: graph_with(kl.Dense(4, dtype="float64")), "float64|Cast"),
    "float64 input": (lambda: keras.Sequential([keras.Input((4,), dtype="float64"), kl.Dense(2)]), "dtype float64"),
    "LoRA": (lora, "LoRA"),
    "ReLU threshold": (lambda: graph_with(kl.ReLU(threshold=0.5)), "ReLU"),
    "softmax axis": (lambda: graph_with(kl.Softmax(axis=1), (3, 4)), "as an activation"),
    "rms scaling": (lambda: graph_with(kl.LayerNormalization(axis=[1, 2]), (3, 4)), "with these options"),
    "inverting": (lambda: graph_with(kl.Normalization(mean=1.0, variance=2.0, invert=True)), "inverting"),
    "ranks": (lambda: graph_with(lambda x: kl.Add()([x, kl.Dense(4)(kl.Flatten()(x))]), (4, 4)), "different rank"),
    "masking": (lambda: graph_with(lambda x: kl.Embedding(3, 2, mask_zero=True)(kl.ReLU(max_value=2)(x))), "masking"),
    "channels first": (lambda: graph_with(kl.Flatten(data_format="channels_first"), (2, 3, 4)), "channels-first"),
    "constants": (lambda: graph_with(lambda x: kl.Add()([x, np.ones((1, 4), "f")])), "constants"),
    "batch axis": (lambda: graph_with(lambda x: kl.Concatenate(axis=0)([x, x])), "over the batch"),
}


@pytest.mark.parametrize("name", UNRECOGNISED)
def test_unrecognised_parts_are_traced_and_match(name, caplog):
    make, reason = UNRECOGNISED[name]
    model = make()
    with caplog.at_level(logging.INFO):
        forward = compile_forward(model)
    assert forward.kind == "traced"
    assert re.search(reason, caplog.text)  # Keras 3.8 casts by an operation of its own, later versions in the layer
    x = np.random.default_rng(0).normal(size=(3, *model.input_shape[1:])).astype("f")
    expected = np.asarray(model(x, training=False))
    np.testing.assert_allclose(forward(x), expected, rtol=1e-5, atol=1e-5)
    assert forward(x).dtype == np.float32
    if name != "batch axis":
        np.testing.assert_allclose(forward.one(x[0]), expected[0], rtol=1e-3, atol=1e-3)


def test_a_model_that_disagrees_in_numpy_is_traced(monkeypatch, caplog):
    def wrong(layer, shapes, parameters):
        return lambda tape, x: np.full((len(x), 2), 0.25, np.float32)

    monkeypatch.setitem(numpy_layers.CONVERTERS, kl.Dense, wrong)
    model = keras.Sequential([keras.Input((4,)), kl.Dense(2)])
    forward = compile_forward(model)
    assert forward.kind == "traced"
    assert "gives other results in NumPy" in caplog.text
    x = np.ones((2, 4), np.float32)
    np.testing.assert_allclose(forward(x), model(x), rtol=1e-5)


def test_batch_sizes_do_not_retrace():
    model = Counting()
    forward = compile_forward(model, sample=np.zeros(4))
    traced = model.python_calls
    for batch_size in (1, 2, 7, 64):
        x = np.random.default_rng(0).normal(size=(batch_size, 4))
        assert forward(x).shape == (batch_size, 2)
    forward.one(np.zeros(4))
    assert model.python_calls == traced
    snapshot = forward.snapshot()
    traced = model.python_calls
    for batch_size in (1, 2, 7, 64):
        snapshot(np.zeros((batch_size, 4)))
    forward.snapshot().one(np.zeros(4))
    assert model.python_calls == traced


def test_subclassed_models_take_what_the_sample_showed():
    model = TwoPart()
    rng = np.random.default_rng(0)
    place, speed = rng.normal(size=(3, 2)), rng.normal(size=(3, 4))
    forward = compile_forward(model, sample={"place": place[0], "speed": speed[0]})
    expected = model({"place": place.astype("f"), "speed": speed.astype("f")})
    policy, value = forward({"speed": speed, "place": place})
    np.testing.assert_allclose(policy, expected["policy"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(value, expected["value"], rtol=1e-6)
    np.testing.assert_allclose(forward.one({"speed": speed[1], "place": place[1]})[0], policy[1], rtol=1e-5, atol=1e-6)


def test_subclassed_models_on_tuples():
    model = TwoPart()
    forward = compile_forward(model, sample=(np.zeros(2), np.zeros(4)))
    place, speed = np.ones((3, 2), "f"), np.ones((3, 4), "f")
    np.testing.assert_allclose(forward((place, speed))[0], model((place, speed))["policy"], rtol=1e-5)


def test_weights_are_always_current():
    model = Counting()
    forward = compile_forward(model, sample=np.zeros(4))
    x = np.ones((2, 4), np.float32)
    model.head.bias.assign([5.0, -5.0])
    forward.refresh()
    np.testing.assert_allclose(forward(x), model(x), rtol=1e-5)


def test_a_snapshot_stays_as_it_was():
    model = Counting()
    forward = compile_forward(model, sample=np.zeros(4))
    x = np.random.default_rng(0).normal(size=(3, 4)).astype("f")
    expected = forward(x)
    snapshot = forward.snapshot()
    model.head.bias.assign_add([5.0, -5.0])
    assert snapshot.kind == "traced"
    np.testing.assert_allclose(snapshot(x), expected, rtol=1e-6)
    np.testing.assert_allclose(snapshot.one(x[1]), expected[1], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(snapshot.snapshot()(x), expected, rtol=1e-6)
    np.testing.assert_allclose(forward(x), expected + np.array([5.0, -5.0]), rtol=1e-5, atol=1e-5)
    with pytest.raises(NotBoundError, match="snapshot of a forward pass is frozen"):
        snapshot.refresh()


def test_a_snapshot_serves_many_threads_while_the_model_changes():
    model = Counting()
    forward = compile_forward(model, sample=np.zeros(4))
    snapshot = forward.snapshot()
    x = np.random.default_rng(0).normal(size=(5, 4)).astype("f")
    expected = forward(x)
    wrong = []

    def act(row):
        for _ in range(50):
            if not np.allclose(snapshot.one(x[row]), expected[row], atol=1e-5):
                wrong.append(row)

    threads = [threading.Thread(target=act, args=(row,)) for row in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(30):
        model.head.bias.assign_add([1.0, -1.0])
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_snapshot_draws_noise_of_its_own():
    model = Noisy()
    forward = compile_forward(model, sample=np.zeros(4))
    snapshot = forward.snapshot()
    state = np.asarray(model.seeds.state)
    first, second = snapshot.one(np.zeros(4)), snapshot.one(np.zeros(4))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(np.asarray(model.seeds.state), state)
    np.testing.assert_allclose(forward.one(np.zeros(4)), first, rtol=1e-6)


def test_sequences_of_free_length():
    model = keras.Sequential([keras.Input((None, 3)), kl.GlobalAveragePooling1D(), kl.Dense(2)])
    forward = compile_forward(model)
    assert forward.kind == "traced"
    for length in (2, 5):
        x = np.ones((2, length, 3), np.float32)
        np.testing.assert_allclose(forward(x), model(x), rtol=1e-5)


def test_discrete_observations_without_a_graph():
    table = keras.Sequential([kl.Embedding(5, 2)])

    class Lookup(keras.Model):
        def __init__(self):
            super().__init__()
            self.table = table

        def call(self, inputs):
            return self.table(inputs)

    model = Lookup()
    forward = compile_forward(model, sample=3)
    expected = np.asarray(model(np.arange(5)))
    np.testing.assert_allclose(forward(np.arange(5)), expected)
    np.testing.assert_allclose(forward.one(4), expected[4])


def test_a_subclassed_model_needs_a_sample():
    with pytest.raises(NotBoundError, match=r"'.*' \(Counting\) takes.*sample="):
        compile_forward(Counting())


def test_a_model_that_cannot_take_the_sample_is_refused():
    model = Counting()
    model(np.zeros((1, 4)))
    with pytest.raises(IncompatibleModelError, match=r"cannot run on an observation with shapes \[\(3,\)\]"):
        compile_forward(model, sample=np.zeros(3))


def test_a_model_that_cannot_be_traced_is_refused():
    class Eager(keras.Model):
        def call(self, inputs):
            return inputs * float(np.asarray(inputs).sum())

    with pytest.raises(IncompatibleModelError, match=r"cannot run on a batch of observations with shapes \[\(3,\)\]"):
        compile_forward(Eager(), sample=np.zeros(3))
