import json
import math

import numpy as np
import pytest
from histories import params, stamped, told

from tensor_optix.core.search_space import ParamSpec
from tensor_optix.exceptions import InvalidArgumentError, StateMismatchError
from tensor_optix.optimizers import PBTOptimizer
from tensor_optix.testing.optimizer_conformance import TuningTask, tune

LR = {"lr": ParamSpec(0.01, 1.0, "log")}
LINEAR = {"x": ParamSpec(0.0, 10.0)}


def fill(optimizer, pairs, **settings):
    """Show the optimizer scores and what earned them, one at a time; return the history."""
    history = []
    for value, score in pairs:
        history.append(stamped(score, len(history), x=value))
        optimizer.suggest(params(x=value), history)
    return history


class TestExplore:
    def test_empty_history_is_an_unchanged_copy(self):
        current = params(x=5.0)
        suggested = PBTOptimizer(LINEAR, seed=0).suggest(current, [])
        assert suggested.params == {"x": 5.0}
        assert suggested is not current

    def test_the_perturbation_is_uniform_within_a_tenth_of_the_range(self):
        moves = [PBTOptimizer(LINEAR, seed=s).suggest(params(x=5.0), told(1.0)).params["x"] - 5.0 for s in range(2000)]
        assert max(map(abs, moves)) <= 1.0
        assert np.mean(moves) == pytest.approx(0.0, abs=4 * math.sqrt(1 / 3 / 2000))
        assert np.std(moves) == pytest.approx(math.sqrt(1 / 3), rel=0.06)
        assert np.quantile(moves, [0.25, 0.75]) == pytest.approx([-0.5, 0.5], abs=0.08)

    def test_on_a_log_scale_it_is_a_tenth_of_the_decades(self):
        steps = [
            math.log10(PBTOptimizer(LR, seed=s).suggest(params(lr=0.1), told(1.0)).params["lr"] / 0.1)
            for s in range(300)
        ]
        assert 0.19 < max(steps) <= 0.2
        assert -0.2 <= min(steps) < -0.19

    def test_it_is_clipped(self):
        values = {PBTOptimizer(LINEAR, seed=s).suggest(params(x=10.0), told(1.0)).params["x"] for s in range(50)}
        assert max(values) == 10.0
        assert min(values) >= 9.0

    def test_an_average_member_is_explored_from(self):
        optimizer = PBTOptimizer(LINEAR, seed=0, explore_scale=0.01)
        history = fill(optimizer, [(5.0, score) for score in (1.0, 3.0, 2.0, 1.5, 2.5, 1.2, 2.8)])
        history.append(stamped(2.0, len(history), x=9.0))
        assert optimizer.suggest(params(x=9.0), history).params["x"] == pytest.approx(9.0, abs=0.1)


class TestExploit:
    @pytest.mark.parametrize("seed", range(10))
    def test_the_bottom_copies_from_the_top(self, seed):
        optimizer = PBTOptimizer(LINEAR, seed=seed, exploit_scale=0.02)
        values = [5.0, 2.0, 8.0, 4.0, 7.0, 3.0, 6.0, 2.5, 7.5, 4.5]
        history = fill(optimizer, [(value, -abs(value - 8.0)) for value in values])
        history.append(stamped(-8.0, len(history), x=0.0))
        assert optimizer.suggest(params(x=0.0), history).params["x"] >= 7.3

    def test_the_reason_is_told(self):
        optimizer = PBTOptimizer(LINEAR, seed=0)
        history = fill(optimizer, [(value, value) for value in (5.0, 2.0, 8.0, 4.0, 7.0, 3.0)])
        optimizer.pop_decisions()
        history.append(stamped(-1.0, len(history), x=0.0))
        optimizer.suggest(params(x=0.0), history)
        (decision,) = optimizer.pop_decisions()
        assert decision.reason.startswith("bottom of the history")
        assert decision.old == 0.0

    def test_recent_is_not_good(self):
        """The score only rises with time; early 2.0 was as good as late 8.0, and 5.0 was bad."""
        copied = set()
        for seed in range(20):
            optimizer = PBTOptimizer(LINEAR, seed=seed, exploit_scale=0.0)
            values = [5.0 if t % 8 == 0 else 2.0 if t < 20 else 8.0 for t in range(40)]
            noise = np.random.default_rng(seed).normal(size=40)
            history = fill(optimizer, [(x, 10.0 * t - 30.0 * (x == 5.0) + noise[t]) for t, x in enumerate(values)])
            history.append(stamped(370.0, 40, x=5.0))
            copied.add(round(optimizer.suggest(params(x=5.0), history).params["x"]))
        assert copied == {2, 8}

    def test_a_score_belongs_to_its_stamp_not_to_what_is_in_force(self):
        optimizer = PBTOptimizer(LINEAR, seed=0, exploit_scale=0.0, explore_scale=0.0)
        history = [stamped(10.0 if x == 2.0 else 0.0, t, x=x) for t, x in enumerate([2.0, 8.0] * 6)]
        history.append(stamped(-5.0, len(history), x=9.0))
        assert optimizer.suggest(params(x=5.0), history).params["x"] == pytest.approx(2.0)


