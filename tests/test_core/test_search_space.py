"""Scales, against numbers worked out by hand, and bounds."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tensor_optix import ParamSpec, TensorOptixError
from tensor_optix.core.search_space import SCALES, from_latent, guess_scale, to_latent


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (1e-5, 1e-2, "log"),
        (1.0, 10.0, "log"),
        (1.0, 9.99, "linear"),
        (0.0, 1.0, "linear"),
        (-1.0, 1e6, "linear"),
        (0.9, 0.999, "one_minus_log"),
        (0.8, 0.99, "one_minus_log"),
        (0.79, 0.99, "linear"),
        (0.9, 1.0, "linear"),
        (0.9, 0.9, "linear"),
    ],
)
def test_the_scale_that_suits_plain_bounds(low, high, expected):
    assert guess_scale(low, high) == expected


@pytest.mark.parametrize(
    ("value", "scale", "latent"),
    [(0.3, "linear", 0.3), (100.0, "log", 2 * math.log(10.0)), (0.99, "one_minus_log", math.log(100.0))],
)
def test_by_hand(value, scale, latent):
    assert to_latent(value, scale) == pytest.approx(latent, rel=1e-12)
    assert from_latent(latent, scale) == pytest.approx(value, rel=1e-12)


def test_equal_distances_are_equal_factors_of_the_horizon():
    horizons = [1.0 - 1.0 / steps for steps in (10.0, 100.0, 1000.0)]
    first, second, third = (to_latent(gamma, "one_minus_log") for gamma in horizons)
    assert second - first == pytest.approx(third - second, rel=1e-9)


@pytest.mark.parametrize("scale", SCALES)
@given(value=st.floats(1e-6, 0.999999))
def test_there_and_back(scale, value):
    assert from_latent(to_latent(value, scale), scale) == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize(
    ("bounds", "scale"),
    [
        ((1e-5, 1e-2), "log"),
        ((0.1, 1.0), "log"),
        ((0.2, 1.0), "linear"),
        ((0.0, 1.0), "linear"),
        ((-1.0, 100.0), "linear"),
        ((0.9, 0.999), "one_minus_log"),
        ((0.9, 1.0), "linear"),
    ],
)
def test_plain_bounds_get_the_scale_that_suits_them(bounds, scale):
    assert ParamSpec.of(bounds).scale == scale


@given(st.floats(1e-6, 1e-3), st.floats(2.0, 1e6), st.floats(0.0, 1.0))
def test_latent_scale_round_trips_inside_the_bounds(low, ratio, share):
    spec = ParamSpec(low, low * ratio, "log")
    value = low * ratio**share
    back = spec.from_latent(spec.to_latent(value))
    assert spec.contains(back)
    assert back == pytest.approx(spec.clip(value), rel=1e-9)


def test_integers_are_rounded_on_the_way_out_only():
    spec = ParamSpec(1, 10, integer=True)
    assert spec.from_latent(2.6) == 3.0
    assert spec.to_latent(2.6) == 2.6


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ((2.0, 1.0), "low <= high. Received: low=2.0, high=1.0"),
        ((float("nan"), 1.0), "The bound `low` must be finite"),
        ((0.0, float("inf")), "The bound `high` must be finite"),
        (("a", 1.0), "The bound `low` must be a number"),
        ((0.0, 1.0, "log"), "A log scale needs low > 0"),
        ((0.5, 1.0, "one_minus_log"), "needs high < 1"),
        ((0.5, 0.9, "cubic"), "`scale` must be one of"),
        ((0.0, 1.0, "linear", "yes"), "`integer` must be True or False"),
    ],
)
def test_bad_specs(arguments, match):
    with pytest.raises((ValueError, TypeError), match=match) as caught:
        ParamSpec(*arguments)
    assert isinstance(caught.value, TensorOptixError)


@pytest.mark.parametrize("bounds", [3, (1.0,), (1.0, 2.0, 3.0), None])
def test_bounds_that_are_no_pair(bounds):
    with pytest.raises(TypeError, match="a pair \\(low, high\\)"):
        ParamSpec.of(bounds)
