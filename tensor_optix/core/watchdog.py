"""Watching a frozen policy."""

from __future__ import annotations

from typing import Any

from tensor_optix.monitoring.degradation_detector import DegradationDetector

CALIBRATION_WINDOWS = 40
_FIRST_LOOK_WINDOWS = 4


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
        if len(self._scores) >= CALIBRATION_WINDOWS:
            return self._detector.update(score)
        alarm = len(self._scores) >= _FIRST_LOOK_WINDOWS and self._detector.update(score)
        self._scores.append(score)
        count = len(self._scores)
        if count == CALIBRATION_WINDOWS:
            self._detector = DegradationDetector()
            self._detector.calibrate(self._scores)
        elif count >= _FIRST_LOOK_WINDOWS and count & (count - 1) == 0:
            self._detector.calibrate(self._scores)
        return alarm

    def state_dict(self) -> dict[str, Any]:
        """Return a JSON-able copy of what was learned."""
        return {"scores": list(self._scores), "detector": self._detector.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Become what :meth:`state_dict` returned."""
        self._scores = list(state["scores"])
        is_calibrated = len(self._scores) >= CALIBRATION_WINDOWS
        self._detector = DegradationDetector() if is_calibrated else DegradationDetector.while_learning()
        self._detector.load_state_dict(state["detector"])