class TestHistory:
    def test_first_in_first_out(self):
        """Once the best members left the history, nothing is copied from them."""
        optimizer = PBTOptimizer(LINEAR, seed=0, history_size=10, exploit_scale=0.0)
        history = fill(optimizer, [(1.0, 100.0)] * 5 + [(6.0, 0.0), (7.0, 1.0)] * 10)
        history.append(stamped(-50.0, len(history), x=6.0))
        assert optimizer.suggest(params(x=6.0), history).params["x"] > 4.0

    def test_a_plateau_forgets_it(self):
        optimizer = PBTOptimizer(LINEAR, seed=0, explore_scale=0.0)
        history = fill(optimizer, [(value, value) for value in (5.0, 2.0, 8.0, 4.0, 7.0, 3.0)])
        optimizer.on_plateau(history)
        history.append(stamped(-9.0, len(history), x=1.0))
        assert optimizer.suggest(params(x=1.0), history).params["x"] == pytest.approx(1.0)

    def test_nothing_new_changes_nothing(self):
        optimizer = PBTOptimizer(LINEAR, seed=0)
        first = optimizer.suggest(params(x=5.0), told(1.0))
        assert optimizer.suggest(first, told(1.0)).params == first.params

    def test_it_does_not_grow(self):
        optimizer = PBTOptimizer(LR, seed=0, history_size=20)
        sizes = []
        for window, _ in enumerate(tune(TuningTask(LR, {"lr": 0.1}), optimizer, {"lr": 0.5}, 1000, seed=0)):
            if window in (299, 999):
                sizes.append(len(json.dumps(optimizer.state_dict())))
        assert sizes[1] < 1.1 * sizes[0]

    def test_other_parameters_start_a_new_history(self):
        optimizer = PBTOptimizer({"x": (0.0, 1.0), "y": (0.0, 1.0)}, seed=0)
        optimizer.suggest(params(x=0.5, y=0.5), told(1.0))
        assert set(optimizer.suggest(params(y=0.5), told(1.0, 2.0)).params) == {"y"}


class TestErrors:
    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"history_size": 1}, "history_size"),
            ({"exploit_percentile": 1.5}, "exploit_percentile"),
            ({"top_percentile": -0.1}, "top_percentile"),
            ({"explore_scale": 2.0}, "explore_scale"),
            ({"exploit_scale": -1.0}, "exploit_scale"),
        ],
    )
    def test_arguments_out_of_range(self, settings, message):
        with pytest.raises(InvalidArgumentError, match=message):
            PBTOptimizer(LR, **settings)

    def test_a_state_with_other_parameters(self):
        optimizer = PBTOptimizer(LR, seed=0)
        optimizer.suggest(params(lr=0.1), told(1.0))
        with pytest.raises(StateMismatchError, match="no bounds for"):
            PBTOptimizer(LINEAR).load_state_dict(optimizer.state_dict())


def test_a_seed_handed_over_is_used_unless_there_is_an_own_one():
    def first(optimizer):
        return optimizer.suggest(params(lr=0.1), told(1.0)).params["lr"]

    handed = []
    for _ in range(2):
        optimizer = PBTOptimizer(LR)
        optimizer.set_seed(5)
        handed.append(first(optimizer))
    own = PBTOptimizer(LR, seed=1)
    own.set_seed(5)
    assert handed[0] == handed[1]
    assert first(own) == first(PBTOptimizer(LR, seed=1)) != handed[0]


def test_whole_numbers_stay_whole():
    optimizer = PBTOptimizer({"epochs": ParamSpec(1, 30, "log", integer=True)}, seed=0)
    value = optimizer.suggest(params(epochs=10), told(1.0)).params["epochs"]
    assert isinstance(value, int)
