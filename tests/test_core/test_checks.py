"""Each check tells what came and what was expected, and lets through what can be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tensor_optix.core.checks import (
    LARGEST_INT,
    check_callable,
    check_choice,
    check_flags,
    check_instance,
    check_int,
    check_ints,
    check_mapping,
    check_methods,
    check_number,
    check_path,
    check_seed,
)
from tensor_optix.exceptions import InvalidArgumentError, InvalidTypeError


class Lamp:
    def shine(self) -> None: ...


def test_what_can_be_used_passes() -> None:
    check_int("n", np.int64(3), at_least=1)
    check_int("n", None, at_least=1, optional=True)
    check_seed("seed", 2**128)
    check_seed("seed", None)
    check_number("x", np.float32(0.5), low=0.0)
    check_number("x", None, optional=True)
    check_flags(a=True, b=np.bool_(False))
    check_choice("mode", "fast", ("fast", "slow"))
    check_ints("units", [np.int32(3), 4], at_least=1)
    check_callable("f", len)
    check_callable("f", None)
    check_instance("lamp", Lamp(), Lamp)
    check_instance("lamp", None, Lamp, optional=True)
    check_methods("lamp", Lamp(), "shine")
    check_path("folder", Path("runs"))
    check_mapping("params", {"a": 1})
    check_mapping("params", None, optional=True)


@pytest.mark.parametrize(
    ("check", "error", "message"),
    [
        (
            lambda: check_int("n", 1.0, at_least=1),
            InvalidTypeError,
            "`n` must be an integer >= 1. Received: 1.0 of type f",
        ),
        (lambda: check_int("n", True, at_least=1), InvalidTypeError, "Received: True of type bool"),
        (lambda: check_int("n", 9, at_least=1, at_most=5), InvalidArgumentError, ">= 1 and <= 5. Received: 9"),
        (
            lambda: check_int("n", LARGEST_INT + 1, at_least=1),
            InvalidArgumentError,
            f"At most {LARGEST_INT} can be counted",
        ),
        (lambda: check_seed("seed", 1.5), InvalidTypeError, "`seed` must be an integer >= 0 or None. Received: 1.5"),
        (
            lambda: check_seed("seed", None, optional=False),
            InvalidTypeError,
            "`seed` must be an integer >= 0. Received: None",
        ),
        (lambda: check_seed("seed", -1), InvalidArgumentError, "`seed` must be an integer >= 0 or None. Received: -1"),
        (lambda: check_number("x", "1"), InvalidTypeError, "`x` must be a number. Received: '1' of type str"),
        (lambda: check_number("x", 10**400), InvalidArgumentError, "`x` must be finite"),
        (
            lambda: check_flags(a=True, b="no"),
            InvalidTypeError,
            "`b` must be True or False. Received: 'no' of type str",
        ),
        (lambda: check_flags(a=1), InvalidTypeError, "`a` must be True or False. Received: 1 of type int"),
        (
            lambda: check_choice("mode", "fsat", ("fast", "slow")),
            InvalidArgumentError,
            "`mode` must be one of 'fast', 'slow'. Received: 'fsat'. Did you mean 'fast'?",
        ),
        (
            lambda: check_choice("mode", 1, (True, "auto")),
            InvalidTypeError,
            "one of True, 'auto'. Received: 1 of type int",
        ),
        (
            lambda: check_ints("units", "64,64", at_least=1),
            InvalidTypeError,
            "`units` must be a list or tuple of integers >= 1",
        ),
        (lambda: check_ints("units", 64, at_least=1), InvalidTypeError, "Received: 64 of type int"),
        (
            lambda: check_ints("units", [64, 0], at_least=1),
            InvalidArgumentError,
            r"`units\[1\]` must be an integer >= 1",
        ),
        (lambda: check_callable("f", 5), InvalidTypeError, "`f` must be callable or None. Received: 5"),
        (
            lambda: check_callable("f", 5, takes="(x) -> y"),
            InvalidTypeError,
            r"`f` must be a function \(x\) -> y or None",
        ),
        (lambda: check_callable("f", Lamp), InvalidTypeError, "`f` must be callable or None. Received: <class"),
        (
            lambda: check_instance("lamp", 5, Lamp, hint=" Buy one."),
            InvalidTypeError,
            "must be a Lamp. Received: 5 of .* Buy one",
        ),
        (lambda: check_instance("n", "", int, optional=True), InvalidTypeError, "must be an int or None. Received: ''"),
        (
            lambda: check_methods("lamp", 5, "shine"),
            InvalidTypeError,
            "must have the method shine. Received: 5 .*lacks shine",
        ),
        (lambda: check_methods("lamp", Lamp, "shine"), InvalidTypeError, r"Give an object of the class: Lamp\(...\)"),
        (
            lambda: check_methods("lamp", Lamp(), "shine", "dim"),
            InvalidTypeError,
            "the methods shine, dim.* It lacks dim",
        ),
        (
            lambda: check_path("folder", 5),
            InvalidTypeError,
            "`folder` must be a path, as a str or a pathlib.Path. Received: 5",
        ),
        (lambda: check_path("folder", ""), InvalidArgumentError, "Received: '', which names nothing"),
        (lambda: check_mapping("params", [1]), InvalidTypeError, r"`params` must be a dict. Received: \[1\]"),
        (
            lambda: check_mapping("params", {1: 2}),
            InvalidTypeError,
            "The keys of `params` must be texts. Received: 1 of type int",
        ),
    ],
)
def test_what_cannot_be_used_is_told(check: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        check()


def test_a_long_value_is_cut_short() -> None:
    with pytest.raises(InvalidTypeError) as raised:
        check_number("x", list(range(10_000)))
    assert len(str(raised.value)) < 400
