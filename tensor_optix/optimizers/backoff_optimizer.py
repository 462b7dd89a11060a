"""Two-phase finite difference, one parameter at a time, that holds under noise and drift."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from tensor_optix.core.types import Bounds, EvalMetrics
from tensor_optix.exceptions import InvalidArgumentError
from tensor_optix.optimizers.bounded_optimizer import BoundedOptimizer, is_same
from tensor_optix.optimizers.coordinate import BOLD_SHARE, Coordinate, Side
from tensor_optix.optimizers.evidence import small_sample_inflation, spent_threshold
from tensor_optix.optimizers.score_buffer import NewScores, ScoreBuffer

_ALPHA = 0.05
_WIDEN_ON_IMPROVEMENT = 1.2
_WIDEN_ON_PLATEAU = 2.0
_MAX_WIDENING = 4.0
_RELATIVE_FLOOR = 1e-9


@dataclass
class Probe:
    """One parameter away from its centre, waiting for its score.

    Attributes:
        name: The parameter.
        side: +1 above the centre, -1 below.
        value: Where it stands, unrounded.
        is_opening: The parameter's first probe, of the size that ``perturbation_scale`` asks for.
        is_other_side: Whether the first side of the same turn lost.
        scores: Scores earned there.
        times: When, in windows seen.
    """

    name: str
    side: int
    value: float
    is_opening: bool
    is_other_side: bool = False
    scores: list[float] = field(default_factory=list)
    times: list[int] = field(default_factory=list)

    @property
    def score(self) -> float:
        """Mean score."""
        return sum(self.scores) / len(self.scores)

    @property
    def time(self) -> float:
        """Mean time."""
        return sum(self.times) / len(self.times)


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
        >>> optimizer = BackoffOptimizer({"learning_rate": (1e-5, 1e-1)})
        >>> start = HyperparamSet({"learning_rate": 0.01}, episode_id=0)
        >>> probe = optimizer.suggest(start, [EvalMetrics(1.0, {}, episode_id=0)])
        >>> round(probe.params["learning_rate"], 6)
        0.0105
    """

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
        _require("perturbation_scale", perturbation_scale, perturbation_scale > 0, "> 0")
        _require("min_delta", min_delta, min_delta > 0, "> 0")
        _require("score_window", score_window, score_window >= 2, ">= 2")
        _require("min_samples", min_samples, min_samples >= 1, ">= 1")
        _require("base_lr", base_lr, base_lr > 0, "> 0")
        _require("beta", beta, beta >= 0, ">= 0")
        _require("high_variance_threshold", high_variance_threshold, high_variance_threshold > 0, "> 0")
        self._perturbation_scale = perturbation_scale
        self._min_delta = min_delta
        self._min_samples = min_samples
        self._base_lr = base_lr
        self._beta = beta
        self._high_variance_threshold = high_variance_threshold
        self._widening = 1.0
        self._news = NewScores()
        self._buffer = ScoreBuffer(score_window)
        self._coordinates: dict[str, Coordinate] = {}
        self._turn = 0
        self._probe: Probe | None = None
        self._unbracketed: list[Probe] = []
        self._issued: dict[str, float] = {}

    def _suggest(self, values: dict[str, float], history: list[EvalMetrics]) -> dict[str, float]:
        self._resync(values)
        news = self._news.take(history)
        for metrics in news:
            self._absorb(metrics)
        if news:
            self._decide()
        changes = {name: value for name, value in self._in_force().items() if not is_same(value, values[name])}
        self._issued = values | changes
        return changes

    def on_improvement(self, metrics: EvalMetrics) -> None:
        self._widen(_WIDEN_ON_IMPROVEMENT)

    def on_plateau(self, metrics_history: list[EvalMetrics]) -> None:
        self._widen(_WIDEN_ON_PLATEAU)
        self._turn = 0
        self._probe = None
        self._unbracketed = []

    def _widen(self, factor: float) -> None:
        self._widening = min(self._widening * factor, _MAX_WIDENING)
        for coordinate in self._coordinates.values():
            coordinate.widen(factor)

    # What came -----------------------------------------------------------------------------------

    def _in_force(self) -> dict[str, float]:
        """Return the values that are, or are to be, in force."""
        values = {name: coordinate.output(coordinate.centre) for name, coordinate in self._coordinates.items()}
        if self._probe is not None:
            values[self._probe.name] = self._coordinates[self._probe.name].output(self._probe.value)
        return values

    def _resync(self, values: dict[str, float]) -> None:
        """Accept what others did to the parameters since the last suggestion."""
        for name in [name for name in self._coordinates if name not in values]:
            del self._coordinates[name]
            self._abandon()
        for name, value in values.items():
            if name not in self._coordinates:
                self._coordinates[name] = Coordinate(self._specs[name], value)
                self._abandon()
            elif name in self._issued and not is_same(value, self._issued[name]):
                self._accept(name, self._issued[name], value)

    def _accept(self, name: str, issued: float, value: float) -> None:
        coordinate, probe = self._coordinates[name], self._probe
        centre = coordinate.output(coordinate.centre)
        if probe is not None and probe.name == name and min(centre, issued) <= value <= max(centre, issued):
            # The agent clipped the probe: it is what it is now, no reason to move the centre.
            probe.value = value
            if is_same(value, centre):
                coordinate.direction = -probe.side
                self._probe = None
            return
        self._record(name, issued, value, "changed from outside: start anew from there", is_move=True)
        coordinate.recentre(value)
        self._abandon()

    def _abandon(self) -> None:
        """Forget the open probe and the scores of a centre that is no more."""
        self._probe = None
        self._unbracketed = []
        self._buffer.forget_centre()

    def _absorb(self, metrics: EvalMetrics) -> None:
        """Credit a score to the values that earned it."""
        time = self._buffer.seen
        values = self._stamped(metrics, self._coordinates) or self._issued or self._in_force()
        is_probe = self._probe is not None and _are_same(values, self._in_force())
        centres = {name: coordinate.output(coordinate.centre) for name, coordinate in self._coordinates.items()}
        is_centre = not is_probe and _are_same(values, centres)
        self._buffer.add(metrics.primary_score, is_centre)
        if is_centre:
            self._pool()
        if is_probe and self._probe is not None:
            self._probe.scores.append(metrics.primary_score)
            self._probe.times.append(time)

    # What to do ----------------------------------------------------------------------------------

    def _decide(self) -> None:
        if self._probe is not None:
            if self._probe.scores:
                self._judge(self._probe)
        elif self._buffer.has_centre and self._buffer.seen >= self._min_samples:
            if self._buffer.variance > self._high_variance_threshold:
                self._record("", None, None, f"skipped: the scores' variance {self._buffer.variance:.3g} is too high")
            else:
                self._open_probe()

    def _open_probe(self) -> None:
        names = list(self._coordinates)
        name = names[self._turn % len(names)]
        coordinate = self._coordinates[name]
        side = coordinate.direction if coordinate.has_room(coordinate.direction) else -coordinate.direction
        self._probe = self._probe_of(name, side)
        self._record(name, coordinate.centre, self._probe.value, "probe")

    def _probe_of(self, name: str, side: int, *, is_other_side: bool = False) -> Probe:
        coordinate = self._coordinates[name]
        if coordinate.width is None:
            delta = self._widening * max(self._perturbation_scale * abs(coordinate.centre), self._min_delta)
            return Probe(name, side, coordinate.stepped(side * delta), True, is_other_side)
        return Probe(name, side, coordinate.at(side * coordinate.width), False, is_other_side)

    def _judge(self, probe: Probe) -> None:
        """Commit: keep the probe's value, try the other side, or go back to theta."""
        noise = self._buffer.noise()
        if noise is None:
            self._judge_by_sign(probe)
            return
        coordinate = self._coordinates[probe.name]
        coordinate.looks += 1
        level, relative_variance = self._buffer.level_at(probe.time)
        spread = _spread(noise[0], level) * math.sqrt(relative_variance + 1.0 / len(probe.scores))
        t_value = (probe.score - level) / spread
        threshold = spent_threshold(coordinate.looks, _ALPHA, noise[1])
        if t_value > threshold:
            self._gain(probe, t_value, f"better beyond noise: t = {t_value:.1f} > {threshold:.1f}")
        elif t_value < -threshold:
            self._lose(probe, f"worse beyond noise: t = {t_value:.1f} < {-threshold:.1f}")
        else:
            self._go_back(probe, f"inside the noise: |t| = {abs(t_value):.1f} <= {threshold:.1f}")

    def _judge_by_sign(self, probe: Probe) -> None:
        coordinate = self._coordinates[probe.name]
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
        coordinate = self._coordinates[probe.name]
        coordinate.has_gained = True
        coordinate.direction = probe.side
        coordinate.open_width(probe.value)
        coordinate.widen(1.0 + self._base_lr / (1.0 + self._beta / t_value**2))
        self._move(probe.name, probe.value, reason)

    def _lose(self, probe: Probe, reason: str) -> None:
        coordinate = self._coordinates[probe.name]
        if coordinate.has_room(-probe.side) and not probe.is_other_side:
            self._keep_for_pooling(probe)
            self._probe = self._probe_of(probe.name, -probe.side, is_other_side=True)
            self._record(probe.name, probe.value, self._probe.value, f"{reason}; the other side")
            return
        coordinate.narrow()
        self._go_back(probe, reason)

    def _go_back(self, probe: Probe, reason: str) -> None:
        self._keep_for_pooling(probe)
        self._record(probe.name, probe.value, self._coordinates[probe.name].centre, f"{reason}; back")
        self._coordinates[probe.name].open_width(probe.value)
        self._probe = None
        self._turn += 1

    def _move(self, name: str, value: float, reason: str) -> None:
        coordinate = self._coordinates[name]
        self._record(name, coordinate.centre, value, reason, is_move=True)
        coordinate.recentre(value)
        self._abandon()
        self._turn += 1

    # Evidence inside the noise -------------------------------------------------------------------

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
            coordinate = self._coordinates[probe.name]
            level, relative_variance = self._buffer.level_at(probe.time)
            contrast = (probe.score - level) / (_spread(noise[0], level) * small_sample_inflation(noise[1]))
            offset = coordinate.distance(probe.value)
            is_pair = coordinate.note(Side(offset, contrast, relative_variance + 1.0 / len(probe.scores)))
            if self._move_if_proven(probe.name):
                return
            if is_pair:
                direction = 1 if self._rng.random() < 0.5 else -1
                coordinate.settle(direction, is_bold=self._rng.random() < BOLD_SHARE)

    def _move_if_proven(self, name: str) -> bool:
        coordinate = self._coordinates[name]
        offset = coordinate.proven_offset()
        if not offset or not coordinate.has_room(1 if offset > 0 else -1):
            return False
        coordinate.has_gained = True
        coordinate.direction = 1 if offset > 0 else -1
        value = coordinate.at(offset)
        if coordinate.width is not None and abs(offset) >= coordinate.width:
            coordinate.widen(1.0 + self._base_lr)
        else:
            coordinate.narrow()
        self._move(name, value, "better beyond noise, all probes of this theta pooled")
        return True

    # Saving --------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {
            "widening": self._widening,
            "news": self._news.state_dict(),
            "buffer": self._buffer.state_dict(),
            "coordinates": {name: coordinate.state_dict() for name, coordinate in self._coordinates.items()},
            "turn": self._turn,
            "probe": None if self._probe is None else asdict(self._probe),
            "unbracketed": [asdict(probe) for probe in self._unbracketed],
            "issued": dict(self._issued),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self._widening = state["widening"]
        self._news.load_state_dict(state["news"])
        self._buffer.load_state_dict(state["buffer"])
        self._coordinates = {
            name: Coordinate.from_state(self._specs[name], saved) for name, saved in state["coordinates"].items()
        }
        self._turn = state["turn"]
        self._probe = None if state["probe"] is None else Probe(**state["probe"])
        self._unbracketed = [Probe(**saved) for saved in state["unbracketed"]]
        self._issued = dict(state["issued"])


def _spread(variance: float, level: float) -> float:
    """Return the sd of one score, never zero: what rounding alone may do to a score."""
    return max(math.sqrt(variance), _RELATIVE_FLOOR * abs(level), 1e-300)


def _are_same(a: dict[str, float], b: dict[str, float]) -> bool:
    return all(is_same(a[name], b[name]) for name in b)


def _require(name: str, value: float, is_valid: bool, expected: str) -> None:
    if not is_valid:
        raise InvalidArgumentError(f"`{name}` must be {expected}. Received: {value!r}.")
