"""The linear value baseline: what it can tell apart, and on which scales."""

import numpy as np
import pytest

from tensor_optix.adapters.tensorflow.learning.value_baseline import ValueBaseline


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_the_baseline_does_not_mind_the_scale_of_observations(scale):
    rng = np.random.default_rng(0)
    observations = rng.normal(size=(500, 3))
    baseline = ValueBaseline(np.random.default_rng(1), [(3,)], [None])
    baseline.observe([scale * observations])
    targets = observations[:, 0] * observations[:, 1]
    baseline.fit(baseline.features([scale * observations]), targets)
    left = targets - baseline.predict(baseline.features([scale * observations]))
    assert np.var(left) < 0.1 * np.var(targets)


@pytest.mark.parametrize("num_values", [6, 500])
def test_the_baseline_tells_discrete_observations_apart(num_values):
    rng = np.random.default_rng(0)
    observations, worth = rng.integers(0, num_values, 3000), rng.normal(size=num_values)
    baseline = ValueBaseline(np.random.default_rng(1), [()], [num_values])
    baseline.observe([observations])
    baseline.fit(baseline.features([observations]), worth[observations])
    left = worth[observations] - baseline.predict(baseline.features([observations]))
    assert np.var(left) < (0.01 if num_values == 6 else 0.9) * np.var(worth)


def test_images_and_constants_give_finite_features():
    images = np.random.default_rng(0).integers(0, 255, (5, 20, 20, 3)).astype(np.uint8)
    baseline = ValueBaseline(np.random.default_rng(1), [(20, 20, 3), (2,)], [None, None])
    parts = [images, np.full((5, 2), 7.0)]
    baseline.observe(parts)
    features = baseline.features(parts)
    assert features.shape[1] < 400
    assert np.isfinite(features).all()
