"""What a run has used, and whether there is room for more."""

import json

import pytest

from tensor_optix.core.budget import Budget, Ledger


def ledger_after(*windows, max_windows=None, max_env_steps=None):
    ledger = Ledger(max_windows, max_env_steps)
    for env_steps in windows:
        ledger.count_window(env_steps)
    return ledger


def test_the_report_is_not_part_of_the_budget():
    ledger = ledger_after(100, 100, max_env_steps=500)
    ledger.steps["evaluation"] += 50
    ledger.steps["report"] += 1000
    assert ledger.budgeted_steps == 250
    assert ledger.steps_left == 250
    assert ledger.used == Budget(2, 250)


def test_without_a_limit_there_is_always_room():
    ledger = ledger_after(100)
    assert ledger.steps_left is None
    assert ledger.affords(10**12)
    assert not ledger.may_end_within(10**12)
    assert not ledger.windows_are_used


def test_windows_run_out():
    ledger = ledger_after(10, 10, max_windows=2)
    assert ledger.windows_are_used
    assert ledger.may_end_within(0)


def test_who_could_not_afford_something_was_decided_by_the_budget():
    ledger = ledger_after(100, max_env_steps=150)
    assert ledger.affords(50)
    assert not ledger.has_decided
    assert not ledger.affords(51)
    assert ledger.affords(1)
    assert ledger.has_decided


@pytest.mark.parametrize(("limits", "ends"), [({"max_windows": 5}, 30), ({"max_env_steps": 50}, 30)])
def test_the_end_may_come_within_some_steps(limits, ends):
    ledger = ledger_after(10, 10, **limits)
    assert not ledger.may_end_within(ends - 1)
    assert ledger.may_end_within(ends)


def test_a_second_run_has_a_budget_of_its_own_and_the_totals_go_on():
    ledger = ledger_after(100, 100, max_windows=2, max_env_steps=200)
    assert ledger.windows_are_used
    ledger.start_run()
    assert not ledger.windows_are_used
    assert ledger.steps_left == 200
    ledger.count_window(100)
    assert ledger.windows == 3
    assert ledger.steps["training"] == 300
    assert ledger.used == Budget(1, 100)


def test_an_interrupted_run_goes_on_with_the_rest_of_its_budget():
    one = ledger_after(100, max_env_steps=250)
    one.start_run()
    one.count_window(100)
    one.affords(1000)
    other = Ledger(None, 250)
    other.load_state_dict(json.loads(json.dumps(one.state_dict())))
    assert other.steps_left == one.steps_left == 150
    assert other.used == one.used == Budget(1, 100)
    assert other.has_decided
    assert other.seconds == pytest.approx(one.seconds, abs=0.5)


def test_a_run_that_is_over_leaves_its_totals():
    ledger = Ledger(None, None)
    ledger.go_on_from({"training": 500, "unknown": 3}, windows=5, seconds=1.5)
    assert ledger.steps == {"training": 500, "evaluation": 0, "diagnosis": 0, "report": 0}
    assert (ledger.windows, ledger.seconds) == (5, pytest.approx(1.5, abs=0.5))


@pytest.mark.parametrize(
    ("now", "earlier", "used", "expected"),
    [
        (Budget(20, None), Budget(10, None), Budget(10, 1000), True),
        (Budget(None, None), Budget(10, None), Budget(10, 1000), True),
        (Budget(10, None), Budget(10, None), Budget(10, 1000), False),
        (Budget(5, None), Budget(10, None), Budget(10, 1000), False),
        (Budget(20, 1000), Budget(10, None), Budget(10, 1000), False),
        (Budget(20, 1001), Budget(10, None), Budget(10, 1000), True),
        (Budget(20, None), Budget(None, 1000), Budget(10, 1000), True),
        (Budget(10, None), Budget(None, None), Budget(3, 300), False),
    ],
)
def test_a_larger_budget_lets_a_run_go_on(now, earlier, used, expected):
    assert now.allows_more_than(earlier, used) is expected
