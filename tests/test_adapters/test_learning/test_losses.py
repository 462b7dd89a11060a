import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tensor_optix.adapters.tensorflow.learning.losses import approximate_kl, clipped_surrogate


def test_surrogate_by_hand():
    # Ratios 2, 2, 1/2, 1/2 with advantages 1, -1, 1, -1 and clip 0.2: 1.2, -2, 0.5, -0.8.
    log_ratio = np.log(np.array([2.0, 2.0, 0.5, 0.5], np.float32))
    loss, _ = clipped_surrogate(log_ratio, np.array([1.0, -1.0, 1.0, -1.0], np.float32), 0.2)
    assert float(loss) == pytest.approx(-(1.2 - 2.0 + 0.5 - 0.8) / 4)


@given(st.integers(0, 10**6), st.floats(0.0, 0.9))
def test_slopes_of_the_surrogate_are_its_derivatives(seed, clip_ratio):
    rng = np.random.default_rng(seed)
    log_ratio, advantages = rng.normal(scale=0.5, size=6), rng.normal(size=6)

    def loss(x):  # equation 7, in float64
        ratio = np.exp(x)
        return -np.mean(np.minimum(ratio * advantages, np.clip(ratio, 1 - clip_ratio, 1 + clip_ratio) * advantages))

    shifts = 1e-6 * np.eye(6)
    expected = [(loss(log_ratio + s) - loss(log_ratio - s)) / 2e-6 for s in shifts]
    value, slopes = clipped_surrogate(np.float32(log_ratio), np.float32(advantages), np.float32(clip_ratio))
    assert float(value) == pytest.approx(loss(log_ratio), rel=1e-4, abs=1e-5)
    at_a_kink = np.abs(np.abs(np.exp(log_ratio) - 1) - clip_ratio) < 1e-5
    np.testing.assert_allclose(np.where(at_a_kink, 0, slopes), np.where(at_a_kink, 0, expected), rtol=1e-3, atol=1e-5)


def test_kl_estimate_is_unbiased_and_never_negative():
    rng = np.random.default_rng(0)
    p, q = np.array([0.7, 0.2, 0.1]), np.array([0.5, 0.3, 0.2])
    drawn = rng.choice(3, 200_000, p=p)
    estimate = float(approximate_kl(np.log(q[drawn] / p[drawn]).astype(np.float32)))
    assert estimate == pytest.approx(np.sum(p * np.log(p / q)), rel=0.02)
    assert float(approximate_kl(np.float32([-50.0, 0.0, 50.0]))) > 0
    assert float(approximate_kl(np.zeros(3, np.float32))) == 0.0
