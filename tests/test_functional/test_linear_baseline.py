import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tensor_optix.exceptions import InvalidArgumentError
from tensor_optix.functional.linear_baseline import draw_waves, merge_moments, ridge_fit, wave_features


def test_features_by_hand():
    features = wave_features(np.array([[2.0]]), np.array([[0.5]]), np.array([np.pi / 2]))
    np.testing.assert_allclose(features, [[1.0, 2.0, 2.0, np.cos(1.0)]])


def test_waves_have_the_asked_for_length():
    directions, phases = draw_waves(np.random.default_rng(0), num_inputs=8, num_waves=4000, bandwidth=1.5)
    assert np.sqrt(np.mean(np.sum(directions**2, axis=0))) == pytest.approx(1.5, rel=0.03)
    assert -np.pi <= phases.min() < phases.max() <= np.pi


def test_fit_is_the_minimum():
    rng = np.random.default_rng(0)
    features = np.concatenate([np.ones((50, 1)), rng.normal(size=(50, 3))], axis=1)
    targets = rng.normal(size=50)

    def objective(w):
        return np.sum((features @ w - targets) ** 2) + 2.0 * np.sum(w[1:] ** 2)

    fitted = ridge_fit(features, targets, 2.0)
    for shift in 1e-3 * np.concatenate([np.eye(4), -np.eye(4)]):
        assert objective(fitted) < objective(fitted + shift)


def test_without_evidence_the_fit_is_the_mean():
    features = np.array([[1.0, 0.3], [1.0, -0.2]])
    np.testing.assert_allclose(ridge_fit(features, np.array([90.0, 110.0]), 1e9), [100.0, 0.0], atol=1e-5)


@given(st.floats(1e-6, 1e6), st.integers(0, 100))
def test_scaling_rewards_scales_the_fit(scale, seed):
    rng = np.random.default_rng(seed)
    features = np.concatenate([np.ones((20, 1)), rng.normal(size=(20, 5))], axis=1)
    targets = rng.normal(size=20)
    np.testing.assert_allclose(
        ridge_fit(features, scale * targets, 1.0),
        scale * ridge_fit(features, targets, 1.0),
        rtol=1e-6,
        atol=1e-9 * scale,
    )


def test_waves_follow_a_curve_that_no_parabola_does():
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(2000, 2))
    targets = np.sin(2 * inputs[:, 0]) * np.cos(inputs[:, 1])
    features = wave_features(inputs, *draw_waves(rng, 2, 64, 1.5))
    coefficients = ridge_fit(features[:1000], targets[:1000], 0.1)
    left = np.var(targets[1000:] - features[1000:] @ coefficients) / np.var(targets[1000:])
    parabola = ridge_fit(features[:1000, :5], targets[:1000], 0.1)
    assert left < 0.05 < 0.5 < np.var(targets[1000:] - features[1000:, :5] @ parabola) / np.var(targets[1000:])


@settings(max_examples=50)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.integers(0, 10**6))
def test_merged_moments_are_those_of_all_rows(sizes, seed):
    rng = np.random.default_rng(seed)
    batches = [rng.normal(3.0, 2.0, size=(size, 2)) for size in sizes]
    count, mean, variance = 0.0, np.zeros(2), np.zeros(2)
    for batch in batches:
        count, mean, variance = merge_moments(count, mean, variance, batch)
    rows = np.concatenate(batches)
    assert count == len(rows)
    np.testing.assert_allclose(mean, rows.mean(axis=0))
    np.testing.assert_allclose(variance, rows.var(axis=0), atol=1e-12)


def test_bad_arguments_are_named():
    with pytest.raises(InvalidArgumentError, match=r"`ridge` must be > 0. Received: 0"):
        ridge_fit(np.ones((2, 1)), np.ones(2), 0)
    with pytest.raises(InvalidArgumentError, match=r"one length. Received: 2 and 3"):
        ridge_fit(np.ones((2, 1)), np.ones(3), 1.0)
