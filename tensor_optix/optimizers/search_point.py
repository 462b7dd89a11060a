"""Where a coordinate search stands: theta, the open probe, and whose score is whose."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from tensor_optix.core.search_space import ParamSpec
from tensor_optix.core.storage.plain_state import as_type, require_finite
from tensor_optix.core.storage.stateful import Stateful, to_plain
from tensor_optix.optimizers.bounded_optimizer import is_same
from tensor_optix.optimizers.coordinate import Coordinate


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


@dataclass(frozen=True)
class OutsideChange:
    """Someone else set a parameter: a rollback, a user, the agent itself."""

    name: str
    issued: float
    value: float


class SearchPoint(Stateful):
    """Theta of all parameters, at most one of them being probed.

    Attributes:
        coordinates: The parameters by name, in the order in which they take turns.
        probe: The open probe, None while theta is in force.
    """

    _STATE = ("coordinates", "probe", "_issued")
    _STATE_KINDS: ClassVar[dict[str, Any]] = {
        "coordinates": dict[str, Coordinate],
        "probe": Probe | None,
        "_issued": dict[str, float],
    }

    def __init__(self) -> None:
        self.coordinates: dict[str, Coordinate] = {}
        self.probe: Probe | None = None
        self._issued: dict[str, float] = {}

    def centres(self) -> dict[str, float]:
        """Return theta as it is handed out."""
        return {name: coordinate.output(coordinate.centre) for name, coordinate in self.coordinates.items()}

    def values(self) -> dict[str, float]:
        """Return what is to be in force: theta, but for the probe."""
        values = self.centres()
        if self.probe is not None:
            values[self.probe.name] = self.coordinates[self.probe.name].output(self.probe.value)
        return values

    def issue(self, current: dict[str, float]) -> dict[str, float]:
        """Return the values that differ from ``current``, and remember what was handed out."""
        changes = {name: value for name, value in self.values().items() if not is_same(value, current[name])}
        self._issued = current | changes
        return changes

    def is_probe(self, values: dict[str, float] | None) -> bool:
        """Tell whether a score was earned by the probe; ``values``: what earned it, None: not told."""
        return self.probe is not None and _are_same(values or self._issued, self.values())

    def is_centre(self, values: dict[str, float] | None) -> bool:
        """Tell whether a score was earned by theta; ``values``: what earned it, None: not told."""
        return _are_same(values or self._issued or self.centres(), self.centres())

    def resync(self, current: dict[str, float], specs: dict[str, ParamSpec]) -> list[OutsideChange]:
        """Accept what others did to the parameters since the last suggestion, and return it.

        Values that are new or were changed become theta. A probe that the agent clipped on its way
        is no such change: it stays a probe, where it is now.
        """
        changes = []
        for name in [name for name in self.coordinates if name not in current]:
            changes.append(OutsideChange(name, self._issued[name], float("nan")))
            del self.coordinates[name]
        for name, value in current.items():
            if name not in self.coordinates:
                self.coordinates[name] = Coordinate(specs[name], value)
            elif name in self._issued and not is_same(value, self._issued[name]) and not self._is_clipped(name, value):
                changes.append(OutsideChange(name, self._issued[name], value))
                self.coordinates[name].recentre(value)
        return changes

    def _is_clipped(self, name: str, value: float) -> bool:
        probe, coordinate = self.probe, self.coordinates[name]
        if probe is None or probe.name != name:
            return False
        centre, issued = coordinate.output(coordinate.centre), self._issued[name]
        if not min(centre, issued) <= value <= max(centre, issued):
            return False
        probe.value = value
        if is_same(value, centre):
            coordinate.direction = -probe.side
            self.probe = None
        return True


def with_specs(state: dict[str, Any], specs: dict[str, ParamSpec]) -> dict[str, Any]:
    """Return what ``SearchPoint.state_dict`` returned as it is read: ranges and scales are no part of it."""
    coordinates = {}
    for name, saved in state["coordinates"].items():
        centre = as_type(saved["centre"], float, f"centre of {name!r:.80}")
        require_finite(centre, f"centre of {name!r:.80}")
        coordinates[name] = {**saved, "spec": to_plain(specs[name]), "centre": specs[name].clip(centre)}
    return {**state, "coordinates": coordinates}


def _are_same(a: dict[str, float], b: dict[str, float]) -> bool:
    return all(name in a and is_same(a[name], b[name]) for name in b)
