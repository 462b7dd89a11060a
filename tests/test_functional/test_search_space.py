"""Scales, against numbers worked out by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tensor_optix.functional.search_space import SCALES, from_latent, guess_scale, to_latent


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
