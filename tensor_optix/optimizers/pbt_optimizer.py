"""Population-based training with a history in place of a population."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from tensor_optix.core.checks import check_int, check_number
from tensor_optix.core.search_space import Bounds
from tensor_optix.core.types import EvalMetrics
from tensor_optix.exceptions import StateMismatchError
from tensor_optix.optimizers.bounded_optimizer import BoundedOptimizer
from tensor_optix.optimizers.evidence import ResponseModel, fit_response
from tensor_optix.optimizers.score_buffer import NewScores

_MIN_MEMBERS = 5
_DRAWS = 20

# The response is learned from more than the members that are ranked: four parameters have ten
# coefficients, for which fifty noisy scores are few.
_PAST_PER_MEMBER = 4
_HALF_LIFE_PER_MEMBER = 2.0
_ALPHA = 0.3


@dataclass(frozen=True)
class Member:
    """Hyperparameters that were in force once, and the score that they earned.

    Attributes:
        time: Number of the score, in scores seen.
        point: The tuned values, each on its own scale.
        score: As the evaluator gave it.
    """

    time: int
    point: list[float]
    score: float


class PBTOptimizer(BoundedOptimizer):
    """Tunes like a population of one: its own past stands in for the other members.

    Each score joins a first-in, first-out history with the hyperparameters that earned it. If those in
    force are in the bottom 20 %, hyperparameters of the top 20 % are copied with a small perturbation;
    otherwise those in force are perturbed with a medium one: ``uniform(-d, +d)``,
    ``d = scale * (high - low)`` on the parameter's own scale (:class:`ParamSpec`), clipped.

    Members are ranked by the change that they brought, not by when they came: the trend of the learning
    curve is taken out of the history, and where a parameter explains the rest better than chance does,
    its part ranks instead of one noisy score (:func:`fit_response`). Of twenty such perturbations the one
    that this part speaks for is then taken; where the past says nothing, the first.

    Args:
        param_bounds: ``{name: (low, high) or ParamSpec}``; None: nothing is tuned; ``"agent"``: the
            agent's own bounds.
        history_size: Members ranked.
        exploit_percentile: Share of the history that counts as the bottom.
        top_percentile: Share of the history that counts as the top.
        explore_scale: Medium perturbation, as a share of the range.
        exploit_scale: Small perturbation, as a share of the range.
        seed: Source of all randomness.

    Raises:
        InvalidArgumentError: A number is outside its range.

    Example:
        >>> from tensor_optix import EvalMetrics, HyperparamSet, PBTOptimizer
        >>> optimizer = PBTOptimizer({"learning_rate": (1e-5, 1e-1)}, seed=0)
        >>> start = HyperparamSet({"learning_rate": 0.01}, episode_id=0)
        >>> explored = optimizer.suggest(start, [EvalMetrics(1.0, {}, episode_id=0)])
        >>> 0.01 * 10**-0.4 <= explored.params["learning_rate"] <= 0.01 * 10**0.4
        True
    """

    _STATE = (*BoundedOptimizer._STATE, "_news", "_seen", "_names", "_past")
    _STATE_KINDS: ClassVar[dict[str, Any]] = {
        **BoundedOptimizer._STATE_KINDS,
        "_seen": int,
        "_names": list[str],
        "_past": list[Member],
    }

    def __init__(
        self,
        param_bounds: Bounds | Literal["agent"] | None = None,
        history_size: int = 50,
        exploit_percentile: float = 0.20,
        top_percentile: float = 0.20,
        explore_scale: float = 0.10,
        exploit_scale: float = 0.05,
        seed: int | None = None,
    ) -> None:
        super().__init__(param_bounds, seed)
        check_int("history_size", history_size, at_least=2)
        check_number("exploit_percentile", exploit_percentile, low=0.0, high=1.0)
        check_number("top_percentile", top_percentile, low=0.0, high=1.0)
        check_number("explore_scale", explore_scale, low=0.0, high=1.0)
        check_number("exploit_scale", exploit_scale, low=0.0, high=1.0)
        self._exploit_percentile = exploit_percentile
        self._top_percentile = top_percentile
        self._explore_scale = explore_scale
        self._exploit_scale = exploit_scale
        self._news = NewScores()
        self._seen = 0
        self._names: list[str] = []
        self._history_size = int(history_size)
        self._past: deque[Member] = deque(maxlen=_PAST_PER_MEMBER * self._history_size)

    def on_improvement(self, metrics: EvalMetrics) -> None:
        """Do nothing: the champion is a member like any other."""

    def on_plateau(self, metrics_history: list[EvalMetrics]) -> None:
        """Forget the history."""
        self._past.clear()

    def _suggest(self, values: dict[str, float], history: list[EvalMetrics]) -> dict[str, float]:
        news = self._news.take(history)
        self._absorb(news, values)
        if not news:
            return {}
        members = list(self._past)[-self._history_size :]
        model = self._model()
        merits = self._merits(members, model)
        if len(merits) >= _MIN_MEMBERS and merits[-1] < _quantile(merits, self._exploit_percentile):
            point = members[self._choose_from_top(merits)].point
            scale, reason = self._exploit_scale, "bottom of the history: copied from its top, perturbed"
        else:
            point = self._point(values)
            scale, reason = self._explore_scale, "explored: perturbed"
        suggested = self._perturb(point, scale, model)
        for name, value in suggested.items():
            self._record(name, values[name], value, reason, is_move=True)
        return suggested

    def _absorb(self, news: list[EvalMetrics], values: dict[str, float]) -> None:
        """Pair each score with the hyperparameters that earned it."""
        if self._names != list(values):
            self._names = list(values)
            self._past.clear()
        for metrics in news:
            stamped = self._stamped(metrics, values) or values
            self._past.append(Member(self._seen, self._point(stamped), metrics.primary_score))
            self._seen += 1

    def _point(self, values: dict[str, float]) -> list[float]:
        return [self._specs[name].to_latent(values[name]) for name in self._names]

    def _model(self) -> ResponseModel | None:
        if len(self._past) < _MIN_MEMBERS:
            return None
        return fit_response(
            np.array([member.time for member in self._past], dtype=float),
            np.array([member.point for member in self._past]),
            np.array([member.score for member in self._past]),
            alpha=_ALPHA,
            half_life=_HALF_LIFE_PER_MEMBER * self._history_size,
        )

    def _merits(self, members: list[Member], model: ResponseModel | None) -> np.ndarray:
        """Return how good each member was, apart from when it came, ``[n]``."""
        if model is None:
            return np.array([member.score for member in members])
        if not model.matters.any():
            return model.detrended[-len(members) :]
        return np.asarray(model.merit(np.array([member.point for member in members])).sum(axis=-1))

    def _choose_from_top(self, merits: np.ndarray) -> int:
        count = max(1, int(len(merits) * self._top_percentile))
        return int(np.argsort(-merits, kind="stable")[int(self._rng.integers(count))])

    def _perturb(self, point: list[float], scale: float, model: ResponseModel | None) -> dict[str, float]:
        specs = [self._specs[name] for name in self._names]
        low = np.array([spec.to_latent(spec.low) for spec in specs])
        high = np.array([spec.to_latent(spec.high) for spec in specs])
        reach = scale * (high - low)
        points = np.array(point) + self._rng.uniform(-reach, reach, size=(_DRAWS, len(specs)))
        points = np.minimum(np.maximum(points, low), high)
        best = [0] * len(specs) if model is None else model.merit(points).argmax(axis=0)
        return {
            name: spec.from_latent(float(points[row, column]))
            for column, (name, spec, row) in enumerate(zip(self._names, specs, best, strict=True))
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Become what ``state_dict`` returned, where its points fit its names."""
        super().load_state_dict(state)
        if any(len(member.point) != len(self._names) for member in self._past):
            raise StateMismatchError(
                f"Expected points of {len(self._names)} numbers. Received: {state['past']!r:.200}."
            )

    def _names_in(self, state: dict[str, Any]) -> list[str]:
        return list(state["names"])


def _quantile(values: np.ndarray, share: float) -> float:
    """Return the value below which ``share`` of ``values`` lies, interpolated."""
    ordered = np.sort(values)
    position = share * (len(ordered) - 1)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return float(ordered[below] + (position - below) * (ordered[above] - ordered[below]))
