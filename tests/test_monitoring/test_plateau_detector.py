"""The plateau detector: verdicts on known curves, invariance, memory, state, bad input."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter

from tensor_optix.exceptions import InvalidArgumentError, InvalidTypeError, NonFiniteError, StateMismatchError
from tensor_optix.monitoring import DegradationDetector, PlateauDetector, Trend
from tensor_optix.monitoring.score_bins import ScoreBins

COOLING, DORMANT = 5, 20


def verdicts(scores: Iterable[float], **arguments: float) -> list[Trend]:
    detector = PlateauDetector(**arguments)
    return [detector.update(score) for score in scores]


def looks_until(scores: Iterable[float], in_a_row: int = COOLING) -> int | None:
    """Return how many looks the loop's count needs, None if it is never reached."""
    count = 0
    for look, trend in enumerate(verdicts(scores), start=1):
        if trend is Trend.IMPROVING:
            count = 0
        elif trend is not Trend.WARMING_UP:
            count += 1
        if count == in_a_row:
            return look
    return None


def noise(rng: np.random.Generator, length: int, phi: float = 0.0) -> np.ndarray:
    return lfilter([math.sqrt(1 - phi**2)], [1, -phi], rng.normal(size=length + 60))[60:]


def rising(rng: np.random.Generator, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (level from 0 to 1, scores) of one of many shapes, lengths and noises."""
    length = int(rng.choice([300, 1000]))
    t = np.arange(length) / (length - 1)
    steepness = rng.choice([9.0, 50.0, 200.0])
    level = (
        t,
        1.0 - np.exp(-t / rng.choice([0.1, 0.2, 0.4])),
        np.log1p(steepness * t) / np.log1p(steepness),
    )[number % 3]
    sd, phi = rng.choice([0.02, 0.05, 0.1, 0.2, 0.5]), rng.choice([0.0, 0.3, 0.6])
    return level, 40.0 * (level + sd * noise(rng, length, phi)) - 100.0


class TestWithoutNoise:
    def test_a_staircase_improves_from_the_third_score(self) -> None:
        assert verdicts(3.0 * np.arange(1, 60))[2:] == [Trend.IMPROVING] * 57

    @pytest.mark.parametrize("value", [0.0, -500.0, 1e-12, 1e12, 0.1])
    def test_a_constant_stalls_once_a_first_success_has_had_its_time(self, value: float) -> None:
        trends = verdicts([value] * 80)
        assert trends[:47] == [Trend.WARMING_UP] * 47
        assert trends[47:] == [Trend.STALLED] * 33
        assert looks_until([value] * 80, DORMANT) == 67

    def test_means_that_differ_in_their_last_bit_are_constant(self) -> None:
        assert verdicts([0.3, 0.1 + 0.2] * 24)[-1] is Trend.STALLED

    def test_a_ceiling_is_a_plateau_quickly(self) -> None:
        rng = np.random.default_rng(0)
        climb = np.minimum(500, np.linspace(20, 480, 80) + 40 * rng.normal(size=80))
        assert set(verdicts(climb)) <= {Trend.WARMING_UP, Trend.IMPROVING}
        trends = verdicts([*climb, *[500.0] * 40])
        assert trends[80 + 16] is Trend.PLATEAU
        assert trends[-1] is Trend.PLATEAU

    @pytest.mark.parametrize("first", [[0.4], [1.0, 0.8], [1.0, 1.0, 0.6]])
    def test_equal_scores_after_one_rare_failure_are_no_plateau(self, first: list[float]) -> None:
        assert Trend.PLATEAU not in verdicts([*first, *[1.0] * 50])

    def test_a_ceiling_that_was_reached_at_once_is_a_plateau_in_time(self) -> None:
        assert verdicts([0.0, 0.0, 0.0, *[1.0] * 12])[-1] is Trend.PLATEAU
        assert verdicts([0.0, 0.5, *[1.0] * 50])[-1] is Trend.PLATEAU
        assert verdicts([0.0, *[1.0] * 210])[-1] is Trend.PLATEAU

    def test_a_first_success_ends_a_stall_at_once(self) -> None:
        trends = verdicts([-500.0] * 50 + [-430.0])
        assert trends[-2:] == [Trend.STALLED, Trend.IMPROVING]

    @pytest.mark.parametrize("level", [np.log1p(np.arange(2000)), np.sqrt(np.arange(2000))])
    def test_slow_growth_is_never_a_plateau_while_a_tenth_is_missing(self, level: np.ndarray) -> None:
        to_come, gained = level[-1] - level, level - level[0]
        assert looks_until(level[to_come >= 0.1 * gained]) is None


class TestWithNoise:
    def test_rising_series_are_not_called_a_plateau_too_early(self) -> None:
        rng = np.random.default_rng(42)
        early = []
        for number in range(60):
            level, scores = rising(rng, number)
            look = looks_until(scores)
            early.append(look is not None and 1.0 - level[look - 1] >= 0.1 * (level[look - 1] - level[0]))
        assert np.mean(early) <= 0.03  # 2 % in the long run; detector_simulation.py has the figure of 1,000

    @pytest.mark.parametrize("phi", [0.0, 0.6])
    @pytest.mark.parametrize(("mean", "sd"), [(-3.0, 0.01), (0.0, 1.0), (7.0, 2.0)])
    def test_constant_noise_stalls_and_is_never_trained(self, phi: float, mean: float, sd: float) -> None:
        rng = np.random.default_rng(43)
        runs = [verdicts(mean + sd * noise(rng, 1000, phi)) for _ in range(6)]
        assert sum(Trend.STALLED in run for run in runs) >= 5
        assert not any(Trend.PLATEAU in run for run in runs)
        assert all(Trend.STALLED not in run[:399] for run in runs)

    @pytest.mark.parametrize("kind", ["rare failures", "noise that shrinks", "skewed", "back from a dip"])
    def test_what_never_learned_is_hardly_ever_trained(self, kind: str) -> None:
        rng = np.random.default_rng(52)
        called = 0
        for _ in range(40):
            length = int(rng.choice([60, 150, 300]))
            scores = {
                "rare failures": 1.0 - (rng.random(length) < rng.uniform(0.01, 0.2)) * 0.4,
                "noise that shrinks": np.exp(-np.arange(length) / length * 3.0) * rng.normal(size=length),
                "skewed": -rng.exponential(size=length),
                "back from a dip": 0.1 * rng.normal(size=length) - (np.abs(np.arange(length) - 8) < 5),
            }[kind]
            called += Trend.PLATEAU in verdicts(scores)
        assert called <= 1

    @pytest.mark.parametrize("sd", [0.05, 0.1])
    def test_an_approach_ends_in_time(self, sd: float) -> None:
        rng = np.random.default_rng(44)
        level = 1.0 - np.exp(-np.arange(2000) / 300)
        looks = [looks_until(level + sd * noise(rng, 2000), DORMANT) for _ in range(8)]
        assert sum(look is None for look in looks) <= 1
        found = [look for look in looks if look is not None]
        assert np.median(found) <= 2.0 * 3 * 300
        assert min(level[look - 1] for look in found) > 0.9

    def test_a_late_riser_is_waited_for(self) -> None:
        rng = np.random.default_rng(45)
        level = np.clip((np.arange(2000) - 350) / 400, 0.0, 1.0)
        for sd in (0.02, 0.1):
            look = looks_until(level + sd * noise(rng, 2000))
            assert look is not None
            assert level[look - 1] == 1.0

    def test_rare_drops_at_a_ceiling_do_not_hide_it(self) -> None:
        rng = np.random.default_rng(46)
        climb = np.minimum(500, np.linspace(20, 500, 120) + 60 * rng.normal(size=120))
        ceiling = 500 - (rng.random(300) < 0.1) * rng.exponential(60, 300)
        look = looks_until([*climb, *ceiling])
        assert look is not None
        assert 140 < look < 270

    def test_a_collapse_is_not_a_plateau(self) -> None:
        rng = np.random.default_rng(47)
        level = np.concatenate([np.linspace(0, 1, 200), np.linspace(1.0, 0.4, 200)])
        assert Trend.PLATEAU not in verdicts(level + 0.02 * rng.normal(size=400))

    def test_what_is_called_trained_stands_on_its_level(self) -> None:
        rng = np.random.default_rng(49)
        level = 1.0 - np.exp(-np.arange(500) / 20)
        called = 0
        for _ in range(30):
            scores = level + 0.06 * noise(rng, 500, 0.6)
            trends = verdicts(scores)
            if Trend.PLATEAU in trends:
                so_far = scores[: trends.index(Trend.PLATEAU) + 1]
                called += 1
                assert so_far[-(so_far.size // 8) :].mean() >= so_far[so_far.size // 2 :].mean()
        assert called >= 25

    def test_a_gain_far_out_of_the_noise_is_believed_sooner(self) -> None:
        rng = np.random.default_rng(50)
        level = np.minimum(np.arange(600) / 100, 1.0)
        shape = noise(rng, 600)
        strong, weak = (verdicts(level + sd * shape).index(Trend.PLATEAU) for sd in (0.02, 0.3))
        assert 100 < strong < 250 < weak

    def test_a_small_rise_within_the_noise_is_stalled_not_trained(self) -> None:
        rng = np.random.default_rng(48)
        level = np.minimum(np.arange(2000) / 200, 1.0)
        trends = verdicts(level + noise(rng, 2000))
        assert Trend.STALLED in trends
        assert Trend.PLATEAU not in trends


def curve() -> np.ndarray:
    rng = np.random.default_rng(5)
    return 1.0 - np.exp(-np.arange(900) / 60) + 0.1 * noise(rng, 900, 0.3)


class TestInvariance:
    @pytest.mark.parametrize("exponent", [-400, -40, 3, 40, 400])
    def test_powers_of_two_exactly(self, exponent: int) -> None:
        assert verdicts(curve() * 2.0**exponent) == verdicts(curve())

    @pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
    @pytest.mark.parametrize("offset", [-1e6, 0.0, 1e6])
    def test_scale_and_offset(self, scale: float, offset: float) -> None:
        expected = verdicts(curve())
        assert Trend.PLATEAU in expected
        assert verdicts(scale * (curve() + offset)) == expected

    @settings(max_examples=30, deadline=None)
    @given(
        st.integers(0, 2**32 - 1),
        st.floats(0.001, 1000.0),
        st.floats(-1e6, 1e6),
        st.sampled_from(["flat", "rising", "walk"]),
    )
    def test_any_series(self, seed: int, scale: float, offset: float, kind: str) -> None:
        scores = np.random.default_rng(seed).normal(size=150)
        if kind == "rising":
            scores += np.minimum(np.arange(150) / 3.0, 10.0)
        elif kind == "walk":
            scores = np.cumsum(scores)
        assert verdicts(scale * scores + scale * offset) == verdicts(scores)


class TestMemory:
    def test_nan_changes_nothing(self) -> None:
        plain = verdicts(curve())
        detector = PlateauDetector()
        seen = []
        for score in curve():
            seen.append(detector.update(score))
            state = detector.state_dict()
            assert detector.update(math.nan) is seen[-1]
            assert detector.state_dict() == state
        assert seen == plain

    def test_long_runs_stay_small_and_fast(self) -> None:
        detector = PlateauDetector()
        scores = np.random.default_rng(6).normal(size=100_000).tolist()
        started = time.process_time()
        for score in scores:
            detector.update(score)
        assert (time.process_time() - started) / len(scores) < 50e-6
        assert len(json.dumps(detector.state_dict())) < 100_000
        assert detector.looks == 100_000
        assert detector.trend is Trend.STALLED

    def test_ten_million_scores_are_seen_as_a_whole(self) -> None:
        detector = PlateauDetector()
        for score in (
            1.0 - np.exp(-np.arange(3000) / 300) + 0.05 * np.random.default_rng(7).normal(size=3000)
        ).tolist():
            detector.update(score)
        state = detector.state_dict()
        bins: dict[str, object] = state["bins"]
        state["looks"] = 3000 * 4096  # every score so far stood for 4,096 equal ones
        bins["bin_size"] = int(str(bins["bin_size"])) * 4096
        state["next_test"] = 0
        detector.load_state_dict(state)
        assert detector.update(1.0) is Trend.PLATEAU

    def test_state_goes_through_json_exactly(self) -> None:
        scores = np.concatenate([curve(), curve() + 1.0]).tolist()
        for cut in (0, 1, 13, 600, 1100):
            one = PlateauDetector()
            for score in scores[:cut]:
                one.update(score)
            other = PlateauDetector()
            other.load_state_dict(json.loads(json.dumps(one.state_dict())))
            assert other.trend is one.trend
            assert [other.update(s) for s in scores[cut:]] == [one.update(s) for s in scores[cut:]]
            assert other.state_dict() == one.state_dict()

    def test_a_state_of_before_with_a_verdict_that_nobody_read(self) -> None:
        detector, later = PlateauDetector(), PlateauDetector()
        for score in curve()[:300]:
            detector.update(score)
        later.load_state_dict({**detector.state_dict(), "candidate": "plateau"})
        assert later.state_dict() == detector.state_dict()

    def test_reset_forgets(self) -> None:
        detector = PlateauDetector()
        for score in curve():
            detector.update(score)
        detector.reset()
        assert detector.state_dict() == PlateauDetector().state_dict()


class TestBadInput:
    @pytest.mark.parametrize("score", [math.inf, -math.inf, 1e200])
    def test_infinite_scores(self, score: float) -> None:
        detector = PlateauDetector()
        detector.update(1.0)
        with pytest.raises(NonFiniteError, match="must be finite and at most 1e\\+150"):
            detector.update(score)
        assert detector.looks == 1

    @pytest.mark.parametrize("score", [None, "high", [1.0, 2.0]])
    def test_scores_that_are_no_numbers(self, score: object) -> None:
        with pytest.raises(InvalidTypeError, match="A score must be a number"):
            PlateauDetector().update(score)  # type: ignore[arg-type]

    def test_one_score(self) -> None:
        assert PlateauDetector().update(np.float32(3.5)) is Trend.WARMING_UP

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("tolerance", -0.1),
            ("confidence_sds", math.nan),
            ("confirmations", 0),
            ("min_looks", 11),
            ("stall_patience", 11),
            ("constant_looks", 2),
            ("level_sds", math.inf),
        ],
    )
    def test_arguments_out_of_range(self, name: str, value: float) -> None:
        with pytest.raises(InvalidArgumentError, match=f"`{name}` must be (finite,|an integer) >="):
            PlateauDetector(**{name: value})

    def test_another_version(self) -> None:
        state = {**PlateauDetector().state_dict(), "version": 0}
        with pytest.raises(StateMismatchError, match=r"reads states of version 1\. Received: version 0"):
            PlateauDetector().load_state_dict(state)

    def test_another_class(self) -> None:
        with pytest.raises(StateMismatchError, match=r"Expected the state of a PlateauDetector\. Received: 'Degr"):
            PlateauDetector().load_state_dict(DegradationDetector().state_dict())
        with pytest.raises(StateMismatchError, match="Received: 'list'"):
            PlateauDetector().load_state_dict([])  # type: ignore[arg-type]

    def test_a_state_that_is_not_whole(self) -> None:
        state = PlateauDetector().state_dict()
        del state["passes"]
        with pytest.raises(StateMismatchError, match="Missing: \\['passes'\\]"):
            PlateauDetector().load_state_dict(state)

    def test_a_state_with_too_many_bins(self) -> None:
        detector = PlateauDetector()
        state = detector.state_dict()
        for name in ("means", "scatters", "roughness"):
            state["bins"][name] = [0.0] * 512
        with pytest.raises(StateMismatchError, match="fewer than 512 bins of equal number"):
            ScoreBins().load_state_dict(state["bins"])
        state["bins"]["roughness"] = [0.0]
        with pytest.raises(StateMismatchError, match="fewer than 512 bins of equal number"):
            detector.load_state_dict(state)
