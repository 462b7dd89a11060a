"""What every hyperparameter optimizer with bounds has in common."""

from __future__ import annotations

import logging
import math
from abc import abstractmethod
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from tensor_optix.core.base_optimizer import BaseOptimizer
from tensor_optix.core.checks import check_instance, check_mapping, check_seed
from tensor_optix.core.search_space import Bounds, ParamSpec
from tensor_optix.core.storage.stateful import Stateful
from tensor_optix.core.types import EvalMetrics, HyperparamSet
from tensor_optix.exceptions import InvalidArgumentError, InvalidTypeError, StateMismatchError
from tensor_optix.functional.seeding import derive_rng, fresh_seed

logger = logging.getLogger(__name__)

_SAME = 1e-6
_DECISIONS_KEPT = 1000


def is_same(a: float, b: float) -> bool:
    """Tell whether two values are one, but for the rounding of a 32-bit float."""
    return abs(a - b) <= _SAME * max(abs(a), abs(b))


@dataclass(frozen=True)
class Decision:
    """One decision about one parameter.

    Attributes:
        episode_id: The newest window that was known when it was taken.
        param: Name of the parameter; empty where the decision is about all of them.
        old: Value in force before; None where nothing changed hands.
        new: Value suggested from now on; None where nothing changed hands.
        reason: Why, in words.
        is_move: Whether the parameter's centre moved. False for probes, returns and skips.
    """

    episode_id: int
    param: str
    old: float | None
    new: float | None
    reason: str
    is_move: bool = False

    def __str__(self) -> str:
        if not self.param:
            return self.reason
        return f"{self.param} {self.old:.6g} -> {self.new:.6g}: {self.reason}"


