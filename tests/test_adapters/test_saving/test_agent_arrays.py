import keras
import numpy as np
import pytest
import tensorflow as tf

from tensor_optix.adapters.tensorflow.saving.agent_arrays import (
    check_variables,
    digest,
    read_variables,
    undo_unless,
    write_variables,
)
from tensor_optix.exceptions import NonFiniteError, StateMismatchError


def variables():
    first = keras.Variable(np.arange(6.0).reshape(2, 3), dtype="float32")
    return [first, keras.Variable(7, dtype="int32", trainable=False)]


def test_what_was_read_is_a_copy_and_comes_back():
    held = variables()
    arrays = read_variables("model", held)
    assert sorted(arrays) == ["model.0", "model.1"]
    before = digest(held)
    held[0].assign(np.zeros((2, 3)))
    assert arrays["model.0"][1, 2] == 5.0
    assert digest(held) != before
    check_variables("model", held, {**arrays, "other.0": np.zeros(3)})
    write_variables("model", held, arrays)
    assert digest(held) == before


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"model.0": np.zeros((3, 2), np.float32)}, StateMismatchError, r"here \(2, 3\), in the state \(3, 2\)"),
        ({"model.2": np.zeros(1)}, StateMismatchError, r"first 'model.2' \(here none"),
        ({"model.0": np.zeros((2, 3))}, StateMismatchError, "holds float64, but the agent's variable is float32"),
        ({"model.0": np.float32([[1, 2, 3], [4, np.inf, np.nan]])}, NonFiniteError, "2 of 6 values that are NaN or"),
    ],
)
def test_arrays_that_do_not_fit_are_named(changed, error, message):
    held = variables()
    with pytest.raises(error, match=message):
        check_variables("model", held, {**read_variables("model", held), **changed})


def test_statistics_that_are_not_trained_may_be_infinite_but_no_nan():
    held = [keras.Variable([1.0, 2.0], trainable=False)]
    check_variables("model", held, {"model.0": np.float32([np.inf, 0.0])})
    with pytest.raises(NonFiniteError, match="1 of 2"):
        check_variables("model", held, {"model.0": np.float32([np.nan, 0.0])})


@pytest.mark.parametrize("succeeded", [True, False])
def test_a_traced_update_is_undone_unless_it_succeeded(succeeded):
    held = [tf.Variable([1.0, 2.0])]

    @tf.function
    def update(good):
        saved = [tf.identity(v) for v in held]
        held[0].assign([9.0, 9.0])
        undo_unless(good, held, saved)

    update(tf.constant(succeeded))
    assert held[0].numpy().tolist() == ([9.0, 9.0] if succeeded else [1.0, 2.0])
