"""What scores a window."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any

import numpy as np

from tensor_optix.core.checks import check_fields, fits_float, received
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
    """Raise unless an evaluator returned EvalMetrics whose score is a number or NaN (no evidence).

    What else it measured must be what a file can hold: numbers, texts, and lists, dicts and arrays of them.
    """
    if not isinstance(metrics, EvalMetrics):
        raise InvalidTypeError(f"`{evaluator}.score` must return EvalMetrics. {received(metrics)}")
    check_fields(metrics, primary_score=float)  # it may have been set since
    if math.isinf(metrics.primary_score):
        raise NonFiniteError(
            f"`{evaluator}.score` gave {metrics.primary_score} for window {window}. "
            "Return NaN where a window gives no evidence."
        )
    for name, value in metrics.metrics.items():
        if not _can_be_saved(value):
            raise InvalidTypeError(
                f"`{evaluator}.score` gave metrics[{name!r}] for window {window}, which cannot be saved: it must be a "
                f"number, a text, or a list, dict or array of them. {received(value)}"
            )


def comparable(metrics: EvalMetrics, window: EpisodeData, *, is_first: bool) -> EvalMetrics:
    """Return a score that may be held against those of other windows, NaN where it may not.

    The last windows of a budget may be cut short. A mean over the episodes that ended is still one then; what else
    an evaluator makes of a window may depend on how long it is, and counts only where there is no other score.
    """
    if window.metadata.get("cut_short") and metrics.num_episodes is None and not is_first:
        return replace(metrics, primary_score=math.nan)
    return metrics


def _can_be_saved(value: Any) -> bool:
    if type(value) in (list, tuple):
        return all(_can_be_saved(part) for part in value)
    if type(value) is dict:
        return all(type(key) is str and _can_be_saved(part) for key, part in value.items())
    if isinstance(value, (np.ndarray, np.generic)):
        return value.dtype.kind in "biuf"
    return value is None or (type(value) in (bool, int, float, str) and fits_float(value))
