"""Nested values: what is put in comes out, cast where the space says so, and shares nothing with what was given."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from tensor_optix.exceptions import UnsupportedSpaceError
from tensor_optix.pipeline.stepping.space_layout import (
    Layout,
    copy_of,
    is_finite,
    leaves,
    map_leaves,
    reader,
    stack,
    writer,
)

NESTED = spaces.Dict(
    {
        "place": spaces.Box(-1.0, 1.0, (2,), np.float32),
        "pair": spaces.Tuple((spaces.Discrete(5), spaces.Box(0, 255, (2, 2), np.uint8))),
    }
)


def same(a: Any, b: Any) -> bool:
    """Tell whether two nests hold the same numbers at the same places (an oracle without the module)."""
    if isinstance(a, dict):
        return set(a) == set(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return np.array_equal(np.asarray(a), np.asarray(b))


@pytest.mark.parametrize("space", [NESTED, NESTED["pair"], NESTED["place"], spaces.Discrete(4)], ids=str)
def test_what_is_written_is_read_step_by_step(space: spaces.Space[Any]) -> None:
    space.seed(0)
    values = [space.sample() for _ in range(3)]
    storage = Layout.of(values[0], space).allocate(3)
    write, read = writer(storage), reader(storage)
    for t, value in enumerate(values):
        write(t, value)
    assert all(same(read(t), value) for t, value in enumerate(values))


def test_a_vectors_values_lose_their_first_axis_only() -> None:
    observations = {"place": np.zeros((4, 2), np.float32), "pair": (np.zeros(4, int), np.zeros((4, 2, 2), np.uint8))}
    storage = Layout.of(observations, NESTED, batched=True).allocate(7, 4)
    assert [leaf.shape for leaf in leaves(storage)] == [(7, 4, 2), (7, 4), (7, 4, 2, 2)]


@pytest.mark.parametrize(
    ("example", "space", "dtype"),
    [
        (np.zeros(2), spaces.Box(-1, 1, (2,), np.float32), np.float32),  # as vector environments cast
        (np.zeros(2), spaces.Box(0, 255, (2,), np.uint8), np.float64),  # a fraction would be lost
        (3, spaces.Discrete(5), np.int64),
        (True, None, np.bool_),
    ],
)
def test_the_declared_type_is_used_where_nothing_is_lost(example: Any, space: Any, dtype: Any) -> None:
    assert Layout.of(example, space).dtype == dtype


def test_cast_gives_the_declared_types_and_copies_only_where_it_must() -> None:
    layout = Layout.of({"a": np.zeros(2, np.float32), "b": 1}, None)
    right = np.ones(2, np.float32)
    cast = layout.cast({"a": np.ones(2), "b": 2.0})
    assert (cast["a"].dtype, cast["b"].dtype) == (np.float32, np.int64)
    assert layout.children is not None
    assert layout.children["a"].cast(right) is right
    assert Layout.of((1, 2.0)).cast((5, 6)) == (5, 6.0)


def test_values_of_no_fixed_shape_are_kept_as_they_are_but_not_side_by_side() -> None:
    text = spaces.Text(10)
    storage = Layout.of("left", text).allocate(2)
    writer(storage)(1, "right")
    assert reader(storage)(1) == "right"
    with pytest.raises(UnsupportedSpaceError, match=r"must have a fixed shape\. Received: Text"):
        Layout.of(("left", "right"), text, batched=True)


def test_a_copy_shares_no_array() -> None:
    nested = {"a": np.zeros(3), "b": (np.ones(2), 5)}
    copied = copy_of(nested)
    assert same(copied, nested)
    assert not any(np.shares_memory(x, y) for x, y in zip(leaves(nested), leaves(copied), strict=True))


def test_leaves_are_mapped_and_listed_in_the_same_order() -> None:
    nested = {"a": 1, "b": (2, {"c": 3})}
    assert list(leaves(nested)) == [1, 2, 3]
    assert map_leaves(lambda x, y: x + y, nested, nested) == {"a": 2, "b": (4, {"c": 6})}


@pytest.mark.parametrize(
    ("value", "expected"),
    [({"a": 1.0, "b": (np.inf,)}, False), (np.nan, False), ({"a": [1, 2], "b": "text"}, True), (np.arange(3), True)],
)
def test_finite(value: Any, expected: bool) -> None:
    assert is_finite(value) is expected


def test_one_value_per_environment_becomes_one_array() -> None:
    values = [{"place": np.full(2, n), "pair": (n, np.full((2, 2), n))} for n in range(3)]
    stacked = stack(values, NESTED)
    assert stacked["place"].tolist() == [[0, 0], [1, 1], [2, 2]]
    assert stacked["pair"][0].tolist() == [0, 1, 2]
    assert stacked["pair"][1].shape == (3, 2, 2)
    assert stack([(1, 2), (3, 4)], spaces.MultiDiscrete([5, 5])).tolist() == [[1, 2], [3, 4]]  # a tuple as a vector
