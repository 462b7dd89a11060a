import pytest
from logged_runs import RowKeeper, make_optimizer
from results import result

from tensor_optix.exceptions import CheckpointError
from tensor_optix.reporting.shared.row_logger import RowLogger, result_values


class Kept(RowLogger):
    def __init__(self, every_seconds=0.0, fails_in=""):
        super().__init__(every_seconds)
        self.rows, self.calls, self.fails_in = [], [], fails_in

    def open(self, run):
        self._call("open")

    def write(self, env_steps, values):
        self._call("write")
        self.rows.append((env_steps, values))

    def finish(self, result):
        self._call("finish")

    def close(self):
        self._call("close")

    def _call(self, name):
        self.calls.append(name)
        if name == self.fails_in:
            raise CheckpointError("the disk is full")


def test_every_window_is_written_then_the_result(tmp_path):
    kept = Kept()
    make_optimizer(tmp_path, [kept], max_env_steps=None, max_episodes=4).run()
    assert kept.calls == ["open", *["write"] * 4, "finish", "close"]
    assert [env_steps for env_steps, _ in kept.rows] == [100, 200, 300, 400]


class Timed(RowKeeper):
    def on_window(self, row, window):
        super().on_window(row, window)
        self.elapsed = [*getattr(self, "elapsed", []), self.run.seconds]


def test_rows_written_together_tell_each_its_own_window_and_time(tmp_path, monkeypatch):
    monkeypatch.setattr("tensor_optix.reporting.shared.row_logger.SECONDS_TOGETHER", 1000.0)
    kept, keeper = Kept(), Timed()
    make_optimizer(tmp_path, [keeper, kept], max_env_steps=None, max_episodes=5).run()
    rows = [values for _, values in kept.rows]
    assert [values["time/iterations"] for values in rows] == [1, 2, 3, 4, 5]
    assert [values["time/time_elapsed"] for values in rows] == pytest.approx(keeper.elapsed, abs=0.05)


def test_a_logger_with_an_interval_writes_the_last_window_all_the_same(tmp_path):
    kept = Kept(every_seconds=1000.0)
    make_optimizer(tmp_path, [kept], max_env_steps=None, max_episodes=6).run()
    assert [env_steps for env_steps, _ in kept.rows] == [100, 600]


class Publisher(RowKeeper):
    def on_window(self, row, window):
        if row["window"] == 2:
            self.run.publish(**{"eval/mean_reward": 7.0})


@pytest.mark.parametrize("is_first", [True, False])
def test_what_is_published_is_in_one_row_wherever_the_callback_stands(tmp_path, is_first):
    kept, publisher = Kept(), Publisher()
    callbacks = [publisher, kept] if is_first else [kept, publisher]
    make_optimizer(tmp_path, callbacks, max_env_steps=None, max_episodes=6).run()
    assert [i for i, (_, values) in enumerate(kept.rows) if "eval/mean_reward" in values] == [2 if is_first else 3]


@pytest.mark.parametrize(("where", "num_writes"), [("open", 0), ("write", 1)])
def test_one_that_cannot_write_says_so_once_and_is_off(tmp_path, caplog, where, num_writes):
    kept = Kept(fails_in=where)
    outcome = make_optimizer(tmp_path, [kept], max_env_steps=None, max_episodes=4).run()
    assert kept.calls.count("write") == num_writes
    assert caplog.text.count("the disk is full") == 1
    assert f"Kept could not {where} and is off: CheckpointError: the disk is full" in outcome.notes


def test_a_result_as_numbers():
    values = result_values(result())
    assert values["result/mean"] == 497.25
    assert (values["result/interval_low"], values["result/interval_high"]) == (493.5, 499.0)
    assert values["result/env_steps_training"] == 90_000
