"""What a user may hook into the loop."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from tensor_optix.core.types import EvalMetrics, LoopState, PolicySnapshot

logger = logging.getLogger(__name__)


class LoopCallback:
    """Base of all callbacks; every hook is optional.

    Hooks run in the loop's thread and get their arguments by position. One that raises is logged
    with its traceback and never stops the loop.

    Example:
        >>> class PrintChampion(LoopCallback):
        ...     def on_improvement(self, snapshot):
        ...         print("new best:", snapshot.eval_metrics.primary_score)
    """

    def on_loop_start(self) -> None:
        """Called once, before the first window of a run."""

    def on_loop_stop(self) -> None:
        """Called once, however the run ended."""

    def on_episode_end(self, episode_id: int, eval_metrics: EvalMetrics | None) -> None:
        """Called after every window; ``eval_metrics`` is None when it gave no evidence."""

    def on_improvement(self, snapshot: PolicySnapshot) -> None:
        """Called with each new champion."""

    def on_plateau(self, episode_id: int, state: LoopState) -> None:
        """Called on entering COOLING."""

    def on_dormant(self, episode_id: int) -> None:
        """Called on entering DORMANT."""

    def on_degradation(self, episode_id: int, eval_metrics: EvalMetrics) -> None:
        """Called once per alarm."""

    def on_hyperparam_update(self, old_params: dict[str, Any], new_params: dict[str, Any]) -> None:
        """Called when the value of a hyperparameter changed."""


class CallbackList:
    """Hands each event on to every callback, and survives those that raise."""

    def __init__(self, callbacks: Iterable[Any] | None = None) -> None:
        self.callbacks = list(callbacks or ())

    def fire(self, hook: str, *args: Any) -> None:
        """Call ``hook`` on every callback that has it."""
        for callback in self.callbacks:
            method = getattr(callback, hook, None)
            if method is None:
                continue
            try:
                method(*args)
            except Exception:
                logger.exception("Callback %s.%s raised; the loop goes on.", type(callback).__name__, hook)
