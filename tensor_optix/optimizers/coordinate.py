"""One parameter as a search coordinate: where it stands, how far it looks, what it has seen."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from tensor_optix.core.search_space import ParamSpec
from tensor_optix.optimizers.evidence import PooledMean, parabola_through

# Distances in units. Nothing but a gain takes probes further than BOLD: where a parameter makes no
# difference, three probes of four stay within a tenth of a decade.
FINE = 0.09
BOLD = 0.2
COARSE = 0.5
BOLD_SHARE = 0.25

# How often a slope may be proven by mistake: rarely at first, more easily once the parameter has
# shown that it matters, since then some slope is there and only its sign is asked for.
_ALPHA_NEW = 0.1
_ALPHA_KNOWN = 0.5

# Weights at which the tests are sharpest: a gain seen four times, a slope of four sds per unit.
_GAIN_PRIOR = 4.0
_SLOPE_PRIOR = 0.06

_PAIRS_PER_WIDTH = 6
_LEAST_MOVE = 0.1
_MIN_ROOM = 0.01


def unit_of(spec: ParamSpec) -> float:
    """Return the latent length that counts as one: a decade, or half the range where that is shorter."""
    half_range = (spec.to_latent(spec.high) - spec.to_latent(spec.low)) / 2.0
    return half_range if spec.scale == "linear" else min(math.log(10.0), half_range)


@dataclass
class Side:
    """What one side of the centre showed: its distance in units, and what it was worth in noise sds."""

    offset: float
    contrast: float
    variance: float


@dataclass
class Coordinate:
    """The search along one parameter.

    Attributes:
        spec: Its range and scale.
        centre: theta, the value that probes start from; not rounded.
        direction: Side that the next probe looks at first: +1 or -1.
        width: Distance of probes from the centre, in units, where each is scored once; None until the
            first probe was judged.
        reach: Distance of the latest probe, in units; shorter where it was to be scored more often.
        has_gained: Whether a probe ever proved better: only then may probes reach ``COARSE``.
        looks: Probes judged since the centre last moved.
        half: One side of a pair, until the other is known.
        pairs: Pairs completed since the width last changed.
        slope: Pooled slope at the centre, noise sds per unit.
        curvature: Pooled curvature, noise sds per squared unit; positive is a hill.
        gains: Pooled gain over the centre of the upper and of the lower side, in noise sds.
    """

    spec: ParamSpec
    centre: float
    direction: int = 1
    width: float | None = None
    reach: float = FINE
    has_gained: bool = False
    looks: int = 0
    half: Side | None = None
    pairs: int = 0
    slope: PooledMean = field(default_factory=PooledMean)
    curvature: PooledMean = field(default_factory=PooledMean)
    gains: tuple[PooledMean, PooledMean] = field(default_factory=lambda: (PooledMean(), PooledMean()))

    def stepped(self, delta: float) -> float:
        """Return ``theta + delta``, clipped."""
        return self._distinct(self.spec.clip(self.centre + delta), delta)

    def look(self, side: int, num_scores: int) -> float:
        """Return where to probe on ``side``, if the probe is to stay for ``num_scores`` scores.

        A probe that stays is seen more sharply and costs more, so it keeps closer: each has the
        same power, whatever it costs in windows.
        """
        self.reach = (FINE if self.width is None else self.width) / math.sqrt(max(num_scores, 1))
        return self.at(side * self.reach)

    def at(self, offset: float) -> float:
        """Return the value ``offset`` units away from the centre, clipped."""
        latent = self.spec.to_latent(self.centre) + offset * unit_of(self.spec)
        unrounded = ParamSpec(self.spec.low, self.spec.high, self.spec.scale)
        return self._distinct(unrounded.from_latent(latent), offset)

    def _distinct(self, value: float, offset: float) -> float:
        if self.spec.integer and round(value) == round(self.centre):
            return self.spec.clip(round(self.centre) + math.copysign(1.0, offset))
        return value

    def distance(self, value: float) -> float:
        """Return how far ``value`` is from the centre, in units."""
        return (self.spec.to_latent(value) - self.spec.to_latent(self.centre)) / unit_of(self.spec)

    def has_room(self, side: int) -> bool:
        """Tell whether there is anything left on ``side``."""
        return abs(self.distance(self.spec.high if side > 0 else self.spec.low)) > _MIN_ROOM

    def output(self, value: float) -> float:
        """Return ``value`` as it is handed out."""
        return float(round(value)) if self.spec.integer else value

    def note(self, seen: Side) -> bool:
        """Take in how one side compared with the centre; tell whether that completed a pair."""
        side = 1 if seen.offset > 0 else -1
        self.gains[side < 0].add(seen.contrast, seen.variance)
        if self.half is None or (self.half.offset > 0) == (seen.offset > 0):
            self.half = seen
            self.direction = -side if self.has_room(-side) else side
            return not self.has_room(-side)
        other, self.half = self.half, None
        slope, curvature = parabola_through(
            (other.offset, other.contrast, other.variance), (seen.offset, seen.contrast, seen.variance)
        )
        self.slope.add(*slope)
        self.curvature.add(*curvature)
        return True

    def proven_offset(self) -> float:
        """Return how far to move, in units, by all that was pooled at this centre; 0: nothing is proven."""
        alpha = _ALPHA_KNOWN if self.has_gained else _ALPHA_NEW
        for side, gain in zip((1, -1), self.gains, strict=True):
            if gain.mean > 0 and gain.is_proven(alpha, _GAIN_PRIOR):
                return side * self.reach
        if not self.slope.is_proven(alpha, _SLOPE_PRIOR):
            return 0.0
        top = self.top(self.reach)
        return top if abs(top) > _LEAST_MOVE * self.reach else 0.0

    def top(self, furthest: float) -> float:
        """Return where the pooled parabola is highest, at most ``furthest`` away."""
        slope, curvature = self.slope.mean, self.curvature.mean
        if abs(slope) >= 2.0 * curvature * furthest:
            return math.copysign(furthest, slope)
        return slope / (2.0 * curvature)

    def recentre(self, value: float) -> None:
        """Stand at ``value`` from now on; what was seen elsewhere does not count here."""
        self.centre = value
        self.looks = self.pairs = 0
        self.half = None
        self.slope, self.curvature = PooledMean(), PooledMean()
        self.gains = (PooledMean(), PooledMean())

    def open_width(self, value: float) -> None:
        """Set the first width, from where the opening probe stood."""
        if self.width is None:
            self.width = min(max(abs(self.distance(value)), FINE / 2.0), FINE)

    def widen(self, factor: float) -> None:
        """Look further away, as far as what is proven allows."""
        if self.width is not None:
            furthest = COARSE if self.has_gained else FINE
            self.width = max(self.width, min(self.width * factor, furthest))

    def narrow(self) -> None:
        """Look half as far away, but not closer than ``FINE``."""
        if self.width is not None and self.width > FINE:
            self.width = max(self.width / 2.0, FINE)
        self.pairs = 0

    def settle(self, direction: int, *, is_bold: bool) -> None:
        """Choose where to look next after a pair that proved nothing.

        Args:
            direction: Side to look at first.
            is_bold: Whether a parameter that never gained is to be looked at from ``BOLD`` once.
        """
        self.pairs += 1
        self.direction = direction
        if self.width is None:
            return
        if self.width < FINE:
            self.widen(2.0)
        elif not self.has_gained:
            self.width = BOLD if is_bold else FINE
        elif self.pairs >= _PAIRS_PER_WIDTH:
            self.narrow()
