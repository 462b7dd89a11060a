"""Moments that grow, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter

from tensor_optix.monitoring.moments import Moments, sum_variance


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
