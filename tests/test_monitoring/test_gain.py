"""How far a series has risen: the chance of a low start, against SciPy and random orders; noise of the beginning."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from tensor_optix.monitoring.gain import bins_of, chance_of_low_start, gain_since
from tensor_optix.monitoring.score_bins import ScoreBins
from tensor_optix.monitoring.series import fit_line


def binned(scores: np.ndarray) -> ScoreBins:
    bins = ScoreBins()
    for score in scores.tolist():
        bins.add(score)
    return bins


def test_three_low_scores_first_and_none_since() -> None:
    values = np.array([0.0, 0.1, 0.0, *[1.0] * 30])
    assert chance_of_low_start(values, 3, 30, 1.0) == pytest.approx(1 / math.comb(33, 3))


def test_one_low_score_proves_no_more_than_its_place() -> None:
    values = np.array([1.0, 0.0, 1.0, *[1.0] * 30])
    assert chance_of_low_start(values, 3, 30, 1.0) == pytest.approx(3 / 33)


def test_is_fishers_exact_test() -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(size=8), rng.normal(1.5, 1.0, size=60)])
    first = values[:8].mean()
    is_low = values < first + math.sqrt(0.1) * (1.5 - first)
    table = [[is_low[:8].sum(), (~is_low[:8]).sum()], [is_low[8:].sum(), (~is_low[8:]).sum()]]
    expected = stats.fisher_exact(table, alternative="greater").pvalue
    assert chance_of_low_start(values, 8, 60, 1.5) == pytest.approx(expected)


def test_only_the_newest_count() -> None:
    values = np.array([*[0.0] * 20, *[1.0] * 20])
    assert chance_of_low_start(values, 3, 20, 1.0) == pytest.approx(1 / math.comb(23, 3))


def test_what_has_not_risen_may_always_be_chance() -> None:
    assert chance_of_low_start(np.array([1.0, 1.0, 0.0, 0.0]), 2, 2, 0.0) == 1.0


@pytest.mark.parametrize("kind", ["equal, rarely worse", "heavy-tailed", "skewed down"])
def test_in_random_order_it_is_rarely_small(kind: str) -> None:
    rng = np.random.default_rng(1)
    series = {
        "equal, rarely worse": 1.0 - (rng.random((1000, 60)) < 0.05),
        "heavy-tailed": rng.standard_t(2, size=(1000, 60)),
        "skewed down": -rng.exponential(size=(1000, 60)),
    }[kind]
    chances = [chance_of_low_start(x, 3, 40, float(x[-15:].mean())) for x in series]
    assert np.mean(np.array(chances) <= 0.02) <= 0.03


def test_a_loud_beginning_makes_the_gain_less_certain() -> None:
    rng = np.random.default_rng(2)
    quiet = 0.1 * rng.normal(size=100)
    loud = quiet.copy()
    loud[:8] *= 20.0
    errors = []
    for scores in (quiet, loud):
        bins = binned(scores)
        half = fit_line(np.arange(50.0), bins.values()[50:], np.zeros(50), 1)
        errors.append(gain_since(bins, 3, half).error)
    assert errors[1] > 5.0 * errors[0]


def test_bins_that_come_nearest() -> None:
    bins = binned(np.arange(1200.0))
    assert bins.bin_size == 4
    assert [bins_of(bins, looks) for looks in (1, 3, 8, 10_000)] == [1, 1, 2, bins.num_bins]
