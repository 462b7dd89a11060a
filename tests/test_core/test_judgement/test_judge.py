"""The loop tells the truth: how often its verdicts are wrong on series whose truth is known.

Fake pipelines drive the real LoopController. The fast tests take a share of the thousand series
that the slow ones run.
"""

import numpy as np
import pytest
from loop_fakes import NoTuning

from tensor_optix import BackoffScheduler, CheckpointRegistry, LoopCallback, LoopController, LoopState
from tensor_optix.core.judgement.judge import Judge
from tensor_optix.core.types import EvalMetrics
from tensor_optix.testing.fakes import RewardEvaluator, ScriptedPipeline, StatefulAgent


class Events(LoopCallback):
    def __init__(self):
        self.plateaus, self.dormant, self.alarms = [], None, 0

    def on_plateau(self, episode_id, state):
        self.plateaus.append(episode_id)

    def on_dormant(self, episode_id):
        self.dormant = episode_id

    def on_degradation(self, episode_id, eval_metrics):
        self.alarms += 1


def run_series(scores, folder):
    events = Events()
    loop = LoopController(
        StatefulAgent(),
        RewardEvaluator(),
        NoTuning(),
        ScriptedPipeline(scores),
        CheckpointRegistry(str(folder)),
        BackoffScheduler(),
        callbacks=[events],
        seed=0,
    )
    return loop.run(), loop, events


def rising_truth(kind, length, rng):
    """A curve from 0 towards 1 whose end is close to 1, and never flat for long before it."""
    t = np.arange(length) / length
    if kind == "linear":
        return t
    if kind == "exponential":
        tau = rng.uniform(0.1, 0.35)
        return (1 - np.exp(-t / tau)) / (1 - np.exp(-1 / tau))
    steepness = rng.uniform(5, 50)
    return np.log1p(steepness * t) / np.log1p(steepness)


def is_false_plateau(truth, window):
    """Called while at least 10 % of the gain so far is still to come."""
    gained, to_come = truth[window] - truth[0], truth[-1] - truth[window]
    return to_come >= 0.1 * gained


def false_plateaus(count, seed, tmp_path, length=300):
    rng = np.random.default_rng(seed)
    wrong = []
    for number in range(count):
        kind = ("linear", "exponential", "logarithmic")[number % 3]
        noise = (0.02, 0.05, 0.1, 0.2, 0.4)[number // 3 % 5]
        scale, offset = 10.0 ** rng.uniform(-2, 3), rng.uniform(-100, 100)
        truth = rising_truth(kind, length, rng)
        scores = offset + scale * (truth + noise * rng.normal(size=length))
        _, _, events = run_series(scores, tmp_path / f"{number}")
        if any(is_false_plateau(truth, window) for window in events.plateaus):
            wrong.append((kind, noise, events.plateaus[0]))
    return wrong


def constant_outcomes(count, seed, tmp_path, length=1000):
    rng = np.random.default_rng(seed)
    outcomes = []
    for number in range(count):
        level = (0.0, 10.0, -10.0, 500.0, -200.0)[number % 5]
        noise = (0.01, 0.3, 1.0, 5.0)[number // 5 % 4]
        result, loop, events = run_series(level + noise * rng.normal(size=length), tmp_path / f"{number}")
        outcomes.append((result.reason, loop.state, events))
    return outcomes


def test_noisy_rising_series_are_not_called_a_plateau_too_soon(tmp_path):
    assert len(false_plateaus(30, seed=1, tmp_path=tmp_path)) <= 1


def test_noisy_constant_series_cool_and_go_dormant_and_rarely_alarm(tmp_path):
    outcomes = constant_outcomes(20, seed=2, tmp_path=tmp_path)
    assert sum(reason == "trained" for reason, _, _ in outcomes) == 0
    assert sum(state is LoopState.DORMANT for _, state, _ in outcomes) >= 18
    assert sum(events.alarms > 0 for _, _, events in outcomes) <= 2
    for _, state, events in outcomes:
        if state is LoopState.DORMANT:
            assert events.plateaus
            assert events.plateaus[-1] <= events.dormant


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("length", [300, 1000])
def test_a_thousand_rising_series(tmp_path, length):
    wrong = false_plateaus(1000, seed=3, tmp_path=tmp_path, length=length)
    assert len(wrong) <= 20, wrong


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_hundred_constant_series(tmp_path):
    outcomes = constant_outcomes(200, seed=4, tmp_path=tmp_path)
    assert sum(reason == "trained" for reason, _, _ in outcomes) <= 2
    assert sum(state is LoopState.DORMANT for _, state, _ in outcomes) >= 180
    assert sum(events.alarms > 0 for _, _, events in outcomes) <= 10


def verdicts_of(judge, scores):
    return [judge.weigh(EvalMetrics(score, {}, window)) for window, score in enumerate(scores)]


@pytest.mark.parametrize("cut", [0, 2, 60, 130])
def test_what_a_judge_knows_comes_back_also_as_it_was_written_before(cut):
    rng = np.random.default_rng(1)
    scores = np.concatenate([np.linspace(0.0, 50.0, 120), np.full(30, 5.0)]) + rng.normal(size=150)
    judge, resumed = Judge(), Judge()
    for verdict, score in zip(verdicts_of(judge, scores[:cut]), scores, strict=False):
        if verdict.improved:
            judge.crown(EvalMetrics(score, {}, 0))
    state = judge.state_dict()
    as_before = {**state, "last_trend": judge.last_trend.name}
    as_before["alarm_level"] = None if np.isnan(state["alarm_level"]) else state["alarm_level"]
    resumed.load_state_dict(as_before)
    assert verdicts_of(resumed, scores[cut:]) == verdicts_of(judge, scores[cut:])
    assert (resumed.last_trend, resumed.level) == (judge.last_trend, judge.level)
