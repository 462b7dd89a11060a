import json
import logging
import math

import numpy as np
import pytest
from histories import params, stamped, told
from hypothesis import given, settings
from hypothesis import strategies as st

from tensor_optix.core.search_space import ParamSpec
from tensor_optix.core.types import HyperparamSet
from tensor_optix.exceptions import InvalidArgumentError, InvalidTypeError, StateMismatchError
from tensor_optix.optimizers import BackoffOptimizer
from tensor_optix.testing.optimizer_conformance import TuningTask, tune

LR = {"lr": (1e-4, 1.0)}
QUIET = [1.0, 1.1, 0.9, 1.05, 0.95, 1.0, 1.1, 0.9, 1.05, 0.95]


class TestFirstProbe:
    def test_empty_history_is_an_unchanged_copy(self):
        current = params(lr=0.01)
        suggested = BackoffOptimizer(LR).suggest(current, [])
        assert suggested.params == {"lr": 0.01}
        assert suggested is not current

    def test_no_bounds_is_an_unchanged_copy(self):
        assert BackoffOptimizer().suggest(params(lr=0.01), told(1, 2, 3)).params == {"lr": 0.01}

    def test_probe_is_theta_plus_its_share(self):
        suggested = BackoffOptimizer(LR, perturbation_scale=0.05).suggest(params(lr=0.01), told(1.0))
        assert suggested.params["lr"] == pytest.approx(0.0105, rel=1e-12)

    def test_probe_after_a_long_history_is_the_same(self):
        suggested = BackoffOptimizer(LR).suggest(params(lr=0.01), told(*QUIET))
        assert suggested.params["lr"] == pytest.approx(0.0105, rel=1e-12)

    def test_a_small_theta_moves_by_min_delta(self):
        optimizer = BackoffOptimizer({"coef": (0.0, 1.0)}, min_delta=1e-3)
        assert optimizer.suggest(params(coef=0.0), told(1.0)).params["coef"] == pytest.approx(1e-3)

    def test_probe_is_clipped(self):
        assert BackoffOptimizer(LR).suggest(params(lr=0.97), told(1.0)).params["lr"] == 1.0

    def test_at_the_upper_bound_the_probe_looks_down(self):
        assert BackoffOptimizer(LR).suggest(params(lr=1.0), told(1.0)).params["lr"] == pytest.approx(0.95)

    def test_a_discount_is_probed_by_its_share_and_clipped(self):
        optimizer = BackoffOptimizer({"gamma": (0.9, 0.999)})
        assert optimizer.suggest(params(gamma=0.99), told(1.0)).params["gamma"] == 0.999

    def test_min_samples_are_waited_for(self):
        optimizer = BackoffOptimizer(LR, min_samples=3)
        assert optimizer.suggest(params(lr=0.01), told(1, 1)).params["lr"] == 0.01
        assert optimizer.suggest(params(lr=0.01), told(1, 1, 1)).params["lr"] > 0.01

    def test_the_suggestion_carries_the_newest_window(self):
        assert BackoffOptimizer(LR).suggest(params(lr=0.01), told(1.0, 2.0, first=7)).episode_id == 8


class TestCommitWithoutAnEstimateOfTheNoise:
    def probe(self, optimizer, theta=0.01):
        return optimizer.suggest(params(lr=theta), told(1.0))

    def test_better_keeps_the_probes_value(self):
        optimizer = BackoffOptimizer(LR)
        probe = self.probe(optimizer)
        assert optimizer.suggest(probe, told(1.0, 2.0)).params == probe.params

    def test_worse_goes_to_the_other_side_of_the_original_theta(self):
        optimizer = BackoffOptimizer(LR)
        probe = self.probe(optimizer)
        assert optimizer.suggest(probe, told(1.0, 0.5)).params["lr"] == pytest.approx(0.0095, rel=1e-12)

    def test_equal_goes_back_to_theta(self):
        optimizer = BackoffOptimizer(LR)
        assert optimizer.suggest(self.probe(optimizer), told(1.0, 1.0)).params["lr"] == 0.01

    def test_the_next_probe_starts_from_what_was_kept(self):
        optimizer = BackoffOptimizer(LR)
        kept = optimizer.suggest(self.probe(optimizer), told(1.0, 2.0))
        assert optimizer.suggest(kept, told(1.0, 2.0, 2.0)).params["lr"] == pytest.approx(0.0105 * 1.05)

    def test_after_a_loss_the_direction_is_reversed(self):
        optimizer = BackoffOptimizer(LR)
        other = optimizer.suggest(self.probe(optimizer), told(1.0, 0.5))
        assert optimizer.suggest(other, told(1.0, 0.5, 1.2)).params["lr"] == pytest.approx(0.0095 * 0.95)

    def test_parameters_take_turns(self):
        optimizer = BackoffOptimizer({"a": (0.01, 1.0), "b": (0.01, 1.0)})
        first = optimizer.suggest(params(a=0.1, b=0.1), told(1.0))
        kept = optimizer.suggest(first, told(1.0, 2.0))
        second = optimizer.suggest(kept, told(1.0, 2.0, 3.0))
        assert (first.params["a"], first.params["b"]) == (pytest.approx(0.105), 0.1)
        assert (second.params["a"], second.params["b"]) == (pytest.approx(0.105), pytest.approx(0.105))

    def test_histories_that_only_hold_the_last_score_do_too(self):
        optimizer = BackoffOptimizer(LR)
        probe = optimizer.suggest(params(lr=0.01), told(1.0))
        assert optimizer.suggest(probe, told(0.5)).params["lr"] == pytest.approx(0.0095)


