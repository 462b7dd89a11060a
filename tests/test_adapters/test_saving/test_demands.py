"""What a file asks for is counted before it is given: calls, weights, memory, multiplications."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tensor_optix.adapters.tensorflow.acting.model_inputs import inputs_of
from tensor_optix.adapters.tensorflow.saving.demands import (
    DEFAULT_BYTES,
    MAX_CALLS,
    MAX_MULTIPLICATIONS,
    Demands,
    admit,
    check_structure,
    in_force,
)
from tensor_optix.exceptions import CheckpointError, UnsafeFileError


def dense_model(units):
    return keras.Sequential([keras.layers.Dense(units)])


def test_calls_are_added_up_and_more_may_be_allowed():
    demands = Demands(0)
    demands.calls(MAX_CALLS - 1)
    demands.calls(1)
    with pytest.raises(UnsafeFileError, match=f"{MAX_CALLS + 1:,} calls of layers or more; {MAX_CALLS:,} are allowed"):
        demands.calls(1)
    Demands(0, 2 * DEFAULT_BYTES).calls(2 * MAX_CALLS)


def test_what_takes_too_long_is_given_up(monkeypatch):
    seconds = iter([100.0, 104.0, 106.0])
    monkeypatch.setattr("time.thread_time", lambda: next(seconds))
    demands = Demands(0)
    demands.calls(1)
    with pytest.raises(UnsafeFileError, match="takes longer than 5 s to build"):
        demands.calls(1)


def test_memory_up_to_the_limit_is_given():
    Demands(0, 100).memory("The thing", 100)
    with pytest.raises(UnsafeFileError, match="The thing asks for 101 bytes; 100 are allowed"):
        Demands(0, 100).memory("The thing", 101)


def test_weights_are_made_once_they_are_no_more_than_were_saved():
    num_weights = 2000 * 2000 + 2000
    layer = keras.layers.Dense(2000)
    with Demands(num_weights).building():
        layer.build((None, 2000))
    assert not layer.kernel.numpy().any(), "saved values come for them"
    told = f"asks for {num_weights:,} weights or more; {num_weights - 1:,} numbers"
    with pytest.raises(UnsafeFileError, match=told), Demands(num_weights - 1).building():
        keras.layers.Dense(2000).build((None, 2000))
    after = keras.layers.Dense(2)
    after.build((None, 2))
    assert after.kernel.numpy().any(), "what is made outside is made as ever"


def test_one_observations_results_are_added_up():
    def graph(size):
        run = tf.function(lambda x: tf.matmul(tf.ones((size, size)), tf.ones((size, size))) + x)
        return run.get_concrete_function(tf.TensorSpec((1,), tf.float32)).graph

    Demands(0).one_example(graph(1000), "m")
    size = int(np.ceil(MAX_MULTIPLICATIONS ** (1 / 3))) + 1
    with pytest.raises(UnsafeFileError, match=r"multiplies .* numbers for one observation; 50,000,000,000 are allowed"):
        Demands(0).one_example(graph(size), "m")
    with pytest.raises(UnsafeFileError, match=r"for one observation, asks for .* bytes"):
        Demands(0, 4 * 100**2).one_example(graph(100), "m")


def test_a_models_first_observation_counts_only_where_a_file_is_loaded():
    model, example = dense_model(4000), np.zeros(4000, np.float32)
    inputs = inputs_of(model, example)
    admit(model, inputs, [(4000,)])
    assert not model.built, "nothing is done to a model that no file asked for"
    with in_force(Demands(10)), pytest.raises(UnsafeFileError, match=r"asks for 16,004,000 weights or more"):
        admit(model, inputs, [(4000,)])
    small = dense_model(2)
    with in_force(Demands(10)):
        admit(small, inputs_of(small, example[:3]), [(3,)])
    assert small.built


@pytest.mark.parametrize(
    ("structure", "message"),
    [
        ({"buffer_size": 10**12}, "buffer_size=1000000000000 asks for 64,000,000,000,000 bytes"),
        ({"batch_size": 10**9}, "`batch_size` asks for 1000000000; 1000000 are allowed"),
        ({"hidden_units": [64, 10**9]}, "`hidden_units` asks for 1000000000"),
        ({"hidden_units": [1] * 10**4}, "`hidden_units` holds 10000 values"),
    ],
)
def test_the_arguments_of_an_agent_are_counted(structure, message):
    with pytest.raises(UnsafeFileError, match=message):
        check_structure({"structure": structure}, Demands(1000))
    check_structure({"structure": {"buffer_size": 10**6, "batch_size": 256, "hidden_units": [256, 256]}}, Demands(1000))


@pytest.mark.parametrize("saved", [None, [], {"structure": [1]}])
def test_a_description_that_is_none_is_named(saved):
    with pytest.raises(CheckpointError, match="description of the agent is none"):
        check_structure(saved, Demands(0))
