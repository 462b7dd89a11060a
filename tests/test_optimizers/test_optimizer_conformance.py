"""Our own hyperparameter optimizers keep to what any must, and the suite notices those that do not."""

import numpy as np
import pytest

from tensor_optix.core.base_optimizer import BaseOptimizer
from tensor_optix.core.types import HyperparamSet, ParamSpec
from tensor_optix.optimizers import BackoffOptimizer, PBTOptimizer
from tensor_optix.testing.optimizer_conformance import OptimizerConformance


class TestBackoffOptimizer(OptimizerConformance):
    found_at_least = 9

    def make_optimizer(self, bounds, seed):
        return BackoffOptimizer(bounds, seed=seed)


class TestPBTOptimizer(OptimizerConformance):
    found_at_least = 8

    def make_optimizer(self, bounds, seed):
        return PBTOptimizer(bounds, seed=seed)


class ParabolaOptimizer(BaseOptimizer):
    """Somebody else's: the top of a parabola through all scores and the time, or every other window a random look."""

    def __init__(self, bounds, seed):
        self.specs = {name: ParamSpec.of(bound) for name, bound in bounds.items()}
        self.rng = np.random.default_rng(seed)

    def suggest(self, current_hyperparams, metrics_history):
        suggested = current_hyperparams.copy()
        known = [metrics for metrics in metrics_history if metrics.hyperparams is not None]
        for name, spec in self.specs.items() if known else ():
            low, high = spec.to_latent(spec.low), spec.to_latent(spec.high)
            x = np.array([spec.to_latent(metrics.hyperparams.params[name]) for metrics in known])
            columns = np.stack([np.ones(len(x)), np.arange(len(x)), x, x**2], axis=1)
            _, _, slope, bend = np.linalg.lstsq(columns, [metrics.primary_score for metrics in known], rcond=None)[0]
            is_look = len(known) < 20 or bend >= 0.0 or self.rng.random() < 0.3
            best = self.rng.uniform(low, high) if is_look else np.clip(-slope / (2.0 * bend), low, high)
            suggested.params[name] = spec.clip(spec.from_latent(float(best)))
        return suggested

    def on_improvement(self, metrics):
        pass

    def on_plateau(self, metrics_history):
        pass


class TestSomebodyElsesOptimizer(OptimizerConformance):
    can_resume = False  # it has no state_dict

    def make_optimizer(self, bounds, seed):
        return ParabolaOptimizer(bounds, seed)


class Faulty(BaseOptimizer):
    """Breaks one rule at a time."""

    def __init__(self, fault, bounds, seed):
        self.fault, self.bounds, self.seed, self.calls = fault, bounds, seed, 0

    def suggest(self, current_hyperparams, metrics_history):
        self.calls += 1
        params = dict(current_hyperparams.params)
        if self.fault == "shares" or not metrics_history:
            return HyperparamSet(params, 0)
        if self.fault == "untold" and "clip_ratio" in params:
            params["clip_ratio"] = 0.3
        if self.fault == "ratchet" and self.bounds:
            params["learning_rate"] = min(params["learning_rate"] * 1.02, 1.0)
        if self.fault == "escapes" and self.bounds:
            params["learning_rate"] *= 2.0
        if self.fault == "always tunes":
            params["learning_rate"] *= 0.99
        if self.fault == "fractions" and "epochs" in params:
            params["epochs"] = 2.5
        if self.fault == "forgets" and self.bounds:
            params["learning_rate"] = 0.02 if self.calls % 3 else 0.05
        if self.fault == "writes":
            current_hyperparams.params["learning_rate"] = 0.02
        return HyperparamSet(params, 0)

    def on_improvement(self, metrics):
        pass

    def on_plateau(self, metrics_history):
        pass


@pytest.mark.parametrize(
    ("fault", "test", "message"),
    [
        ("shares", "test_an_empty_history_changes_nothing", "shares lists"),
        ("always tunes", "test_without_bounds_nothing_is_tuned", "without bounds"),
        ("writes", "test_arguments_are_left_alone", "argument of `suggest`"),
        ("escapes", "test_bounds_hold_and_other_parameters_stay", "outside"),
        ("untold", "test_bounds_hold_and_other_parameters_stay", "without bounds was changed"),
        ("fractions", "test_bounds_hold_and_other_parameters_stay", "not whole"),
        ("forgets", "test_a_saved_optimizer_goes_on_exactly", "went another way"),
        ("ratchet", "test_later_is_not_mistaken_for_better", "drifts"),
        ("none", "test_finds_an_optimum", "found 0 of 10"),
    ],
)
def test_a_broken_rule_is_noticed(fault, test, message):
    class Suite(OptimizerConformance):
        def make_optimizer(self, bounds, seed):
            return Faulty(fault, bounds, seed)

    with pytest.raises(AssertionError, match=message):
        getattr(Suite(), test)()


def test_a_suite_must_say_how_the_optimizer_is_made():
    with pytest.raises(NotImplementedError, match="make_optimizer"):
        OptimizerConformance().test_same_seed_same_suggestions()
