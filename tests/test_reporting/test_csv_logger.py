import csv

import numpy as np
import pytest
from logged_runs import RowKeeper, crashed_and_resumed, make_optimizer

from tensor_optix.exceptions import CheckpointError, InvalidTypeError
from tensor_optix.reporting.csv_logger import CSVLogger

CLOCK = ("time/fps", "time/time_elapsed")
SINCE_THE_PROCESS_BEGAN = ("rollout/ep_rew_mean", "rollout/ep_len_mean")


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_window_is_a_row_in_the_runs_folder(tmp_path):
    keeper = RowKeeper()
    optimizer = make_optimizer(tmp_path, ["csv", keeper])
    optimizer.run()
    rows = read(optimizer.run_dir / "progress.csv")
    assert [float(row["time/total_timesteps"]) for row in rows] == [row["env_steps"] for row in keeper.rows]
    assert len(rows) > 20
    assert float(rows[-1]["train/loss"]) == keeper.rows[-1]["loss"]


def test_means_are_over_the_latest_hundred_episodes(tmp_path):
    keeper = RowKeeper()
    optimizer = make_optimizer(tmp_path, [CSVLogger(tmp_path / "log.csv"), keeper])
    optimizer.run()
    returns = np.concatenate([window.completed_returns for window in keeper.windows])
    assert len(returns) > 100
    assert float(read(tmp_path / "log.csv")[-1]["rollout/ep_rew_mean"]) == pytest.approx(returns[-100:].mean())


def test_a_column_that_comes_later_is_empty_above(tmp_path):
    logger = CSVLogger(tmp_path / "log.csv")
    optimizer = make_optimizer(tmp_path, [logger, Late()])
    optimizer.run()
    column = [row["eval/mean_reward"] for row in read(tmp_path / "log.csv")]
    assert column[:6] == [""] * 6
    assert column[6] == "41.5"
    assert set(column[7:]) == {""}


class Late(RowKeeper):
    def on_window(self, row, window):
        if row["window"] == 5:
            self.run.publish(**{"eval/mean_reward": 41.5})


def test_a_resumed_run_doubles_nothing_and_loses_nothing(tmp_path, save_at_every_barrier):
    make_optimizer(tmp_path / "whole", ["csv"]).run()
    crashed_and_resumed(tmp_path / "crashed", lambda: ["csv"])
    whole, resumed = (read(tmp_path / name / "run-0001" / "progress.csv") for name in ("whole", "crashed"))
    ignored = {*CLOCK, *SINCE_THE_PROCESS_BEGAN}
    for rows in (whole, resumed):
        rows[:] = [{key: value for key, value in row.items() if key not in ignored} for row in rows]
    assert resumed == whole


def test_a_second_run_goes_on_in_the_same_file(tmp_path):
    optimizer = make_optimizer(tmp_path, ["csv"], max_env_steps=None, max_episodes=4)
    optimizer.run()
    optimizer.run()
    rows = read(optimizer.run_dir / "progress.csv")
    assert [float(row["time/iterations"]) for row in rows] == [*range(1, 9)]


def test_an_earlier_file_of_another_run_is_replaced(tmp_path):
    for _ in range(2):
        make_optimizer(tmp_path, [CSVLogger(tmp_path / "log.csv")], max_env_steps=None, max_episodes=3).run()
    assert len(read(tmp_path / "log.csv")) == 3


def test_a_row_cut_off_by_a_crash_is_dropped(tmp_path):
    path = tmp_path / "log.csv"
    optimizer = make_optimizer(tmp_path, [CSVLogger(path)], max_env_steps=None, max_episodes=4)
    optimizer.run()
    path.write_text(path.read_text()[:-9])
    optimizer.run()
    assert [float(row["time/iterations"]) for row in read(path)] == [1, 2, 3, 5, 6, 7, 8]


def test_it_is_refused_where_nothing_can_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="Not a directory"):
        CSVLogger(tmp_path / "file" / "log.csv")
    with pytest.raises(InvalidTypeError, match="path"):
        CSVLogger(3)
