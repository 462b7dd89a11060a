"""Saved values of the wrong type are named when they are read."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from tensor_optix.core.storage.plain_state import as_type, made_of, require_like
from tensor_optix.exceptions import CheckpointError, StateMismatchError


@dataclass
class Member:
    time: int
    score: float
    name: str | None = None
    past: list[float] = field(default_factory=list)
    pair: tuple[int, float] = (0, 0.0)


def test_a_dataclass_is_made_of_its_fields_in_order_or_by_name():
    assert made_of(Member, [1, 2]) == Member(1, 2.0)
    assert made_of(Member, {"time": 1, "score": 2.0, "past": [1, 2.5], "pair": [3, 4]}).past == [1, 2.5]


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        ([1, "many"], "Member.score is 'many', not a float"),
        ([True, 1.0], "Member.time is True, not a int"),
        ({"time": 1}, "cannot be made of"),
        ({"time": 1, "score": 1.0, "past": [None]}, r"Member.past\[0\] is None, not a float"),
        ({"time": 1, "score": 1.0, "pair": [1]}, r"Member.pair is \[1\]"),
        ({"time": 1, "score": 1.0, "code": 1}, "has the fields"),
        ("ab", "has the fields"),
        ([1, 2.0, None, [], (0, 0.0), 7], "has the fields"),
    ],
)
def test_what_no_dataclass_can_be_is_named(plain, message):
    with pytest.raises(StateMismatchError, match=message):
        made_of(Member, plain)


def test_types_of_dicts():
    assert as_type({"a": 1}, dict[str, float], "values") == {"a": 1}
    with pytest.raises(StateMismatchError, match=r"The saved values\['a'\] is 'b', not a float"):
        as_type({"a": "b"}, dict[str, float], "values")
    with pytest.raises(StateMismatchError, match=r"The saved values is \[1\], not a dict\[str, float\]"):
        as_type([1], dict[str, float], "values")


def test_a_flag_is_no_number_and_a_number_no_flag():
    for plain, hint in ((True, int), (True, float), (1, bool), (1.5, int), (None, str)):
        with pytest.raises(StateMismatchError, match=f"The saved it is {plain}, not a {hint.__name__}"):
            as_type(plain, hint, "it")
    assert (as_type(True, bool, "it"), as_type(2, float, "it"), as_type(None, int | None, "it")) == (True, 2, None)


@pytest.mark.parametrize(
    ("state", "own", "message"),
    [
        ({"a": "x"}, {"a": 1}, r"`part\['a'\]` is 'x', where a number was expected"),
        ({"a": None}, {"a": 1}, "is None, where a number"),
        ({}, {"a": 1}, "lacks a"),
        ({"a": 1.5}, {"a": 1}, "is 1.5, where a whole number was expected"),
        ({"a": 1e300}, {"a": 1}, "where a whole number was expected"),
        ({"a": [1, "x"]}, {"a": []}, "things of several kinds: number, text"),
        ({"a": [{"b": 1}]}, {"a": [{"b": "x"}]}, r"`part\['a'\]\[0\]\['b'\]` is 1"),
        (np.zeros(3), np.zeros((3, 1)), "with 1 axes, where one of float64 with 2"),
    ],
)
def test_a_state_that_is_built_otherwise_is_named(state, own, message):
    with pytest.raises(CheckpointError, match=message):
        require_like(state, own, "part")


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"a": {"b": {}}, "n": 1}, r"`part\['a'\]\['b'\]` lacks c"),
        ({"a": {}, "n": 1}, r"`part\['a'\]` lacks b"),
        ({"a": None, "n": 1}, r"`part\['a'\]` is None, where a dict was expected"),
        ({"a": {"b": {"c": None}}, "n": 1}, r"\['c'\]` is None, where a text was expected"),
        ({"a": {"b": {"c": 5}}, "n": 1}, r"\['c'\]` is 5, where a text was expected"),
    ],
)
def test_what_is_missing_below_the_top_of_a_fixed_form_is_named(state, message):
    own = {"a": {"b": {"c": "x"}}, "n": 0, "later": {"d": 1}, "open": {}, "unknown": None}
    whole = {"a": {"b": {"c": "y"}}, "n": 2, "open": {"any": None}, "unknown": [1]}
    require_like(whole, own, "part", may_lack=("later",), is_fixed=True)
    with pytest.raises(CheckpointError, match=message):
        require_like({**whole, **state}, own, "part", may_lack=("later",), is_fixed=True)


def test_what_is_left_open_may_be_anything():
    require_like({"a": 2.0, "b": None, "c": [1, 2], "d": {}}, {"a": 1, "b": {"x": 1}, "c": [], "d": None}, "part")


def test_what_is_left_open_may_hold_lists_of_several_kinds():
    require_like({"a": [["x", {"n": 1}]], "b": [1, "x"], "c": [["x", 1]]}, {"a": None, "c": []}, "part")


@dataclass
class Family:
    oldest: Member
    twins: tuple[Member, Member] | None
    by_name: dict[str, Member] = field(default_factory=dict)


def test_a_dataclass_may_hold_others():
    made = made_of(
        Family, {"oldest": [1, 2.0], "twins": [[3, 4.0], {"time": 5, "score": 6.0}], "by_name": {"x": [7, 8.0]}}
    )
    assert made == Family(Member(1, 2.0), (Member(3, 4.0), Member(5, 6.0)), {"x": Member(7, 8.0)})
    assert made_of(Family, [Member(1, 2.0), None]) == Family(Member(1, 2.0), None)
    with pytest.raises(StateMismatchError, match=r"The saved Member\.score is 'many', not a float"):
        made_of(Family, [[1, 2.0], [[3, 4.0], [5, "many"]]])
    with pytest.raises(StateMismatchError, match=r"The saved Family\.twins is \[\[3, 4\.0\]\], not a"):
        made_of(Family, [[1, 2.0], [[3, 4.0]]])
