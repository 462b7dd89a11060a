"""Models of every shape come back: graphs, operations on tensors, models within models, shared layers."""

import threading

import keras
import numpy as np
import pytest
from keras import layers, ops
from saving_samples import build_from_config, config_of

from tensor_optix.adapters.tensorflow.saving.architectures.rebuild import check_rebuildable
from tensor_optix.exceptions import CheckpointError, UnsafeFileError


def assert_comes_back(model, *examples, custom_objects=None):
    check_rebuildable(model, custom_objects)
    built = build_from_config(config_of(model), custom_objects, 10**6)
    if not built.built:
        built(*examples)
    built.set_weights(model.get_weights())
    expected = keras.tree.flatten(model(*examples))
    for output, wanted in zip(keras.tree.flatten(built(*examples)), expected, strict=True):
        np.testing.assert_array_equal(output, wanted)
    return built


def vectors(*shape):
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(
    "operation",
    [
        lambda x: x * 2.0 + 1.0,
        lambda x: 1.0 / (x * x + 1.0),
        lambda x: x[:, :2],
        lambda x: x[..., 1:],
        lambda x: x[:, None, ::2],
        lambda x: x[:, -1],
        lambda x: ops.concatenate([x, ops.tanh(x)], axis=-1),
        lambda x: ops.stack([x, x], axis=1),
        lambda x: ops.reshape(x, (-1, 2, 2)),
        lambda x: ops.softmax(ops.clip(x, -1.0, 1.0)),
        lambda x: ops.where(x > 0.0, x, 0.1 * x),
        lambda x: ops.cast(ops.argmax(x, axis=-1), "float32"),
        lambda x: ops.mean(x, axis=-1, keepdims=True),
        lambda x: ops.split(x, 2, axis=-1)[1],
        lambda x: ops.einsum("ij,kj->ik", x, x),
        lambda x: ops.one_hot(ops.argmax(x, axis=-1), 4),
        lambda x: x @ np.eye(4, dtype=np.float32),
        lambda x: ops.norm(x, axis=-1),
        lambda x: keras.activations.relu(x, negative_slope=0.1, max_value=2.0),
        lambda x: ops.expand_dims(ops.sum(abs(-x), axis=1), 1),
    ],
)
def test_operations_on_tensors(operation):
    inputs = keras.Input((4,))
    assert_comes_back(keras.Model(inputs, operation(layers.Dense(4)(inputs))), vectors(3, 4))


def test_layers_and_models_that_are_shared_stay_shared():
    inputs = keras.Input((4,))
    dense = layers.Dense(4, activation="tanh")
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    graph_in = keras.Input((4,))
    nested = keras.Model(graph_in, [dense(graph_in), inner(graph_in)])
    hidden, branch = nested(dense(dense(inputs)))
    model = keras.Model(inputs, {"a": inner(hidden), "b": [branch, inner(inputs)], "c": nested(inputs)[0]})
    built = assert_comes_back(model, vectors(3, 4))
    assert len(built.weights) == len(model.weights)


def test_inputs_and_outputs_in_dicts_and_lists():
    parts = {"image": keras.Input((4, 4, 1), name="image"), "state": keras.Input((3,), name="state")}
    joined = layers.Concatenate()([layers.Flatten()(parts["image"]), parts["state"]])
    model = keras.Model(parts, {"logits": layers.Dense(2)(joined), "value": [layers.Dense(1)(joined)]})
    built = assert_comes_back(model, {"image": vectors(2, 4, 4, 1), "state": vectors(2, 3)})
    assert set(built.input) == {"image", "state"}
    assert set(built.output) == {"logits", "value"}


def test_wrappers_and_cells_of_all_sorts():
    inputs = keras.Input((5, 4))
    cells = layers.StackedRNNCells([layers.GRUCell(3), layers.LSTMCell(2)])
    hidden = layers.RNN(cells, return_sequences=True)(inputs)
    hidden = layers.Bidirectional(layers.GRU(3, return_sequences=True), backward_layer=None)(hidden)
    inner = keras.Sequential([layers.Dense(4), layers.LayerNormalization()])
    hidden = layers.TimeDistributed(inner)(hidden)
    sequence, state = layers.GRU(4, return_sequences=True, return_state=True)(hidden)
    attended = layers.MultiHeadAttention(2, 3)(sequence, value=hidden, use_causal_mask=True)
    out = layers.LSTM(2, unroll=True)(attended, mask=ops.any(attended > -9.0, axis=-1))
    assert_comes_back(keras.Model(inputs, [out, state]), vectors(2, 5, 4))


def test_models_that_are_not_built_yet():
    model = keras.Sequential([layers.Dense(3), layers.Dropout(0.1, seed=2**31 - 1), layers.Dense(2)])
    assert not build_from_config(config_of(model), None, 100).built
    model(vectors(2, 4))
    assert_comes_back(model, vectors(2, 4))


