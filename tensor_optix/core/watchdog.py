"""Watching a frozen policy."""

from __future__ import annotations

from typing import Any

from tensor_optix.monitoring.degradation_detector import DegradationDetector

CALIBRATION_WINDOWS = (50, 200)
"""Fresh windows after which the baseline is made: a first one, and one that knows autocorrelation well."""

_FIRST_LOOK_WINDOWS = 4
_THRESHOLD = 3.85  # three detectors share what may be false alarms, one after another


class Watchdog:
    """Learns what a frozen policy normally scores, then tells when it scores less.

    The scores that made the policy champion were the best of many, so the baseline comes from
    fresh windows only. Until there are enough, a coarse detector watches.
    """

    def __init__(self) -> None:
        self.start_over()

    def start_over(self) -> None:
        """Forget: another policy is frozen now."""
        self._scores: list[float] = []
        self._detector = DegradationDetector.while_learning()

    def update(self, score: float) -> bool:
        """Take the score of one window and tell whether it raises the alarm."""
        alarm = len(self._scores) >= _FIRST_LOOK_WINDOWS and self._detector.update(score)
        if len(self._scores) < CALIBRATION_WINDOWS[-1]:
            self._scores.append(score)
            if not self._detector.alarmed:
                self._calibrate()
        return alarm

    def _calibrate(self) -> None:
        """Make the baseline where it is due, from all scores so far."""
        count = len(self._scores)
        is_early = _FIRST_LOOK_WINDOWS <= count < CALIBRATION_WINDOWS[0]
        if count in CALIBRATION_WINDOWS:
            self._detector = DegradationDetector(threshold=_THRESHOLD)
        elif not (is_early and count & (count - 1) == 0):
            return
        self._detector.calibrate(self._scores)

    def state_dict(self) -> dict[str, Any]:
        """Return a JSON-able copy of what was learned."""
        return {"scores": list(self._scores), "detector": self._detector.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Become what :meth:`state_dict` returned."""
        self._scores = list(state["scores"])
        is_calibrated = len(self._scores) >= CALIBRATION_WINDOWS[0]
        self._detector = (
            DegradationDetector(threshold=_THRESHOLD) if is_calibrated else DegradationDetector.while_learning()
        )
        self._detector.load_state_dict(state["detector"])
