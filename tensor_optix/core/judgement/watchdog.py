"""A frozen champion on a live feed, held against its own past."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tensor_optix.core.backoff_scheduler import BackoffScheduler
from tensor_optix.core.callbacks import CallbackList
from tensor_optix.core.judgement.alarm import AlarmResponse
from tensor_optix.core.judgement.champion import Incumbent
from tensor_optix.core.storage.stateful import Stateful
from tensor_optix.core.types import EvalMetrics
from tensor_optix.monitoring.degradation_detector import DegradationDetector

# Chosen by simulation on tuning seeds (benchmarks/judgement_watchdog.py has the figures, on others).
_FIRST_LOOK_WINDOWS = 8
_COARSE_THRESHOLD = 4.2
_THRESHOLDS = {50: 4.2, 100: 3.9, 150: 3.7, 250: 3.6}  # what may be false alarms goes to the later ones, which last
CALIBRATION_WINDOWS = tuple(_THRESHOLDS)
"""Fresh windows after which the baseline is made: a first one, and ones that know more.

The later ones wait until no CUSUM is near its limit: a drop that has begun is not taken for normal."""
_FORMER_WINDOWS = (0, 50, 100, 250)
"""Those of older states, which tell how many of them were made."""


class Watchdog(Stateful):
    """Learns what a frozen policy normally scores, then tells when it scores less.

    The scores that made the policy champion were the best of many, so the baseline comes from
    fresh windows only. Until there are enough, a coarse detector watches.
    """

    _STATE = ("_scores", "_calibrated_at", "_detector")

    def __init__(self) -> None:
        self.start_over()

    def start_over(self) -> None:
        """Forget: another policy is frozen now."""
        self._scores: list[float] = []
        self._calibrated_at = 0
        self._detector = _detector_for(0)

    def update(self, score: float) -> bool:
        """Take the score of one window and tell whether it raises the alarm."""
        alarm = len(self._scores) >= _FIRST_LOOK_WINDOWS and self._detector.update(score)
        if self._calibrated_at < CALIBRATION_WINDOWS[-1] and not self._detector.alarmed:
            self._scores.append(score)
            self._calibrate()
        return alarm

    def _calibrate(self) -> None:
        """Make the baseline where it is due, from all scores so far."""
        count = len(self._scores)
        due = _due(count)
        is_early = due == 0 and count >= _FIRST_LOOK_WINDOWS and count & (count - 1) == 0
        if due > self._calibrated_at and (self._calibrated_at == 0 or self._detector.is_calm):
            self._calibrated_at = due
            self._detector = _detector_for(due)
            self._detector.calibrate(self._scores, earlier_looks=count - CALIBRATION_WINDOWS[0])
        elif is_early and self._detector.is_calm:
            self._detector.calibrate(self._scores)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Become what :meth:`state_dict` returned, also in earlier releases."""
        calibrated_at = _due(len(state["scores"]))
        if "baselines" in state:
            calibrated_at = _FORMER_WINDOWS[min(int(state["baselines"]), len(_FORMER_WINDOWS) - 1)]
        calibrated_at = int(state.get("calibrated_at", calibrated_at))
        self._detector = _detector_for(_due(calibrated_at))
        super().load_state_dict({**state, "calibrated_at": calibrated_at})


def _due(count: int) -> int:
    """Return after how many windows the latest baseline is made of those due by now, 0 for none."""
    return max((windows for windows in CALIBRATION_WINDOWS if windows <= count), default=0)


def _detector_for(windows: int) -> DegradationDetector:
    """Return the detector that watches once the baseline of so many windows was made."""
    if windows == 0:
        return DegradationDetector(threshold=_COARSE_THRESHOLD, adapt=False)
    return DegradationDetector(threshold=_THRESHOLDS[windows])


class Watch(Watchdog):
    """Freezes the champion, and accepts a new world where its scores drop: the policy is as it was.

    Args:
        incumbent: Brings the champion back.
        scheduler: Told of the state.
        alarm: Voids what was learned of a world that is no more.
        callbacks: Told of degradation.
    """

    def __init__(
        self, incumbent: Incumbent, scheduler: BackoffScheduler, alarm: AlarmResponse, callbacks: CallbackList
    ) -> None:
        super().__init__()
        self._incumbent = incumbent
        self._scheduler = scheduler
        self._alarm = alarm
        self._callbacks = callbacks

    def begin(self) -> None:
        """Let the champion act from now on, frozen."""
        self._incumbent.bring_back()
        self.start_over()
        self._scheduler.record_watch()

    def raises_alarm(self, metrics: EvalMetrics) -> bool:
        """Take the score of one window; on an alarm the state is ACTIVE again."""
        if not self.update(metrics.primary_score):
            return False
        self._alarm.accept_new_world()
        self._scheduler.record_degradation()
        self._callbacks.fire("on_degradation", metrics.episode_id, metrics)
        return True
