"""The history of a run, in memory."""

from tensor_optix.core.run_result import History


def history_of(states, **options):
    history = History(**options)
    for window, state in enumerate(states):
        history.append({"window": window, "state": state})
    return history.columns()["window"]


def test_columns_are_as_long_as_each_other():
    history = History()
    history.append({"window": 0, "loss": 1.0})
    history.append({"window": 1, "alarm": True})
    assert history.columns() == {"window": [0, 1], "loss": [1.0, None], "alarm": [None, True]}


def test_the_latest_rows_are_kept():
    assert history_of(["active"] * 9, max_rows=4) == [5, 6, 7, 8]


def test_of_each_watch_the_latest_rows_are_kept_and_everything_around_it():
    states = ["active"] * 2 + ["watchdog"] * 6 + ["active"] + ["watchdog"] * 4
    assert history_of(states, max_watched_rows=3) == [0, 1, 5, 6, 7, 8, 10, 11, 12]


def test_without_a_watch_nothing_is_left_out():
    assert history_of(["active", "cooling", "dormant"] * 3, max_watched_rows=1) == list(range(9))
