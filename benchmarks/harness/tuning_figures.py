"""How good a hyperparameter optimizer is, in figures: through the real loop, over many seeds."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import numpy as np

from harness.tuning_loop import tune_in_loop
from tensor_optix.core.base_optimizer import BaseOptimizer
from tensor_optix.core.search_space import Bounds, ParamSpec
from tensor_optix.testing.optimizer_conformance import TuningTask

MakeOptimizer = Callable[[Bounds, int], BaseOptimizer]

RANGE = ParamSpec(0.01, 1.0, "log")
NEAR_ENOUGH = 0.2
_STARTS = (0.01, 1.0, 0.1, 0.03, 0.4)
_LEAST_START_DISTANCE = 0.4
_FOUR = {"a": 0.05, "b": 0.3, "c": 0.8, "d": 0.1}


def count_found(
    make: MakeOptimizer,
    optimum: Mapping[str, float],
    seeds: Iterable[int],
    num_windows: int,
    *,
    noise: float = 0.1,
    drift: float = 1.0 / 400.0,
    spec: ParamSpec = RANGE,
) -> int:
    """Return how many seeds end with every parameter within 0.2 decades of its optimum.

    Args:
        make: Makes an optimizer from bounds and a seed.
        optimum: Best values; each seed starts elsewhere, at least 0.4 decades off.
        seeds: One run each.
        num_windows: Length of a run.
        noise: Standard deviation of a score; the loss at one decade off is 1.
        drift: Rise of the score per window.
        spec: Range and scale of every parameter.
    """
    task = TuningTask(dict.fromkeys(optimum, spec), optimum, noise, drift)
    found = 0
    for seed in seeds:
        start = {name: _start(task, name, best, seed + place) for place, (name, best) in enumerate(optimum.items())}
        last = _run(task, make, start, num_windows, seed)[-1]
        found += all(abs(task.distance(name, last[name], best)) < NEAR_ENOUGH for name, best in optimum.items())
    return found


def count_four_found(make: MakeOptimizer, seeds: Iterable[int], num_windows: int = 1000) -> int:
    """Return how many seeds find four optima at once."""
    return count_found(make, _FOUR, seeds, num_windows)


def neutral_moves(
    make: MakeOptimizer, seeds: Iterable[int], num_windows: int = 200, *, start: float = 0.1
) -> np.ndarray:
    """Return how far, in decades, a parameter that does nothing was moved, ``[seeds]``.

    The noise is 30 times that of the other figures.
    """
    task = TuningTask({"a": RANGE}, {"a": None}, noise=3.0)
    runs = (_run(task, make, {"a": start}, num_windows, seed) for seed in seeds)
    return np.array([task.distance("a", run[-1]["a"], start) for run in runs])


def score_loss(make: MakeOptimizer, optimum: float, seeds: Iterable[int], num_windows: int = 300) -> float:
    """Return what tuning costs that starts at the optimum, as a share of the range of scores.

    The range is that of the score without noise over all that the bounds allow.
    """
    task = TuningTask({"a": RANGE}, {"a": optimum})
    losses = [task.loss(params) for seed in seeds for params in _run(task, make, {"a": optimum}, num_windows, seed)]
    worst = max(task.loss({"a": RANGE.low}), task.loss({"a": RANGE.high}))
    return float(np.mean(losses)) / worst


def _start(task: TuningTask, name: str, best: float, turn: int) -> float:
    spec = ParamSpec.of(task.bounds[name])
    low, high = spec.to_latent(spec.low), spec.to_latent(spec.high)
    for step in range(len(_STARTS)):
        share = RANGE.to_latent(_STARTS[(turn + step) % len(_STARTS)]) - RANGE.to_latent(RANGE.low)
        share /= RANGE.to_latent(RANGE.high) - RANGE.to_latent(RANGE.low)
        start = replace(spec, integer=False).from_latent(low + share * (high - low))
        if abs(task.distance(name, start, best)) >= _LEAST_START_DISTANCE:
            break
    return start


def _run(
    task: TuningTask, make: MakeOptimizer, start: Mapping[str, float], num_windows: int, seed: int
) -> list[dict[str, float]]:
    with tempfile.TemporaryDirectory() as folder:
        return tune_in_loop(task, make(task.bounds, seed), start, num_windows, seed + 1_000_003, folder)