class TestCommitAgainstTheNoise:
    def commit(self, score, **settings):
        optimizer = BackoffOptimizer(LR, **settings)
        probe = optimizer.suggest(params(lr=0.01), told(*QUIET))
        return optimizer, optimizer.suggest(probe, told(*QUIET, score))

    @pytest.mark.parametrize("score", [1.0, 1.1, 0.9])
    def test_inside_the_noise_goes_back_to_theta(self, score):
        assert self.commit(score)[1].params["lr"] == 0.01

    def test_clearly_better_is_kept(self):
        assert self.commit(2.0)[1].params["lr"] == pytest.approx(0.0105)

    def test_clearly_worse_goes_to_the_other_side(self):
        assert self.commit(0.0)[1].params["lr"] == pytest.approx(0.0095)

    def test_a_steady_rise_is_no_gain(self):
        rise = [float(i) for i in range(10)]
        optimizer = BackoffOptimizer(LR)
        probe = optimizer.suggest(params(lr=0.01), told(*rise))
        assert optimizer.suggest(probe, told(*rise, 10.0)).params["lr"] == 0.01

    def test_both_sides_worse_goes_back_to_theta(self):
        optimizer, other = self.commit(0.0)
        assert optimizer.suggest(other, told(*QUIET, 0.0, 0.0)).params["lr"] == 0.01

    def test_the_other_side_is_kept_if_it_is_better(self):
        optimizer, other = self.commit(0.0)
        assert optimizer.suggest(other, told(*QUIET, 0.0, 2.0)).params == other.params

    def test_a_gain_keeps_its_direction_and_widens_the_step(self):
        optimizer, kept = self.commit(3.0)
        again = optimizer.suggest(kept, told(*QUIET, 3.0, 3.0)).params["lr"]
        assert again > 0.0105 * 1.05

    def test_beta_widens_less_where_the_gain_is_less_clear(self):
        steps = []
        for beta in (0.0, 100.0):
            optimizer, kept = self.commit(1.5, beta=beta)
            steps.append(optimizer.suggest(kept, told(*QUIET, 1.5, 1.5)).params["lr"])
        assert steps[0] > steps[1]

    def test_sides_that_differ_inside_the_noise_are_pooled(self):
        """Twelve times as much up as down, each time less than the noise: in the end it counts."""
        rng = np.random.default_rng(0)
        optimizer = BackoffOptimizer(LR, seed=0)
        current, history = params(lr=0.01), []
        for window in range(400):
            lean = 1.0 * math.log10(current.params["lr"] / 0.01)
            history.append(stamped(lean + rng.normal(0, 0.1), window, **current.params))
            current = optimizer.suggest(current, history)
        assert current.params["lr"] > 0.05


class TestGate:
    def test_no_move_while_the_variance_is_above_the_threshold(self, caplog):
        optimizer = BackoffOptimizer(LR, high_variance_threshold=0.5)
        with caplog.at_level(logging.DEBUG, "tensor_optix"):
            suggested = optimizer.suggest(params(lr=0.01), told(0, 5, 0, 5, 0))
        assert suggested.params["lr"] == 0.01
        assert "skipped" in caplog.text
        assert [decision.reason[:7] for decision in optimizer.pop_decisions()] == ["skipped"]

    def test_it_moves_again_when_the_scores_are_calm(self):
        optimizer = BackoffOptimizer(LR, high_variance_threshold=0.5)
        optimizer.suggest(params(lr=0.01), told(0, 5, 0, 5, 0))
        assert optimizer.suggest(params(lr=0.01), told(0, 5, 0, 5, 0, 1, 1, 1, 1, 1)).params["lr"] > 0.01


