"""The default scorer: the mean return of the episodes that ended in a window."""

from __future__ import annotations

import logging
import math
import numbers
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from tensor_optix.core.base_evaluator import BaseEvaluator
from tensor_optix.core.checks import check_callable, check_int, check_number
from tensor_optix.core.types import EpisodeData, EvalMetrics
from tensor_optix.exceptions import InvalidArgumentError

logger = logging.getLogger(__name__)

FloatArray = npt.NDArray[np.float64]

ENDLESS_AFTER_LENGTHS = 10
"""A task counts as one that never ends after so many ``max_episode_length`` without an end."""


class TFEvaluator(BaseEvaluator):
    """Scores a window by the mean return of the episodes that ended in it.

    NaN where none ended: no evidence. Once no episode has ended within ten times
    ``max_episode_length`` steps of each environment, the task is taken for one that never ends and
    from then on the score is the mean step reward. Despite its place it needs no TensorFlow.

    With weights, the score is ``w_r * mean step reward - w_s * std of step rewards
    + w_l * length / max_episode_length``, the weights normalised to sum to 1; one that is not
    given counts as 0.

    Args:
        reward_weight: ``w_r``, not negative.
        stability_weight: ``w_s``, not negative.
        length_weight: ``w_l``, not negative.
        primary_score_fn: ``(episode_data, train_diagnostics) -> float``; replaces the score.
        max_episode_length: How long an episode may be thought to last, in steps.

    Raises:
        InvalidArgumentError: A weight is negative, they sum to 0, or the length is below 1.
        InvalidTypeError: An argument is of a type that cannot be used.

    Example:
        >>> window = EpisodeData([0, 1], [0, 0], [1.0, 2.0], [False, True], [False, False], [{}, {}], 0)
        >>> TFEvaluator().score(window, {}).primary_score
        3.0
    """

    def __init__(
        self,
        reward_weight: float | None = None,
        stability_weight: float | None = None,
        length_weight: float | None = None,
        primary_score_fn: Callable[[EpisodeData, dict[str, Any]], float] | None = None,
        max_episode_length: int = 1000,
    ) -> None:
        check_int("max_episode_length", max_episode_length, at_least=1)
        check_callable("primary_score_fn", primary_score_fn, takes="(episode_data, train_diagnostics) -> float")
        self._weights = _normalised(
            reward_weight=reward_weight, stability_weight=stability_weight, length_weight=length_weight
        )
        self._primary_score_fn = primary_score_fn
        self._max_episode_length = max_episode_length
        self._steps_without_end = 0  # per environment, until an episode ends
        self._has_ended = False
        self._is_endless = False

    def score(self, episode_data: EpisodeData, train_diagnostics: dict[str, Any]) -> EvalMetrics:
        """Score the policy that acted in this window."""
        rewards = _valid_rewards(episode_data)
        returns = _completed_returns(episode_data)
        self._watch_for_an_end(episode_data, ended=returns.size > 0)
        primary_score = self._primary_score(episode_data, train_diagnostics, rewards, returns)
        rests_on_episodes = self._primary_score_fn is None and self._weights is None and not self._is_endless
        return EvalMetrics(
            primary_score=primary_score,
            metrics={
                **_numbers(train_diagnostics),
                **_moments(rewards),
            },
            episode_id=episode_data.episode_id,
            num_episodes=int(returns.size) if rests_on_episodes else None,
        )

    def _primary_score(
        self, window: EpisodeData, diagnostics: dict[str, Any], rewards: FloatArray, returns: FloatArray
    ) -> float:
        if self._primary_score_fn is not None:
            return float(self._primary_score_fn(window, diagnostics))
        if self._weights is not None:
            if not rewards.size:
                return math.nan
            reward_weight, stability_weight, length_weight = self._weights
            share_of_length = window.length / self._max_episode_length
            return float(
                reward_weight * rewards.mean() - stability_weight * rewards.std() + length_weight * share_of_length
            )
        return _mean(rewards if self._is_endless else returns)

    def _watch_for_an_end(self, window: EpisodeData, ended: bool) -> None:
        self._has_ended = self._has_ended or (ended and not self._is_endless)
        if self._is_endless or self._has_ended:
            return
        self._steps_without_end += window.length
        if self._steps_without_end >= ENDLESS_AFTER_LENGTHS * self._max_episode_length:
            self._is_endless = True
            if self._weights is None and self._primary_score_fn is None:
                logger.info(
                    "No episode has ended within %d steps: the task is taken for one that never ends, and windows are "
                    "scored by their mean step reward from now on.",
                    self._steps_without_end,
                )

    def state_dict(self) -> dict[str, Any]:
        """Return what the evaluator has learned of the task, JSON-able."""
        return {
            "steps_without_end": self._steps_without_end,
            "has_ended": self._has_ended,
            "is_endless": self._is_endless,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Become what ``state_dict`` returned."""
        self._steps_without_end = int(state["steps_without_end"])
        self._has_ended = bool(state["has_ended"])
        self._is_endless = bool(state["is_endless"])


def _normalised(**weights: float | None) -> tuple[float, float, float] | None:
    """Return the three weights, summing to 1, or None where none was given."""
    if all(weight is None for weight in weights.values()):
        return None
    given = {name: 0.0 if weight is None else weight for name, weight in weights.items()}
    for name, weight in given.items():
        check_number(name, weight, low=0.0)
    total = sum(given.values())
    if total <= 0:
        raise InvalidArgumentError(f"The weights must sum to more than 0. Received: {given}.")
    reward, stability, length = (weight / total for weight in given.values())
    return reward, stability, length


def _valid_rewards(window: EpisodeData) -> FloatArray:
    rewards = np.asarray(window.rewards, dtype=np.float64)
    return rewards.ravel() if window.valid is None else rewards[np.asarray(window.valid, dtype=bool)]


def _completed_returns(window: EpisodeData) -> FloatArray:
    """Return the returns of the episodes that ended, whole where the pipeline tells them."""
    if window.completed_returns is not None:
        return np.asarray(window.completed_returns, dtype=np.float64).ravel()
    length = window.length
    rewards = np.asarray(window.rewards, dtype=np.float64).reshape(length, -1)
    dones = np.asarray(window.dones, dtype=bool).reshape(length, -1)
    if window.valid is not None:
        valid = np.asarray(window.valid, dtype=bool).reshape(length, -1)
        rewards, dones = np.where(valid, rewards, 0.0), dones & valid
    returns = []
    for n in range(rewards.shape[1]):
        ends = np.flatnonzero(dones[:, n]) + 1
        returns += [float(part.sum()) for part in np.split(rewards[:, n], ends)[: len(ends)]]
    return np.array(returns)


def _moments(rewards: FloatArray) -> dict[str, float]:
    """Return mean, sum and standard deviation with one pass for each; NumPy's own methods sum anew every time."""
    total = float(rewards.sum())
    mean = total / rewards.size if rewards.size else math.nan
    deviations = rewards - mean
    spread = math.sqrt(float(deviations @ deviations) / rewards.size) if rewards.size else math.nan
    return {"mean_reward": mean, "total_reward": total, "reward_std": spread}


def _mean(values: FloatArray) -> float:
    return float(values.mean()) if values.size else math.nan


def _numbers(diagnostics: dict[str, Any]) -> dict[str, float]:
    """Return the diagnostics that are numbers."""
    return {
        name: float(value)
        for name, value in diagnostics.items()
        if type(value) is float or (isinstance(value, numbers.Real) and not isinstance(value, (bool, np.bool_)))
    }
