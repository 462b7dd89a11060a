"""What scores a window."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

from tensor_optix.core.checks import received
from tensor_optix.core.types import EpisodeData, EvalMetrics
from tensor_optix.exceptions import InvalidTypeError, NonFiniteError


class BaseEvaluator(ABC):
    """Interface of everything that scores.

    The loop calls ``score`` once for every window, in every state, before the agent learns from
    it. A score of NaN says: this window gave no evidence.
    """

    @abstractmethod
    def score(self, episode_data: EpisodeData, train_diagnostics: dict[str, Any]) -> EvalMetrics:
        """Score the policy that acted in this window.

        Args:
            episode_data: The window.
            train_diagnostics: What the previous ``learn`` returned; ``{}`` at first.
        """

    def compare(self, candidate: EvalMetrics, baseline: EvalMetrics) -> bool:
        """Tell whether ``candidate`` is better than ``baseline``. Default: ``beats``."""
        return candidate.beats(baseline)


def check_score(metrics: Any, evaluator: str, window: int) -> None:
    """Raise unless an evaluator returned EvalMetrics whose score is a number or NaN (no evidence)."""
    if not isinstance(metrics, EvalMetrics):
        raise InvalidTypeError(f"`{evaluator}.score` must return EvalMetrics. {received(metrics)}")
    if math.isinf(metrics.primary_score):
        raise NonFiniteError(
            f"`{evaluator}.score` gave {metrics.primary_score} for window {window}. "
            "Return NaN where a window gives no evidence."
        )
