"""Our own hyperparameter optimizers keep to what any must, and the suite notices those that do not."""

import pytest

from tensor_optix.core.base_optimizer import BaseOptimizer
from tensor_optix.core.types import HyperparamSet
from tensor_optix.optimizers import BackoffOptimizer, PBTOptimizer
from tensor_optix.testing import OptimizerConformance


class TestBackoffOptimizer(OptimizerConformance):
    found_at_least = 9

    def make_optimizer(self, bounds, seed):
        return BackoffOptimizer(bounds, seed=seed)


class TestPBTOptimizer(OptimizerConformance):
    found_at_least = 8

    def make_optimizer(self, bounds, seed):
        return PBTOptimizer(bounds, seed=seed)


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
        ("forgets", "test_an_optimizer_that_went_on_can_go_back", "gone back to went another way"),
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
