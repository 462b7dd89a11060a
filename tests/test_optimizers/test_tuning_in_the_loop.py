"""The optimizers through the real loop: windows, champions, scheduler and all."""

import math

import numpy as np
import pytest
from harness.tuning_figures import count_found, count_four_found, neutral_moves, score_loss
from harness.tuning_loop import TunedAgent, tune_in_loop

from tensor_optix.core.backoff_scheduler import BackoffScheduler
from tensor_optix.core.checkpoint_registry import CheckpointRegistry
from tensor_optix.core.loop_controller import LoopController
from tensor_optix.core.search_space import ParamSpec
from tensor_optix.optimizers import BackoffOptimizer, PBTOptimizer
from tensor_optix.testing.fakes import RewardEvaluator, ScriptedPipeline
from tensor_optix.testing.optimizer_conformance import TuningTask, tune

OPTIMA = (0.05, 0.3, 0.8)
RANGE = {"a": ParamSpec(0.01, 1.0, "log")}


def backoff(bounds, seed):
    return BackoffOptimizer(bounds, seed=seed)


def pbt(bounds, seed):
    return PBTOptimizer(bounds, seed=seed)


class TestTask:
    def test_the_loss_is_one_at_one_decade(self):
        task = TuningTask(RANGE, {"a": 0.1})
        assert task.loss({"a": 1.0}) == pytest.approx(1.0)
        assert task.loss({"a": 0.1 * 10**0.5}) == pytest.approx(0.25)
        assert TuningTask(RANGE, {"a": None}).loss({"a": 1.0}) == 0.0

    def test_on_a_linear_scale_half_the_range_is_the_unit(self):
        assert TuningTask({"x": (0.0, 4.0)}, {"x": 1.0}).loss({"x": 3.0}) == pytest.approx(1.0)

    def test_the_score_drifts_and_is_noisy_as_said(self):
        task, rng = TuningTask(RANGE, {"a": 0.1}, noise=0.5, drift=0.1), np.random.default_rng(0)
        scores = [task.score(10, {"a": 1.0}, rng) for _ in range(4000)]
        assert np.mean(scores) == pytest.approx(0.1 * 10 - 1.0, abs=0.03)
        assert np.std(scores) == pytest.approx(0.5, rel=0.05)


class TestOrder:
    @pytest.mark.parametrize("make", [backoff, pbt])
    def test_the_loop_tells_each_score_with_the_values_that_earned_it(self, make, tmp_path):
        """What the loop suggests is what the bare order of calls suggests, as long as it asks every window."""
        task = TuningTask(RANGE, {"a": 0.3})

        def quiet(seed):
            optimizer = make(RANGE, seed)
            optimizer.on_improvement = lambda metrics: None
            return optimizer

        every_window = BackoffScheduler(max_interval_episodes=1, plateau_threshold=10**9, dormant_threshold=10**9)
        looped = tune_in_loop(task, quiet(1), {"a": 0.02}, 60, 3, tmp_path, every_window)
        assert looped == list(tune(task, quiet(1), {"a": 0.02}, 60, 3))

    def test_a_deterministic_score_is_climbed(self, tmp_path):
        """Without noise a score credited to the wrong window turns the sign around: it would end at 0.01."""
        task = TuningTask(RANGE, {"a": 0.8}, noise=0.0, drift=0.01)
        last = tune_in_loop(task, backoff(RANGE, 0), {"a": 0.1}, 150, 0, tmp_path)[-1]
        assert abs(math.log10(last["a"] / 0.8)) < 0.2

    def test_decisions_reach_the_history(self, tmp_path):
        optimizer = backoff(RANGE, 0)
        controller = LoopController(
            TunedAgent({"a": 0.1}),
            RewardEvaluator(),
            optimizer,
            ScriptedPipeline([1.0, 2.0, 3.0]),
            CheckpointRegistry(str(tmp_path)),
            BackoffScheduler(),
            report_episodes=0,
        )
        rows = controller.run().history["tuning"]
        assert rows[0] == ["a 0.1 -> 0.1055: probe"]  # a tenth wider: the first window made a champion
        assert rows[1][0].startswith("a 0.1 -> 0.1055: better")
        assert optimizer.pop_decisions() == []


class TestFigures:
    """Half of what the slow tests below ask for, on a few seeds."""

    def test_backoff_finds_an_optimum(self):
        assert count_found(backoff, {"a": 0.3}, range(8), 300) >= 6

    def test_pbt_finds_an_optimum(self):
        assert count_found(pbt, {"a": 0.05}, range(5), 300) >= 3

    def test_backoff_leaves_a_neutral_parameter_where_it_is(self):
        assert np.median(np.abs(neutral_moves(backoff, range(7)))) < 0.1


@pytest.mark.slow
class TestFiguresInFull:
    seeds = range(500, 550)

    @pytest.mark.parametrize("best", OPTIMA)
    def test_backoff_finds_one(self, best):
        assert count_found(backoff, {"a": best}, self.seeds, 300) >= 45

    @pytest.mark.parametrize("best", OPTIMA)
    def test_pbt_finds_one(self, best):
        assert count_found(pbt, {"a": best}, self.seeds, 300) >= 40

    @pytest.mark.parametrize("make", [backoff, pbt])
    def test_four_at_once(self, make):
        assert count_four_found(make, self.seeds) >= 40

    def test_a_neutral_parameter_stays_with_backoff(self):
        assert np.median(np.abs(neutral_moves(backoff, self.seeds))) < 0.1

    def test_a_neutral_parameter_has_no_direction_with_pbt(self):
        moves = neutral_moves(pbt, self.seeds)
        assert abs(moves.mean()) < 2.6 * moves.std(ddof=1) / math.sqrt(len(moves))
        assert 15 <= np.sum(moves > 0) <= 35

    def test_tuning_at_the_optimum_costs_little_with_backoff(self):
        assert score_loss(backoff, 0.3, self.seeds) < 0.02
