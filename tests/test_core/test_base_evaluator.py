"""What an evaluator must return, and which of two scores is better."""

import math

import numpy as np
import pytest

from tensor_optix import EvalMetrics
from tensor_optix.core.base_evaluator import check_score
from tensor_optix.exceptions import InvalidTypeError, NonFiniteError
from tensor_optix.testing.fakes import RewardEvaluator


def test_higher_is_better_and_nothing_beats_itself():
    low, high, nan = (EvalMetrics(score, {}, 0) for score in (1.0, 2.0, math.nan))
    compare = RewardEvaluator().compare
    assert compare(high, low)
    assert not compare(low, high)
    assert not compare(low, low)
    assert not compare(nan, low)
    assert not compare(low, nan)


@pytest.mark.parametrize(
    "measured",
    [
        {},
        {"loss": math.nan},
        {"name": "x", "parts": [1, (2.0, "y"), {"z": None}]},
        {"w": np.arange(3), "x": np.int8(1)},
    ],
)
def test_what_a_file_can_hold_passes(measured):
    check_score(EvalMetrics(math.nan, measured, 0), "Mine", 3)


@pytest.mark.parametrize(
    "measured", [{"f": abs}, {"s": {1}}, {"a": np.array(["x"])}, {"d": {1: 2.0}}, {"i": [10**400]}]
)
def test_what_no_file_can_hold_is_named(measured):
    (name,) = measured
    with pytest.raises(InvalidTypeError, match=rf"`Mine.score` gave metrics\['{name}'\] for window 3, which cannot be"):
        check_score(EvalMetrics(1.0, measured, 0), "Mine", 3)


def test_something_else_than_metrics_is_named():
    with pytest.raises(InvalidTypeError, match=r"`Mine.score` must return EvalMetrics. Received: 2.5"):
        check_score(2.5, "Mine", 3)


@pytest.mark.parametrize("score", [math.inf, -math.inf])
def test_an_infinite_score_is_named(score):
    metrics = EvalMetrics(1.0, {}, 0)
    object.__setattr__(metrics, "primary_score", score)
    with pytest.raises(NonFiniteError, match=rf"gave {score} for window 3. Return NaN where"):
        check_score(metrics, "Mine", 3)


def test_a_score_that_was_set_later_is_looked_at_again():
    metrics = EvalMetrics(1.0, {}, 0)
    object.__setattr__(metrics, "primary_score", "high")
    with pytest.raises(InvalidTypeError, match="primary_score"):
        check_score(metrics, "Mine", 3)
