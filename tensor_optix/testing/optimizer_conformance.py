"""What any hyperparameter optimizer must keep to, as tests that users can run on their own."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from tensor_optix.core.base_optimizer import BaseOptimizer
from tensor_optix.core.search_space import Bounds, ParamSpec
from tensor_optix.core.types import EvalMetrics, HyperparamSet
from tensor_optix.testing.checking import check

_LEARNING_RATE = {"learning_rate": ParamSpec(0.01, 1.0, "log")}
_MIXED = {
    "learning_rate": ParamSpec(1e-5, 1e-1, "log"),
    "gamma": ParamSpec(0.9, 0.999, "one_minus_log"),
    "entropy_coef": ParamSpec(0.0, 0.1, "linear"),
    "epochs": ParamSpec(1, 30, "log", integer=True),
}
_STARTS = (
    {"learning_rate": 1e-5, "gamma": 0.9, "entropy_coef": 0.0, "epochs": 1},
    {"learning_rate": 1e-1, "gamma": 0.999, "entropy_coef": 0.1, "epochs": 30},
    {"learning_rate": 3e-4, "gamma": 0.99, "entropy_coef": 0.01, "epochs": 10},
)
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


class OptimizerConformance:
    """Subclass it in a test module as ``Test...`` and say how the optimizer is made; pytest finds the rest.

    Attributes:
        found_at_least: How many of ten seeds must end within 0.25 decades of an optimum that
            starts a decade away, 300 windows, noise a tenth of the loss at one decade.
        can_resume: Whether ``state_dict`` holds all there is.

    Example:
        >>> class TestMine(OptimizerConformance):
        ...     def make_optimizer(self, bounds, seed):
        ...         return BackoffOptimizer(bounds, seed=seed)
    """

    found_at_least = 7
    can_resume = True

    def make_optimizer(self, bounds: Bounds, seed: int) -> BaseOptimizer:
        """Return a new optimizer that tunes inside ``bounds``."""
        raise NotImplementedError("make_optimizer(bounds, seed) -> BaseOptimizer")

    def test_an_empty_history_changes_nothing(self) -> None:
        """The suggestion is an equal, independent copy."""
        current = HyperparamSet({"learning_rate": 0.1, "layers": [64, 64]}, episode_id=3)
        suggested = self.make_optimizer(_LEARNING_RATE, 0).suggest(current, [])
        check(suggested.params == current.params, f"an empty history gave {suggested.params}")
        suggested.params["layers"].append(1)
        check(current.params["layers"] == [64, 64], "the suggestion shares lists with its argument")

    def test_without_bounds_nothing_is_tuned(self) -> None:
        """No bounds, no change."""
        optimizer = self.make_optimizer({}, 0)
        current = HyperparamSet({"learning_rate": 0.1}, episode_id=0)
        history = [EvalMetrics(float(i % 3), {}, episode_id=i) for i in range(10)]
        for end in range(1, 11):
            check(optimizer.suggest(current, history[:end]).params == current.params, "changed without bounds")

    def test_arguments_are_left_alone(self) -> None:
        """Neither the current hyperparameters nor the history are written to."""
        optimizer = self.make_optimizer(_LEARNING_RATE, 0)
        current = HyperparamSet({"learning_rate": 0.1}, episode_id=0)
        history = [EvalMetrics(float(i), {}, episode_id=i) for i in range(5)]
        before = copy.deepcopy((current, history))
        optimizer.suggest(current, history)
        check((current, history) == before, "an argument of `suggest` was changed")

    def test_bounds_hold_and_other_parameters_stay(self) -> None:
        """Whatever the scores, from any corner: within bounds, whole where integer, the rest untouched."""
        for seed, start in enumerate(_STARTS):
            rng = np.random.default_rng(seed)
            optimizer = self.make_optimizer(_MIXED, seed)
            current = HyperparamSet({**start, "clip_ratio": 0.2, "name": "run"}, episode_id=0)
            history: list[EvalMetrics] = []
            for window in range(150):
                history.append(EvalMetrics(float(rng.standard_cauchy()), {}, window, hyperparams=current.copy()))
                current = optimizer.suggest(current, list(history))
                _check_inside(current.params, _MIXED)
                check(current.params["clip_ratio"] == 0.2, "a parameter without bounds was changed")
                check(current.params["name"] == "run", "a parameter without bounds was changed")
                if window % 40 == 20:
                    optimizer.on_improvement(history[-1])
                if window % 40 == 39:
                    optimizer.on_plateau(list(history))

    def test_same_seed_same_suggestions(self) -> None:
        """Two optimizers with one seed do the same."""
        task = TuningTask(_LEARNING_RATE, {"learning_rate": 0.3})
        first, second = (
            list(tune(task, self.make_optimizer(_LEARNING_RATE, 7), {"learning_rate": 0.05}, 60, seed=1))
            for _ in range(2)
        )
        check(first == second, "the same seed gave different suggestions")

    def test_a_saved_optimizer_goes_on_exactly(self) -> None:
        """After ``state_dict`` went through JSON into a new optimizer, nothing differs, at any moment."""
        if not self.can_resume:
            return
        for cut in (1, 2, 7, 40, 83):
            check(self._resumed(cut) == self._resumed(None), f"a resume after {cut} windows went another way")

    def test_an_optimizer_that_went_on_can_go_back(self) -> None:
        """A state can be given to the optimizer that it came from, whatever happened to it since."""
        if not self.can_resume:
            return
        task = TuningTask(_LEARNING_RATE, {"learning_rate": 0.3})
        optimizer = self.make_optimizer(_LEARNING_RATE, 3)
        *_, params = tune(task, optimizer, {"learning_rate": 0.05}, 30, seed=1)
        state = json.loads(json.dumps(optimizer.state_dict()))
        seen = []
        for _ in range(2):
            optimizer.load_state_dict(state)
            seen.append(list(tune(task, optimizer, params, 31, seed=2)))
        check(seen[0] == seen[1], "the state that was gone back to went another way")

    def _resumed(self, cut: int | None) -> list[dict[str, float]]:
        """Return 100 suggestions, with a new optimizer taking over after ``cut`` windows."""
        rng = np.random.default_rng(5)
        task = TuningTask(_MIXED, {"learning_rate": 1e-3, "gamma": 0.99, "entropy_coef": 0.02, "epochs": 5})
        optimizer = self.make_optimizer(_MIXED, 11)
        current = HyperparamSet(dict(_STARTS[2]), episode_id=0)
        history: list[EvalMetrics] = []
        seen: list[dict[str, float]] = []
        for window in range(100):
            score = task.score(window, current.params, rng)
            history.append(EvalMetrics(score, {}, window, timestamp=float(window), hyperparams=current.copy()))
            current = optimizer.suggest(current, list(history))
            seen.append(dict(current.params))
            if window + 1 == cut:
                state = json.loads(json.dumps(optimizer.state_dict()))
                optimizer = self.make_optimizer(_MIXED, 12)
                optimizer.load_state_dict(state)
        return seen

    def test_changes_from_outside_are_accepted(self) -> None:
        """A rollback or a user may set anything inside the bounds, at any time; several scores may be new."""
        rng = np.random.default_rng(2)
        optimizer = self.make_optimizer(_LEARNING_RATE, 2)
        current = HyperparamSet({"learning_rate": 0.1}, episode_id=0)
        history: list[EvalMetrics] = []
        for window in range(200):
            history.append(EvalMetrics(float(rng.normal()), {}, window, hyperparams=current.copy()))
            if window % 7 == 3:
                current = HyperparamSet({"learning_rate": float(10 ** rng.uniform(-2, 0))}, window)
            if window % 5 != 4:
                current = optimizer.suggest(current, history[-50:])
            _check_inside(current.params, _LEARNING_RATE)

    def test_later_is_not_mistaken_for_better(self) -> None:
        """A parameter that makes no difference goes in no direction, however steadily scores rise."""
        task = TuningTask(_LEARNING_RATE, {"learning_rate": None}, noise=0.1, drift=0.05)
        moves = []
        for seed in range(20):
            *_, last = tune(task, self.make_optimizer(_LEARNING_RATE, seed), {"learning_rate": 0.1}, 120, seed)
            moves.append(math.log10(last["learning_rate"] / 0.1))
        error = float(np.std(moves, ddof=1)) / math.sqrt(len(moves))
        mean = float(np.mean(moves))
        check(abs(mean) <= max(0.05, 3.5 * error), f"a neutral parameter drifts by {mean:+.2f} decades on average")

    def test_finds_an_optimum(self) -> None:
        """From one decade off, through noise and drift."""
        found = 0
        for seed in range(10):
            best, start = ((0.05, 0.5), (0.6, 0.06))[seed % 2]
            task = TuningTask(_LEARNING_RATE, {"learning_rate": best})
            values = list(tune(task, self.make_optimizer(_LEARNING_RATE, seed), {"learning_rate": start}, 300, seed))
            last = [abs(math.log10(value["learning_rate"] / best)) for value in values[-10:]]
            found += float(np.median(last)) < 0.25
        check(found >= self.found_at_least, f"found {found} of 10 optima, expected {self.found_at_least}")


def _check_inside(params: Mapping[str, float], bounds: Mapping[str, ParamSpec]) -> None:
    for name, spec in bounds.items():
        value = params[name]
        check(spec.contains(value), f"`{name}` = {value!r} is outside ({spec.low}, {spec.high})")
        check(not spec.integer or float(value).is_integer(), f"`{name}` = {value!r} is not whole")
