"""Lines through autocorrelated bins, and moments that grow: against NumPy and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter

from tensor_optix.monitoring.series import Moments, fit_line, sum_variance

X = np.linspace(0.0, 1.0, 100)


def test_without_noise_it_is_exact() -> None:
    line = fit_line(X, np.full(100, 4.0), np.zeros(100), 1)
    assert (line.slope, line.slope_se, line.score_sd, line.long_run_variance) == (0.0, 0.0, 0.0, 0.0)
    assert fit_line(X, 3.0 * X - 5.0, np.zeros(100), 1).slope == pytest.approx(3.0)


def test_is_least_squares_where_nothing_stands_out() -> None:
    means = X + 0.1 * np.sin(np.arange(100))
    assert fit_line(X, means, np.zeros(100), 1).slope == pytest.approx(np.polyfit(X, means, 1)[0])


def test_a_dip_hardly_tilts_it() -> None:
    means = 0.1 * np.random.default_rng(0).normal(size=100)
    dipped = means.copy()
    dipped[90:96] -= 10.0
    plain = abs(np.polyfit(X, dipped, 1)[0])
    assert abs(fit_line(X, dipped, np.zeros(100), 1).slope) < 0.1 * plain


@pytest.mark.parametrize("phi", [0.0, 0.6])
def test_standard_error_knows_autocorrelation(phi: float) -> None:
    rng = np.random.default_rng(1)
    series = lfilter([np.sqrt(1 - phi**2)], [1, -phi], rng.normal(size=(400, 260)), axis=1)[:, 60:]
    lines = [fit_line(np.linspace(0, 1, 200), x, np.zeros(200), 1) for x in series]
    spread = np.std([line.slope for line in lines])
    assert np.mean([line.slope_se for line in lines]) == pytest.approx(spread, rel=0.12)
    assert np.median([line.long_run_variance for line in lines]) == pytest.approx((1 + phi) / (1 - phi), rel=0.2)


def test_score_sd_counts_what_is_inside_bins() -> None:
    scores = np.random.default_rng(2).normal(0.0, 3.0, size=(100, 8))
    line = fit_line(X, scores.mean(axis=1), 8 * scores.var(axis=1), 8)
    assert line.score_sd == pytest.approx(3.0, rel=0.06)


def test_white_scores() -> None:
    scores = np.random.default_rng(0).normal(50.0, 4.0, size=2000)
    moments = Moments.of(scores.tolist())
    assert moments.mean == pytest.approx(scores.mean())
    assert moments.sd == pytest.approx(4.0, rel=0.05)
    assert moments.phi == pytest.approx(0.0, abs=0.05)
    assert moments.low_tail == pytest.approx(1.0, abs=0.05)


def test_grows_block_by_block() -> None:
    scores = np.random.default_rng(1).exponential(size=300).tolist()
    moments = Moments.of(scores[:50]).extended(scores[50:200]).extended(scores[200:])
    assert moments.count == 300
    assert moments.mean == pytest.approx(np.mean(scores))
    assert moments.sd == pytest.approx(np.std(scores, ddof=1), rel=0.02)


def test_rare_deep_drops_make_a_long_lower_tail() -> None:
    assert Moments.of([500.0] * 19 + [100.0]).low_tail > 2.0


def test_phi_and_sd_of_a_short_autoregression() -> None:
    series = lfilter([0.8], [1, -0.6], np.random.default_rng(2).normal(size=(1000, 110)), axis=1)[:, 60:]
    moments = [Moments.of(x.tolist()) for x in series]
    assert np.mean([m.phi for m in moments]) == pytest.approx(0.6, abs=0.04)
    assert np.sqrt(np.mean([m.sd**2 for m in moments])) == pytest.approx(1.0, abs=0.04)


@pytest.mark.parametrize(("count", "most"), [(3, 0.0), (4, 0.25), (6, 0.5)])
def test_few_scores_show_little_autocorrelation(count: int, most: float) -> None:
    assert Moments.of([float(i) for i in range(count)]).phi <= most


def test_constant_scores() -> None:
    moments = Moments.of([0.1] * 30)
    assert (moments.mean, moments.sd, moments.phi, moments.low_tail) == (0.1, 0.0, 0.0, 1.0)


def test_variance_of_a_sum_by_hand() -> None:
    assert sum_variance(1, 0.6) == pytest.approx(1.0)
    assert sum_variance(3, 0.5) == pytest.approx(3 + 2 * (2 * 0.5 + 0.25))
