"""Every space of Gymnasium's comes back from JSON as it was; what a file asks for is counted first."""

import json
import resource
from collections import OrderedDict

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tensor_optix.adapters.spaces.space_json import MAX_NESTING, space_from_json, space_to_json
from tensor_optix.exceptions import CheckpointError

INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", ">i4")
FLOATS = ("float16", "float32", "float64", "longdouble", ">f4")
SHAPES = arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)


@st.composite
def boxes(draw):
    dtype = np.dtype(draw(st.sampled_from((*INTEGERS, *FLOATS, "bool"))))
    shape = draw(SHAPES)
    if dtype.kind == "f":
        narrow = min(8 * dtype.itemsize, 64)
        most = float(np.finfo(dtype if narrow < 64 else np.float64).max) / 4
        elements = st.floats(-most, most, width=narrow)
    elif dtype.kind == "b":
        elements = st.booleans()
    else:
        elements = st.integers(int(np.iinfo(dtype).min), int(np.iinfo(dtype).max) - 1)
    drawn = [draw(elements if draw(st.booleans()) else st.just(draw(elements))) for _ in range(2 * int(np.prod(shape)))]
    pairs = np.array(drawn, dtype).reshape(2, *shape)
    low, high = np.asarray(np.minimum(*pairs)), np.asarray(np.maximum(*pairs))
    if dtype.kind == "f":
        low[draw(arrays.arrays(bool, shape))] = -np.inf
        high[draw(arrays.arrays(bool, shape))] = np.inf
    elif dtype.kind == "i" and draw(st.booleans()):
        return spaces.Box(-np.inf, np.inf if draw(st.booleans()) else high, shape, dtype)
    return spaces.Box(low, high, shape, dtype)


@st.composite
def discretes(draw):
    dtype = np.dtype(draw(st.sampled_from(INTEGERS)))
    start = draw(st.integers(0 if dtype.kind == "u" else -50, 50))
    return spaces.Discrete(draw(st.integers(1, 70)), start=start, dtype=dtype)


@st.composite
def multi_discretes(draw):
    dtype, shape = np.dtype(draw(st.sampled_from(INTEGERS))), draw(SHAPES)
    nvec = draw(arrays.arrays(dtype, shape, elements=st.integers(1, 9)))
    start = draw(arrays.arrays(dtype, shape, elements=st.integers(0 if dtype.kind == "u" else -9, 9)))
    return spaces.MultiDiscrete(nvec, dtype, start=start if draw(st.booleans()) else None)


@st.composite
def texts(draw):
    charset = draw(st.text(st.characters(), min_size=1, max_size=9))
    shortest = draw(st.integers(0, 5))
    longest = shortest + draw(st.integers(0, 5))
    return spaces.Text(longest, min_length=shortest, charset=frozenset(charset) if draw(st.booleans()) else charset)


@st.composite
def dicts(draw, parts):
    keys = draw(st.lists(st.text(max_size=3) | st.sampled_from(["a/b", "b", "a", "B"]), max_size=3, unique=True))
    chosen = [(key, draw(parts)) for key in keys]
    return draw(
        st.sampled_from([spaces.Dict(OrderedDict(chosen)), spaces.Dict(dict(chosen), sort_keys=False)])
        if draw(st.booleans())
        else st.just(spaces.Dict(dict(chosen)))
    )


BITS = (st.integers(1, 5) | st.lists(st.integers(1, 3), min_size=1, max_size=3)).map(spaces.MultiBinary)
SOLID = boxes() | discretes()
LEAVES = SOLID | multi_discretes() | BITS | texts()
SPACES = st.recursive(
    LEAVES | st.builds(spaces.Graph, SOLID, st.none() | SOLID),
    lambda parts: st.one_of(
        dicts(parts),
        st.lists(parts, max_size=3).map(spaces.Tuple),
        st.lists(parts, min_size=1, max_size=3).map(spaces.OneOf),
        parts.map(spaces.Sequence),
        SOLID.map(lambda part: spaces.Sequence(part, stack=True)),
    ),
    max_leaves=6,
)


def through_json(space):
    return space_from_json(json.loads(json.dumps(space_to_json(space), allow_nan=False)))


def same(one, other):
    """Whether two values or spaces are the same bit for bit, types included."""
    if isinstance(one, gym.Space):
        return type(one) is type(other) and same(
            {name: value for name, value in vars(one).items() if name not in NOT_COMPARED},
            {name: value for name, value in vars(other).items() if name not in NOT_COMPARED},
        )
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (tuple, list)):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, (np.ndarray, np.generic)):
        other = np.asarray(other)
        alike = (np.asarray(one).dtype, one.shape) == (other.dtype, other.shape)
        # the padding of long doubles is anything
        signs = one.dtype.kind != "f" or np.array_equal(np.signbit(one), np.signbit(other))
        return alike and bool(np.array_equal(one, other)) and bool(signs)
    return type(one) is type(other) and one == other


NOT_COMPARED = ("_np_random", "low_repr", "high_repr")


@settings(max_examples=300)
@given(SPACES, st.integers(0, 2**31 - 1))
def test_a_space_comes_back_as_it_was(space, seed):
    again = through_json(space)
    assert again == space
    assert same(again, space)
    drawn = []
    for each in (space, again):
        each.seed(seed)
        try:
            drawn.append([each.sample() for _ in range(3)])
        except (ValueError, OverflowError, TypeError) as error:  # Gymnasium cannot draw from every space it makes
            drawn.append(str(error))
    assert same(*drawn)