class TestHooks:
    @pytest.mark.parametrize("hook", ["on_improvement", "on_plateau"])
    def test_the_step_widens(self, hook):
        optimizer = BackoffOptimizer(LR)
        getattr(optimizer, hook)(told(1.0)[0] if hook == "on_improvement" else told(1.0))
        assert optimizer.suggest(params(lr=0.01), told(1.0)).params["lr"] > 0.0105 * 1.001

    def test_a_plateau_restarts_the_round(self):
        optimizer = BackoffOptimizer({"a": (0.01, 1.0), "b": (0.01, 1.0)})
        probe = optimizer.suggest(params(a=0.1, b=0.1), told(1.0))
        kept = optimizer.suggest(probe, told(1.0, 2.0))
        optimizer.on_plateau(told(1.0, 2.0))
        suggested = optimizer.suggest(kept, told(1.0, 2.0, 2.0))
        assert suggested.params["a"] != kept.params["a"]
        assert suggested.params["b"] == 0.1

    def test_a_plateau_gives_up_the_open_probe(self):
        optimizer = BackoffOptimizer({"a": (0.01, 1.0), "b": (0.01, 1.0)})
        kept = optimizer.suggest(optimizer.suggest(params(a=0.1, b=0.1), told(1.0)), told(1.0, 1.0))
        probe_b = optimizer.suggest(kept, told(1.0, 1.0, 1.0))
        assert probe_b.params["b"] > 0.1
        optimizer.on_plateau([])
        suggested = optimizer.suggest(probe_b, told(1.0, 1.0, 1.0, 9.0))
        assert suggested.params["b"] == 0.1
        assert suggested.params["a"] != 0.1


class TestCredit:
    def test_a_score_is_credited_by_its_stamp(self):
        """The window after the suggestion was still played by theta: it decides nothing."""
        optimizer = BackoffOptimizer(LR)
        probe = optimizer.suggest(params(lr=0.01), [stamped(1.0, 0, lr=0.01)])
        waiting = optimizer.suggest(probe, [stamped(1.0, 0, lr=0.01), stamped(9.0, 1, lr=0.01)])
        assert waiting.params == probe.params

    def test_float32_rounding_of_a_stamp_is_the_same_value(self):
        optimizer = BackoffOptimizer(LR)
        probe = optimizer.suggest(params(lr=0.01), [stamped(1.0, 0, lr=0.01)])
        rounded = float(np.float32(probe.params["lr"]))
        history = [stamped(1.0, 0, lr=0.01), stamped(0.5, 1, lr=rounded)]
        assert optimizer.suggest(params(lr=rounded), history).params["lr"] == pytest.approx(0.0095, rel=1e-6)

    def test_nothing_new_changes_nothing(self):
        optimizer = BackoffOptimizer(LR)
        history = told(1.0)
        probe = optimizer.suggest(params(lr=0.01), history)
        assert optimizer.suggest(probe, history).params == probe.params

    def test_nan_scores_are_no_evidence(self):
        optimizer = BackoffOptimizer(LR)
        probe = optimizer.suggest(params(lr=0.01), told(1.0))
        assert optimizer.suggest(probe, told(1.0, math.nan)).params == probe.params

    def test_several_scores_of_one_probe_are_averaged(self):
        optimizer = BackoffOptimizer(LR)
        probe = optimizer.suggest(params(lr=0.01), told(*QUIET))
        assert optimizer.suggest(probe, told(*QUIET, 3.0, -1.0)).params["lr"] == 0.01

    def test_a_history_that_lost_its_oldest_entries(self):
        optimizer = BackoffOptimizer(LR)
        probe = optimizer.suggest(params(lr=0.01), told(*QUIET))
        assert optimizer.suggest(probe, told(9.0, first=10)).params == probe.params


