import json
import struct
from collections import Counter, OrderedDict, namedtuple
from enum import IntEnum
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tensor_optix.core.storage.exact_json import from_exact, to_exact
from tensor_optix.exceptions import CheckpointError

Sum = IntEnum("Sum", ["ONE", "TWO"])
Pair = namedtuple("Pair", "left right")

DTYPES = ["?", "i1", "<i2", ">i4", "<i8", "u1", ">u2", "<u8", "<f2", ">f4", "<f4", "<f8", ">f8", "<c8", ">c16",
          "<M8[s]", "<m8[ns]", "<U3", "S2", "O", "V4", "g"]  # fmt: skip


@st.composite
def arrays(draw):
    """Arrays of any bits, also with NaN's payloads, in any order of axes, and every so many-th item of them."""
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))
    if dtype.hasobject or dtype.kind == "U":
        return np.full(shape, "a", dtype)
    size = int(np.prod(shape)) * dtype.itemsize
    data = draw(st.binary(min_size=size, max_size=size))
    if dtype.kind == "b":
        data = bytes(byte % 2 for byte in data)
    array = np.frombuffer(data, dtype).reshape(shape).copy() if size else np.zeros(shape, dtype)
    array = array.transpose(draw(st.permutations(range(array.ndim))))
    return array[..., ::2] if array.ndim and draw(st.booleans()) else array


NUMBERS = st.integers() | st.sampled_from([2**63, 2**64, -(2**200), 10**700, -(10**3000)]) | st.floats()
NANS = st.integers(1, 2**52 - 1).map(lambda bits: struct.unpack("<d", struct.pack("<Q", 0xFFF << 52 | bits))[0])
SCALARS = (
    st.none() | st.booleans() | NUMBERS | NANS | st.text(max_size=5) | st.binary(max_size=3) | st.complex_numbers()
)
NUMPY = arrays() | arrays().filter(lambda array: array.size).map(lambda array: array.reshape(-1)[0])
ODD = st.sampled_from(
    [Fraction(1, 3), Sum(1), Pair(1, 2), OrderedDict(a=1), Counter("aab"), {1}, range(3), np.str_("a")]
)
VALUES = st.recursive(
    SCALARS | NUMPY | ODD,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=4) | st.sampled_from(["$array", "$tuple", "$x", 3]), inner, max_size=4)
    ),
    max_leaves=20,
)


def same(a, b):
    """Tell whether two values are of the same types and bits, and lie in memory in the same order."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float) and not isinstance(a, np.generic):
        return struct.pack("<d", a) == struct.pack("<d", b)
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, np.ndarray):
        if a.shape != b.shape:
            return False
        axes = [axis for axis, size in enumerate(a.shape) if size > 1]  # the stride of another tells nothing
        in_memory = [np.argsort([-abs(x.strides[i]) for i in axes], kind="stable").tolist() for x in (a, b)]
        is_laid_out_alike = in_memory[0] == in_memory[1] or a.flags.c_contiguous or a.size < 2
        return a.dtype.str == b.dtype.str and a.tobytes() == b.tobytes() and is_laid_out_alike
    return a.tobytes() == b.tobytes() if isinstance(a, np.generic) else a == b


@settings(max_examples=400, deadline=None)
@given(VALUES)
def test_everything_comes_back_exactly_through_strict_json_or_is_refused(value):
    refused = pytest.RaisesExc(CheckpointError, match=r"is of type .* cannot give back|must be strings other than")
    try:
        plain = to_exact(value, "value")
    except CheckpointError as error:
        told = refused.matches(error)
    else:
        told = same(from_exact(json.loads(json.dumps(plain, allow_nan=False))), value)
    assert told


@given(SCALARS.filter(lambda value: not isinstance(value, (bytes, complex))) | NUMPY)
def test_plain_values_and_arrays_of_numbers_are_never_refused(value):
    if isinstance(value, (np.ndarray, np.generic)) and (value.dtype.kind in "OUSV" or value.dtype.char in "gG"):
        return
    assert same(from_exact(json.loads(json.dumps(to_exact(value, "value")))), value)


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


def test_arrays_as_they_were_saved_before_are_still_read():
    plain = {"$array": [{"$float": "nan"}, 0.5, -0.0], "dtype": "float32", "shape": [3, 1]}
    np.testing.assert_array_equal(from_exact(plain), np.array([[np.nan], [0.5], [-0.0]], np.float32))
    assert from_exact(plain).dtype == np.float32


def test_nan_may_be_forbidden():
    with pytest.raises(CheckpointError, match=r"`state\['a'\]\[0\]` is nan, which this state may not hold"):
        to_exact({"a": (float("nan"),)}, "state", allow_nan=False)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": {1}}, r"`state\['a'\]` is of type set"),
        ([b"x"], r"`state\[0\]` is of type bytes"),
        ({1: 2}, r"keys of `state` must be strings other than \$float, \$array, \$int, \$tuple. Received: 1"),
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
        {"$float": "3ff8000000000000"},
        {"$float": "zz"},
        {"$int": "x"},
        {"$int": 3},
        {"$tuple": 3},
        {"$array": {}},
        {"$array": {"base64": "AAAA", "dtype": "|u1", "shape": [4]}},
        {"$array": {"base64": "AAAA", "dtype": "|O", "shape": [3]}},
        {"$array": {"base64": "AA!=", "dtype": "|u1", "shape": [1]}},
        {"$array": {"base64": "", "dtype": "|u1", "shape": [0, 2**60]}},
        {"$array": {"base64": "AAAA", "dtype": "|u1", "shape": [3], "axes": [1]}},
        {"$array": {"base64": "AAAA", "dtype": "|u1", "shape": [3], "axes": [False]}},
        {"$array": {"base64": "AAAA", "dtype": "|u1", "shape": None, "axes": 3}},
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


def test_a_file_nested_without_end_is_refused():
    deep = []
    for _ in range(250):
        deep = [deep]
    with pytest.raises(CheckpointError, match="nested more than 192 levels"):
        from_exact(deep)


def test_integers_of_any_length_come_back():
    assert from_exact(json.loads(json.dumps(to_exact([10**5000], "x")))) == [10**5000]
