"""The end of a run once training episodes reach a score."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np

from tensor_optix.core.callbacks import LoopCallback
from tensor_optix.core.checks import check_int, check_number
from tensor_optix.core.storage.stateful import Stateful
from tensor_optix.core.types import EpisodeData
from tensor_optix.exceptions import StopRun


class StopOnScore(LoopCallback, Stateful):
    """Ends a run cleanly, reason "stopped", once the mean return of the latest training episodes reaches a score.

    Nothing proves that the score is reached by more than luck; ``RLOptimizer(target_score=...)`` does. Where the
    pipeline tells of no episodes, the scores of windows count instead.

    Args:
        score: It.
        num_episodes: How many of the latest episodes make the mean.

    Raises:
        InvalidTypeError: An argument is no number.
        InvalidArgumentError: ``num_episodes`` is below 1.

    Example:
        >>> callbacks = [StopOnScore(475.0)]
    """

    _STATE = ("_returns",)

    def __init__(self, score: float, *, num_episodes: int = 100) -> None:
        check_number("score", score)
        check_int("num_episodes", num_episodes, at_least=1)
        self._score = float(score)
        self._returns: deque[float] = deque(maxlen=num_episodes)

    def on_window(self, row: Mapping[str, Any], window: EpisodeData) -> None:
        """Count the window's episodes, and end the run where they reach the score."""
        reached: Any = window.completed_returns
        if reached is None:
            reached = [] if row["score"] is None else [row["score"]]
        self._returns.extend(map(float, reached))
        mean = float(np.mean(self._returns)) if len(self._returns) == self._returns.maxlen else -np.inf
        if mean >= self._score:
            raise StopRun(
                f"the latest {len(self._returns)} episodes reached {mean:.4g}, {self._score:.4g} was asked for"
            )
