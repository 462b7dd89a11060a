"""What waits for an environment that is free, in the order in which it is done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tensor_optix.core.base_pipeline import BasePipeline
from tensor_optix.core.judgement.arena import Arena
from tensor_optix.core.storage.stateful import WithState
from tensor_optix.core.types import EpisodeData, EvalMetrics


@dataclass(frozen=True)
class Activity:
    """Something that plays episodes, or may only happen between those of training.

    Attributes:
        name: What it is asked for by.
        run: Does it, after the window that the metrics are of.
        is_regular: Whether it is wanted whenever the environment is free, asked for or not.
        unless: Name of an activity that it makes way for.
    """

    name: str
    run: Callable[[EvalMetrics], object]
    is_regular: bool = False
    unless: str = ""

    def is_wanted(self, asked_for: frozenset[str]) -> bool:
        """Tell whether to run, given the names of what was asked for."""
        return (self.is_regular or self.name in asked_for) and self.unless not in asked_for


class Agenda(WithState):
    """Books the environment, and works off what was asked for once it is free.

    A running environment is free only where a window ended with a barrier. One of its own, for
    evaluation, is free after any window.

    Attributes:
        activities: In the order in which they are done.

    Args:
        arena: Knows whether episodes can be played at all.
        pipeline: Asked for a barrier.
        needs_barrier: Whether the episodes run in the pipeline's own environment.
    """

    def __init__(self, arena: Arena, pipeline: BasePipeline, *, needs_barrier: bool) -> None:
        self._arena = arena
        self._pipeline = pipeline
        self._needs_barrier = needs_barrier
        self._asked_for: set[str] = set()
        self.activities: Sequence[Activity] = ()

    def ask(self, name: str) -> bool:
        """Ask for an activity at the next opportunity; return whether there will be one."""
        if not self._arena.is_possible or (self._needs_barrier and not self._pipeline.request_barrier()):
            return False
        self._asked_for.add(name)
        return True

    def work_off(self, window: EpisodeData, metrics: EvalMetrics) -> None:
        """Run what is wanted, if the environment is free after this window."""
        at_barrier = bool(window.metadata.get("barrier"))
        if not at_barrier and (self._needs_barrier or not self._asked_for):
            return
        asked_for, self._asked_for = frozenset(self._asked_for), set()
        for activity in self.activities:
            if activity.is_wanted(asked_for):
                activity.run(metrics)

    def state_dict(self) -> dict[str, Any]:
        """Return a JSON-able copy."""
        return {"asked_for": sorted(self._asked_for)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Ask again for what had been asked for."""
        for name in state["asked_for"]:
            self.ask(name)
