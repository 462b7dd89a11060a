"""Has the policy become worse than its baseline?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tensor_optix.exceptions import InvalidArgumentError, NotBoundError
from tensor_optix.functional.statistics import lag1_autocorrelation
from tensor_optix.monitoring.checks import check_score, check_state

_VERSION = 1
_KEYS = frozenset({"baseline", "threshold_factor", "sums", "alarmed"})
_TANGENTS = (2.0, 6.0, 16.0, 40.0, 100.0)  # window lengths at which the CUSUMs touch the boundary


@dataclass(frozen=True)
class Baseline:
    """What a steady policy scores.

    Attributes:
        mean: Mean score.
        sd: Standard deviation of single scores, never 0.
        phi: Autocorrelation at lag 1.
        count: Scores it was measured from.
    """

    mean: float
    sd: float
    phi: float
    count: int


class DegradationDetector:
    """Tells, one score at a time, whether scores have dropped below their baseline.

    A bank of one-sided CUSUMs (Page 1954), each made for one size of drop. Together they bound the
    sum of the last ``m`` deviations, for every ``m``, by a multiple of its standard deviation,
    autocorrelation and the error of the baseline included. Deviations are cut off, so one bad score
    is never an alarm. Only differences and spreads are used; every sum falls when a score rises, so a
    series that is better at every score is never called degraded before the other.

    Args:
        threshold: Height of the boundary in standard deviations.

    Example:
        >>> detector = DegradationDetector()
        >>> detector.calibrate([9.0, 10.0, 11.0, 10.0, 9.0, 11.0])
        >>> [detector.update(score) for score in (10.0, 1.0, 1.0, 1.0)]
        [False, False, False, True]

    Raises:
        InvalidArgumentError: An argument is out of range.
    """

    def __init__(self, *, threshold: float = 4.5) -> None:
        if not (math.isfinite(threshold) and threshold > 0.0):
            raise InvalidArgumentError(f"`threshold` must be a finite number > 0. Received: {threshold!r}.")
        self._threshold = threshold
        self._factor = 1.0
        self._baseline: Baseline | None = None
        self._slacks: tuple[float, ...] = ()
        self._limits: tuple[float, ...] = ()
        self._sums = [0.0] * len(_TANGENTS)
        self._alarmed = False

    @classmethod
    def while_learning(cls) -> DegradationDetector:
        """Return a coarser detector for a policy that learns, calibrated from few trailing scores."""
        return cls(threshold=5.5)

    @property
    def alarmed(self) -> bool:
        """Whether the alarm was raised since the last ``calibrate`` or ``reset``."""
        return self._alarmed

    @property
    def baseline(self) -> Baseline | None:
        """What was measured by ``calibrate``; None before."""
        return self._baseline

    def calibrate(self, scores: npt.ArrayLike) -> None:
        """Measure the baseline and start afresh.

        Args:
            scores: Fresh scores of a steady policy in order of time, ``[n]``; NaN are left out.
                At least 3; 30 to 50 for a fine detector.

        Raises:
            InvalidArgumentError: Fewer than 3 scores are numbers.
            NonFiniteError: A score is infinite.
        """
        checked = [check_score(score) for score in np.asarray(scores, dtype=np.float64).ravel()]
        values = np.array([score for score in checked if score is not None])
        if values.size < 3:
            raise InvalidArgumentError(
                f"A baseline needs at least 3 scores that are not NaN. Received: {values.size}. Collect more first."
            )
        deviations = values - values[0]
        mean = float(values[0] + deviations.mean())
        floor = 1e-9 * float(np.max(np.abs(values))) or 1e-12
        sd = max(float(np.std(deviations, ddof=1)), floor)
        phi = max(lag1_autocorrelation(values), 0.0) if values.size >= 8 else 0.3
        self._baseline = Baseline(mean, sd, min(phi, 0.9), values.size)
        self._set_limits()
        self.reset()

    def _set_limits(self) -> None:
        """Lay the CUSUMs' lines as tangents to the boundary."""
        baseline = self._baseline
        if baseline is None:
            return
        count, phi = baseline.count, baseline.phi
        height = self._threshold * self._factor * (1.0 + 5.0 / count + 20.0 / count**2)
        own = _sum_variance(np.array([count]), phi)[0] / count**2
        limits, slacks = [], []
        for m in _TANGENTS:
            around = np.array([m, m * 1.01])
            bound = height * np.sqrt(_sum_variance(around, phi) + around**2 * own)
            slope = float(bound[1] - bound[0]) / (0.01 * m)
            slacks.append(slope)
            limits.append(float(bound[0]) - slope * m)
        self._limits, self._slacks = tuple(limits), tuple(slacks)
        self._cut = 0.55 * min(limit + 2.0 * slack for limit, slack in zip(limits, slacks, strict=True))

    def reset(self) -> None:
        """Forget the scores since calibration, keep the baseline."""
        self._sums = [0.0] * len(_TANGENTS)
        self._alarmed = False

    def raise_threshold(self, factor: float = 1.2) -> None:
        """Be slower to cry from now on, as after a false alarm.

        Raises:
            InvalidArgumentError: ``factor`` is below 1 or not finite.
        """
        if not (math.isfinite(factor) and factor >= 1.0):
            raise InvalidArgumentError(f"`factor` must be a finite number >= 1. Received: {factor!r}.")
        self._factor *= factor
        self._set_limits()

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
        value = check_score(score)
        if value is None or self._alarmed:
            return False
        drop = min((baseline.mean - value) / baseline.sd, self._cut)
        for i, slack in enumerate(self._slacks):
            self._sums[i] = max(0.0, self._sums[i] + drop - slack)
            self._alarmed = self._alarmed or self._sums[i] > self._limits[i]
        return self._alarmed

    def state_dict(self) -> dict[str, Any]:
        """Return the whole state, JSON-able and exact."""
        baseline = self._baseline
        return {
            "kind": "DegradationDetector",
            "version": _VERSION,
            "baseline": None
            if baseline is None
            else {"mean": baseline.mean, "sd": baseline.sd, "phi": baseline.phi, "count": baseline.count},
            "threshold_factor": self._factor,
            "sums": list(self._sums),
            "alarmed": self._alarmed,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a state that ``state_dict`` returned.

        Raises:
            StateMismatchError: It belongs to another class or version, or is not whole.
        """
        check_state(state, "DegradationDetector", _VERSION, _KEYS)
        baseline = state["baseline"]
        self._factor = float(state["threshold_factor"])
        self._baseline = None if baseline is None else Baseline(**baseline)
        self._set_limits()
        self._sums = [float(value) for value in state["sums"]]
        self._alarmed = bool(state["alarmed"])


def _sum_variance(lengths: npt.NDArray[np.float64], phi: float) -> npt.NDArray[np.float64]:
    """Return the variance of the sum of ``lengths`` scores of a unit-variance AR(1) with ``phi``."""
    growth = lengths * (1.0 + phi) / (1.0 - phi)
    return np.asarray(growth - 2.0 * phi * (1.0 - phi**lengths) / (1.0 - phi) ** 2)
