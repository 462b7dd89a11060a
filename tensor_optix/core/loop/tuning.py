"""Asks the hyperparameter optimizer for better settings, when that is due."""

from __future__ import annotations

import logging
import math
from collections import deque
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tensor_optix.core.attributes import belongs_to_package
from tensor_optix.core.backoff_scheduler import BackoffScheduler
from tensor_optix.core.base_agent import BaseAgent
from tensor_optix.core.base_optimizer import BaseOptimizer
from tensor_optix.core.checks import fits_float, is_number, received
from tensor_optix.core.judgement.provenance import Provenance, differ
from tensor_optix.core.storage.stateful import Stateful
from tensor_optix.core.types import EvalMetrics, HyperparamSet, LoopState
from tensor_optix.exceptions import InvalidTypeError, NonFiniteError

logger = logging.getLogger(__name__)

_METRICS_KEPT = 512
_SAME = 1e-6
"""What the rounding of a 32-bit float takes out of bounds is left to the optimizer."""


@dataclass(eq=False)
class Tuning(Stateful):
    """Stands between the agent and the hyperparameter optimizer.

    Args:
        agent: Whose hyperparameters they are.
        optimizer: Suggests.
        scheduler: Says when a suggestion is due.
        provenance: Told of changes.
    """

    _STATE = ("_history", "_num_evidence")
    _STATE_KINDS: ClassVar = {"_history": EvalMetrics}

    agent: BaseAgent
    optimizer: BaseOptimizer
    scheduler: BackoffScheduler
    provenance: Provenance
    _history: deque[EvalMetrics] = field(default_factory=lambda: deque(maxlen=_METRICS_KEPT), init=False)
    _num_evidence: int = field(default=0, init=False)

    @property
    def latest(self) -> EvalMetrics | None:
        """The latest score that was evidence."""
        return self._history[-1] if self._history else None

    def add(self, metrics: EvalMetrics) -> None:
        """Take a score that is evidence."""
        self._history.append(metrics)

    def check_start(self) -> None:
        """Let an optimizer of this package say now what it would say in mid-run: that it cannot tune from here.

        What it tunes although scores of training cannot judge it is told once more, at the end.
        """
        if belongs_to_package(type(self.optimizer)) and not self.optimizer.tunes_nothing:
            self.optimizer.suggest(self.agent.get_hyperparams().copy(), [])
        for note in self.notes:
            logger.warning("%s", note)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know of what is tuned, in sentences."""
        tuned = () if self.optimizer.tunes_nothing else self.optimizer.param_bounds or ()
        names = [name for name in self.agent.exploration_hyperparams if name in tuned]
        if not names:
            return ()
        return (
            f"{' and '.join(names)} changed how much training explores, and was tuned by scores of training: these "
            "favour less exploration, whatever it is good for. Leave it out of the bounds, or compare whole runs by "
            "their reports.",
        )

    def suggest(self) -> None:
        """Ask for hyperparameters for the next ``learn``, if that is due and anything may be tuned."""
        is_active = self.scheduler.current_state is LoopState.ACTIVE
        interval = self.scheduler.base_interval if is_active else self.scheduler.current_interval
        is_due = self._num_evidence % interval == 0
        self._num_evidence += 1
        if not is_due or self.optimizer.tunes_nothing:
            return
        current = self.agent.get_hyperparams()
        suggested = self.optimizer.suggest(_inside_bounds(current, self.optimizer), list(self._history))
        _check_suggestion(suggested, current, type(self.optimizer).__name__)
        if differ(suggested, current):
            self.agent.set_hyperparams(suggested)
            self.provenance.announce(current)

    def on_plateau(self) -> None:
        """Hand a plateau on to the optimizer."""
        self.optimizer.on_plateau(list(self._history))

    def decisions(self) -> list[str]:
        """Return what the optimizer decided since the last call, where it says."""
        return [str(decision) for decision in self.optimizer.pop_decisions()]

    def forget(self) -> None:
        """Drop the scores of a world that is no more."""
        self._history.clear()


def _inside_bounds(current: HyperparamSet, optimizer: BaseOptimizer) -> HyperparamSet:
    """Return a copy in which what a trial or a divergence took out of its bounds is at the nearest of them."""
    inside = current.copy()
    if not belongs_to_package(type(optimizer)) or optimizer.param_bounds is None:
        return inside
    for name, spec in optimizer.param_bounds.items():
        value: Any = inside.params.get(name)
        is_tuned = spec.low < spec.high and is_number(value)
        if is_tuned and not math.isclose(value, spec.clip(value), rel_tol=_SAME):
            inside.params[name] = spec.clip(value)
    return inside


def _check_suggestion(suggested: Any, current: HyperparamSet, optimizer: str) -> None:
    """Raise unless a hyperparameter optimizer returned hyperparameters that an agent can be given.

    Raises:
        InvalidTypeError: It is no HyperparamSet, or a value that was a number is none.
        NonFiniteError: A value that was changed is NaN, infinite, or an integer beyond the largest float.
    """
    if not isinstance(suggested, HyperparamSet):
        raise InvalidTypeError(
            f"`{optimizer}.suggest` must return a HyperparamSet; an unchanged copy where nothing is to change. "
            f"{received(suggested)}"
        )
    for name, value in suggested.params.items():
        if is_number(current.params.get(name)) and not is_number(value):
            raise InvalidTypeError(
                f"`{optimizer}.suggest` must return a number for {name}, which was {current.params[name]!r:.50}. "
                f"{received(value)} The agent was not given it."
            )
        is_usable = fits_float(value) and (not is_number(value) or math.isfinite(value))
        if not is_usable and value is not current.params.get(name):
            raise NonFiniteError(
                f"`{optimizer}.suggest` returned {name}={value!r:.50}, which is no finite number; it was "
                f"{current.params.get(name)!r:.50}. The agent was not given it."
            )
