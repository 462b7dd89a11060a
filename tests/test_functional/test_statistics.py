"""Statistics of scores, against hand numbers, SciPy and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tensor_optix.exceptions import InvalidArgumentError, NonFiniteError
from tensor_optix.functional.statistics import (
    difference_noise,
    largest_share_unseen,
    mean_interval,
)

FINITE = st.floats(-1e6, 1e6)


def coverage(draw, true_mean: float, runs: int = 2000) -> float:
    inside = 0
    for _ in range(runs):
        low, high = mean_interval(draw())
        inside += low <= true_mean <= high
    return inside / runs


class TestMeanInterval:
    def test_symmetric_values_get_students_interval(self) -> None:
        values = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
        expected = stats.t.interval(0.95, 4, loc=0.0, scale=stats.sem(values))
        assert mean_interval(values) == pytest.approx(expected, rel=1e-9)

    def test_inverts_halls_transformation(self) -> None:
        values = np.array([1.0, 2.0, 2.0, 3.0, 9.0, 4.0, 1.0])
        n, sd = values.size, values.std(ddof=1)
        a = np.mean((values - values.mean()) ** 3) / sd**3
        for edge, sign in zip(mean_interval(values, 0.9), (1.0, -1.0), strict=True):
            u = (values.mean() - edge) / sd
            transformed = u + a * u**2 / 3 + a**2 * u**3 / 27 + a / (6 * n)
            assert transformed == pytest.approx(sign * stats.t.ppf(0.95, n - 1) / math.sqrt(n), rel=1e-9)

    @pytest.mark.parametrize("kind", ["normal", "exponential", "capped", "acrobot"])
    def test_covers_at_100_episodes(self, kind: str) -> None:
        rng = np.random.default_rng(7)
        draws = {
            "normal": (lambda: rng.normal(size=100), 0.0),
            "exponential": (lambda: rng.exponential(size=100), 1.0),
            "capped": (lambda: np.where(rng.random(100) < 0.9, 500.0, rng.uniform(100, 500, 100)), 480.0),
            "acrobot": (lambda: -(65 + rng.gamma(4.0, 6.0, 100)), -89.0),
        }
        assert 0.935 <= coverage(*draws[kind]) <= 0.985

    def test_is_longer_on_the_side_of_the_long_tail(self) -> None:
        values = [500.0] * 95 + [100.0] * 5
        low, high = mean_interval(values)
        mean = np.mean(values)
        assert mean - low > 1.5 * (high - mean)

    def test_equal_values_give_a_point(self) -> None:
        assert mean_interval([0.1] * 7) == (0.1, 0.1)

    def test_equal_values_have_the_width_of_what_may_not_have_come_yet(self) -> None:
        low, high = mean_interval([5.0] * 20, value_range=(0.0, 7.0))
        share = largest_share_unseen(20, 0.05)
        assert (1.0 - share) ** 20 == pytest.approx(0.05)
        assert (low, high) == pytest.approx((5.0 - 5.0 * share, 5.0 + 2.0 * share))
        assert mean_interval([5.0] * 20, value_range=(5.0, 5.0)) == (5.0, 5.0)

    def test_values_that_show_what_occurs_are_taken_as_they_are(self) -> None:
        values = [500.0] * 95 + [100.0] * 5
        assert mean_interval(values, value_range=(9.0, 500.0)) == mean_interval(values)

    @pytest.mark.parametrize("count", [10, 20, 50, 100])
    @pytest.mark.parametrize("spread", [0.0, 0.02, 0.3])
    @pytest.mark.parametrize("share", [0.005, 0.02, 0.05, 0.2])
    def test_covers_where_few_fail(self, count: int, spread: float, share: float) -> None:
        rng = np.random.default_rng(3)

        def draw() -> np.ndarray:
            return np.where(rng.random(count) < share, 0.0, 1.0 + spread * rng.normal(size=count))

        edges = 0.0, 1.0 + 3 * spread
        hits = [
            low <= 1.0 - share <= high for low, high in (mean_interval(draw(), value_range=edges) for _ in range(800))
        ]
        assert np.mean(hits) >= 0.92  # where all succeed, the mean of the sample alone covers in none

    @pytest.mark.parametrize("count", [20, 100])
    @pytest.mark.parametrize("sign", [1.0, -1.0])
    def test_covers_what_is_skewed(self, count: int, sign: float) -> None:
        rng = np.random.default_rng(4)
        edges = sorted((0.0, sign * 30.0))
        hits = []
        for _ in range(1500):
            low, high = mean_interval(sign * rng.lognormal(size=count), value_range=(edges[0], edges[1]))
            hits.append(low <= sign * math.exp(0.5) <= high)
        assert np.mean(hits) >= 0.93

    def test_one_value_says_nothing(self) -> None:
        assert mean_interval([3.0]) == (-math.inf, math.inf)

    @given(st.lists(FINITE, min_size=2, max_size=20))
    def test_holds_the_mean_and_is_finite(self, values: list[float]) -> None:
        low, high = mean_interval(values)
        slack = 1e-9 * (1.0 + max(abs(v) for v in values))
        assert -math.inf < low <= np.mean(values) + slack
        assert np.mean(values) - slack <= high < math.inf

    def test_a_large_offset_changes_nothing(self) -> None:
        values = np.random.default_rng(0).exponential(size=30)
        shifted = np.array(mean_interval(values + 1e9)) - 1e9
        assert shifted == pytest.approx(mean_interval(values), abs=1e-6)

    def test_refuses_what_it_cannot_use(self) -> None:
        with pytest.raises(InvalidArgumentError, match="at least one value"):
            mean_interval([])
        with pytest.raises(InvalidArgumentError, match=r"inside \(0, 1\)"):
            mean_interval([1.0, 2.0], confidence=1.0)
        with pytest.raises(NonFiniteError, match=r"Received: .*nan"):
            mean_interval([1.0, math.nan])


class TestNoise:
    @pytest.mark.parametrize("values", [[], [4.0], [4.0, 9.0], [3, 6, 9, 12], [5.0] * 9])
    def test_a_steady_trend_has_none(self, values: list[float]) -> None:
        assert difference_noise(values) == 0.0

    def test_by_hand(self) -> None:
        # differences 1, 3, 1, 5: median 2, deviations 1, 1, 1, 3
        assert difference_noise([0, 1, 4, 5, 10]) == pytest.approx(1.4826 / math.sqrt(2), rel=1e-4)

    def test_finds_the_noise_below_a_trend_a_step_and_an_outlier(self) -> None:
        values = 3.0 * np.random.default_rng(1).normal(size=4000) + np.linspace(0, 500, 4000)
        values[2000:] += 1000.0
        values[17] = 1e6
        assert difference_noise(values) == pytest.approx(3.0, rel=0.05)
