"""Population-based training with a history in place of a population."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from tensor_optix.core.types import Bounds, EvalMetrics
from tensor_optix.exceptions import InvalidArgumentError
from tensor_optix.optimizers.bounded_optimizer import BoundedOptimizer
from tensor_optix.optimizers.response_model import ResponseModel, fit_response
from tensor_optix.optimizers.score_buffer import NewScores

_MIN_MEMBERS = 5
_ALPHA = 0.1
_DRAWS = 8


@dataclass(frozen=True)
class Member:
    """Hyperparameters that were in force once, and the score that they earned.

    Attributes:
        time: Number of the score, in scores seen.
        params: The tuned values.
        score: As the evaluator gave it.
    """

    time: int
    params: dict[str, float]
    score: float


class PBTOptimizer(BoundedOptimizer):
    """Tunes like a population of one: its own past stands in for the other members.

    Each score joins a first-in, first-out history with the hyperparameters that earned it. If those in
    force are in the bottom 20 %, hyperparameters of the top 20 % are copied with a small perturbation;
    otherwise those in force are perturbed with a medium one: ``uniform(-d, +d)``,
    ``d = scale * (high - low)`` on the parameter's own scale (:class:`ParamSpec`), clipped.

    Members are ranked by the change that they brought, not by when they came: the trend of the learning
    curve is taken out of the history, and where a parameter explains the rest better than chance does,
    its part ranks instead of one noisy score (:func:`fit_response`). Of eight such perturbations the one
    that this part speaks for is then taken; where the history says nothing, the first.

    Args:
        param_bounds: ``{name: (low, high) or ParamSpec}``; None: nothing is tuned; ``"agent"``: the
            agent's own bounds.
        history_size: Members kept.
        exploit_percentile: Share of the history that counts as the bottom.
        top_percentile: Share of the history that counts as the top.
        explore_scale: Medium perturbation, as a share of the range.
        exploit_scale: Small perturbation, as a share of the range.
        seed: Source of all randomness.

    Raises:
        InvalidArgumentError: A number is outside its range.

    Example:
        >>> optimizer = PBTOptimizer({"learning_rate": (1e-5, 1e-1)}, seed=0)
        >>> start = HyperparamSet({"learning_rate": 0.01}, episode_id=0)
        >>> explored = optimizer.suggest(start, [EvalMetrics(1.0, {}, episode_id=0)])
        >>> 0.01 * 10**-0.4 <= explored.params["learning_rate"] <= 0.01 * 10**0.4
        True
    """

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
        if history_size < 2:
            raise InvalidArgumentError(f"`history_size` must be >= 2. Received: {history_size!r}.")
        for name, share in (("exploit_percentile", exploit_percentile), ("top_percentile", top_percentile)):
            if not 0 < share < 1:
                raise InvalidArgumentError(f"`{name}` must lie between 0 and 1. Received: {share!r}.")
        for name, scale in (("explore_scale", explore_scale), ("exploit_scale", exploit_scale)):
            if not 0 <= scale <= 1:
                raise InvalidArgumentError(f"`{name}` must lie in [0, 1]. Received: {scale!r}.")
        self._exploit_percentile = exploit_percentile
        self._top_percentile = top_percentile
        self._explore_scale = explore_scale
        self._exploit_scale = exploit_scale
        self._news = NewScores()
        self._seen = 0
        self._members: deque[Member] = deque(maxlen=history_size)

    def on_improvement(self, metrics: EvalMetrics) -> None:
        pass

    def on_plateau(self, metrics_history: list[EvalMetrics]) -> None:
        self._members.clear()

    def _suggest(self, values: dict[str, float], history: list[EvalMetrics]) -> dict[str, float]:
        news = self._news.take(history)
        for metrics in news:
            params = self._stamped(metrics, values) or dict(values)
            self._members.append(Member(self._seen, params, metrics.primary_score))
            self._seen += 1
        if not news:
            return {}
        names = list(values)
        model = self._model(names)
        merits = self._merits(model, names)
        if len(merits) >= _MIN_MEMBERS and merits[-1] < np.quantile(merits, self._exploit_percentile):
            chosen = self._members[self._choose_from_top(merits)].params
            scale, reason = self._exploit_scale, "bottom of the history: copied from its top, perturbed"
        else:
            chosen, scale, reason = values, self._explore_scale, "explored: perturbed"
        suggested = self._perturb(chosen, scale, model)
        for name, value in suggested.items():
            self._record(name, values[name], value, reason, is_move=True)
        return suggested

    def _points(self, params: list[dict[str, float]], names: list[str]) -> np.ndarray:
        return np.array([[self._specs[name].to_latent(values[name]) for name in names] for values in params])

    def _model(self, names: list[str]) -> ResponseModel | None:
        members = [member for member in self._members if all(name in member.params for name in names)]
        if len(members) < len(self._members):
            self._members = deque(members, maxlen=self._members.maxlen)
        if len(members) < _MIN_MEMBERS:
            return None
        return fit_response(
            np.array([member.time for member in members], dtype=float),
            self._points([member.params for member in members], names),
            np.array([member.score for member in members]),
            _ALPHA,
        )

    def _merits(self, model: ResponseModel | None, names: list[str]) -> np.ndarray:
        """Return how good each member was, apart from when it came, ``[n]``."""
        if model is None:
            return np.array([member.score for member in self._members])
        if not model.matters.any():
            return model.detrended
        return model.merit(self._points([member.params for member in self._members], names)).sum(axis=-1)

    def _choose_from_top(self, merits: np.ndarray) -> int:
        count = max(1, int(len(merits) * self._top_percentile))
        return int(self._rng.choice(np.argsort(-merits, kind="stable")[:count]))

    def _perturb(self, params: dict[str, float], scale: float, model: ResponseModel | None) -> dict[str, float]:
        names = list(params)
        specs = [self._specs[name] for name in names]
        low = np.array([spec.to_latent(spec.low) for spec in specs])
        high = np.array([spec.to_latent(spec.high) for spec in specs])
        reach = scale * (high - low)
        draws = self._rng.uniform(-reach, reach, size=(_DRAWS, len(names)))
        points = np.clip(self._points([params], names) + draws, low, high)
        best = np.zeros(len(names), dtype=int) if model is None else model.merit(points).argmax(axis=0)
        return {name: spec.from_latent(float(points[best[p], p])) for p, (name, spec) in enumerate(zip(names, specs))}

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {
            "news": self._news.state_dict(),
            "seen": self._seen,
            "members": [asdict(member) for member in self._members],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self._news.load_state_dict(state["news"])
        self._seen = state["seen"]
        self._members = deque((Member(**saved) for saved in state["members"]), maxlen=self._members.maxlen)
