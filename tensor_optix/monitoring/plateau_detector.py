"""Is there still something to be gained?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tensor_optix.exceptions import InvalidArgumentError
from tensor_optix.functional.statistics import difference_noise
from tensor_optix.monitoring.checks import check_score, check_state
from tensor_optix.monitoring.score_bins import Floats, ScoreBins
from tensor_optix.monitoring.trend import Trend

_VERSION = 1
_KEYS = frozenset(
    {"looks", "next_test", "passes", "candidate", "trend", "run_length", "run_value", "low", "high", "bins"}
)
_FIRST_SHARE = 50  # the first level is the mean of the first 1/50 of the scores, at least _FIRST_LOOKS
_FIRST_LOOKS = 5
_TEST_SHARE = 64  # a new test with every 1/64 more scores
_LN2 = math.log(2.0)
_EXACT = 1e-12  # scores closer than this, relative to their size, are equal


@dataclass(frozen=True)
class _Line:
    """A straight line through bin means, with a standard error that knows autocorrelation."""

    slope: float
    slope_se: float
    score_sd: float  # of single scores around the line
    long_run_variance: float  # of single scores: n times the variance of the mean of n


def _fit_line(x: Floats, y: Floats, scatters: Floats, bin_size: int) -> _Line:
    """Fit ``y`` on ``x`` by least squares; residuals are taken as a first-order autoregression."""
    count = y.size
    xc = x - x.mean()
    yc = y - y.mean()
    sxx = float(xc @ xc)
    slope = float(xc @ yc) / sxx
    residuals = yc - slope * xc
    total = float(residuals @ residuals)
    if total == 0.0:
        return _Line(slope, 0.0, math.sqrt(float(scatters.sum()) / (count * bin_size)), 0.0)
    raw = float(residuals[1:] @ residuals[:-1]) / total
    phi = min(max((raw * count + 2.0) / (count - 4.0), 0.0), 0.95)  # bias after detrending: -(2 + 4 phi) / count
    bin_variance = total / (count - 2.0)
    long_run = bin_variance * (1.0 + phi) / (1.0 - phi)
    sd = math.sqrt((float(scatters.sum()) + total * bin_size) / (count * bin_size - 2.0))
    return _Line(slope, math.sqrt(long_run / sxx), sd, long_run * bin_size)


class PlateauDetector:
    """Tells, one score at a time, whether more is to be gained.

    A plateau is shown by an equivalence test, not by a missing trend: an upper bound of the gain
    that another doubling of the run would bring must lie below ``tolerance`` times the gain so
    far. A series that never rose ``level_sds`` standard deviations above its first level can only
    stall. Noise is measured from the series itself, so evidence is demanded in proportion to it;
    only differences and spreads are used, so verdicts do not depend on scale or offset.

    Args:
        tolerance: Share of the gain so far that may still be missing at a plateau.
        confidence_sds: Standard errors between estimate and upper bound.
        confirmations: Tests in a row, each with about 1.5 % more scores, that a verdict needs.
        min_looks: Scores before a noisy series can be called a plateau.
        stall_patience: Scores before a noisy series can be called stalled.
        constant_looks: Equal scores in a row that show a level without noise.
        level_sds: Rise in standard deviations of single scores that leaves the first level.

    Example:
        >>> detector = PlateauDetector()
        >>> [detector.update(score).name for score in (3.0, 6.0, 9.0)]
        ['WARMING_UP', 'WARMING_UP', 'IMPROVING']

    Raises:
        InvalidArgumentError: An argument is out of range.
    """

    def __init__(
        self,
        *,
        tolerance: float = 0.1,
        confidence_sds: float = 1.0,
        confirmations: int = 3,
        min_looks: int = 40,
        stall_patience: int = 500,
        constant_looks: int = 12,
        level_sds: float = 2.0,
    ) -> None:
        for name, value, low in (
            ("tolerance", tolerance, 0.0),
            ("confidence_sds", confidence_sds, 0.0),
            ("confirmations", confirmations, 1),
            ("min_looks", min_looks, 20),
            ("stall_patience", stall_patience, min_looks),
            ("constant_looks", constant_looks, 3),
            ("level_sds", level_sds, 0.0),
        ):
            if not (math.isfinite(value) and value >= low):
                raise InvalidArgumentError(f"`{name}` must be a finite number >= {low}. Received: {value!r}.")
        self._tolerance = tolerance
        self._confidence_sds = confidence_sds
        self._confirmations = confirmations
        self._min_looks = min_looks
        self._stall_patience = stall_patience
        self._constant_looks = constant_looks
        self._level_sds = level_sds
        self.reset()

    def reset(self) -> None:
        """Forget everything, as if no score had come."""
        self._bins = ScoreBins()
        self._looks = 0
        self._next_test = self._min_looks
        self._passes = 0
        self._candidate = Trend.IMPROVING
        self._trend = Trend.WARMING_UP
        self._run_length = 0
        self._run_value = self._low = self._high = 0.0

    @property
    def trend(self) -> Trend:
        """The last verdict."""
        return self._trend

    @property
    def looks(self) -> int:
        """Scores taken in, NaN not counted."""
        return self._looks

    def update(self, score: float) -> Trend:
        """Take in one score and return the verdict.

        Args:
            score: The next score; NaN is no evidence and changes nothing.

        Raises:
            NonFiniteError: The score is infinite.
        """
        value = check_score(score)
        if value is None:
            return self._trend
        self._looks += 1
        self._bins.add(value)
        self._follow_run(value)
        constant = self._constant_verdict()
        if constant is not None:
            self._trend = self._candidate = constant
            self._passes = self._confirmations
        elif self._looks < self._min_looks:
            self._trend = self._early_verdict()
        elif self._looks >= self._next_test or self._run_length == 1:
            self._next_test = self._looks + max(1, self._looks // _TEST_SHARE)
            self._trend = self._confirm(self._test())
        return self._trend

    def _follow_run(self, value: float) -> None:
        """Keep the extremes, and the length of the run of equal scores at the end."""
        if self._looks == 1:
            self._low = self._high = self._run_value = value
        self._low, self._high = min(self._low, value), max(self._high, value)
        tolerance = _EXACT * max(abs(self._low), abs(self._high))
        if abs(value - self._run_value) <= tolerance:
            self._run_length += 1
        else:
            self._run_value, self._run_length = value, 1

    def _constant_verdict(self) -> Trend | None:
        """Judge scores without noise: there a short run of equal scores is proof."""
        if self._run_length == self._looks:
            return Trend.STALLED if self._looks >= self._constant_looks else None
        if self._run_length < max(self._constant_looks, self._looks // 8):
            return None
        first, _ = self._first_level()
        tolerance = _EXACT * max(abs(self._low), abs(self._high))
        if self._run_value < self._high - tolerance:
            return None
        gain = self._bins.last - first
        if gain > self._level_sds * self._bins.difference_sd():
            return Trend.PLATEAU
        return None

    def _early_verdict(self) -> Trend:
        """Judge the first scores: rising beyond their noise, or too few to tell."""
        scores = self._bins.values()
        if scores.size < 3:
            return Trend.WARMING_UP
        rise = float(scores[-1] - scores[0])
        return Trend.IMPROVING if rise > 5.0 * difference_noise(scores) and rise > 0.0 else Trend.WARMING_UP

    def _confirm(self, verdict: Trend) -> Trend:
        """Let a plateau stand only after several tests in a row found it."""
        if verdict is Trend.IMPROVING:
            self._passes = 0
        else:
            self._passes += 1
            self._candidate = verdict
        return self._candidate if self._passes >= self._confirmations else Trend.IMPROVING

    def _first_level(self) -> tuple[float, float]:
        """Return the mean of the first scores, and how many they are."""
        bins = self._bins
        wanted = max(_FIRST_LOOKS, self._looks // _FIRST_SHARE)
        count = min(max(1, round(wanted / bins.bin_size)), bins.num_bins)
        return float(bins.means[:count].mean()), float(count * bins.bin_size)

    def _test(self) -> Trend:
        """Ask whether the upper bound of the gain to come is small against the gain so far."""
        bins = self._bins
        count, size = bins.num_bins, bins.bin_size
        start = count // 2
        log_time = np.log((np.arange(start, count) + 0.5) * size)
        recent = _fit_line(log_time, bins.means[start:count], bins.scatters[start:count], size)
        newest = count - (count - start) // 2
        now = float(bins.means[newest:count].mean())
        first, first_looks = self._first_level()
        gain = now - first
        sd = max(recent.score_sd, bins.difference_sd())
        ahead, ahead_se = _LN2 * recent.slope, _LN2 * recent.slope_se
        long_run = max(recent.long_run_variance, bins.difference_sd() ** 2)
        gain_se = math.sqrt(long_run / first_looks + recent.long_run_variance / ((count - newest) * size))
        left = gain >= self._level_sds * sd and gain >= 4.0 * gain_se
        if left:
            bound = self._tolerance * gain
            error = math.hypot(ahead_se, self._tolerance * gain_se)
            if ahead + self._confidence_sds * error < bound and ahead + 2.0 * error > -bound:
                return Trend.PLATEAU
            return Trend.IMPROVING
        if self._looks < self._stall_patience:
            return Trend.IMPROVING
        return self._stall_test(sd, ahead + self._confidence_sds * ahead_se)

    def _stall_test(self, sd: float, ahead_bound: float) -> Trend:
        """Ask whether the whole run is flat, or its second half is, at its first level."""
        bins = self._bins
        count = bins.num_bins
        time = np.arange(count, dtype=np.float64) / count
        whole = _fit_line(time, bins.means[:count], bins.scatters[:count], bins.bin_size)
        flat = whole.slope + self._confidence_sds * whole.slope_se < 0.5 * whole.score_sd
        settled = ahead_bound < self._tolerance * self._level_sds * sd
        return Trend.STALLED if flat or settled else Trend.IMPROVING

    def state_dict(self) -> dict[str, Any]:
        """Return the whole state, JSON-able and exact."""
        return {
            "kind": "PlateauDetector",
            "version": _VERSION,
            "looks": self._looks,
            "next_test": self._next_test,
            "passes": self._passes,
            "candidate": self._candidate.value,
            "trend": self._trend.value,
            "run_length": self._run_length,
            "run_value": self._run_value,
            "low": self._low,
            "high": self._high,
            "bins": self._bins.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a state that ``state_dict`` returned.

        Raises:
            StateMismatchError: It belongs to another class or version, or is not whole.
        """
        check_state(state, "PlateauDetector", _VERSION, _KEYS)
        self.reset()
        self._bins.load_state_dict(state["bins"])
        self._looks, self._next_test = int(state["looks"]), int(state["next_test"])
        self._passes, self._run_length = int(state["passes"]), int(state["run_length"])
        self._candidate, self._trend = Trend(state["candidate"]), Trend(state["trend"])
        self._run_value, self._low, self._high = (float(state[k]) for k in ("run_value", "low", "high"))
