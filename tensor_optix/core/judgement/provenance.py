"""Which hyperparameters made which weights."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from tensor_optix.core.base_agent import BaseAgent
from tensor_optix.core.callbacks import CallbackList
from tensor_optix.core.storage.stateful import Stateful
from tensor_optix.core.types import EvalMetrics, HyperparamSet


@dataclass(eq=False)
class Provenance(Stateful):
    """Pairs each score with the hyperparameters of the ``learn`` that made the scored weights.

    A window is scored before anything is learned from it: its weights were made by the ``learn``
    before, or came back with the champion. What the agent is told to use from now on made nothing yet.

    Args:
        agent: Whose weights they are.
        callbacks: Told where hyperparameters change.
    """

    _STATE = ("behind_weights",)
    _STATE_KINDS: ClassVar = {"behind_weights": HyperparamSet}

    agent: BaseAgent
    callbacks: CallbackList
    behind_weights: HyperparamSet | None = field(default=None, init=False)
    num_changes: int = field(default=0, init=False)
    """Rises whenever the agent's weights become other ones."""

    def note(self, made_by: HyperparamSet | None = None) -> None:
        """Take note that the weights are other ones now.

        Args:
            made_by: What made them; None: what the agent has now.
        """
        self.num_changes += 1
        self.behind_weights = self.agent.get_hyperparams() if made_by is None else made_by

    def stamp(self, metrics: EvalMetrics, env_steps: int) -> EvalMetrics:
        """Return the score with the hyperparameters behind its weights."""
        score = float(metrics.primary_score)  # a float32 would be one no more once it was saved
        return replace(metrics, primary_score=score, hyperparams=self.behind_weights, env_steps=env_steps)

    def announce(self, before: HyperparamSet) -> None:
        """Tell the callbacks, if the agent's hyperparameters are others than before."""
        now = self.agent.get_hyperparams()
        if differ(now, before):
            self.callbacks.fire("on_hyperparam_update", before.params, now.params)


def differ(some: HyperparamSet, others: HyperparamSet) -> bool:
    """Tell whether any value is another, or missing; arrays are the same where all of their values are."""
    one, other = some.params, others.params
    return one.keys() != other.keys() or any(not _is_same(one[name], other[name]) for name in one)


def _is_same(value: Any, other: Any) -> bool:
    if isinstance(value, np.ndarray) or isinstance(other, np.ndarray):
        return np.array_equal(value, other)
    return value is other or bool(value == other)
