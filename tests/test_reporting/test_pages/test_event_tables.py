"""Tables of what happened: champions, trials, alarms with causes and rollbacks."""

import re

import pytest
from written_runs import write_run

from tensor_optix.reporting.pages.event_tables import alarm_table, champion_table, trial_table
from tensor_optix.reporting.run import Run


def rows_of(table):
    rows = re.findall(r"<tr>(.*?)</tr>", table)
    return [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row) for row in rows][1:]


@pytest.fixture
def run(tmp_path):
    def make(*entries, **given):
        return Run.load(write_run(tmp_path, [1.0] * 30, entries=entries, **given))

    return make


def test_training_and_greedy_figures_of_champions_are_told_apart(run):
    made = run(
        {"kind": "champion", "windows": 3, "window": 2, "score": 90.0},
        {"kind": "champion", "windows": 9, "window": 8, "score": 80.0, "greedy_mean": 85.5, "greedy_episodes": 20},
    )
    assert rows_of(champion_table(made)) == [
        ["2", "300", "3.0", "90.00", "none played yet"],
        ["8", "900", "9.0", "80.00", "85.50 (20 episodes)"],
        ["report", "", "", "", "11.00 (3 episodes)"],
    ]


def test_trials_and_challenges_are_told_with_their_outcomes(run):
    made = run(
        {"kind": "challenge", "windows": 5, "episodes": 10, "challenger": 7.0, "champion": 6.5, "is_won": True},
        {"kind": "trial", "windows": 12, "hyperparams": {"learning_rate": 0.01, "gamma": 0.99}},
        {"kind": "trial over", "windows": 20, "is_kept": False},
    )
    rows = rows_of(trial_table(made))
    assert [row[3] for row in rows] == ["challenge", "trial begins", "trial ends"]
    assert rows[0][4:] == ["10 greedy episodes each: challenger 7.00, champion 6.50", "won: new champion"]
    assert rows[1][4] == "learning_rate = 0.01", "gamma is what it was"
    assert rows[2][5] == "taken back"


def test_alarms_are_told_with_their_causes_and_answers(run):
    made = run(
        {"kind": "alarm", "windows": 4, "window": 3, "score": 2.0},
        {"kind": "cause", "windows": 6, "cause": "policy damaged"},
        {"kind": "rollback", "windows": 6},
        {"kind": "alarm", "windows": 10, "window": 9, "score": 3.0},
        {"kind": "cause", "windows": 11, "cause": "world changed"},
        {"kind": "alarm", "windows": 15, "window": 14, "score": 1.0},
        {"kind": "cause", "windows": 16, "cause": "false alarm"},
        {"kind": "alarm", "windows": 20, "window": 19, "score": 0.5},
        {"kind": "undone", "windows": 25, "window": 24, "problem": "loss is NaN"},
    )
    rows = rows_of(alarm_table(made))
    assert [row[3:] for row in rows] == [
        ["2.00", "policy damaged", "rolled back to the champion"],
        ["3.00", "world changed", "old best voided, learning goes on"],
        ["1.00", "false alarm", "none: slower to cry from now on"],
        ["0.50", "not looked for", "learning goes on"],
        ["-", "update gave NaN or infinity", "undone: loss is NaN"],
    ]


def test_nothing_happened_no_table(run):
    made = run()
    assert alarm_table(made) == trial_table(made) == ""


def test_a_run_without_a_logbook_tells_what_its_history_does(run):
    made = run(has_logbook=False, alarm=[None] * 9 + [True] + [None] * 20)
    assert rows_of(alarm_table(made)) == [["-", "1,000", "-", "-", "not known", "not known"]]


def test_of_many_events_the_latest_are_shown(run):
    entries = [{"kind": "undone", "windows": 1 + i % 30, "window": i, "problem": str(i)} for i in range(100)]
    made = run(*entries)
    assert "The latest 40 of 100." in alarm_table(made)
    assert len(rows_of(alarm_table(made))) == 40
