"""What both detectors ask of a score."""

import math
from decimal import Decimal

import numpy as np
import pytest

from tensor_optix.exceptions import InvalidTypeError, NonFiniteError
from tensor_optix.monitoring.score_checks import LARGEST_SCORE, as_scores, checked_score


@pytest.mark.parametrize(
    ("score", "expected"), [(3, 3.0), (np.float32(0.5), 0.5), (Decimal("1.25"), 1.25), (-LARGEST_SCORE, -1e150)]
)
def test_scores_become_floats(score, expected):
    value = checked_score(score)
    assert type(value) is float
    assert value == expected


def test_nan_is_no_evidence():
    assert checked_score(math.nan) is None
    assert checked_score(np.float32(np.nan)) is None


@pytest.mark.parametrize("score", [True, "3.0", b"3", None, [1.0, 2.0], object()])
def test_what_is_no_number_is_named(score):
    with pytest.raises(InvalidTypeError, match=r"A score must be a number \(NaN where"):
        checked_score(score)


@pytest.mark.parametrize("score", [math.inf, -math.inf, 1.1 * LARGEST_SCORE])
def test_what_cannot_be_squared_is_named(score):
    with pytest.raises(NonFiniteError, match="must be finite and at most 1e\\+150"):
        checked_score(score)


def test_whole_numbers_that_no_float_holds_are_named():
    with pytest.raises(InvalidTypeError, match="must be a number"):
        checked_score(10**400)


def test_series_are_rows_of_floats():
    for scores in ([1, 2, 3], np.array([[1, 2, 3]], np.int8), (1.0, 2.0, 3.0), [True, 2, 3]):
        row = as_scores(scores)
        assert row.dtype == np.float64
        assert row.tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("scores", ["abc", [[1.0], [1.0, 2.0]], [None], {"a": 1.0}])
def test_what_is_no_series_is_named(scores):
    with pytest.raises(InvalidTypeError, match="`scores` must be a sequence of numbers"):
        as_scores(scores)
