"""The interval of a paired difference: numbers worked out by hand, and how often it covers the truth."""

import numpy as np
import pytest
from scipy import stats

from tensor_optix.exceptions import InvalidArgumentError, NonFiniteError
from tensor_optix.functional.paired_differences import paired_interval


def test_symmetric_differences_give_student_s_interval():
    differences = np.array([-3.0, -1.0, 1.0, 3.0, 5.0, 7.0])
    theirs = np.array([9.0, 2.0, 40.0, 7.0, 1.0, 3.0])
    low, high = paired_interval(theirs + differences, theirs)
    expected = stats.t.interval(0.95, 5, loc=2.0, scale=stats.sem(differences))
    np.testing.assert_allclose((low, high), expected, rtol=1e-9)


def test_what_both_share_is_not_in_it():
    rng = np.random.default_rng(0)
    hardness = 100.0 * rng.normal(size=50)
    low, high = paired_interval(hardness + rng.normal(2.0, 1.0, 50), hardness)
    assert 1.0 < low < 2.5 < high + 0.5
    assert high - low < 1.5


def test_equal_differences_are_no_proof_that_there_are_no_others():
    low, high = paired_interval([500.0] * 50 + [400.0] * 50, [499.0] * 50 + [399.0] * 50)
    assert low < 1.0 < high
    share = 1.0 - 0.05 ** (1 / 100)
    assert (low, high) == pytest.approx((1.0 - share * (1.0 + 99.0), 1.0 + share * (101.0 - 1.0)))


@pytest.mark.parametrize("kind", ["normal", "skewed", "failures"])
def test_it_covers_the_truth_19_times_of_20(kind):
    """2,000 simulated comparisons of 100 episodes each, whose seeds make them easy or hard for both sides alike."""
    rng = np.random.default_rng(7)
    covered = 0
    for _ in range(2000):
        hardness = rng.gamma(2.0, 50.0, 100)
        if kind == "normal":
            ours, theirs, truth = hardness + rng.normal(3, 8, 100), hardness + rng.normal(0, 12, 100), 3.0
        elif kind == "skewed":
            ours, theirs, truth = hardness + rng.gamma(1.0, 10.0, 100), hardness + rng.gamma(2.0, 10.0, 100), -10.0
        else:
            ours, theirs, truth = (
                hardness + 20.0 * (rng.random(100) < 0.8),
                hardness + 20.0 * (rng.random(100) < 0.5),
                6.0,
            )
        low, high = paired_interval(ours, theirs)
        covered += low <= truth <= high
    assert 0.935 <= covered / 2000 <= 0.97, covered / 2000  # three standard errors are 0.015


def test_what_is_no_pair_is_refused():
    with pytest.raises(InvalidArgumentError, match=r"as many, and at least one. Received 2 and 3"):
        paired_interval([1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(InvalidArgumentError, match=r"Received 0 and 0"):
        paired_interval([], [])
    with pytest.raises(NonFiniteError):
        paired_interval([np.nan, 1.0], [1.0, 1.0])
