"""The score that a user asked for: claimed when it is reached, and not before."""

import numpy as np
import pytest
from loop_fakes import Learner, make_loop, make_playing_loop

from tensor_optix import LoopState
from tensor_optix.core.types import EvaluationResult
from tensor_optix.functional.statistics import mean_interval
from tensor_optix.testing.fakes import PlayablePipeline


def test_the_run_ends_as_soon_as_the_lower_bound_reaches_the_target(tmp_path):
    agent = Learner()
    loop, _, _ = make_playing_loop(tmp_path, agent, target_score=20.0)
    result = loop.run()
    assert result.reason == "target"
    assert result.report.mean >= 20.0
    assert agent.weight < 30


def test_a_target_out_of_reach_is_never_claimed(tmp_path):
    agent = Learner()
    loop, _, _ = make_playing_loop(tmp_path, agent, target_score=45.0)
    result = loop.run()
    assert result.reason == "trained"
    assert loop.state is LoopState.DORMANT


class Draws(PlayablePipeline):
    """Returns drawn from one distribution, in training (the mean of four) and in greedy episodes."""

    def __init__(self, draw, seed):
        self.rng = np.random.default_rng(seed)
        self.draw = draw
        super().__init__(lambda k: float(np.mean(draw(self.rng, 4))), lambda: 0.0)

    def play_episodes(self, act, num_episodes, *, seed):
        returns = np.asarray(self.draw(self.rng, num_episodes), np.float64)
        lengths = np.ones(num_episodes, np.int64)
        return EvaluationResult(float(returns.mean()), mean_interval(returns), returns, lengths, num_episodes)


def two_kinds(share, low, high):
    """Return a distribution of ``high``, and with probability ``share`` of ``low``."""
    return lambda rng, count: np.where(rng.random(count) < share, low, high)


def claims_in(num_runs, draw, target, tmp_path, max_episodes=80):
    """Return how many of so many runs end with the target reached, and their results."""
    results = []
    for seed in range(num_runs):
        folder = tmp_path / str(seed)
        loop, _ = make_loop(
            folder, Draws(draw, seed), target_score=target, max_episodes=max_episodes, report_episodes=0
        )
        results.append(loop.run())
    return sum(result.reason == "target" for result in results), results


FALSE = {
    "mean 460 for 475": (two_kinds(0.1, 100.0, 500.0), 475.0),
    "Bernoulli(0.95) for 1": (two_kinds(0.05, 0.0, 1.0), 1.0),
    "mean 490 for 490 and a bit, rare": (two_kinds(0.02, 0.0, 500.0), 490.5),
    "mean 0 for a bit": (lambda rng, count: rng.normal(size=count), 0.05),
    "skewed to the left": (lambda rng, count: -rng.lognormal(0.0, 1.0, count), -1.64),
    "skewed to the right": (lambda rng, count: rng.lognormal(0.0, 1.0, count), 1.66),
}


SLOW = ("Bernoulli(0.95) for 1", "skewed to the right")


@pytest.mark.parametrize("case", [pytest.param(case, marks=[pytest.mark.slow] * (case in SLOW)) for case in FALSE])
def test_it_is_claimed_falsely_in_at_most_one_run_of_twenty(case, tmp_path):
    draw, target = FALSE[case]
    num_claimed, _ = claims_in(40, draw, target, tmp_path)
    assert num_claimed <= 5  # 6 of 40 or more have a probability of 1.4 % at 5 %


TRUE = {
    "always 500 for 475": (lambda rng, count: np.full(count, 500.0), 475.0),
    "at the ceiling": (two_kinds(0.0, 0.0, 1.0), 1.0),
    "hardly ever below the ceiling": (two_kinds(0.0005, 0.0, 1.0), 1.0),
    "mean 499 for 475": (two_kinds(0.0025, 100.0, 500.0), 475.0),
    "mean 1 for 0.5": (lambda rng, count: 1.0 + rng.normal(size=count), 0.5),
}


@pytest.mark.parametrize("case", TRUE)
def test_it_is_claimed_where_it_is_reached(case, tmp_path):
    draw, target = TRUE[case]
    num_claimed, results = claims_in(10, draw, target, tmp_path)
    assert num_claimed >= 8
    assert np.mean([result.windows for result in results]) < 40


def test_a_claims_episodes_are_booked_as_report(tmp_path):
    num_claimed, (result,) = claims_in(1, *TRUE["at the ceiling"], tmp_path)
    assert num_claimed == 1
    assert result.env_steps["evaluation"] <= 20
    assert 60 <= result.env_steps["report"] <= 300


def test_what_a_run_has_seen_makes_a_ceiling_and_a_width(tmp_path):
    """Equal returns of 500 do not show 499.9 where episodes of 0 were seen; nor do they where 501 was seen."""

    class Falls(Draws):
        def play_episodes(self, act, num_episodes, *, seed):
            result = super().play_episodes(act, num_episodes, seed=seed)
            if len(self.seeds_played) == 0:
                self.seeds_played.append(seed)
                returns = np.where(np.arange(num_episodes) < 2, 0.0, 501.0)
                return EvaluationResult(float(returns.mean()), (0.0, 501.0), returns, result.lengths, num_episodes)
            return result

    def ended(target):
        pipeline = Falls(lambda rng, count: np.full(count, 500.0), 0)
        return make_loop(tmp_path / str(target), pipeline, target_score=target, max_episodes=60)[0].run()

    assert ended(499.9).reason != "target"
    result = ended(450.0)
    assert result.reason == "target"
    low, high = result.confirmed_interval
    assert low == pytest.approx(500 - (1 - 0.05 ** (1 / 100)) * 500)
    assert high == pytest.approx(500 + (1 - 0.05 ** (1 / 100)) * 1)
