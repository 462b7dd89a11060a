"""A frozen champion on a live feed, held against its own past."""

from __future__ import annotations

from typing import Any

from tensor_optix.core.backoff_scheduler import BackoffScheduler
from tensor_optix.core.callbacks import CallbackList
from tensor_optix.core.judgement.alarm import AlarmResponse
from tensor_optix.core.judgement.incumbent import Incumbent
from tensor_optix.core.judgement.watchdog import Watchdog
from tensor_optix.core.types import EvalMetrics


class Watch:
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
        self._incumbent = incumbent
        self._scheduler = scheduler
        self._alarm = alarm
        self._callbacks = callbacks
        self._watchdog = Watchdog()

    def begin(self) -> None:
        """Let the champion act from now on, frozen."""
        self._incumbent.bring_back()
        self._watchdog.start_over()
        self._scheduler.record_watch()

    def raises_alarm(self, metrics: EvalMetrics) -> bool:
        """Take the score of one window; on an alarm the state is ACTIVE again."""
        if not self._watchdog.update(metrics.primary_score):
            return False
        self._alarm.accept_new_world()
        self._scheduler.record_degradation()
        self._callbacks.fire("on_degradation", metrics.episode_id, metrics)
        return True

    def state_dict(self) -> dict[str, Any]:
        """Return a JSON-able copy."""
        return self._watchdog.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Become what :meth:`state_dict` returned."""
        self._watchdog.load_state_dict(state)