class BoundedOptimizer(BaseOptimizer, Stateful):
    """Base of the optimizers that tune named parameters inside bounds.

    Args:
        param_bounds: ``{name: (low, high) or ParamSpec}``; None: nothing is tuned; ``"agent"``: the
            agent's own ``hyperparam_bounds()``, handed over with :meth:`bind_bounds`.
        seed: Source of all randomness. None: from :meth:`set_seed`, else from the system.

    Raises:
        InvalidArgumentError: Bounds are reversed or not finite, or ``param_bounds`` is another text.
        InvalidTypeError: ``param_bounds`` is no mapping, or a bound no pair of numbers.
    """

    _STATE: ClassVar[tuple[str, ...]] = ("_episode_id",)
    _STATE_KINDS: ClassVar[dict[str, Any]] = {"_episode_id": int}

    def __init__(self, param_bounds: Bounds | Literal["agent"] | None = None, seed: int | None = None) -> None:
        if isinstance(param_bounds, str) and param_bounds != "agent":
            raise InvalidArgumentError(
                f"`param_bounds` must be a mapping, None or 'agent'. Received: {param_bounds!r:.200}."
            )
        check_seed("seed", seed)
        self.uses_agent_bounds = isinstance(param_bounds, str)
        self._specs = {} if param_bounds is None or isinstance(param_bounds, str) else as_specs(param_bounds)
        self._has_own_seed = seed is not None
        self._rng = derive_rng(fresh_seed() if seed is None else seed, type(self).__name__)
        self._decisions: deque[Decision] = deque(maxlen=_DECISIONS_KEPT)
        self._unread: deque[Decision] = deque(maxlen=_DECISIONS_KEPT)
        self._warned: set[str] = set()
        self._episode_id = 0

    @property
    def param_bounds(self) -> dict[str, ParamSpec]:  # type: ignore[override]
        """What is tuned, in which range, on which scale."""
        return dict(self._specs)

    def bind_bounds(self, bounds: Bounds) -> None:
        """Take the agent's bounds, if ``param_bounds="agent"`` asked for them; else do nothing."""
        if self.uses_agent_bounds:
            self._specs = as_specs(bounds)

    def set_seed(self, seed: int) -> None:
        """Draw from this seed from now on, unless the constructor was given one of its own."""
        check_seed("seed", seed, optional=False)
        if not self._has_own_seed:
            self._rng = derive_rng(seed, type(self).__name__)

    @property
    def decisions(self) -> list[Decision]:
        """The latest decisions, oldest first (at most 1,000)."""
        return list(self._decisions)

    def pop_decisions(self) -> list[Decision]:
        """Return the decisions taken since the last call, oldest first."""
        unread = list(self._unread)
        self._unread.clear()
        return unread

    @property
    def tunes_nothing(self) -> bool:  # type: ignore[override]
        """Whether there are no bounds, so that no suggestion changes anything."""
        return not self._specs

    def suggest(self, current_hyperparams: HyperparamSet, metrics_history: list[EvalMetrics]) -> HyperparamSet:
        """Return the hyperparameters for the next ``learn``; untuned ones as they are."""
        check_instance("current_hyperparams", current_hyperparams, HyperparamSet)
        check_instance("metrics_history", metrics_history, list, tuple)
        for metrics in metrics_history[-1:]:
            check_instance("metrics_history[-1]", metrics, EvalMetrics)
        values = self._tuned_values(current_hyperparams)
        suggested = current_hyperparams.copy()
        if not metrics_history or not values:
            return suggested
        self._episode_id = suggested.episode_id = metrics_history[-1].episode_id
        for name, value in self._suggest(values, metrics_history).items():
            suggested.params[name] = _in_type_of(current_hyperparams.params[name], value)
        return suggested

    @abstractmethod
    def _suggest(self, values: dict[str, float], history: list[EvalMetrics]) -> dict[str, float]:
        """Return the values that change hands; ``values`` are those in force, all within bounds."""

    def _tuned_values(self, hyperparams: HyperparamSet) -> dict[str, float]:
        """Return the current values of what can be tuned, checked."""
        values = {}
        for name, spec in self._specs.items():
            if spec.low == spec.high:
                continue
            if name not in hyperparams.params:
                self._warn_once(name, hyperparams)
                continue
            values[name] = _checked_value(name, hyperparams.params[name], spec)
        return values

    def _warn_once(self, name: str, hyperparams: HyperparamSet) -> None:
        if name not in self._warned:
            self._warned.add(name)
            logger.warning(
                "`%s` has bounds but is no hyperparameter of this agent, which has %s; it is not tuned.",
                name,
                sorted(hyperparams.params),
            )

    def _stamped(self, metrics: EvalMetrics, names: Mapping[str, Any]) -> dict[str, float] | None:
        """Return the tuned values that earned a score, or None where they were not told."""
        if metrics.hyperparams is None:
            return None
        params = metrics.hyperparams.params
        return {name: float(params[name]) for name in names} if all(name in params for name in names) else None

    def _record(self, param: str, old: float | None, new: float | None, reason: str, *, is_move: bool = False) -> None:
        decision = Decision(self._episode_id, param, old, new, reason, is_move)
        self._decisions.append(decision)
        self._unread.append(decision)
        level = logging.INFO if is_move else logging.DEBUG
        logger.log(level, "Window %d: %s %s -> %s: %s", self._episode_id, param or "all", old, new, reason)

    def state_dict(self) -> dict[str, Any]:
        """Return a JSON-able copy of the state."""
        declared = Stateful.state_dict(self)
        return {"kind": type(self).__name__, "rng": self._rng.bit_generator.state, **declared}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Become what ``state_dict`` returned."""
        kind = type(self).__name__
        if state.get("kind") != kind:
            raise StateMismatchError(f"The state must be one of {kind}. Received: one of {state.get('kind')!r}.")
        unknown = sorted(set(self._names_in(state)) - set(self._specs))
        if unknown:
            raise StateMismatchError(f"The state holds {unknown}, but there are no bounds for them: {self._specs}.")
        self._rng = np.random.default_rng()
        self._rng.bit_generator.state = state["rng"]
        Stateful.load_state_dict(self, self._with_specs(state))

    def _with_specs(self, state: dict[str, Any]) -> dict[str, Any]:
        """Return a state with what is given anew and not saved. Default: as it is."""
        return state

    @abstractmethod
    def _names_in(self, state: dict[str, Any]) -> list[str]:
        """Return the parameters that a state speaks of."""


def as_specs(bounds: Bounds) -> dict[str, ParamSpec]:
    """Return bounds as specs, in the order given.

    Raises:
        InvalidArgumentError: A bound is reversed, not finite or does not fit its scale.
        InvalidTypeError: ``bounds`` is no mapping, or a bound no pair of numbers.
    """
    if not isinstance(bounds, Mapping):
        raise InvalidTypeError(
            f"Bounds must be a mapping from names to (low, high) or ParamSpec. Received: {bounds!r:.200}."
        )
    check_mapping("param_bounds", bounds)
    return {name: ParamSpec.of(bound) for name, bound in bounds.items()}


def _checked_value(name: str, value: Any, spec: ParamSpec) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
        raise InvalidTypeError(
            f"The hyperparameter `{name}` has bounds, so it must be a number. "
            f"Received: {value!r} of type {type(value).__name__}."
        )
    number = float(value)
    clipped = spec.clip(number) if math.isfinite(number) else math.nan
    if not (spec.contains(number) or is_same(number, clipped)):
        raise InvalidArgumentError(
            f"The hyperparameter `{name}` must lie inside its bounds ({spec.low:g}, {spec.high:g}). "
            f"Received: {number!r}. Widen the bounds or start inside them."
        )
    return clipped


def _in_type_of(original: Any, value: float) -> Any:
    is_whole = isinstance(original, (int, np.integer)) and float(value).is_integer()
    return int(value) if is_whole else value
