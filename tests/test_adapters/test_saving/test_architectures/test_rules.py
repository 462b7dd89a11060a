"""What a plain value in a file may be, rule by rule."""

import math

import numpy as np
import pytest

from tensor_optix.adapters.tensorflow.saving.architectures import rules
from tensor_optix.exceptions import UnsafeFileError

LARGEST = 100


@pytest.mark.parametrize(
    ("rule", "value", "expected"),
    [
        (rules.flag, True, True),
        (rules.number, -0.5, -0.5),
        (rules.number, math.inf, math.inf),
        (rules.whole, 10**15, 10**15),
        (rules.size, -100, -100),
        (rules.repeats, 64, 64),
        (rules.sizes, [3, [None, 2]], (3, (None, 2))),
        (rules.whole_numbers, [1, 10**9], [1, 10**9]),
        (rules.numbers, [[1, 2.5], [None]], [[1, 2.5], [None]]),
        (rules.flag_or_numbers, False, False),
        (rules.limits, {"rmax": 3.0}, {"rmax": 3.0}),
        (rules.word, "channels_last", "channels_last"),
        (rules.words, ["a", "b"], ["a", "b"]),
        (rules.word_or_sizes, "same", "same"),
        (rules.word_or_sizes, [1, 2], (1, 2)),
        (rules.name, "layer/é 1", "layer/é 1"),
        (rules.equation, "ab,bc->ac", "ab,bc->ac"),
        (rules.dtype, "bfloat16", "bfloat16"),
    ],
)
def test_what_is_let_pass(rule, value, expected):
    assert rule(value, LARGEST) == expected


def test_what_a_missing_value_looks_like_may_be_no_number():
    assert math.isnan(rules.any_number(math.nan, LARGEST))


@pytest.mark.parametrize(
    ("rule", "value", "error", "message"),
    [
        (rules.flag, 1, TypeError, "not true or false"),
        (rules.number, True, TypeError, "not a number"),
        (rules.number, math.nan, TypeError, "not a number"),
        (rules.number, 2**64, UnsafeFileError, "64 bits; 64 are allowed"),
        (rules.whole, 1.0, TypeError, "not a whole number"),
        (rules.size, 101, UnsafeFileError, "size of 101; 100 are allowed"),
        (rules.size, -101, UnsafeFileError, "size of -101"),
        (rules.repeats, 65, UnsafeFileError, "65 repetitions; 64 are allowed"),
        (rules.sizes, [1] * 65, TypeError, "at most 64 sizes"),
        (rules.sizes, [[[[[[[1]]]]]]], TypeError, "at most 64 sizes"),
        (rules.sizes, None, TypeError, "not a whole number"),
        (rules.whole_numbers, [1] * 65, TypeError, "not a whole number"),
        (rules.numbers, [[[[[[[1]]]]]]], TypeError, "numbers in fewer lists"),
        (rules.limits, [1], TypeError, "limits by name"),
        (rules.limits, {"rmax": "3"}, TypeError, "not a number"),
        (rules.word, "import os;", TypeError, "a short word"),
        (rules.word, "a" * 65, TypeError, "a short word"),
        (rules.words, "ab", TypeError, "list of at most 64 words"),
        (rules.name, "a" * 501, TypeError, "at most 500 characters"),
        (rules.equation, "ab;bc", TypeError, "an equation such as"),
        (rules.dtype, "object", TypeError, "not one of bfloat16, bool"),
        (rules.nothing, 0, UnsafeFileError, "which is not read from files"),
    ],
)
def test_what_is_refused(rule, value, error, message):
    with pytest.raises(error, match=message):
        rule(value, LARGEST)


def described(value, dtype="float32", **more):
    return {"class_name": "__numpy__", "config": {"value": value, "dtype": dtype}, **more}


def test_arrays_are_described_by_numbers_and_a_dtype():
    made = rules.numbers(described([[1, 2]], "int16"), LARGEST)
    assert made.dtype == np.int16
    assert made.tolist() == [[1, 2]]


@pytest.mark.parametrize(
    "value",
    [
        described([1], "object"),
        described([1], "bfloat16"),
        described([1], module="os"),
        {"class_name": "Lambda", "config": {}},
        {"class_name": "__numpy__", "config": [1]},
    ],
)
def test_what_describes_no_array_is_refused(value):
    with pytest.raises(TypeError, match=r"not (numbers|an array)"):
        rules.array(value, LARGEST)


def test_every_argument_has_one_rule():
    plain = [argument for arguments in rules.PLAIN.values() for argument in arguments]
    assert len(plain) == len(set(plain)), "an argument is listed twice"
    assert not set(plain) & set(rules.OBJECT_OF)
