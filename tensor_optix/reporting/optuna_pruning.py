"""Optuna's pruning: a trial that does worse than others ends early."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tensor_optix.core.callbacks import LoopCallback
from tensor_optix.core.checks import check_int, check_methods
from tensor_optix.core.types import EpisodeData
from tensor_optix.reporting.shared.extras import required


class OptunaPruningCallback(LoopCallback):
    """Reports scores to a trial, and ends the run with ``optuna.TrialPruned`` where the study's pruner says so.

    ``RLOptimizer.run`` raises it again once report and files are written, which is how Optuna wants to be told.

    Args:
        trial: The trial.
        every_env_steps: Env steps of training between two reports; reported is the mean score of the windows between.

    Raises:
        MissingExtraError: Optuna is not installed (``pip install "tensor-optix[optuna]"``).
        InvalidTypeError: ``trial`` is none.
        InvalidArgumentError: ``every_env_steps`` is below 1.
    """

    def __init__(self, trial: Any, *, every_env_steps: int = 5_000) -> None:
        check_methods("trial", trial, "report", "should_prune")
        check_int("every_env_steps", every_env_steps, at_least=1)
        self._pruned: type[Exception] = required("optuna", "optuna", "OptunaPruningCallback").TrialPruned
        self.stop_on = (self._pruned,)
        self._trial = trial
        self._every_env_steps = every_env_steps
        self._next_report = every_env_steps
        self._scores: list[float] = []

    def on_window(self, row: Mapping[str, Any], window: EpisodeData) -> None:
        """Report, if it is time to, and ask the pruner."""
        if row["score"] is not None:
            self._scores.append(float(row["score"]))
        steps = int(row["env_steps"])
        if steps < self._next_report or not self._scores:
            return
        self._next_report = steps - steps % self._every_env_steps + self._every_env_steps
        mean = float(np.mean(self._scores))
        self._scores = []
        self._trial.report(mean, steps)
        if self._trial.should_prune():
            raise self._pruned(f"score {mean:.4g} after {steps:,} env steps")
