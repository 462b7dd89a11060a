"""Watching a frozen policy."""

from __future__ import annotations

from typing import Any

from tensor_optix.monitoring.degradation_detector import DegradationDetector

CALIBRATION_WINDOWS = (50, 100, 200)
"""Fresh windows after which the baseline is made: a first one, and ones that know autocorrelation better."""

_FIRST_LOOK_WINDOWS = 8
_COARSE_THRESHOLD = 4.4
_THRESHOLDS = (4.15, 4.1, 3.55)  # all detectors share what may be false alarms; most goes to the one that lasts


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
        self._detector = _detector_for(0)

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
            self._detector = _detector_for(count)
            self._detector.calibrate(self._scores, earlier_looks=count - CALIBRATION_WINDOWS[0])
        elif is_early and count & (count - 1) == 0 and self._detector.is_calm:
            self._detector.calibrate(self._scores)

    def state_dict(self) -> dict[str, Any]:
        """Return a JSON-able copy of what was learned."""
        return {"scores": list(self._scores), "detector": self._detector.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Become what :meth:`state_dict` returned."""
        self._scores = list(state["scores"])
        self._detector = _detector_for(len(self._scores))
        self._detector.load_state_dict(state["detector"])


def _detector_for(count: int) -> DegradationDetector:
    """Return the detector that watches once ``count`` fresh windows are known."""
    made = sum(count >= windows for windows in CALIBRATION_WINDOWS)
    if made == 0:
        return DegradationDetector(threshold=_COARSE_THRESHOLD, adapt=False)
    return DegradationDetector(threshold=_THRESHOLDS[made - 1])
