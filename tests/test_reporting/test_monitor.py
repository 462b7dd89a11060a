import json
import time

import numpy as np
import pytest
from extra_venvs import run_with
from logged_runs import RowKeeper, crashed_and_resumed, make_optimizer
from loop_fakes import make_loop

from tensor_optix.exceptions import CheckpointError
from tensor_optix.reporting.monitor import MonitorCallback


def read(path):
    """Read the file as Stable-Baselines3 documents it."""
    first, columns, *lines = path.read_text().splitlines()
    assert first[0] == "#"
    assert columns == "r,l,t"
    return json.loads(first[1:]), np.array([[float(value) for value in line.split(",")] for line in lines])


@pytest.mark.parametrize("num_envs", [1, 2])
def test_every_training_episode_is_a_row(tmp_path, num_envs):
    keeper = RowKeeper()
    optimizer = make_optimizer(tmp_path, ["monitor", keeper], num_envs=num_envs)
    began = time.time()
    result = optimizer.run()
    header, rows = read(optimizer.run_dir / "0.monitor.csv")
    returns = np.concatenate([window.completed_returns for window in keeper.windows])
    lengths = np.concatenate([window.completed_lengths for window in keeper.windows])
    assert len(rows) > 50
    np.testing.assert_allclose(rows[:, 0], returns)
    np.testing.assert_array_equal(rows[:, 1], lengths)
    assert np.all(np.diff(rows[:, 2]) >= 0)
    assert 0 < rows[-1, 2] <= result.seconds
    assert header["env_id"] == "CartPole-v1"
    assert header["t_start"] == pytest.approx(began, abs=5)


def test_a_resumed_run_doubles_no_episode(tmp_path, save_at_every_barrier):
    make_optimizer(tmp_path / "whole", ["monitor"]).run()
    crashed_and_resumed(tmp_path / "crashed", lambda: ["monitor"])
    (_, whole), (_, resumed) = (read(tmp_path / name / "run-0001" / "0.monitor.csv") for name in ("whole", "crashed"))
    np.testing.assert_array_equal(resumed[:, :2], whole[:, :2])
    assert np.all(np.diff(resumed[:, 2]) >= 0)


def test_a_second_run_goes_on_in_the_same_file(tmp_path):
    keeper = RowKeeper()
    optimizer = make_optimizer(tmp_path, ["monitor", keeper], max_env_steps=None, max_episodes=10)
    optimizer.run()
    optimizer.run()
    _, rows = read(optimizer.run_dir / "0.monitor.csv")
    assert len(rows) == sum(len(window.completed_returns) for window in keeper.windows)


def test_without_a_folder_it_says_that_it_needs_a_path(tmp_path, caplog):
    loop, _ = make_loop(tmp_path, [1.0] * 3, callbacks=[MonitorCallback()])
    result = loop.run()
    assert "Give the callback a path" in caplog.text
    assert any("MonitorCallback could not write" in note for note in result.notes)


def test_a_pipeline_that_tells_of_no_episodes_is_named_once(tmp_path, caplog):
    path = tmp_path / "monitor.csv"
    loop, _ = make_loop(tmp_path, [1.0] * 3, callbacks=[MonitorCallback(path)])
    loop.run()
    assert caplog.text.count("does not tell which episodes ended") == 1
    assert read(path)[1].size == 0


def test_a_link_is_not_written_through(tmp_path, caplog):
    outside = tmp_path / "outside.csv"
    outside.write_text("mine")
    path = tmp_path / "monitor.csv"
    path.symlink_to(outside)
    make_loop(tmp_path, [1.0] * 3, callbacks=[MonitorCallback(path)])[0].run()
    assert outside.read_text() == "mine"
    assert "is a link" in caplog.text


def test_it_is_refused_where_nothing_can_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="Not a directory"):
        MonitorCallback(tmp_path / "file" / "monitor.csv")


READ_BY_SB3 = """
import sys
import numpy as np
from stable_baselines3.common.monitor import load_results
from stable_baselines3.common.results_plotter import X_TIMESTEPS, ts2xy
from logged_runs import RowKeeper, make_optimizer

keeper = RowKeeper()
optimizer = make_optimizer(sys.argv[1], ["monitor", "evaluation", keeper])
optimizer.run()
table = load_results(str(optimizer.run_dir))
returns = np.concatenate([window.completed_returns for window in keeper.windows])
np.testing.assert_allclose(table["r"], returns)
steps, rewards = ts2xy(table, X_TIMESTEPS)
assert len(steps) == len(returns) and steps[-1] == table["l"].sum()
print(len(table))
"""


@pytest.mark.extras
def test_stable_baselines3_reads_it(tmp_path):
    assert int(run_with("sb3", READ_BY_SB3, tmp_path).splitlines()[-1]) > 50
