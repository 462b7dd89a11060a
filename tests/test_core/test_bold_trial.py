"""One bold step from a plateau: how long it lasts, and what it does to the end."""

from types import SimpleNamespace

import pytest

from tensor_optix import BackoffScheduler, HyperparamSet
from tensor_optix.core.judgement.trial import TRIAL_LOOKS, TRIAL_SHARE, BoldTrial


class Agent:
    def __init__(self):
        self.params = HyperparamSet({"x": 1.0}, 0)

    def bold_hyperparams(self):
        return HyperparamSet({"x": 9.0}, 0)

    def get_hyperparams(self):
        return self.params

    def set_hyperparams(self, params):
        self.params = params


class Keeper:
    def __init__(self):
        self.crown("first")

    def crown(self, snapshot_id):
        self.snapshot = SimpleNamespace(snapshot_id=snapshot_id, eval_metrics=SimpleNamespace(primary_score=5.0))

    def restore(self):
        pass


@pytest.fixture
def parts():
    scheduler, keeper = BackoffScheduler(plateau_threshold=2, dormant_threshold=6), Keeper()
    tuning = SimpleNamespace(note_learn=lambda: None, announce=lambda before: None)
    return BoldTrial(Agent(), keeper, tuning, scheduler), keeper, scheduler


@pytest.mark.parametrize(("num_looks", "expected"), [(10, TRIAL_LOOKS), (400, round(400 * TRIAL_SHARE))])
def test_it_lasts_in_proportion_to_what_came_before(parts, num_looks, expected):
    trial, _, _ = parts
    trial.begin(num_looks)
    looks = 1
    while not trial.is_over():
        looks += 1
    assert looks == expected


def test_the_end_waits_for_it(parts):
    trial, _, scheduler = parts
    trial.begin(100)
    for _ in range(5):
        assert not trial.is_waited_for
        scheduler.record_non_improvement()
    assert trial.is_waited_for, "the next look would be the sixth, and the last"
    trial.settle()
    assert not trial.is_waited_for


@pytest.mark.parametrize(("paid", "left"), [(False, 3), (True, 0)])
def test_one_that_paid_puts_the_end_off(parts, paid, left):
    trial, keeper, scheduler = parts
    for _ in range(3):
        scheduler.record_non_improvement()
    trial.begin(10)
    if paid:
        keeper.crown("second")
    trial.settle()
    assert scheduler.consecutive_non_improvements == left
