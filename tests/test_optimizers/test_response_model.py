import numpy as np
import pytest

from tensor_optix.optimizers.response_model import fit_response


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
