import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tensor_optix.core.exact_json import from_exact, to_exact
from tensor_optix.exceptions import CheckpointError

SCALARS = st.none() | st.booleans() | st.integers(-(2**130), 2**130) | st.floats() | st.text(max_size=5)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
)


def same(a, b):
    if isinstance(a, float) and isinstance(b, float):
        return a == b or (math.isnan(a) and math.isnan(b))
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


@given(VALUES)
def test_everything_comes_back_through_strict_json(value):
    text = json.dumps(to_exact(value, "value"), allow_nan=False)
    assert same(from_exact(json.loads(text)), value)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint64", "float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 2), (2, 3)])
def test_arrays_come_back_in_type_and_shape(dtype, shape):
    array = np.asarray(np.abs(np.random.default_rng(0).normal(size=shape)) * 3).astype(dtype)
    back = from_exact(json.loads(json.dumps(to_exact({"a": array}, "state"))))["a"]
    assert back.dtype == array.dtype
    assert back.shape == shape
    np.testing.assert_array_equal(back, array)


def test_arrays_may_hold_what_json_cannot():
    back = from_exact(to_exact(np.array([np.nan, np.inf, -np.inf, 0.1]), "state"))
    np.testing.assert_array_equal(back, [np.nan, np.inf, -np.inf, 0.1])


def test_the_result_shares_nothing_with_the_value():
    value = {"scores": [1.0]}
    plain = to_exact(value, "value")
    value["scores"].append(2.0)
    assert plain == {"scores": [1.0]}


def test_tuples_and_numpy_scalars_become_python_s():
    assert to_exact((np.float32(0.5), np.int64(3), np.bool_(True)), "x") == [0.5, 3, True]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": {1}}, r"`state\['a'\]` is of type set"),
        ([b"x"], r"`state\[0\]` is of type bytes"),
        ({1: 2}, r"keys of `state` must be strings other than \$float, \$array. Received: 1"),
        ({"$float": "nan"}, "must be strings other than"),
        (np.array(["a"]), "is of type ndarray"),
    ],
)
def test_what_json_cannot_give_back_is_refused(value, message):
    with pytest.raises(CheckpointError, match=message):
        to_exact(value, "state")


def test_endless_nesting_is_refused():
    deep = []
    for _ in range(60):
        deep = [deep]
    with pytest.raises(CheckpointError, match="nested more than 48 levels"):
        to_exact(deep, "state")


@pytest.mark.parametrize(
    "plain",
    [
        {"$float": "1.5"},
        {"$float": ["nan"]},
        {"$array": [1.0]},
        {"$array": [1.0], "dtype": "object", "shape": [1]},
        {"$array": [1.0], "dtype": "float64", "shape": [2]},
        {"$array": [1.0], "dtype": "float64", "shape": ["x"]},
        {"$array": [[1.0], [2.0, 3.0]], "dtype": "float64", "shape": [3]},
        {"$array": [10**400], "dtype": "float64", "shape": [1]},
        {"$array": [1.0], "dtype": "float64", "shape": [-5, 10**30]},
    ],
)
def test_what_no_run_wrote_is_refused(plain):
    with pytest.raises(CheckpointError, match="A saved value cannot be read"):
        from_exact(plain)
