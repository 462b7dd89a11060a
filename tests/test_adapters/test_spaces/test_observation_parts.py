import numpy as np
import pytest
from gymnasium import spaces

from tensor_optix.adapters.spaces.observation_parts import (
    advice_on,
    choices_of,
    name_of,
    nested_from,
    no_default_model,
    part_at,
    parts_of,
    restricted,
)

NESTED = {"b": ({"x": 1, "y": 2}, 3), "a": 4}
PATHS = {("b", 0, "x"): 1, ("b", 0, "y"): 2, ("b", 1): 3, ("a",): 4}


def test_parts_come_with_their_places_in_their_own_order():
    assert list(parts_of(NESTED)) == list(PATHS.items())
    assert list(parts_of(5)) == [((), 5)]
    vector, choice = spaces.Box(-1, 1, (2,)), spaces.Discrete(3)
    assert list(parts_of(spaces.Dict(a=spaces.Tuple([vector, choice])))) == [(("a", 0), vector), (("a", 1), choice)]


def test_parts_are_found_and_put_together_again():
    assert [part_at(NESTED, path) for path in PATHS] == list(PATHS.values())
    assert nested_from(PATHS) == NESTED
    assert nested_from({(): 5}) == 5
    with pytest.raises(LookupError):
        part_at(NESTED, ("a", 0))
    with pytest.raises(LookupError):
        part_at(NESTED, ("c",))


def test_names_hold_no_slash():
    assert name_of(("b", 0, "x/y")) == "b.0.x.y"


def test_parts_that_no_path_leads_to_are_left_out():
    vector = spaces.Box(-1, 1, (2,))
    space = spaces.Dict(a=spaces.Dict(b=vector, c=vector), d=vector)
    assert restricted(space, [("a", "c")]) == spaces.Dict(a=spaces.Dict(c=vector))
    assert restricted(space, [()]) == space
    assert restricted(vector, [("a",)]) == vector


def test_errors_say_where_and_what_to_do():
    text = spaces.Text(3)
    space = spaces.Dict(a=text, b=spaces.Box(-1, 1, (2,), np.float32))
    error = no_default_model(space, text, ("a",), "it has no shape", advice_on(text))
    assert "the part 'a' of Dict" in str(error)
    assert "FlattenObservation" in str(error)
    assert "FilterObservation(env, ['b'])" in str(error)
    assert "TransformObservation" in advice_on(spaces.Sequence(text))


def test_where_choices_begin_and_how_many_values_they_have():
    assert [part.tolist() for part in choices_of(spaces.Discrete(5, start=-2))] == [-2, 5]
    several = spaces.MultiDiscrete(np.array([[2], [3]], np.int8), np.int8, start=np.array([[0], [7]], np.int8))
    start, counts = choices_of(several)
    assert (start.tolist(), counts.tolist(), start.dtype) == ([[0], [7]], [[2], [3]], np.int64)
    assert choices_of(spaces.MultiDiscrete([2, 3]))[0].tolist() == [0, 0]
