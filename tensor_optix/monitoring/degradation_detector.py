"""Has the policy become worse than its baseline?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tensor_optix.core.checks import check_flags, check_int, check_number
from tensor_optix.exceptions import InvalidArgumentError, NotBoundError, StateMismatchError
from tensor_optix.functional.statistics import MAD_TO_SD, quick_median
from tensor_optix.monitoring.detector import Detector
from tensor_optix.monitoring.score_checks import as_scores, checked_score
from tensor_optix.monitoring.series import Moments, sum_variance

# Chosen on simulated series (benchmarks/detector_simulation.py, benchmarks/judgement_watchdog.py) of tuning seeds, for
# few false alarms first, then delay; docs/judgement.md tells the error rates that they give on others.
_TANGENTS = (1.5, 2.8, 5.0, 10.0, 25.0, 60.0, 150.0)  # window lengths at which the CUSUMs touch the boundary
_HEIGHTS = (
    1.14,
    1.10,
    1.05,
    1.03,
    1.01,
    1.02,
    1.10,
)  # the boundary there, so that each CUSUM cries as rarely per delay
_GROWTH, _FROM = 1.65, 20.0  # how the boundary rises with the number of windows looked at, and from how many scores on
_FEW, _MOST_OF_FEW = 7.5, 0.8  # the boundary rises by the 4th power of this over the number of scores, or this share
_PRIOR_SCORES, _PRIOR_PHI = 3.0, 0.6  # what is believed of the autocorrelation, and how many scores that is worth
_PHI_ERRORS = (0.2, 0.85)  # standard errors that phi is taken larger by, and so many more times phi
_CUT, _CUT_SPIKES = 4.2, 1.0  # largest deviation of one score in units, power of sd / MAD that lowers it
_CUT_PHI = 0.12  # share of the cut lost where phi is 1: a single shock comes back
_CUT_ERROR, _CUT_LEAST = 1.7, 0.72  # share of the cut lost, over the root of the number of scores, and what is left
_PLUNGE = 8.0  # scores in a row, each so many units below, are an alarm too
_PLUNGE_SCORES, _ECHO = (3, 5), 0.13  # that many, until this share at most is left of a single shock
_SPIKES, _SPIKES_OF_FEW, _MOST_SPIKES = 0.1, 20.0, 0.5  # power of sd / MAD, more over the number of scores, at most
_LOW_TAIL = 0.2  # power of the lower tail's length in the unit
_SKEW, _SKEW_ERRORS, _MOST_SKEW = 1.0, 1.5, 1.4  # what skewness beyond so many standard errors adds to sd / MAD
_EARLY = (2, 4, 8, 16)  # scores after which the lines are drawn anew, besides whole blocks
_BLOCK = 32  # scores taken into the baseline at once
_CALM = 0.7  # share of its limit that no CUSUM may pass while a block is taken in
_MAX_SHIFT = 1.7  # standard errors by which the baseline may be corrected
_MOST = 4000  # scores after which the baseline is precise enough
_EXACT = 1e-12  # scores closer than this, relative to their size, are equal


@dataclass(frozen=True)
class Baseline:
    """What a steady policy scores.

    Attributes:
        mean: Mean score.
        sd: Standard deviation of single scores.
        phi: Autocorrelation at lag 1, inside [0, 0.9].
        count: Scores it was measured from.
        unit: The deviation that counts as one: ``sd``, longer where low scores are rare but far.
    """

    mean: float
    sd: float
    phi: float
    count: int
    unit: float


class DegradationDetector(Detector):
    """Tells, one score at a time, whether scores have dropped below their baseline.

    A bank of one-sided CUSUMs (Page 1954), each made for one size of drop. Together they bound the
    sum of the newest ``m`` deviations, for every ``m`` at once, by a multiple of its standard
    deviation, with autocorrelation and the error of the baseline in it. The multiple grows with the
    number of windows looked at, so that false alarms stay rare in long runs. Deviations are cut off:
    one bad score is never an alarm. Only differences and spreads are used.

    Scores no worse than the calibrated mean never raise an alarm. With ``adapt=False`` a series that
    is at least as good at every score never alarms before the other. With ``adapt=True`` that holds
    for the first 64 scores; from then on calm blocks of 32 scores sharpen the baseline: they may
    lower its mean by at most 1.7 of its standard errors, never raise it.

    Args:
        threshold: Height of the boundary in standard deviations.
        adapt: Whether calm scores sharpen the baseline.

    Example:
        >>> detector = DegradationDetector()
        >>> detector.calibrate([99.0, 100.0, 101.0, 100.0, 99.0, 101.0])
        >>> [detector.update(score) for score in (100.0, 1.0, 1.0, 1.0, 1.0)]
        [False, False, False, True, False]

    Raises:
        InvalidArgumentError: An argument is out of range.
    """

    _SAVED_AS = "DegradationDetector", 3
    _STATE = (
        *("_factor", "_first", "_spikes", "_low_tail", "_moments", "_looks", "_earlier_looks", "_lines_at", "_sums"),
        *("_plunge", "_block", "_waiting", "_alarmed"),
    )
    _STATE_KINDS: ClassVar = {"_first": Moments, "_moments": Moments}

    def __init__(self, *, threshold: float = 3.5, adapt: bool = True) -> None:
        check_number("threshold", threshold, above=0.0)
        check_flags(adapt=adapt)
        self._threshold = threshold
        self._adapt = adapt
        self._factor = 1.0
        self._earlier_looks = 0
        self._first: Moments | None = None
        self._spikes = self._low_tail = 1.0
        self.reset()

    @classmethod
    def while_learning(cls) -> DegradationDetector:
        """Return a coarser detector for a policy that learns, calibrated on few trailing scores."""
        return cls(threshold=4.2, adapt=False)

    @property
    def alarmed(self) -> bool:
        """Whether the alarm was raised since the last ``calibrate`` or ``reset``."""
        return self._alarmed

    @property
    def is_calm(self) -> bool:
        """Whether no CUSUM is near its limit; True before ``calibrate``."""
        return all(total < _CALM * limit for total, limit in zip(self._sums, self._limits, strict=True))

    @property
    def baseline(self) -> Baseline | None:
        """What scores are compared with; None before ``calibrate``."""
        return self._baseline

    def calibrate(self, scores: npt.ArrayLike, *, earlier_looks: int = 0) -> None:
        """Measure the baseline and start afresh.

        Args:
            scores: Fresh scores of a steady policy in order of time, ``[n]``; NaN are left out.
                At least 3; 30 to 50 for a fine detector.
            earlier_looks: Scores already looked at with an earlier baseline: false alarms are to stay rare over
                all of them.

        Raises:
            InvalidArgumentError: Fewer than 3 scores are numbers.
            NonFiniteError: A score is infinite.
        """
        check_int("earlier_looks", earlier_looks, at_least=0)
        checked = [checked_score(score) for score in as_scores(scores)]
        values = [score for score in checked if score is not None]
        if len(values) < 3:
            raise InvalidArgumentError(
                f"A baseline needs at least 3 scores that are not NaN. Received: {len(values)}. Collect more first."
            )
        self._earlier_looks = earlier_looks
        self._first = Moments.of(values)
        self._spikes, self._low_tail = _tails(np.array(values), self._first)
        self.reset()

    def reset(self) -> None:
        """Forget the scores since calibration and keep the calibrated baseline."""
        self._moments = self._first
        self._looks = self._lines_at = 0
        self._sums = [0.0] * len(_TANGENTS)
        self._limits = [math.inf] * len(_TANGENTS)
        self._plunge = 0
        self._block: list[float] = []
        self._waiting: list[float] = []
        self._alarmed = False
        self._baseline: Baseline | None = None
        self._measure()

    def raise_threshold(self, factor: float = 1.2) -> None:
        """Be slower to cry from now on, also after the next ``calibrate``, as after a false alarm.

        Raises:
            InvalidArgumentError: ``factor`` is below 1 or not finite.
        """
        check_number("factor", factor, low=1.0)
        self._factor *= factor
        self._measure()

    def update(self, score: float) -> bool:
        """Take in one score; return True once, when the alarm is raised.

        Args:
            score: The next score; NaN is no evidence and changes nothing.

        Raises:
            NotBoundError: ``calibrate`` has not been called.
            NonFiniteError: The score is infinite.
        """
        baseline = self._baseline
        if baseline is None:
            raise NotBoundError("A DegradationDetector needs a baseline first. Call `calibrate(scores)`.")
        value = checked_score(score)
        if value is None or self._alarmed:
            return False
        below = self._below(value, baseline)
        self._looks += 1
        self._plunge = self._plunge + 1 if below >= self._plunge_from else 0
        self._alarmed = self._plunge >= self._plunge_scores
        drop = min(below, self._cut)
        for i, slack in enumerate(self._slacks):
            self._sums[i] = max(0.0, self._sums[i] + drop - slack)
            self._alarmed = self._alarmed or self._sums[i] > self._limits[i]
        if self._adapt and baseline.count < _MOST:
            self._block.append(value)
        if self._looks % _BLOCK == 0 or self._looks in _EARLY:
            self._lines_at = self._looks
            self._end_block()
            self._measure()
        return self._alarmed

    def _below(self, value: float, baseline: Baseline) -> float:
        """Return how far a score lies below the baseline, in units; infinite below a constant one."""
        below = baseline.mean - value
        if abs(below) <= _EXACT * max(abs(baseline.mean), abs(value)):
            return 0.0
        return below / baseline.unit if baseline.unit > 0.0 else math.copysign(math.inf, below)

    def _end_block(self) -> None:
        """Take the block before the newest one into the baseline, if both were calm."""
        if len(self._block) < _BLOCK:
            return
        calm = self.is_calm
        if calm and self._waiting and self._moments is not None:
            self._moments = self._moments.extended(self._waiting)
        self._waiting = self._block if calm else []
        self._block = []

    def _measure(self) -> None:
        """Work out the baseline and the lines from the moments."""
        first, moments = self._first, self._moments
        if first is None or moments is None:
            return
        mean = first.mean
        if moments.count > first.count:
            error = first.sd * math.sqrt(sum_variance(first.count, first.phi)) / first.count
            mean = min(max(moments.mean, mean - _MAX_SHIFT * error), mean)
        low_tail = max(moments.low_tail, self._low_tail)
        unit = moments.sd * math.pow(min(max(low_tail, 1.0), 2.0), _LOW_TAIL)
        self._baseline = Baseline(mean, moments.sd, moments.phi, moments.count, unit)
        spikes = max(self._spikes * min(low_tail, 1.0), 1.0)  # those of a short lower tail point upwards
        power = min(_SPIKES + _SPIKES_OF_FEW / first.count, _MOST_SPIKES)
        self._caution = self._factor * math.pow(spikes, power) * _widened(moments.count)
        self._draw_lines(self._baseline)
        widened = _widened(first.count) * math.sqrt(1.0 + 3.0 / first.count)
        self._plunge_from = _PLUNGE * widened * self._factor
        fewest, most = _PLUNGE_SCORES
        echo = self._phi if self._adapt else 0.0  # the autocorrelation of a trend brings no shock back
        self._plunge_scores = next((n for n in range(fewest, most) if echo ** (n - 1) <= _ECHO), most)
        one_score = min(limit + slack for limit, slack in zip(self._limits, self._slacks, strict=True))
        trust = max(1.0 - _CUT_ERROR / math.sqrt(moments.count), _CUT_LEAST) / math.pow(self._spikes, _CUT_SPIKES)
        trust *= 1.0 - _CUT_PHI * self._phi
        self._cut = min(_CUT * trust * widened, 0.99 * one_score)

    def _draw_lines(self, baseline: Baseline) -> None:
        """Lay the CUSUMs' slacks and limits as tangents to the boundary."""
        self._slacks, self._limits = [], []
        for length, height in zip(_TANGENTS, _HEIGHTS, strict=True):
            here = height * self._boundary(length, baseline)
            slack = (height * self._boundary(1.01 * length, baseline) - here) / (0.01 * length)
            self._slacks.append(slack)
            self._limits.append(here - slack * length)

    def _boundary(self, length: float, baseline: Baseline) -> float:
        """Return the height that the sum of ``length`` deviations must not pass."""
        phi, count = self._phi, baseline.count
        independent = (self._earlier_looks + self._lines_at) * (1.0 - phi) / (1.0 + phi)
        multiple = math.sqrt(self._threshold**2 + _GROWTH * math.log1p(max(independent, _FROM) / length))
        own = sum_variance(count, phi) / count**2
        return self._caution * multiple * math.sqrt(sum_variance(length, phi) + length**2 * own)

    @property
    def _phi(self) -> float:
        """The autocorrelation, larger by its standard error and where scores are few: too small a one cries wolf."""
        phi, count = (0.0, 3) if self._baseline is None else (self._baseline.phi, self._baseline.count)
        phi = (phi * count + _PRIOR_PHI * _PRIOR_SCORES) / (count + _PRIOR_SCORES)
        errors = _PHI_ERRORS[0] + _PHI_ERRORS[1] * phi
        return min(phi + errors * math.sqrt((1.0 - phi * phi) / count), 0.93)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See :class:`Detector`."""
        super().load_state_dict(state)
        if len(self._sums) != len(_TANGENTS):
            raise StateMismatchError(f"Expected {len(_TANGENTS)} sums. Received: {state['sums']!r:.80}.")
        self._baseline, self._limits = None, [math.inf] * len(_TANGENTS)
        self._measure()


def _widened(count: int) -> float:
    """Return by what the error of a baseline of so few scores widens the boundary."""
    return 1.0 + min((_FEW / count) ** 4, _MOST_OF_FEW)


def _tails(scores: npt.NDArray[np.float64], moments: Moments) -> tuple[float, float]:
    """Return how far the tails of calibrated scores reach: sd / MAD inside [1, 2], and the lower tail's length.

    Of the scores themselves and of what each adds to what its predecessor let expect, whichever is longer: shocks that
    fade hide in autocorrelated scores.
    """
    deviations = scores - moments.mean
    shocks = deviations[1:] - moments.phi * deviations[:-1]
    shocks = shocks - shocks.mean()
    spread = float(shocks.std())
    low = shocks[shocks < 0.0]
    low_tail = math.sqrt(float(np.mean(low * low))) / spread if spread > 0.0 and low.size else 1.0
    return max(_spikes(scores, moments.sd), _spikes(shocks, spread), _lopsidedness(shocks, spread)), low_tail


def _lopsidedness(shocks: npt.NDArray[np.float64], spread: float) -> float:
    """Return what sd / MAD would have to be to stand for a skewness that the MAD does not see, as of whole numbers."""
    if spread <= 0.0:
        return 1.0
    skewness = float(np.mean((shocks / spread) ** 3))
    return min(1.0 + _SKEW * max(-skewness - _SKEW_ERRORS * math.sqrt(6.0 / shocks.size), 0.0), _MOST_SKEW)


def _spikes(values: npt.NDArray[np.float64], spread: float) -> float:
    mad = MAD_TO_SD * quick_median(np.abs(values - quick_median(values)))
    if spread > 2.0 * mad:
        return 2.0
    return max(spread / mad, 1.0) if mad > 0.0 else 1.0
