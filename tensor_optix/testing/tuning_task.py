"""A learning curve that hyperparameters bend: what tuning is tried on without training anything."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from tensor_optix.core.base_optimizer import BaseOptimizer
from tensor_optix.core.types import Bounds, EvalMetrics, HyperparamSet, ParamSpec

_METRICS_KEPT = 512


@dataclass(frozen=True)
class TuningTask:
    """Scores whose level depends on the hyperparameters of the last ``learn``.

    The score of window t is ``drift * t - sum_p distance_p**2`` plus normal noise: quadratic in each
    parameter's own scale, 1 below the top where one parameter is one decade off (half the range on a
    linear scale).

    Attributes:
        bounds: What may be tuned.
        optimum: Best value of each parameter; None: it makes no difference.
        noise: Standard deviation of one score.
        drift: How much the score rises per window whatever the hyperparameters.

    Example:
        >>> task = TuningTask({"learning_rate": (0.01, 1.0)}, {"learning_rate": 0.1}, noise=0.0, drift=0.0)
        >>> round(task.loss({"learning_rate": 0.01}), 6)
        1.0
    """

    bounds: Bounds
    optimum: Mapping[str, float | None]
    noise: float = 0.1
    drift: float = 1.0 / 400.0

    def distance(self, name: str, a: float, b: float) -> float:
        """Return how far ``a`` is above ``b``, in decades, or in halves of a linear range."""
        spec = ParamSpec.of(self.bounds[name])
        unit = (spec.high - spec.low) / 2.0 if spec.scale == "linear" else math.log(10.0)
        return (spec.to_latent(a) - spec.to_latent(b)) / unit

    def loss(self, params: Mapping[str, float]) -> float:
        """Return by how much the hyperparameters lower the score."""
        return sum(
            self.distance(name, params[name], best) ** 2 for name, best in self.optimum.items() if best is not None
        )

    def score(self, window: int, params: Mapping[str, float], rng: np.random.Generator) -> float:
        """Return the score of one window."""
        return self.drift * window - self.loss(params) + self.noise * float(rng.standard_normal())


def tune(
    task: TuningTask, optimizer: BaseOptimizer, start: Mapping[str, float], num_windows: int, seed: int
) -> Iterator[dict[str, float]]:
    """Run the loop's order of calls without a loop and yield the hyperparameters of each ``learn``.

    Per window: the score of the weights that acted, stamped with the hyperparameters of the ``learn``
    that made them; a suggestion; a ``learn`` under it.

    Args:
        task: Gives the scores.
        optimizer: Tunes.
        start: Hyperparameters to start with.
        num_windows: How many windows to run.
        seed: Source of the noise.
    """
    rng = np.random.default_rng(seed)
    current = HyperparamSet(dict(start), episode_id=0)
    learned = current.copy()
    history: list[EvalMetrics] = []
    for window in range(num_windows):
        score = task.score(window, learned.params, rng)
        history.append(EvalMetrics(score, {}, episode_id=window, hyperparams=learned))
        del history[:-_METRICS_KEPT]
        current = optimizer.suggest(current.copy(), list(history))
        learned = current.copy()
        yield dict(learned.params)
