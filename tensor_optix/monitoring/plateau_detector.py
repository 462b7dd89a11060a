"""Is there still something to be gained?"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from tensor_optix.core.checks import check_int, check_number
from tensor_optix.functional.statistics import difference_noise
from tensor_optix.monitoring.detector import Detector
from tensor_optix.monitoring.gain import Gain, bins_of, chance_of_low_start, gain_since
from tensor_optix.monitoring.score_bins import ScoreBins
from tensor_optix.monitoring.score_checks import checked_score
from tensor_optix.monitoring.series import Line, fit_line
from tensor_optix.monitoring.trend import Trend

_LN2 = math.log(2.0)
_EXACT = 1e-12  # scores closer than this, relative to their size, are equal
# Chosen on the TUNING curves of benchmarks/judgement.py; docs/judgement.md tells the error rates on others.
_TEST_SHARE = 64  # a new test with every 1/64 more scores
_HELD = 1 / 20  # share of the scores over which a verdict must hold before it is given, and the same where ...
_STRONG_SDS, _STRONG_HELD = 6.0, 1 / 32  # ... the gain stands so many score deviations out of the noise
_DIP_SHARE, _DIP_LOOKS = 8, 3  # newest part of the scores, and scores at least, that must not lie below the level
_NO_SUCCESS = 4  # times as many equal scores show a stall: a first success may take long to come
_FIRST_LOOKS, _FIRST_SHARES = 3, (50, 15)  # the first level: the first 3 scores, or so large a share of all
_GAIN_ERRORS, _CHANCE = 4.0, 0.02  # standard errors, and largest chance of a low start, from which a gain is real
_CHANCE_OF_EQUALS = 0.005  # such a chance, where scores without noise are a plateau
_BACK_SHARE = 0.5  # of a gain: so far above its first three scores a series stands, or it is only back where it was

# Fitted on simulated curves (benchmarks/detector_simulation.py, tuning seeds), and on logged ones (TUNING).
_SLOWER, _SLOWER_ERRORS = 0.65, 1.8  # slowed down: below this share of the older slope, with this certainty
_SHORT_WINDOW, _SHORT_ERRORS = 0.65, 2.5  # a newer stretch may prove a plateau too, with more certainty
_FEW_BINS = 1.5  # errors count for more by this over the degrees of freedom, as Student's t tells
_STAYS = 4.0  # a plateau stands until the tolerance is passed by so much
_FALL_SHARE, _FALL_SDS = 0.25, 1.0  # of the gain and of single scores: two of the last three this low are a fall
_EARLY = 0.08  # share of the run that is left out where all the rest is looked at
_STALL_RISE, _STALL_ERRORS = 0.5, 0.9  # score deviations a stalled run may have risen, with this certainty
_STIR_SHARES, _STIR_ERRORS = (8, 20, 60), 2.0  # newest parts of a stalled run that must not stand out, by so much


class PlateauDetector(Detector):
    """Tells, one score at a time, whether more is to be gained.

    A plateau is shown by an equivalence test, not by a missing trend: an upper bound of the gain
    that another doubling of the run would bring must lie below ``tolerance`` times the gain so
    far. The best estimate of that is enough where the rise in log time has slowed down beyond doubt,
    which growth like the logarithm never does. The verdict waits for the end of a dip, so that what
    is called trained stands on its level. A series that never rose ``level_sds`` standard
    deviations above its first level can only stall. Noise is measured from the series itself, so
    evidence is demanded in proportion to it; only differences and spreads are used, so verdicts do
    not depend on scale or offset.

    Args:
        tolerance: Share of the gain so far that may still be missing at a plateau.
        confidence_sds: Standard errors between estimate and upper bound.
        confirmations: Tests in a row, each with about 1.5 % more scores, that a verdict needs.
        min_looks: Scores before a noisy series can be called a plateau.
        stall_patience: Scores before a noisy series can be called stalled.
        constant_looks: Equal scores in a row that show a ceiling without noise; four times as many, from the first
            score on, show a stall.
        level_sds: Rise in standard deviations of single scores that leaves the first level.

    Example:
        >>> detector = PlateauDetector()
        >>> [detector.update(score).name for score in (3.0, 6.0, 9.0)]
        ['WARMING_UP', 'WARMING_UP', 'IMPROVING']

    Raises:
        InvalidArgumentError: An argument is out of range.
    """

    _SAVED_AS = "PlateauDetector", 1
    _STATE = (
        *("_bins", "_looks", "_next_test", "_passes", "_run_length", "_trend"),
        *("_run_value", "_low", "_high"),
    )

    def __init__(
        self,
        *,
        tolerance: float = 0.065,
        confidence_sds: float = 2.0,
        confirmations: int = 2,
        min_looks: int = 16,
        stall_patience: int = 400,
        constant_looks: int = 12,
        level_sds: float = 2.0,
    ) -> None:
        check_number("tolerance", tolerance, low=0.0)
        check_number("confidence_sds", confidence_sds, low=0.0)
        check_int("confirmations", confirmations, at_least=1)
        check_int("min_looks", min_looks, at_least=12)
        check_int("stall_patience", stall_patience, at_least=min_looks)
        check_int("constant_looks", constant_looks, at_least=3)
        check_number("level_sds", level_sds, low=0.0)
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
        value = checked_score(score)
        if value is None:
            return self._trend
        self._looks += 1
        self._bins.add(value)
        self._follow_run(value)
        constant = self._constant_verdict()
        if constant is not None:
            self._trend = constant
            self._passes = self._confirmations
            self._next_test = self._looks + 1
        elif self._looks < self._min_looks or self._run_length == self._looks:
            self._trend = self._early_verdict()
        elif self._looks >= self._next_test:
            self._next_test = self._looks + max(1, self._looks // _TEST_SHARE)
            self._trend = self._confirm(*self._test())
        return self._trend

    def take_back(self) -> None:
        """Take a verdict of PLATEAU or STALLED back: it has to be shown anew, by scores that are still to come."""
        self._passes = 0
        if self._trend in (Trend.PLATEAU, Trend.STALLED):
            self._trend = Trend.WARMING_UP

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
            return Trend.STALLED if self._looks >= _NO_SUCCESS * self._constant_looks else None
        if self._run_length < max(self._constant_looks, self._looks // 8):
            return None
        tolerance = _EXACT * max(abs(self._low), abs(self._high))
        if self._run_value < self._high - tolerance:
            return None
        return Trend.PLATEAU if self._has_left_its_first_level() else None

    def _has_left_its_first_level(self) -> bool:
        """Tell whether equal scores at the end lie above the first ones by more than noise and chance."""
        bins, values = self._bins, self._bins.values()
        newest = max(bins.num_bins // 2, self._run_length // bins.bin_size)
        for looks in (1, *self._first_looks()):
            count = bins_of(bins, looks)
            gain = bins.last - float(values[:count].mean())
            is_out_of_noise = gain > self._level_sds * bins.difference_sd()
            if is_out_of_noise and chance_of_low_start(values, count, newest, bins.last) <= _CHANCE_OF_EQUALS:
                return True
        return False

    def _early_verdict(self) -> Trend:
        """Judge the first scores: rising beyond their noise, or too few to tell."""
        scores = self._bins.values()
        if scores.size < 3:
            return Trend.WARMING_UP
        rise = float(scores[-1] - scores[0])
        return Trend.IMPROVING if rise > 5.0 * difference_noise(scores) and rise > 0.0 else Trend.WARMING_UP

    def _confirm(self, verdict: Trend, hold: float) -> Trend:
        """Let a verdict stand only once it has held over a share of the scores, and a plateau not in a dip."""
        if verdict is Trend.IMPROVING:
            self._passes = 0
            return verdict
        self._passes += 1
        if self._trend is verdict:
            return verdict
        held = (self._passes - 1) * max(1, self._looks // _TEST_SHARE)
        is_confirmed = self._passes >= self._confirmations and held >= self._looks * hold
        if is_confirmed and not (verdict is Trend.PLATEAU and self._is_in_a_dip()):
            return verdict
        return Trend.IMPROVING

    def _is_in_a_dip(self) -> bool:
        """Tell whether the newest scores lie below the level of the newest half."""
        bins, values = self._bins, self._bins.values()
        newest = max(1, round(_DIP_LOOKS / bins.bin_size), bins.num_bins // _DIP_SHARE)
        below = float(values[bins.num_bins // 2 :].mean() - values[-newest:].mean())
        return below > _EXACT * max(abs(self._low), abs(self._high))

    def _first_looks(self) -> Iterator[int]:
        """Yield how many of the first scores may make the first level."""
        for share in _FIRST_SHARES:
            yield max(_FIRST_LOOKS, self._looks // share)
        yield _FIRST_LOOKS

    def _test(self) -> tuple[Trend, float]:
        """Ask whether the level is flat against the gain so far, or was flat from the start.

        Returns:
            The verdict, and the share of the scores over which it must hold.
        """
        half = self._line(0.5)
        gains = [gain_since(self._bins, looks, half) for looks in self._first_looks()]
        patient = self._looks >= self._stall_patience
        real = [gain for gain in gains if self._is_real(gain, gains[-1])]
        left = [gain for gain in real if gain.size >= self._level_sds * gain.score_sd]
        if real and not self._has_fallen(real[0]) and self._is_flat(half, (left or real)[0]):
            if left:
                return Trend.PLATEAU, _STRONG_HELD if left[0].size >= _STRONG_SDS * left[0].score_sd else _HELD
            return Trend.STALLED if patient else Trend.IMPROVING, _HELD
        if patient and gains[0].size < self._level_sds * gains[0].score_sd and self._never_moved():
            return Trend.STALLED, _HELD
        return Trend.IMPROVING, _HELD

    @staticmethod
    def _is_real(gain: Gain, gain_of_all: Gain) -> bool:
        """Tell whether a gain is more than noise, chance, and the way back out of an early dip."""
        is_back = gain_of_all.size < _BACK_SHARE * gain.size
        return gain.size >= _GAIN_ERRORS * gain.error and gain.chance <= _CHANCE and not is_back

    def _line(self, oldest: float, newest: float = 1.0) -> Line:
        """Fit the scores from one share of the run to another against the logarithm of time."""
        bins = self._bins
        start, end = int(bins.num_bins * oldest), int(bins.num_bins * newest)
        log_time = np.log((np.arange(start, end) + 0.5) * bins.bin_size)
        return fit_line(log_time, bins.means[start:end], bins.scatters[start:end], bins.bin_size)

    def _is_flat(self, half: Line, gain: Gain) -> bool:
        """Tell whether another doubling of the run would change less than the tolerated share."""
        if self._ends_soon(half, self._confidence_sds, gain):
            return True
        if self._ends_soon(half, 0.0, gain) and self._slows_down(half):
            return True
        if self._ends_soon(self._line(_EARLY), self._confidence_sds, gain):
            return True
        return self._ends_soon(self._line(_SHORT_WINDOW), _SHORT_ERRORS, gain)

    def _has_fallen(self, gain: Gain) -> bool:
        """Tell whether the newest scores lie so low that what the line shows is over."""
        newest: list[float] = sorted(self._bins.values()[-3:].tolist())
        level = float(np.median(self._bins.values()[-max(6, self._bins.num_bins // 4) :]))
        return bool(newest[-2] < level - _FALL_SHARE * gain.size - _FALL_SDS * gain.score_sd)

    def _slows_down(self, half: Line) -> bool:
        """Tell the end of a rise from growth that goes on with the logarithm of time."""
        older = self._line(_EARLY, 0.5)
        error = math.hypot(half.slope_se, _SLOWER * older.slope_se)
        return half.slope + _SLOWER_ERRORS * error < _SLOWER * older.slope

    def _ends_soon(self, line: Line, errors: float, gain: Gain) -> bool:
        """Tell whether a line in log time, drawn on for a doubling, stays inside the tolerance."""
        tolerance = self._tolerance * (_STAYS if self._trend is Trend.PLATEAU else 1.0)
        ahead = _LN2 * line.slope
        error = math.hypot(_LN2 * line.slope_se, tolerance * gain.error)
        bound = tolerance * gain.size
        errors *= 1.0 + _FEW_BINS / line.freedom
        return ahead + errors * error < bound and ahead > -bound

    def _never_moved(self) -> bool:
        """Tell whether the whole run is flat, and nothing stirs at its end."""
        bins = self._bins
        values = bins.values()
        count = values.size
        whole = fit_line(np.arange(count) / count, values, bins.scatters[:count], bins.bin_size)
        if whole.slope + _STALL_ERRORS * whole.slope_se >= _STALL_RISE * whole.score_sd:
            return False
        errors = _STIR_ERRORS + (1.0 if self._trend is Trend.STALLED else 0.0)  # a verdict is not undone by a trifle
        for share in _STIR_SHARES:
            newest = max(1, count // share)
            rise = float(values[-newest:].mean() - values[:-newest].mean())
            if rise > errors * math.sqrt(whole.long_run_variance / (newest * bins.bin_size)):
                return False
        return True
