"""Two-phase finite difference, one parameter at a time, that holds under noise and drift."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

from tensor_optix.core.checks import check_int, check_number
from tensor_optix.core.search_space import Bounds
from tensor_optix.core.types import EvalMetrics
from tensor_optix.optimizers.bounded_optimizer import BoundedOptimizer
from tensor_optix.optimizers.coordinate import BOLD_SHARE, Side
from tensor_optix.optimizers.evidence import noise_sd, small_sample_inflation, spent_threshold
from tensor_optix.optimizers.score_buffer import NewScores, ScoreBuffer
from tensor_optix.optimizers.search_point import Probe, SearchPoint, with_specs

_ALPHA = 0.05
_WIDEN_ON_IMPROVEMENT = 1.1
_WIDEN_ON_PLATEAU = 2.0
_MAX_WIDENING = 4.0


class BackoffOptimizer(BoundedOptimizer):
    """Tunes by looking a step to one side of theta, and keeping only what is better beyond noise.

    One parameter at a time, round robin, in two phases. *Probe*: ``theta + delta`` for one window,
    ``delta = max(perturbation_scale * |theta|, min_delta)`` the first time. *Commit*, after the next
    score: better keeps the probe's value; worse goes to the other side of the original theta; a
    difference inside the noise is no evidence and goes back to theta. Until the buffer allows an
    estimate of the noise, the sign alone decides.

    A score is compared with what theta would have scored in the same window: a line through the
    scores of theta before and after, so that a learning curve's drift is not taken for a gain.
    Differences inside the noise are not lost: they are pooled, and once a slope is proven beyond
    noise theta moves to the top of the parabola through both sides, at most one step away. Tests
    may be looked at after every score (:func:`spent_threshold`, :func:`is_drawn_out`).

    Steps are taken on the parameter's own scale (:class:`ParamSpec`). A gain widens the step by
    ``1 + base_lr / (1 + beta * variance)`` (``variance``: of the difference, relative to its square)
    and keeps its direction; a loss reverses it, losses on both sides halve the step. As long as no
    probe of a parameter ever gained, its probes stay within 0.2 decades, three of four within 0.09, so
    a parameter that makes no difference goes nowhere.

    Args:
        param_bounds: ``{name: (low, high) or ParamSpec}``; None: nothing is tuned; ``"agent"``: the
            agent's own bounds.
        perturbation_scale: Size of a parameter's first probe, relative to its value.
        min_delta: Least size of a first probe.
        score_window: How many scores make the rolling buffer full.
        min_samples: No move before this many scores were seen.
        base_lr: How much a perfectly clear gain widens the step: 1 doubles it.
        beta: How much less a gain does that is hard to tell from noise.
        high_variance_threshold: No move while the sample variance of the buffer, in squared score
            units, is above this; skips are recorded.
        seed: Source of all randomness.

    Raises:
        InvalidArgumentError: A number is outside its range.

    Example:
        >>> from tensor_optix import BackoffOptimizer, EvalMetrics, HyperparamSet
        >>> optimizer = BackoffOptimizer({"learning_rate": (1e-5, 1e-1)})
        >>> start = HyperparamSet({"learning_rate": 0.01}, episode_id=0)
        >>> probe = optimizer.suggest(start, [EvalMetrics(1.0, {}, episode_id=0)])
        >>> round(probe.params["learning_rate"], 6)
        0.0105
    """

    _STATE = (*BoundedOptimizer._STATE, "_widening", "_news", "_buffer", "_point", "_unbracketed", "_turn")
    _STATE_KINDS: ClassVar[dict[str, Any]] = {
        **BoundedOptimizer._STATE_KINDS,
        "_widening": float,
        "_unbracketed": list[Probe],
        "_turn": int,
    }

    def __init__(
        self,
        param_bounds: Bounds | Literal["agent"] | None = None,
        perturbation_scale: float = 0.05,
        min_delta: float = 1e-7,
        score_window: int = 5,
        min_samples: int = 1,
        base_lr: float = 1.0,
        beta: float = 1.0,
        high_variance_threshold: float = math.inf,
        seed: int | None = None,
    ) -> None:
        super().__init__(param_bounds, seed)
        check_number("perturbation_scale", perturbation_scale, above=0.0)
        check_number("min_delta", min_delta, above=0.0)
        check_int("score_window", score_window, at_least=2)
        check_int("min_samples", min_samples, at_least=1)
        check_number("base_lr", base_lr, above=0.0)
        check_number("beta", beta, low=0.0)
        check_number("high_variance_threshold", high_variance_threshold, above=0.0, finite=False)
        self._perturbation_scale = perturbation_scale
        self._min_delta = min_delta
        self._min_samples = min_samples
        self._base_lr = base_lr
        self._beta = beta
        self._high_variance_threshold = high_variance_threshold
        self._widening = 1.0
        self._news = NewScores()
        self._buffer = ScoreBuffer(int(score_window))
        self._point = SearchPoint()
        self._unbracketed: list[Probe] = []
        self._turn = 0
        self._scores_per_suggestion = 1

    def _suggest(self, values: dict[str, float], history: list[EvalMetrics]) -> dict[str, float]:
        for change in self._point.resync(values, self._specs):
            self._record(change.name, change.issued, change.value, "changed from outside: start anew", is_move=True)
            self._abandon()
        news = self._news.take(history)
        self._scores_per_suggestion = len(news)
        for metrics in news:
            self._absorb(metrics)
        if news:
            self._decide()
        return self._point.issue(values)

    def on_improvement(self, metrics: EvalMetrics) -> None:
        """Widen the step."""
        self._widen(_WIDEN_ON_IMPROVEMENT)

    def on_plateau(self, metrics_history: list[EvalMetrics]) -> None:
        """Widen the step and start the round again at the first parameter."""
        self._widen(_WIDEN_ON_PLATEAU)
        self._turn = 0
        self._point.probe = None
        self._unbracketed = []

    def _widen(self, factor: float) -> None:
        self._widening = min(self._widening * factor, _MAX_WIDENING)
        for coordinate in self._point.coordinates.values():
            coordinate.widen(factor)

    def _abandon(self) -> None:
        """Forget the open probe and the scores of a theta that is no more."""
        self._point.probe = None
        self._unbracketed = []
        self._buffer.forget_centre()

    def _absorb(self, metrics: EvalMetrics) -> None:
        """Credit a score to the values that earned it."""
        earned_by = self._stamped(metrics, self._point.coordinates)
        time, probe = self._buffer.seen, self._point.probe
        if probe is not None and self._point.is_probe(earned_by):
            self._buffer.add(metrics.primary_score, at_centre=False)
            probe.scores.append(metrics.primary_score)
            probe.times.append(time)
        elif self._point.is_centre(earned_by):
            self._buffer.add(metrics.primary_score, at_centre=True)
            self._pool()
        else:
            self._buffer.add(metrics.primary_score, at_centre=False)

    def _decide(self) -> None:
        if self._point.probe is not None:
            if self._point.probe.scores:
                self._judge(self._point.probe)
        elif self._buffer.has_centre and self._buffer.seen >= self._min_samples:
            if self._buffer.variance > self._high_variance_threshold:
                self._record("", None, None, f"skipped: the scores' variance {self._buffer.variance:.3g} is too high")
            else:
                self._open_probe()

    def _open_probe(self) -> None:
        names = list(self._point.coordinates)
        name = names[self._turn % len(names)]
        coordinate = self._point.coordinates[name]
        side = coordinate.direction if coordinate.has_room(coordinate.direction) else -coordinate.direction
        self._point.probe = self._probe_of(name, side)
        self._record(name, coordinate.centre, self._point.probe.value, "probe")

    def _probe_of(self, name: str, side: int, *, is_other_side: bool = False) -> Probe:
        coordinate = self._point.coordinates[name]
        if coordinate.width is None:
            delta = self._widening * max(self._perturbation_scale * abs(coordinate.centre), self._min_delta)
            return Probe(name, side, coordinate.stepped(side * delta), True, is_other_side)
        return Probe(name, side, coordinate.look(side, self._scores_per_suggestion), False, is_other_side)

    def _judge(self, probe: Probe) -> None:
        """Commit: keep the probe's value, try the other side, or go back to theta."""
        noise = self._buffer.noise()
        if noise is None:
            self._judge_by_sign(probe)
            return
        coordinate = self._point.coordinates[probe.name]
        coordinate.looks += 1
        level, relative_variance = self._buffer.level_at(probe.time)
        spread = noise_sd(noise[0], level) * math.sqrt(relative_variance + 1.0 / len(probe.scores))
        t_value = (probe.score - level) / spread
        threshold = spent_threshold(coordinate.looks, _ALPHA, noise[1])
        if t_value > threshold:
            self._gain(probe, t_value, f"better beyond noise: t = {t_value:.1f} > {threshold:.1f}")
        elif t_value < -threshold:
            self._lose(probe, f"worse beyond noise: t = {t_value:.1f} < {-threshold:.1f}")
        else:
            self._go_back(probe, f"inside the noise: |t| = {abs(t_value):.1f} <= {threshold:.1f}")

    def _judge_by_sign(self, probe: Probe) -> None:
        coordinate = self._point.coordinates[probe.name]
        difference = probe.score - self._buffer.last_score
        if difference > 0:
            self._move(probe.name, probe.value, "better; the noise is not known yet")
        elif difference < 0:
            other = self._probe_of(probe.name, -probe.side)
            coordinate.direction = -probe.side
            self._move(probe.name, other.value, "worse: the other side; the noise is not known yet")
        else:
            self._go_back(probe, "no difference")

    def _gain(self, probe: Probe, t_value: float, reason: str) -> None:
        coordinate = self._point.coordinates[probe.name]
        coordinate.has_gained = True
        coordinate.direction = probe.side
        coordinate.open_width(probe.value)
        coordinate.widen(1.0 + self._base_lr / (1.0 + self._beta / t_value**2))
        self._move(probe.name, probe.value, reason)

    def _lose(self, probe: Probe, reason: str) -> None:
        coordinate = self._point.coordinates[probe.name]
        if coordinate.has_room(-probe.side) and not probe.is_other_side:
            self._keep_for_pooling(probe)
            self._point.probe = self._probe_of(probe.name, -probe.side, is_other_side=True)
            self._record(probe.name, probe.value, self._point.probe.value, f"{reason}; the other side")
            return
        coordinate.narrow()
        self._go_back(probe, reason)

    def _go_back(self, probe: Probe, reason: str) -> None:
        self._keep_for_pooling(probe)
        self._record(probe.name, probe.value, self._point.coordinates[probe.name].centre, f"{reason}; back")
        self._point.coordinates[probe.name].open_width(probe.value)
        self._point.probe = None
        self._turn += 1

    def _move(self, name: str, value: float, reason: str) -> None:
        coordinate = self._point.coordinates[name]
        self._record(name, coordinate.centre, value, reason, is_move=True)
        coordinate.recentre(value)
        self._abandon()
        self._turn += 1

    def _keep_for_pooling(self, probe: Probe) -> None:
        if not probe.is_opening:
            self._unbracketed.append(probe)

    def _pool(self) -> None:
        """Compare probes with theta's scores before and after; move if all of them prove a slope."""
        noise = self._buffer.noise()
        probes, self._unbracketed = self._unbracketed, []
        if noise is None:
            return
        for probe in probes:
            coordinate = self._point.coordinates[probe.name]
            level, relative_variance = self._buffer.level_at(probe.time)
            contrast = (probe.score - level) / (noise_sd(noise[0], level) * small_sample_inflation(noise[1]))
            offset = coordinate.distance(probe.value)
            is_pair = coordinate.note(Side(offset, contrast, relative_variance + 1.0 / len(probe.scores)))
            if self._move_if_proven(probe.name):
                return
            if is_pair:
                direction = 1 if self._rng.random() < 0.5 else -1
                coordinate.settle(direction, is_bold=self._rng.random() < BOLD_SHARE)

    def _move_if_proven(self, name: str) -> bool:
        coordinate = self._point.coordinates[name]
        offset = coordinate.proven_offset()
        if not offset or not coordinate.has_room(1 if offset > 0 else -1):
            return False
        coordinate.has_gained = True
        coordinate.direction = 1 if offset > 0 else -1
        value = coordinate.at(offset)
        if abs(offset) >= coordinate.reach:
            coordinate.widen(1.0 + self._base_lr)
        else:
            coordinate.narrow()
        self._move(name, value, "better beyond noise, all probes of this theta pooled")
        return True

    def _with_specs(self, state: dict[str, Any]) -> dict[str, Any]:
        return {**state, "point": with_specs(state["point"], self._specs)}

    def _names_in(self, state: dict[str, Any]) -> list[str]:
        return list(state["point"]["coordinates"])