class TestChangesFromOutside:
    def test_a_rollback_becomes_the_new_theta(self):
        optimizer = BackoffOptimizer(LR)
        optimizer.suggest(params(lr=0.01), told(1.0))
        assert optimizer.suggest(params(lr=0.3), told(1.0, 2.0)).params["lr"] == 0.3
        assert optimizer.suggest(params(lr=0.3), told(1.0, 2.0, 2.0)).params["lr"] == pytest.approx(0.315)
        assert any(decision.reason.startswith("changed from outside") for decision in optimizer.decisions)

    def test_an_agent_that_clips_is_not_followed_to_its_limit(self):
        """Neutral scores; the agent never goes above 0.0102: theta must not creep up to it."""
        optimizer = BackoffOptimizer(LR, seed=0)
        rng = np.random.default_rng(1)
        current, history = params(lr=0.01), []
        for window in range(60):
            history.append(stamped(rng.normal(), window, **current.params))
            suggested = optimizer.suggest(current, history)
            current = params(lr=min(suggested.params["lr"], 0.0102))
        assert current.params["lr"] < 0.0102 * 1.001
        assert current.params["lr"] > 0.005

    def test_a_parameter_that_vanishes_is_dropped(self):
        optimizer = BackoffOptimizer({"a": (0.01, 1.0), "b": (0.01, 1.0)})
        optimizer.suggest(params(a=0.1, b=0.1), told(1.0))
        assert set(optimizer.suggest(params(b=0.1), told(1.0, 1.0)).params) == {"b"}


class TestScales:
    def test_whole_numbers_move_by_at_least_one(self):
        optimizer = BackoffOptimizer({"epochs": ParamSpec(1, 30, "log", integer=True)})
        suggested = optimizer.suggest(params(epochs=4), told(1.0)).params["epochs"]
        assert suggested == 5
        assert isinstance(suggested, int)

    def test_whole_numbers_come_back_as_they_were(self):
        optimizer = BackoffOptimizer({"epochs": ParamSpec(1, 30, "log", integer=True)})
        probe = optimizer.suggest(params(epochs=4), told(1.0))
        assert optimizer.suggest(probe, told(1.0, 1.0)).params["epochs"] == 4

    def test_equal_bounds_are_not_tuned(self):
        optimizer = BackoffOptimizer({"lr": (0.1, 0.1), "b": (0.01, 1.0)})
        assert optimizer.suggest(params(lr=0.1, b=0.5), told(1.0)).params == {"lr": 0.1, "b": 0.525}

    @pytest.mark.parametrize(
        ("spec", "start", "best"),
        [
            (ParamSpec(0.0, 1.0), 0.9, 0.3),
            (ParamSpec(0.9, 0.999, "one_minus_log"), 0.91, 0.99),
            (ParamSpec(1, 100, "log", integer=True), 2, 25),
            (ParamSpec(1e-6, 1e-1, "log"), 3e-6, 3e-4),
        ],
    )
    def test_without_noise_it_arrives_on_every_scale(self, spec, start, best):
        task = TuningTask({"p": spec}, {"p": best}, noise=0.0, drift=0.01)
        *_, last = tune(task, BackoffOptimizer({"p": spec}, seed=0), {"p": start}, 300, seed=0)
        assert abs(task.distance("p", last["p"], best)) < 0.15


