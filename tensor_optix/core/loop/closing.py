"""Whether a window was the last, and what is settled then."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tensor_optix.core.base_pipeline import BasePipeline
from tensor_optix.core.judgement.succession import Succession
from tensor_optix.core.loop.interrupts import StopRequest
from tensor_optix.core.loop.stopping import Ending, StoppingRule, first_ending
from tensor_optix.core.types import EvalMetrics


class Closing:
    """Asks the rules after every window, and lets the last policy play for the championship.

    Attributes:
        ending: Why the run ends; None while it goes on.

    Args:
        rules: Reasons to end, the weightiest first.
        pipeline: Its episodes are cut off.
        succession: Lets the last policy play.
        stop_request: Knows whether somebody waits for the end.
        save: Called before anything is settled: whoever goes on with a larger budget begins there.
    """

    def __init__(
        self,
        rules: Sequence[StoppingRule],
        pipeline: BasePipeline,
        succession: Succession,
        stop_request: StopRequest,
        save: Callable[[], None],
    ) -> None:
        self._rules = rules
        self._pipeline = pipeline
        self._succession = succession
        self._stop_request = stop_request
        self._save = save
        self.ending: Ending | None = None

    def look(self, metrics: EvalMetrics) -> None:
        """Decide whether this was the last window; if so, settle who is champion."""
        self.ending = first_ending(self._rules)
        if self.ending is None:
            return
        self._save()
        self._pipeline.cut_episodes()
        if self.ending.settles_champion and not self._stop_request.is_interrupted:
            self._succession.choose_for_the_last_time(metrics)

    def ending_of_stream(self) -> Ending:
        """Return why there are no more windows."""
        return self.ending or first_ending(self._rules) or Ending("stopped", "the pipeline's stream ended")
