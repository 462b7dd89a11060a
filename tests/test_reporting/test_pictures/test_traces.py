"""Traces of hyperparameters and losses: the values of the history, and the steps of the logbook."""

import numpy as np
from written_runs import write_run

from tensor_optix.reporting.pictures.traces import diagnostic_series, hyperparameter_series, traces
from tensor_optix.reporting.run import Run


def test_what_learning_steers_is_read_off_the_history(tmp_path):
    run = Run.load(write_run(tmp_path, [1.0, 2.0, 3.0], learning_rate=[0.1, 0.2, 0.4], epsilon=[1.0, None, 0.5]))
    series = hyperparameter_series(run, run.history)
    assert series["learning_rate"][1].tolist() == [0.1, 0.2, 0.4]
    assert series["epsilon"][0].tolist() == [100.0, 300.0]
    assert "gamma" not in series, "it never changed"


def test_what_the_loop_changed_is_read_off_the_logbook_as_steps(tmp_path):
    entries = [{"kind": "hyperparameters", "windows": 2, "values": {"gamma": 0.9}}]
    run = Run.load(write_run(tmp_path, [1.0, 2.0, 3.0, 4.0], entries=entries))
    steps, values = hyperparameter_series(run, run.history)["gamma"]
    assert steps.tolist() == [0.0, 200.0, 200.0, 400.0]
    assert values.tolist() == [0.99, 0.99, 0.9, 0.9]


def test_losses_come_first_and_what_the_loop_writes_is_none(tmp_path):
    run = Run.load(write_run(tmp_path, [1.0, 2.0], entropy=[0.6, 0.5], learning_rate=[0.1, 0.2], value_loss=[3.0, 2.0]))
    series = diagnostic_series(run, run.history)
    assert list(series) == ["loss", "value_loss", "entropy"]
    np.testing.assert_array_equal(series["value_loss"], [[100.0, 200.0], [3.0, 2.0]])


def test_texts_and_nan_in_a_history_are_passed_over(tmp_path):
    run = Run.load(write_run(tmp_path, [1.0, 2.0, 3.0], odd=["a", None, True], gone=[None, None, 1.0]))
    assert list(diagnostic_series(run, run.history)) == ["loss"]


def test_each_series_has_its_small_picture():
    series = {f"number {i}": (np.arange(5.0), np.arange(5.0)) for i in range(4)}
    picture = traces("losses", "text", series)
    assert picture.wide[:4] == b"\x89PNG"
    assert traces("losses", "text", {}) is None
