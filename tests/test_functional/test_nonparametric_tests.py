"""Tests without a distribution, held against SciPy's and against counting every case."""

import itertools

import numpy as np
import pytest
from scipy import stats

from tensor_optix.functional.nonparametric_tests import lower_by_ranks, lower_by_sign_flips, lower_by_signed_ranks

SAMPLES = {
    "continuous": lambda rng, n: rng.normal(size=n),
    "tied": lambda rng, n: rng.integers(0, 4, n).astype(float),
    "nearly constant": lambda rng, n: np.where(rng.random(n) < 0.2, 480.0, 500.0),
}


@pytest.mark.parametrize("kind", SAMPLES)
@pytest.mark.parametrize("sizes", [(1, 1), (5, 20), (10, 40), (40, 40), (7, 60)])
def test_unpaired_is_what_scipy_says(kind, sizes):
    rng = np.random.default_rng(0)
    for shift in (0.0, 1.0):
        sample, reference = (SAMPLES[kind](rng, n) for n in sizes)
        expected = stats.mannwhitneyu(sample - shift, reference, alternative="less", method="asymptotic").pvalue
        if np.isfinite(expected):
            assert lower_by_ranks(sample - shift, reference) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("kind", SAMPLES)
@pytest.mark.parametrize("count", [5, 10, 20, 40])
def test_paired_is_what_scipy_says(kind, count):
    rng = np.random.default_rng(1)
    for shift in (0.0, 1.0):
        sample, reference = SAMPLES[kind](rng, count) - shift, SAMPLES[kind](rng, count)
        expected = stats.wilcoxon(sample, reference, alternative="less", method="asymptotic").pvalue
        assert lower_by_signed_ranks(sample, reference) == pytest.approx(expected, rel=1e-9)


def test_few_values_are_judged_no_more_boldly_than_exactly():
    rng = np.random.default_rng(2)
    for _ in range(200):
        sample, reference = rng.normal(-1.5, 1, 5), rng.normal(0, 1, 20)
        exact = stats.mannwhitneyu(sample, reference, alternative="less", method="exact").pvalue
        assert lower_by_ranks(sample, reference) >= 0.005 or exact < 0.006
        pairs = rng.normal(-1, 1, (2, 10))
        exact = stats.wilcoxon(pairs[0], pairs[1] + 1.5, alternative="less", method="exact").pvalue
        assert lower_by_signed_ranks(pairs[0], pairs[1] + 1.5) >= 0.005 or exact < 0.006


def test_nothing_to_rank_is_no_evidence():
    assert lower_by_ranks([500.0] * 5, [500.0] * 20) == 1.0
    assert lower_by_signed_ranks([1.0, 2.0], [1.0, 2.0]) == 1.0
    assert lower_by_sign_flips([1.0, 2.0], [1.0, 2.0]) == 1.0
    assert lower_by_sign_flips([], []) == 1.0


@pytest.mark.parametrize("kind", SAMPLES)
@pytest.mark.parametrize("count", [1, 4, 10])
def test_sign_flips_are_counted_right(kind, count):
    rng = np.random.default_rng(3)
    for shift in (0.0, 0.5, 1.0):
        sample, reference = SAMPLES[kind](rng, count) - shift, SAMPLES[kind](rng, count)
        differences = sample - reference
        flips = np.array(list(itertools.product((-1.0, 1.0), repeat=count)))
        expected = np.mean(flips @ np.abs(differences) <= differences.sum() + 1e-9)
        # the grid moves sums by up to half a thousandth of the largest difference each
        slack = 0.5e-3 * count * np.abs(differences).max()
        low, high = (
            np.mean(flips @ np.abs(differences) <= differences.sum() + 1e-9 + by) for by in (-2 * slack, 2 * slack)
        )
        assert low <= lower_by_sign_flips(sample, reference) <= high
        if kind != "continuous" and shift != 0.5:
            assert lower_by_sign_flips(sample, reference) == pytest.approx(expected, abs=1e-12)


def test_sign_flips_feel_a_few_heavy_losses_and_ranks_do_not():
    reference = np.zeros(20)
    sample = np.where(np.arange(20) < 9, -600.0 - np.arange(20), 1.0 + np.arange(20) / 20)
    assert lower_by_sign_flips(sample, reference) < 0.005
    assert lower_by_signed_ranks(sample, reference) > 0.02


@pytest.mark.parametrize("significance", [0.005, 0.05])
def test_chance_alone_is_called_a_loss_as_rarely_as_promised(significance):
    rng = np.random.default_rng(4)
    heavy = rng.standard_t(2, (2000, 20))
    called = np.mean([lower_by_sign_flips(row, np.zeros(20)) < significance for row in heavy])
    assert called <= significance + 3 * np.sqrt(significance / 2000)
