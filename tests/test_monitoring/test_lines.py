"""Lines through autocorrelated bins, against NumPy and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter

from tensor_optix.monitoring.lines import fit_line

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
