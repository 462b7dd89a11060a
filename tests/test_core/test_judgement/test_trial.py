"""One bold step from a plateau: how long it lasts, and what it does to the end."""

from types import SimpleNamespace

import pytest
from loop_fakes import Learner, make_playing_loop

from tensor_optix import BackoffScheduler, EvalMetrics, HyperparamSet
from tensor_optix.core.judgement.trial import TRIAL_LOOKS, TRIAL_SHARE, BoldTrial

METRICS = EvalMetrics(5.0, {}, 0)


class Agent:
    explores = False

    def __init__(self):
        self.params = HyperparamSet({"x": 1.0}, 0)

    def bold_hyperparams(self):
        return HyperparamSet({"x": 9.0}, 0)

    def get_hyperparams(self):
        return self.params

    def set_hyperparams(self, params):
        self.params = params


class Incumbent:
    def __init__(self, agent):
        self.agent = agent
        self.crown("first")

    def crown(self, snapshot_id):
        self.snapshot = SimpleNamespace(snapshot_id=snapshot_id, eval_metrics=SimpleNamespace(primary_score=5.0))

    def bring_back(self, go_on_with=None):
        self.agent.set_hyperparams(go_on_with or HyperparamSet({"x": 1.0}, 0))


@pytest.fixture
def parts():
    agent, judge = Agent(), SimpleNamespace(num_looks=100)
    scheduler, incumbent = BackoffScheduler(plateau_threshold=2, dormant_threshold=6), Incumbent(agent)
    for _ in range(2):
        scheduler.record_non_improvement()
    return BoldTrial(agent, incumbent, judge, scheduler, ask=lambda name: False), judge, incumbent, scheduler


@pytest.mark.parametrize(("num_looks", "expected"), [(10, TRIAL_LOOKS), (400, round(400 * TRIAL_SHARE))])
def test_it_lasts_in_proportion_to_what_came_before(parts, num_looks, expected):
    trial, judge, _, _ = parts
    judge.num_looks = num_looks
    trial.begin(METRICS)
    looks = 0
    while trial.is_running:
        trial.count_look(METRICS)
        looks += 1
    assert looks == expected


def test_it_begins_while_cooling_only(parts):
    trial, _, _, scheduler = parts
    scheduler.record_improvement(6.0)
    trial.begin_when_free(METRICS)
    assert not trial.is_running


def test_the_end_waits_for_it(parts):
    trial, _, _, scheduler = parts
    trial.begin(METRICS)
    for _ in range(3):
        assert not trial.is_waited_for
        scheduler.record_non_improvement()
    assert trial.is_waited_for, "the next look would be the sixth, and the last"
    trial.settle(METRICS)
    assert not trial.is_waited_for


@pytest.mark.parametrize(("paid", "left"), [(False, 3), (True, 0)])
def test_one_that_paid_puts_the_end_off(parts, paid, left):
    trial, _, incumbent, scheduler = parts
    scheduler.record_non_improvement()
    trial.begin(METRICS)
    if paid:
        incumbent.crown("second")
    trial.settle(METRICS)
    assert scheduler.consecutive_non_improvements == left


class TestTrial:
    def run(self, tmp_path, bold_ceiling):
        agent = Learner()
        agent.bold = HyperparamSet({"x": 99.0}, 0)
        learn = agent.learn

        def learn_bolder(window):
            agent.ceiling = bold_ceiling if agent.hyperparams.params["x"] == 99.0 else 40.0
            return learn(window)

        agent.learn = learn_bolder
        loop, recorder, _ = make_playing_loop(tmp_path, agent, max_episodes=2000)
        return loop.run(), recorder, agent

    def test_a_trial_that_does_not_pay_is_taken_back(self, tmp_path):
        result, recorder, agent = self.run(tmp_path, bold_ceiling=40.0)
        updates = recorder.arguments("on_hyperparam_update")
        assert ({"x": 1.0}, {"x": 99.0}) in updates
        assert ({"x": 99.0}, {"x": 1.0}) in updates
        assert agent.hyperparams.params == {"x": 1.0}
        assert result.reason == "trained"

    def test_a_trial_that_pays_is_kept(self, tmp_path):
        result, _, agent = self.run(tmp_path, bold_ceiling=60.0)
        assert agent.hyperparams.params == {"x": 99.0}
        assert result.report.mean > 55
