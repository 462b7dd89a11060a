"""The degradation detector: alarms on known drops, silence on steady scores, monotony, state, bad input."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter

from tensor_optix.exceptions import InvalidArgumentError, NonFiniteError, NotBoundError, StateMismatchError
from tensor_optix.monitoring import DegradationDetector, PlateauDetector

SCORES = st.floats(-20, 20)


def alarms(
    calibration: Sequence[float], scores: Sequence[float], detector: DegradationDetector | None = None
) -> list[int]:
    """Return the indices at which an alarm was raised."""
    detector = detector or DegradationDetector()
    detector.calibrate(calibration)
    return [i for i, score in enumerate(scores) if detector.update(score)]


def noise(rng: np.random.Generator, shape: tuple[int, int], phi: float = 0.0, kind: str = "normal") -> np.ndarray:
    shape = (shape[0], shape[1] + 60)
    innovations = {
        "normal": lambda: rng.normal(size=shape),
        "skewed": lambda: 1.0 - rng.exponential(size=shape),
        "heavy": lambda: rng.standard_t(3, size=shape) / math.sqrt(3.0),
        "capped": lambda: np.where(rng.random(shape) < 0.1, -rng.exponential(80.0, shape), 0.0),
    }[kind]()
    return lfilter([math.sqrt(1 - phi**2)], [1, -phi], innovations, axis=1)[:, 60:]


class TestSteady:
    @pytest.mark.parametrize(
        ("kind", "phi", "most"),
        [("normal", 0.0, 2), ("normal", 0.3, 4), ("skewed", 0.0, 4), ("heavy", 0.0, 4), ("capped", 0.0, 3)],
    )
    def test_false_alarms_are_rare(self, kind: str, phi: float, most: int) -> None:
        series = noise(np.random.default_rng(11), (50, 1050), phi, kind)
        assert sum(bool(alarms(x[:50], x[50:].tolist())) for x in series) <= most

    @pytest.mark.parametrize("count", [3, 4, 10])
    def test_few_calibration_scores_make_it_coarse_not_nervous(self, count: int) -> None:
        series = noise(np.random.default_rng(12), (50, 1000 + count))
        found = [alarms(x[:count], x[count:].tolist(), DegradationDetector.while_learning()) for x in series]
        assert sum(map(bool, found)) <= 5

    def test_one_bad_score_is_no_alarm(self) -> None:
        for count in (3, 5, 50):
            calibration = np.random.default_rng(13).normal(100.0, 3.0, count)
            steady = [float(np.mean(calibration))] * 10
            for detector in (DegradationDetector(), DegradationDetector(threshold=1.0)):
                assert alarms(calibration, [-1e9, *steady, -1e9, *steady], detector) == []

    def test_a_constant_stays_quiet(self) -> None:
        assert alarms([500.0] * 30, [500.0] * 1000) == []
        assert alarms([0.3] * 5, [0.1 + 0.2, 0.3] * 50) == []


class TestDrops:
    @pytest.mark.parametrize(("size", "most"), [(1.0, 28), (2.0, 8), (3.0, 4)])
    def test_a_drop_is_found_in_time(self, size: float, most: int) -> None:
        series = noise(np.random.default_rng(14), (200, 350))
        found = [alarms(x[:50], (x[50:] - size).tolist()) for x in series]
        assert np.median([f[0] + 1 if f else math.inf for f in found]) <= most

    @pytest.mark.parametrize("kind", ["normal", "skewed up"])
    def test_a_drop_of_one_spread_after_some_calm_is_found_within_25(self, kind: str) -> None:
        rng = np.random.default_rng(21)
        series = (rng.normal if kind == "normal" else rng.exponential)(size=(200, 260))
        found = [alarms(x[:50], [*x[50:150], *(x[150:] - 1.0)]) for x in series]
        late = [f[0] - 99 if f else math.inf for f in found if not f or f[0] >= 100]
        assert np.median(late) <= 25

    def test_a_drop_after_a_long_calm_is_found(self) -> None:
        series = noise(np.random.default_rng(15), (30, 700))
        series[:, 550:] -= 1.5
        found = [alarms(x[:50], x[50:].tolist()) for x in series]
        assert np.median([f[0] - 500 if f else math.inf for f in found]) <= 20

    @pytest.mark.parametrize("count", [4, 6, 10, 30])
    @pytest.mark.parametrize("learning", [True, False])
    def test_a_collapse_is_found_within_five(self, count: int, learning: bool) -> None:
        rng = np.random.default_rng(16)
        for _ in range(30):
            detector = DegradationDetector.while_learning() if learning else DegradationDetector()
            found = alarms(100.0 + rng.normal(size=count), [100.0, *(1.0 + rng.normal(size=5))], detector)
            assert len(found) == 1
            assert found[0] <= 5

    def test_a_constant_that_falls_is_found(self) -> None:
        found = alarms([500.0] * 30, [500.0] * 100 + [499.0] * 3)
        assert found
        assert 101 <= found[0] <= 102

    def test_a_slow_decline_is_not_taken_for_the_baseline(self) -> None:
        x = noise(np.random.default_rng(17), (1, 3050))[0]
        x[50:] -= np.arange(3000) / 500.0
        found = alarms(x[:50], x[50:].tolist())
        assert found
        assert found[0] < 1000

    def test_cries_once_until_reset(self) -> None:
        detector = DegradationDetector()
        assert len(alarms([1.0, 2.0, 3.0, 2.0] * 5, [-50.0] * 40, detector)) == 1
        assert detector.alarmed
        detector.reset()
        assert not detector.alarmed
        assert sum(detector.update(-50.0) for _ in range(40)) == 1
        detector.calibrate([1.0, 2.0, 3.0])
        assert not detector.alarmed

    def test_earlier_looks_raise_the_boundary(self) -> None:
        x = noise(np.random.default_rng(18), (1, 450))[0]
        x[50:] -= 1.0
        fresh, later, other = DegradationDetector(), DegradationDetector(), DegradationDetector()
        fresh.calibrate(x[:50])
        later.calibrate(x[:50], earlier_looks=5_000)
        other.load_state_dict(json.loads(json.dumps(later.state_dict())))
        cries = [[detector.update(score) for score in x[50:]].index(True) for detector in (fresh, later, other)]
        assert cries[0] < cries[1] == cries[2]

    def test_a_cusum_near_its_limit_is_not_calm(self) -> None:
        detector = DegradationDetector()
        assert detector.is_calm
        detector.calibrate([1.0, 2.0, 3.0, 2.0] * 10)
        calm = []
        while not detector.alarmed:
            calm.append(detector.is_calm)
            detector.update(0.5)
        assert calm[0]
        assert not calm[-1]

    def test_whole_numbers_with_a_longer_lower_tail_are_steady(self) -> None:
        series = np.random.default_rng(23).binomial(20, 0.9, size=(60, 1000)).astype(float)
        assert sum(bool(alarms(x[:200], x[200:].tolist())) for x in series) <= 3

    def test_raised_threshold_cries_later_and_stays_raised(self) -> None:
        x = noise(np.random.default_rng(18), (1, 450))[0]
        x[50:] -= 1.0
        slow = DegradationDetector()
        slow.raise_threshold(1.5)
        first, later = alarms(x[:50], x[50:].tolist()), alarms(x[:50], x[50:].tolist(), slow)
        assert later[0] > first[0]


class TestMonotony:
    @example([0.0, 1.0, 0.0, 1.0], [-9.0, 0.0, -9.0, -9.0, -9.0], [9.0, 0.0, 0.0, 0.0, 0.0])
    @settings(max_examples=300, deadline=None)
    @given(st.lists(SCORES, min_size=3, max_size=12), st.lists(SCORES, max_size=60), st.lists(st.floats(0, 20)))
    def test_a_better_curve_is_never_called_degraded_first(
        self, calibration: list[float], scores: list[float], gains: list[float]
    ) -> None:
        better = [score + gain for score, gain in zip(scores, [*gains, *[0.0] * len(scores)], strict=False)]
        worse_alarm, better_alarm = alarms(calibration, scores), alarms(calibration, better)
        assert not better_alarm or worse_alarm[0] <= better_alarm[0]

    @settings(max_examples=40, deadline=None)
    @given(st.integers(0, 2**32 - 1), st.floats(0.0, 3.0))
    def test_without_adaptation_for_ever(self, seed: int, size: float) -> None:
        rng = np.random.default_rng(seed)
        scores = rng.normal(-0.2, 1.0, size=600)
        better = scores + size * rng.random(600) * (rng.random(600) < 0.5)
        calibration = rng.normal(size=20)
        found = alarms(calibration, better.tolist(), DegradationDetector(adapt=False))
        if found:
            assert alarms(calibration, scores.tolist(), DegradationDetector(adapt=False))[0] <= found[0]

    @settings(max_examples=40, deadline=None)
    @given(st.integers(0, 2**32 - 1), st.floats(0.0, 5.0))
    def test_scores_above_the_baseline_never_alarm(self, seed: int, swing: float) -> None:
        rng = np.random.default_rng(seed)
        calibration = rng.normal(size=10)
        scores = calibration.mean() + 1e-9 + swing * rng.random(300) * np.sin(np.arange(300) / 40) ** 2
        assert alarms(calibration, scores.tolist()) == []

    @settings(max_examples=40, deadline=None)
    @given(st.lists(SCORES, min_size=3, max_size=200))
    def test_a_curve_that_only_rises_never_alarms(self, scores: list[float]) -> None:
        scores = sorted(scores)
        assert alarms(scores[:3], scores[3:]) == []


def dropping(seed: int = 19) -> np.ndarray:
    x = noise(np.random.default_rng(seed), (1, 350), 0.3)[0]
    x[250:] -= 1.5
    return x


class TestInvariance:
    @pytest.mark.parametrize("exponent", [-300, -40, 3, 40, 300])
    def test_powers_of_two_exactly(self, exponent: int) -> None:
        x = dropping()
        plain, scaled = DegradationDetector(), DegradationDetector()
        found = alarms(x[:50], x[50:].tolist(), plain)
        assert found
        assert alarms(x[:50] * 2.0**exponent, (x[50:] * 2.0**exponent).tolist(), scaled) == found
        assert scaled.state_dict()["sums"] == plain.state_dict()["sums"]

    @settings(max_examples=30, deadline=None)
    @given(st.integers(0, 2**32 - 1), st.sampled_from([1e-12, 0.3, 1e12]), st.floats(-1e6, 1e6))
    def test_scale_and_offset(self, seed: int, scale: float, offset: float) -> None:
        x = dropping(seed)
        y = scale * x + scale * offset
        assume(np.all(np.isfinite(y)))
        assert alarms(y[:50], y[50:].tolist()) == alarms(x[:50], x[50:].tolist())


class TestMemory:
    def test_nan_changes_nothing(self) -> None:
        detector = DegradationDetector()
        detector.calibrate([1.0, math.nan, 2.0, 3.0])
        assert detector.baseline is not None
        assert detector.baseline.count == 3
        detector.update(0.5)
        state = detector.state_dict()
        assert not detector.update(math.nan)
        assert detector.state_dict() == state

    def test_long_watches_stay_small_and_fast(self) -> None:
        detector = DegradationDetector()
        rng = np.random.default_rng(20)
        detector.calibrate(rng.normal(size=50))
        scores = rng.normal(size=50_000).tolist()
        started = time.process_time()
        for score in scores:
            detector.update(score)
        assert (time.process_time() - started) / len(scores) < 50e-6
        assert len(json.dumps(detector.state_dict())) < 5_000

    def test_calm_scores_sharpen_the_baseline_within_bounds(self) -> None:
        rng = np.random.default_rng(21)
        calibration = rng.normal(size=30)
        detector = DegradationDetector()
        detector.calibrate(calibration)
        before = detector.baseline
        for score in rng.normal(-0.1, 1.0, size=640).tolist():
            detector.update(score)
        after = detector.baseline
        assert before is not None
        assert after is not None
        assert after.count > 500
        error = before.sd * math.sqrt((1 + before.phi) / (1 - before.phi) / 30)
        assert before.mean - 1.5 * error <= after.mean < before.mean

    def test_without_adaptation_the_baseline_stays(self) -> None:
        detector = DegradationDetector(adapt=False)
        detector.calibrate([1.0, 2.0, 3.0])
        before = detector.baseline
        for _ in range(200):
            detector.update(2.0)
        assert detector.baseline == before

    @pytest.mark.parametrize("cut", [0, 1, 40, 100, 230])
    def test_state_goes_through_json_exactly(self, cut: int) -> None:
        x = dropping()
        one, other = DegradationDetector(), DegradationDetector()
        one.raise_threshold()
        one.calibrate(x[:50])
        scores = x[50:].tolist()
        for score in scores[:cut]:
            one.update(score)
        other.load_state_dict(json.loads(json.dumps(one.state_dict())))
        assert other.baseline == one.baseline
        assert [other.update(s) for s in scores[cut:]] == [one.update(s) for s in scores[cut:]]
        assert other.state_dict() == one.state_dict()

    def test_the_state_of_a_detector_without_baseline(self) -> None:
        detector = DegradationDetector()
        detector.calibrate([1.0, 2.0, 3.0])
        detector.load_state_dict(DegradationDetector().state_dict())
        assert detector.baseline is None


class TestBadInput:
    def test_scores_before_calibration(self) -> None:
        with pytest.raises(NotBoundError, match=r"Call `calibrate\(scores\)`"):
            DegradationDetector().update(1.0)

    @pytest.mark.parametrize("scores", [[], [1.0, 2.0], [1.0, 2.0, math.nan]])
    def test_too_few_calibration_scores(self, scores: list[float]) -> None:
        with pytest.raises(InvalidArgumentError, match="at least 3 scores that are not NaN"):
            DegradationDetector().calibrate(scores)

    def test_infinite_scores(self) -> None:
        detector = DegradationDetector()
        with pytest.raises(NonFiniteError, match="must be finite"):
            detector.calibrate([1.0, 2.0, math.inf])
        detector.calibrate([1.0, 2.0, 3.0])
        with pytest.raises(NonFiniteError, match="must be finite"):
            detector.update(-math.inf)

    @pytest.mark.parametrize("threshold", [0.0, -1.0, math.nan, math.inf])
    def test_thresholds_out_of_range(self, threshold: float) -> None:
        with pytest.raises(InvalidArgumentError, match="`threshold` must be finite, > 0"):
            DegradationDetector(threshold=threshold)

    @pytest.mark.parametrize("factor", [0.9, math.nan, math.inf])
    def test_factors_out_of_range(self, factor: float) -> None:
        with pytest.raises(InvalidArgumentError, match="`factor` must be finite, >= 1"):
            DegradationDetector().raise_threshold(factor)

    def test_foreign_states(self) -> None:
        state = DegradationDetector().state_dict()
        with pytest.raises(StateMismatchError, match="reads states of version 3"):
            DegradationDetector().load_state_dict({**state, "version": 7})
        with pytest.raises(StateMismatchError, match="Received: 'PlateauDetector'"):
            DegradationDetector().load_state_dict(PlateauDetector().state_dict())
        with pytest.raises(StateMismatchError, match=r"Missing: \['sums'\]"):
            DegradationDetector().load_state_dict({k: v for k, v in state.items() if k != "sums"})
