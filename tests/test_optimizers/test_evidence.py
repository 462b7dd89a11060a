import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t

from tensor_optix.optimizers.evidence import (
    PooledMean,
    fit_response,
    is_drawn_out,
    line_at,
    noise_sd,
    noise_variance,
    parabola_through,
    small_sample_inflation,
    spent_threshold,
)


class TestLine:
    def test_one_score_is_all_there_is(self):
        assert line_at([3], [7.0], 9) == (7.0, 1.0)

    def test_between_two_scores_is_their_mean(self):
        assert line_at([0, 2], [1.0, 4.0], 1) == (2.5, 0.5)

    def test_a_line_is_followed(self):
        level, _ = line_at([0, 2, 4, 6, 8, 10], [1, 2, 3, 4, 5, 6], 11)
        assert level == pytest.approx(6.5)

    def test_too_far_away_the_last_score_serves(self):
        assert line_at([0, 2], [1.0, 4.0], 30) == (4.0, 1.0)

    @given(st.lists(st.floats(-10, 10), min_size=3, max_size=8), st.floats(0, 8))
    def test_against_numpy(self, scores, time):
        times = np.arange(len(scores))
        level, variance = line_at(list(times), scores, time)
        design = np.stack([np.ones(len(scores)), times], axis=1)
        row = np.array([1.0, time])
        expected = float(row @ np.linalg.inv(design.T @ design) @ row)
        if expected < 0.999:
            assert variance == pytest.approx(expected)
            assert level == pytest.approx(np.polyval(np.polyfit(times, scores, 1), time), abs=1e-6)
        elif expected > 1.001:
            assert (level, variance) == (scores[-1], 1.0)


class TestNoise:
    def test_of_a_steady_drift_there_is_none(self):
        assert noise_variance([0.5, 0.5, 0.5]) == 0.0

    def test_by_hand(self):
        """Differences 1, -1, 1, -1: mean 0, sum of squares 4, over 2 * 3."""
        assert noise_variance([1.0, -1.0, 1.0, -1.0]) == pytest.approx(4 / 6)

    def test_it_is_unbiased(self):
        rng = np.random.default_rng(0)
        estimates = [noise_variance(np.diff(rng.normal(0, 3, 40)[::2]).tolist()) for _ in range(3000)]
        assert np.mean(estimates) == pytest.approx(9.0, rel=0.06)

    def test_rounding_is_a_floor(self):
        assert noise_sd(4.0, 1.0) == 2.0
        assert noise_sd(0.0, 1e6) == pytest.approx(1e-3)
        assert noise_sd(0.0, 0.0) > 0.0


class TestThresholds:
    def test_against_tables(self):
        """Look 1 spends half of 5 %: t(0.975); many degrees of freedom: the normal quantile."""
        assert spent_threshold(1, 0.05, 9) == pytest.approx(2.262, abs=1e-3)
        assert spent_threshold(1, 0.05, 10**6) == pytest.approx(1.960, abs=1e-3)
        assert small_sample_inflation(9) == pytest.approx(2.262 / 1.960, abs=1e-3)

    def test_all_looks_together_spend_alpha(self):
        spent = sum(1 - t.cdf(spent_threshold(k, 0.05, 20), 20) for k in range(1, 100))
        assert 0.049 < spent < 0.05

    def test_noise_is_rarely_drawn_out_however_long_one_looks(self):
        rng = np.random.default_rng(1)
        sums = rng.normal(size=(1000, 300)).cumsum(axis=1)
        ever = [any(is_drawn_out(s, n, 0.1, 4.0) for n, s in enumerate(row, start=1)) for row in sums]
        assert np.mean(ever) < 0.1 + 3 * math.sqrt(0.09 / 1000)
        assert np.mean(ever) > 0.03

    def test_an_effect_is(self):
        rng = np.random.default_rng(2)
        sums = rng.normal(0.7, 1.0, size=(500, 60)).cumsum(axis=1)
        assert np.mean([is_drawn_out(row[-1], 60, 0.1, 4.0) for row in sums]) > 0.98