def test_many_different_bounds_are_packed():
    low = np.random.default_rng(0).normal(size=(60, 50)).astype(np.float32)
    low[3, 4], low[5, 6] = -np.inf, -0.0
    space = spaces.Box(low, np.float32(7.0) + np.abs(low), dtype=np.float32)
    space.high[np.isinf(space.high)] = 9.0
    space.bounded_above[:] = True
    assert len(json.dumps(space_to_json(space))) < 150_000
    assert same(through_json(space), space)


def test_keys_that_are_no_strings_come_back():
    space = spaces.Dict(OrderedDict([(2, spaces.Discrete(2)), ("1", spaces.Discrete(3)), (1, spaces.Discrete(4))]))
    assert same(through_json(space), space)


class Odd(gym.Space):
    pass


@pytest.mark.parametrize(
    "space",
    [Odd(), spaces.Tuple([Odd()]), spaces.Dict({"a": spaces.Sequence(Odd())}), spaces.Dict({("a", 1): spaces.Text(3)})],
)
def test_a_space_of_somebody_elses_cannot_be_described(space):
    assert space_to_json(space) is None


def nested(depth):
    space = spaces.Discrete(2)
    for _ in range(depth):
        space = spaces.Tuple([space])
    return space


def test_spaces_that_are_nested_too_deeply_cannot_be_described():
    assert same(through_json(nested(MAX_NESTING)), nested(MAX_NESTING))
    assert space_to_json(nested(MAX_NESTING + 1)) is None


@pytest.mark.parametrize(
    ("document", "space"),
    [
        ({"kind": "discrete", "n": 3, "start": -1}, spaces.Discrete(3, start=-1)),
        ({"kind": "multi_binary", "shape": [2, 3]}, spaces.MultiBinary([2, 3])),
        ({"kind": "multi_discrete", "nvec": [[2], [3]], "start": [[0], [1]]}, None),
        ({"kind": "dict", "spaces": {"b": {"kind": "discrete", "n": 2, "start": 0}}}, None),
        ({"kind": "box", "shape": [2], "dtype": "float32", "low": ["0.0", "-inf"], "high": "1.5"}, None),
    ],
)
def test_descriptions_of_before_the_release_are_read(document, space):
    expected = {
        "multi_discrete": spaces.MultiDiscrete(np.array([[2], [3]]), start=np.array([[0], [1]])),
        "dict": spaces.Dict({"b": spaces.Discrete(2)}),
        "box": spaces.Box(np.array([0, -np.inf], np.float32), np.array([1.5, 1.5], np.float32)),
    }.get(document["kind"], space)
    assert same(space_from_json(document), expected)


BOX = {"kind": "box", "dtype": "float32", "low": "0", "high": "1"}
DISCRETE = {"kind": "discrete", "n": 2, "start": 0, "dtype": "int64"}


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {"kind": "oracle"},
        {"kind": ["box"]},
        {**DISCRETE, "n": 0},
        {**DISCRETE, "n": 300, "dtype": "int8"},
        {**DISCRETE, "dtype": "float64"},
        {**BOX, "shape": [1], "dtype": "object"},
        {**BOX, "shape": [1], "dtype": "(1000000,)f8"},
        {**BOX, "shape": [-1]},
        {**BOX, "shape": [2], "low": ["0"]},
        {**BOX, "shape": [2], "low": {"packed": "eJwDAAAAAAE="}},
        {**BOX, "shape": [2], "low": {"packed": "%"}},
        {**BOX, "shape": [1], "low": "nan"},
        {"kind": "multi_binary", "n": 0},
        {"kind": "multi_discrete", "nvec": [2], "start": [0], "shape": [5], "dtype": "int64"},
        {"kind": "text", "min_length": 1, "max_length": 3, "characters": [-1]},
        {"kind": "dict", "parts": [[[1], DISCRETE]]},
        {"kind": "dict", "parts": [["a"]]},
        {"kind": "one_of", "spaces": []},
        {"kind": "graph", "nodes": DISCRETE, "edges": {"kind": "oracle"}},
    ],
)
def test_a_description_that_is_none_is_named(document):
    with pytest.raises(CheckpointError, match="saved description of a space cannot be read"):
        space_from_json(document)


@pytest.mark.parametrize(
    "document",
    [
        {**BOX, "shape": [10**9]},
        {**BOX, "shape": [10**6, 10**6, 10**6]},
        {**BOX, "shape": [10**7], "low": {"packed": "eJwDAAAAAAE="}},
        {"kind": "multi_binary", "n": 10**9},
        {"kind": "multi_binary", "n": [10**5, 10**5]},
        {"kind": "tuple", "spaces": [{**BOX, "shape": [10**7]}] * 30},
        {"kind": "tuple", "spaces": [DISCRETE] * 200_000},
        {"kind": "sequence", "stack": True, "of": {**BOX, "shape": [10**9]}},
        {"kind": "graph", "nodes": {**BOX, "shape": [10**9]}, "edges": None},
        {"kind": "text", "min_length": 1, "max_length": 10**12, "characters": [97]},
    ],
)
def test_a_description_cannot_ask_for_more_memory_than_a_space_may_take(document):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CheckpointError, match="asks for more than the 268,435,456 bytes that a space may take"):
        space_from_json(document)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < 300


def test_a_larger_space_is_read_where_that_is_allowed():
    assert space_from_json({"kind": "multi_binary", "n": 10**9}, max_bytes=2**30) == spaces.MultiBinary(10**9)


def test_a_description_that_is_nested_too_deeply_is_refused():
    document = DISCRETE
    for _ in range(3000):
        document = {"kind": "tuple", "spaces": [document]}
    with pytest.raises(CheckpointError, match=f"nested more than {MAX_NESTING} levels deep"):
        space_from_json(document)
