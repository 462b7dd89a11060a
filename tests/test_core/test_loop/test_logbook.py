"""What a run's logbook holds: champions, trials, alarms with their causes, and where the time went."""

import os

import numpy as np
import pytest
from logged_runs import crashed_and_resumed, make_optimizer
from loop_fakes import make_loop
from resume_fakes import LinearAgent

from tensor_optix import LoopCallback
from tensor_optix.core.loop.logbook import Logbook
from tensor_optix.core.loop.stopwatch import GREEDY, LEARNING, STEPPING
from tensor_optix.core.storage.logbook_file import LOGBOOK_FILE, read_entries


def of_kind(entries, kind):
    return [entry for entry in entries if entry["kind"] == kind]


class Decisions(LoopCallback):
    def __init__(self):
        self.seen = []

    def on_decision(self, kind, facts):
        self.seen.append((kind, dict(facts)))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    optimizer = make_optimizer(tmp_path_factory.mktemp("whole"))
    return optimizer.run(), read_entries(optimizer.run_dir)[0]


def test_times_rise_with_the_windows_and_end_with_the_run(whole):
    result, entries = whole
    assert entries[0]["kind"] == "began"
    assert entries[-1]["kind"] == "ended"
    assert entries[-1]["windows"] == result.windows
    assert entries[-1]["env_steps"] == result.env_steps["training"]
    assert entries[-1]["seconds"] == pytest.approx(result.seconds, abs=0.01)
    seconds = [entry["seconds"] for entry in entries]
    assert seconds == sorted(seconds)


def test_time_that_is_told_is_no_more_than_there_was(whole):
    result, entries = whole
    spent = entries[-1]["spent"]
    assert set(spent) == {STEPPING, LEARNING, GREEDY}
    assert 0 < sum(spent.values()) <= result.seconds
    assert spent[STEPPING] > 0
    assert spent[GREEDY] > 0, "the report's"


def test_the_champion_is_there_with_its_score(whole):
    result, entries = whole
    champion = of_kind(entries, "champion")[-1]
    assert champion["snapshot"] == result.champion.snapshot_id
    assert champion["score"] == result.champion.eval_metrics.primary_score


def test_a_resumed_run_tells_each_window_once(tmp_path, save_at_every_barrier):
    result = crashed_and_resumed(tmp_path, list)
    entries, _ = read_entries(tmp_path / "run-0001")
    assert len(of_kind(entries, "began")) == 2
    windows = [entry["windows"] for entry in of_kind(entries, "time")]
    assert windows == sorted(windows)
    assert entries[-1]["windows"] == result.windows


def test_hyperparameters_that_change_are_told_with_what_they_are_now(tmp_path):
    optimizer = make_optimizer(tmp_path, optimizer=None, agent=LinearAgent(), max_env_steps=None, max_episodes=1)
    optimizer.run()
    book = Logbook()
    book.on_run_start(optimizer._controller.parts.view)
    arrays = {"same": 1.0, "arrays": np.zeros(2)}
    book.on_hyperparam_update({"x": 1.0, **arrays}, {"x": 2.0, **arrays, "arrays": np.ones(2)})
    last = read_entries(optimizer.run_dir)[0][-1]
    assert (last["kind"], last["values"]) == ("hyperparameters", {"x": 2.0, "arrays": [1.0, 1.0]})


def test_a_loop_without_a_folder_keeps_none(tmp_path):
    make_loop(tmp_path, [3.0, 6.0])[0].run()
    assert not list(tmp_path.rglob(LOGBOOK_FILE))


def test_a_logbook_that_cannot_be_written_stops_nothing_and_is_told_once(tmp_path, caplog):
    optimizer = make_optimizer(tmp_path, max_env_steps=None, max_episodes=4)
    os.symlink(tmp_path / "elsewhere", optimizer.run_dir / LOGBOOK_FILE)
    assert optimizer.run().windows == 4
    assert caplog.text.count("cannot be written to") == 1
    assert not (tmp_path / "elsewhere").exists()
