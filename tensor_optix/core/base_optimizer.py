"""What tunes hyperparameters while the agent learns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from tensor_optix.core.search_space import ParamSpec
from tensor_optix.core.types import EvalMetrics, HyperparamSet


class BaseOptimizer(ABC):
    """Interface of every hyperparameter optimizer.

    The loop calls ``suggest`` when the scheduler says a suggestion is due, always on a window that
    gave evidence; ``on_improvement`` with each new champion; ``on_plateau`` on entering COOLING.
    An optimizer never runs anything: it is told scores and asked for parameters.
    """

    @abstractmethod
    def suggest(self, current_hyperparams: HyperparamSet, metrics_history: list[EvalMetrics]) -> HyperparamSet:
        """Return the hyperparameters for the next ``learn``.

        Args:
            current_hyperparams: Those in force; others than suggested last if someone changed them.
            metrics_history: Scored windows that gave evidence, oldest first; each carries the
                hyperparameters of the ``learn`` that made the scored weights. May have grown by
                more or fewer than one since the last call, and may have lost its oldest entries.
        """

    @abstractmethod
    def on_improvement(self, metrics: EvalMetrics) -> None:
        """Take note of a new champion."""

    @abstractmethod
    def on_plateau(self, metrics_history: list[EvalMetrics]) -> None:
        """Take note of a plateau."""

    tunes_nothing: bool = False
    """Whether ``suggest`` need not be asked, because nothing may be tuned."""

    param_bounds: Mapping[str, Any] | None = None
    """Within which bounds, by hyperparameter, where that is told: a resumed run says where they are others."""

    def set_seed(self, seed: int) -> None:
        """Take the source of all randomness, unless one was given. Default: nothing."""

    def bind_bounds(self, bounds: Mapping[str, ParamSpec]) -> None:
        """Take the agent's own bounds, where the user asked for them. Default: nothing."""

    def pop_decisions(self) -> Sequence[object]:
        """Return what was decided since the last call, to be told by ``str``. Default: nothing."""
        return ()

    def state_dict(self) -> dict[str, Any]:
        """Return a JSON-able copy of the optimizer's state. Default: empty."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Become what ``state_dict`` returned. Default: nothing."""