class TestParabola:
    def test_by_hand(self):
        """gain(x) = 3 x - 2 x^2 at x = 1 and -1: 1 and -5."""
        (slope, slope_variance), (curvature, curvature_variance) = parabola_through((1, 1, 2.0), (-1, -5, 2.0))
        assert (slope, curvature) == (pytest.approx(3.0), pytest.approx(2.0))
        assert (slope_variance, curvature_variance) == (pytest.approx(1.0), pytest.approx(1.0))

    @given(st.floats(-5, 5), st.floats(-5, 5), st.floats(0.05, 2), st.floats(-2, -0.05))
    def test_it_returns_what_was_put_in(self, slope, curvature, upper, lower):
        def gain(x):
            return slope * x - curvature * x**2

        (found_slope, _), (found_curvature, _) = parabola_through((upper, gain(upper), 1), (lower, gain(lower), 1))
        assert found_slope == pytest.approx(slope, abs=1e-6)
        assert found_curvature == pytest.approx(curvature, abs=1e-6)

    def test_the_variances_are_those_of_the_estimates(self):
        rng = np.random.default_rng(0)
        fits = [parabola_through((0.4, rng.normal(0, 1), 1.0), (-0.1, rng.normal(0, 2), 4.0)) for _ in range(4000)]
        for which in (0, 1):
            assert np.var([fit[which][0] for fit in fits]) == pytest.approx(fits[0][which][1], rel=0.1)


class TestPooledMean:
    def test_precise_estimates_weigh_more(self):
        pooled = PooledMean()
        assert pooled.mean == 0.0
        assert not pooled.is_proven(0.5, 1.0)
        pooled.add(1.0, 1.0)
        pooled.add(2.0, 0.001)
        assert pooled.mean == pytest.approx(2.0, abs=0.01)

    def test_old_ones_fade(self):
        pooled = PooledMean()
        for _ in range(300):
            pooled.add(-1.0, 1.0)
        for _ in range(100):
            pooled.add(1.0, 1.0)
        assert pooled.mean > 0.5


def curve(n, seed, *, trend=0.0, slope=0.0, bend=0.0, noise=0.1, steps=0.2):
    rng = np.random.default_rng(seed)
    times = np.arange(n, dtype=float)
    points = np.cumsum(rng.normal(0, steps, size=(n, 2)), axis=0)
    scores = trend * times + slope * points[:, 0] + bend * points[:, 0] ** 2 + rng.normal(0, noise, n)
    return times, points, scores


def test_a_parabola_and_a_trend_are_told_apart():
    times, points, scores = curve(60, 0, trend=0.5, slope=2.0, bend=-3.0, noise=0.0)
    model = fit_response(times, points, scores, alpha=0.05, half_life=100)
    merit = model.merit(points)
    expected = 2.0 * points[:, 0] - 3.0 * points[:, 0] ** 2
    assert np.ptp(merit[:, 0] - expected) == pytest.approx(0.0, abs=1e-5)
    assert np.ptp(model.detrended - expected) == pytest.approx(0.0, abs=1e-4)


def test_matters_is_wrong_as_often_as_said():
    wrong = [fit_response(*curve(40, s, trend=1.0), alpha=0.1, half_life=1e9).matters for s in range(600)]
    assert np.mean(wrong) == pytest.approx(0.1, abs=0.03)


def test_what_matters_is_noticed_and_the_rest_adds_nothing():
    model = fit_response(*curve(40, 1, slope=1.0, noise=0.05), alpha=0.01, half_life=100)
    assert model.matters.tolist() == [True, False]
    assert (model.merit(np.ones((5, 2)))[:, 1] == 0).all()


def test_old_scores_count_less():
    times, points, scores = curve(200, 2, slope=1.0, noise=0.05)
    scores[:100] -= 2.0 * points[:100, 0]
    model = fit_response(times, points, scores, alpha=0.05, half_life=10)
    assert model.slopes[0] + 2 * model.bends[0] * (points[-1, 0] - model.centre[0]) > 0


def test_parameters_that_never_moved_do_not_matter():
    times, points, scores = curve(30, 3)
    model = fit_response(times, points * 0.0 + 0.7, scores, alpha=0.05, half_life=100)
    assert not model.matters.any()
    assert np.isfinite(model.detrended).all()


def test_too_few_scores_prove_nothing():
    assert not fit_response(*curve(6, 4, slope=5.0, noise=0.0), alpha=0.3, half_life=100).matters.any()