class TestSteadiness:
    @settings(max_examples=25, deadline=None)
    @given(shift=st.floats(-1e3, 1e3), stretch=st.floats(1e-2, 1e3))
    def test_the_scores_unit_and_zero_do_not_matter(self, shift, stretch):
        """Only differences and spreads are used: a * score + b is tuned like score."""
        task = TuningTask(LR, {"lr": 0.1})

        class Restated(TuningTask):
            def score(self, window, params, rng):
                return stretch * super().score(window, params, rng) + shift

        restated = Restated(task.bounds, task.optimum)
        one = list(tune(task, BackoffOptimizer(LR, seed=3), {"lr": 0.01}, 80, seed=4))
        other = list(tune(restated, BackoffOptimizer(LR, seed=3), {"lr": 0.01}, 80, seed=4))
        assert [v["lr"] for v in other] == pytest.approx([v["lr"] for v in one], rel=1e-9)

    @pytest.mark.parametrize("noise", ["grows and shrinks", "heavy tails", "autocorrelated"])
    def test_noise_that_is_not_as_assumed_moves_nothing(self, noise):
        class Unruly(TuningTask):
            last = 0.0

            def score(self, window, params, rng):
                if noise == "heavy tails":
                    return float(rng.standard_t(2.5))
                if noise == "autocorrelated":
                    self.__dict__["last"] = 0.6 * self.last + float(rng.normal())
                    return self.last
                return float(rng.normal()) * (5.0 if window // 50 % 2 else 1.0)

        moves = []
        for seed in range(15):
            *_, last = tune(Unruly(LR, {"lr": None}), BackoffOptimizer(LR, seed=seed), {"lr": 0.01}, 200, seed)
            moves.append(abs(math.log10(last["lr"] / 0.01)))
        assert np.median(moves) < 0.1

    def test_thousands_of_windows_do_not_make_it_grow(self):
        optimizer = BackoffOptimizer(LR, seed=0)
        sizes = []
        for window, _ in enumerate(tune(TuningTask(LR, {"lr": 0.1}), optimizer, {"lr": 0.5}, 3000, seed=0)):
            if window in (999, 2999):
                sizes.append(len(json.dumps(optimizer.state_dict())))
        assert sizes[1] < 1.1 * sizes[0]
        assert len(optimizer.decisions) == 1000


class TestErrors:
    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"perturbation_scale": 0.0}, "perturbation_scale"),
            ({"min_delta": -1.0}, "min_delta"),
            ({"score_window": 1}, "score_window"),
            ({"min_samples": 0}, "min_samples"),
            ({"base_lr": 0.0}, "base_lr"),
            ({"beta": -0.1}, "beta"),
            ({"high_variance_threshold": math.nan}, "high_variance_threshold"),
            ({"param_bounds": {"lr": (1.0, 0.1)}}, "low <= high"),
            ({"param_bounds": {"lr": (0.1, math.inf)}}, "finite"),
            ({"param_bounds": "everything"}, "'agent'"),
        ],
    )
    def test_arguments_out_of_range(self, settings, message):
        with pytest.raises(InvalidArgumentError, match=message):
            BackoffOptimizer(**settings)

    @pytest.mark.parametrize("value", [2.0, -1.0, math.nan])
    def test_a_value_outside_its_bounds(self, value):
        with pytest.raises(InvalidArgumentError, match="must lie inside its bounds"):
            BackoffOptimizer(LR).suggest(params(lr=value), told(1.0))

    def test_a_value_that_is_no_number(self):
        with pytest.raises(InvalidTypeError, match="must be a number"):
            BackoffOptimizer(LR).suggest(params(lr="fast"), told(1.0))

    def test_bounds_that_are_no_mapping(self):
        with pytest.raises(InvalidTypeError, match="mapping from names"):
            BackoffOptimizer([("lr", (0.1, 1.0))])

    def test_a_state_of_another_kind(self):
        with pytest.raises(StateMismatchError, match="one of BackoffOptimizer"):
            BackoffOptimizer(LR).load_state_dict({"kind": "PBTOptimizer"})

    def test_a_state_with_other_parameters(self):
        optimizer = BackoffOptimizer(LR)
        optimizer.suggest(params(lr=0.1), told(1.0))
        with pytest.raises(StateMismatchError, match="no bounds for"):
            BackoffOptimizer({"other": (0.0, 1.0)}).load_state_dict(optimizer.state_dict())


class TestBoundsOfTheAgent:
    def test_asked_for_they_are_taken(self):
        optimizer = BackoffOptimizer("agent")
        assert optimizer.suggest(params(lr=0.01), told(1.0)).params["lr"] == 0.01
        optimizer.bind_bounds({"lr": ParamSpec(1e-4, 1.0, "log")})
        assert optimizer.suggest(params(lr=0.01), told(1.0, 1.0)).params["lr"] == pytest.approx(0.0105)

    def test_not_asked_for_they_are_not(self):
        optimizer = BackoffOptimizer()
        optimizer.bind_bounds({"lr": ParamSpec(1e-4, 1.0, "log")})
        assert optimizer.param_bounds == {}

    def test_a_bound_without_a_parameter_is_told_once(self, caplog):
        optimizer = BackoffOptimizer({"typo": (0.0, 1.0)})
        for _ in range(3):
            assert optimizer.suggest(HyperparamSet({"lr": 0.1}, 0), told(1.0)).params == {"lr": 0.1}
        assert caplog.text.count("`typo` has bounds") == 1


class TestDecisions:
    def test_each_is_recorded_with_its_reason_and_read_once(self, caplog):
        optimizer = BackoffOptimizer(LR)
        with caplog.at_level(logging.DEBUG, "tensor_optix"):
            probe = optimizer.suggest(params(lr=0.01), told(1.0))
            optimizer.suggest(probe, told(1.0, 2.0))
        first, second = optimizer.pop_decisions()
        assert (first.episode_id, first.param, first.old, first.is_move) == (0, "lr", 0.01, False)
        assert (second.episode_id, second.new, second.is_move) == (1, pytest.approx(0.0105), True)
        assert "better" in second.reason
        assert optimizer.pop_decisions() == []
        assert len(optimizer.decisions) == 2
        assert "better" in caplog.text
