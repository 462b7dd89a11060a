"""``--set key=value``."""

from __future__ import annotations

import pytest

from tensor_optix.cli.key_values import parse_settings
from tensor_optix.exceptions import InvalidArgumentError


def test_values_are_json_or_else_text() -> None:
    assert parse_settings(["gamma=0.98", "hidden_units=[32, 32]", "on=true", " name = a=b "]) == {
        "gamma": 0.98,
        "hidden_units": (32, 32),
        "on": True,
        "name": "a=b",
    }


def test_none_is_nothing() -> None:
    assert parse_settings([]) == {}


@pytest.mark.parametrize("pair", ["gamma", "=3", " =3"])
def test_a_pair_without_key_or_value_is_an_error(pair: str) -> None:
    with pytest.raises(InvalidArgumentError, match="--set takes key=value"):
        parse_settings([pair])


def test_a_key_that_comes_twice_is_an_error() -> None:
    with pytest.raises(InvalidArgumentError, match="'gamma' twice"):
        parse_settings(["gamma=0.9", "gamma=0.8"])