def test_frozen_layers_stay_frozen():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, trainable=False), layers.Dense(2)])
    built = assert_comes_back(model, vectors(2, 4))
    assert len(built.trainable_variables) == 2


def test_lora_and_mixed_precision():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, lora_rank=2), layers.Dense(2, dtype="mixed_bfloat16")])
    built = assert_comes_back(model, vectors(2, 4))
    assert built.layers[1].compute_dtype == "bfloat16"


class Scaled(layers.Layer):
    """Holds a layer of Keras's, in the way Keras's guide shows."""

    def __init__(self, inner, factor=2.0, kernel_initializer="zeros", **kwargs):
        super().__init__(**kwargs)
        self.inner, self.factor = inner, factor
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, shape):
        self.extra = self.add_weight(shape=(1,), initializer=self.kernel_initializer)
        self.inner.build(shape)

    def call(self, x):
        return self.inner(x) * self.factor + self.extra

    def get_config(self):
        own = {"inner": keras.saving.serialize_keras_object(self.inner), "factor": self.factor}
        initial = keras.saving.serialize_keras_object(self.kernel_initializer)
        return {**super().get_config(), **own, "kernel_initializer": initial}

    @classmethod
    def from_config(cls, config):
        return cls(keras.saving.deserialize_keras_object(config.pop("inner")), **config)


class Policy(keras.Model):
    def __init__(self, units=3, **kwargs):
        super().__init__(**kwargs)
        self.units, self.scale = units, keras.Variable(1.5)
        self.hidden, self.head = layers.Dense(units), layers.Dense(2)

    def call(self, x):
        return self.head(self.hidden(x)) * self.scale

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def swish_twice(x):
    return 2.0 * keras.activations.swish(x)


def test_classes_and_functions_of_the_users_own():
    inputs = keras.Input((4,))
    hidden = layers.Dense(3, activation=swish_twice)(Scaled(layers.Dense(4), kernel_initializer="ones")(inputs))
    custom = {"Scaled": Scaled, "swish_twice": swish_twice}
    assert_comes_back(keras.Model(inputs, hidden), vectors(2, 4), custom_objects=custom)
    with pytest.raises(UnsafeFileError, match="'Scaled' of module"):
        build_from_config(config_of(keras.Model(inputs, hidden)), None, 100)
    model = Policy(5)
    model(vectors(1, 4))
    assert_comes_back(model, vectors(2, 4), custom_objects={"Policy": Policy})


def test_what_the_users_own_class_is_given_holds_nothing_forbidden():
    inputs = keras.Input((4,))
    text = config_of(keras.Model(inputs, Scaled(layers.Dense(4))(inputs)))
    evil = text.replace('"module": "keras.layers", "class_name": "Dense"', '"module": "os", "class_name": "system"')
    assert evil != text
    with pytest.raises(UnsafeFileError, match="'system' of module 'os'"):
        build_from_config(evil, {"Scaled": Scaled}, 100)


def test_a_subclass_with_a_graph():
    class Graph(keras.Model):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)

    inputs = keras.Input((4,))
    model = Graph(inputs=inputs, outputs=layers.Dense(2)(inputs), name="mine")
    built = assert_comes_back(model, vectors(2, 4), custom_objects={"Graph": Graph})
    assert isinstance(built, Graph)


def test_why_a_model_cannot_be_rebuilt_is_said():
    class Silent(keras.Model):
        def __init__(self, secret):
            super().__init__()

        def get_config(self):
            raise NotImplementedError

    with pytest.raises(CheckpointError, match=r"Silent gives no configuration: define get_config\(\)"):
        check_rebuildable(Silent(object()))

    class Forgetful(Policy):
        def get_config(self):
            return {}

    inputs = keras.Input((4,))
    model = keras.Model(inputs, Forgetful(7)(inputs))
    with pytest.raises(CheckpointError, match="comes back with weights of other shapes"):
        check_rebuildable(model, {"Forgetful": Forgetful})


def test_two_threads_may_load_at_once_and_leave_nothing_behind():
    model = keras.Sequential([keras.Input((50,)), *[layers.Dense(50) for _ in range(8)]])
    text, before, errors = config_of(model), keras.layers.Layer.add_weight, []

    def load(num_saved):
        for _ in range(3):
            try:
                build_from_config(text, None, num_saved)
            except UnsafeFileError as error:
                errors.append(str(error))

    threads = [threading.Thread(target=load, args=(number,)) for number in (10**6, 100, 10**6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert keras.layers.Layer.add_weight is before
    assert len(errors) == 3
    assert all("weights or more; 1,000 numbers were saved" in error for error in errors)
    innocent = keras.Sequential([keras.Input((300,)), layers.Dense(3000)])
    assert innocent(vectors(1, 300)).shape == (1, 3000)
