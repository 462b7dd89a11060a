import json
import logging
import math
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from storage_fakes import read_history

import tensor_optix
from tensor_optix.core.storage.history_file import HistoryFile
from tensor_optix.core.storage.history_lines import line_of
from tensor_optix.exceptions import CheckpointError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "history.jsonl"


def write_rows(path, *rows):
    file = HistoryFile(path)
    for row in rows:
        file.append(row)
    file.close()


def test_rows_come_back_in_order(path):
    write_rows(path, {"window": 0, "score": 1.5}, {"window": 1, "score": math.nan, "n": np.int64(3)})
    write_rows(path, {"window": 2})
    assert read_history(path) == [{"window": 0, "score": 1.5}, {"window": 1, "score": None, "n": 3}, {"window": 2}]


def test_there_are_no_rows_where_there_is_no_file(path):
    assert read_history(path) == []


def test_every_row_is_one_line_of_json(path):
    write_rows(path, {"text": "two\nlines"}, {"inf": math.inf})
    lines = path.read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"text": "two\nlines"}, {"inf": None}]


def test_a_row_is_with_the_system_at_once(path):
    file = HistoryFile(path)
    file.append({"window": 0})
    assert read_history(path) == [{"window": 0}]
    file.close()


@pytest.mark.parametrize("cut", range(1, 15))
def test_a_torn_last_line_is_dropped_and_written_after(path, caplog, cut):
    write_rows(path, {"window": 0}, {"window": 1})
    path.write_bytes(path.read_bytes()[:-cut])
    with caplog.at_level(logging.WARNING):
        assert read_history(path) in ([{"window": 0}], [])
        write_rows(path, {"window": 9})
    assert [row["window"] for row in read_history(path)] in ([0, 9], [9])
    if cut not in (14,):  # the line is 14 bytes: without it nothing is torn
        assert "torn by a crash" in caplog.text


def test_lines_that_are_not_whole_are_left_out_of_the_latest_and_end_what_is_gone_on_from(path):
    rows = [{"window": n, "state": "active", "env_steps": 10 * n, "score": 1.0, "champion": None} for n in range(3)]
    first, second, third = (line_of(row) for row in rows)
    path.write_bytes(first + second + b'{"a": \n\xff\xfe\n[1]\n{"a": NaN}\n' + third)
    file = HistoryFile(path)
    assert file.latest().columns()["env_steps"] == [0, 10, 20]
    assert (file.rows().num_rows, file.rows().last_window) == (2, 1)
    file.close()


def test_bytes_without_any_line_end_do_not_swallow_the_next_row(path):
    path.write_bytes(b"x" * (3 * 2**20))
    write_rows(path, {"a": 1})
    assert read_history(path) == [{"a": 1}]


def test_a_full_disk_loses_no_row_once_there_is_room_again(path, caplog):
    file = HistoryFile(path)
    file.append({"window": 0})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, hard))  # room for half a row
    try:
        with caplog.at_level(logging.ERROR):
            for window in range(1, 50):
                file.append({"window": window})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caplog.text.count("File too large. Its rows wait in memory") == 1
    file.append({"window": 50})
    file.close()
    assert [row["window"] for row in read_history(path)] == list(range(51))


def test_what_cannot_be_a_history_is_refused(tmp_path):
    (tmp_path / "outside").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "outside")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CheckpointError, match=r"Could not open .*link"):
        HistoryFile(tmp_path / "link")
    with pytest.raises(CheckpointError, match=r"Could not read the end of .*pipe"):
        HistoryFile(tmp_path / "pipe")
    with pytest.raises(CheckpointError, match="Could not open"):
        HistoryFile(tmp_path / "nowhere" / "history")
    assert (tmp_path / "outside").read_text() == "precious"


def test_it_is_put_on_the_disk_about_once_a_second(path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(time.monotonic()))
    file = HistoryFile(path)
    clock = [time.monotonic()]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    for _ in range(40):
        clock[0] += 0.1
        file.append({})
    assert 3 <= len(synced) <= 4
    file.close()
    file.close()


WRITER = """
import sys
from pathlib import Path
from tensor_optix.core.storage.history_file import HistoryFile
file = HistoryFile(Path(sys.argv[1]))
for window in range(10**9):
    file.append({"window": window})
    print(window, flush=True)
"""


def test_kill_9_loses_no_row_that_was_appended(path):
    home = Path(tensor_optix.__file__).parents[1]
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], cwd=home, stdout=subprocess.PIPE, text=True)
    said = [int(writer.stdout.readline()) for _ in range(500)]
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    windows = [row["window"] for row in read_history(path)]
    assert windows == list(range(len(windows)))
    assert len(windows) >= said[-1] + 1


class TestRowsThatAreMadeAgain:
    @staticmethod
    def old(path, count=6):
        write_rows(path, *({"window": window, "score": 1} for window in range(count)))
        return path.read_bytes()

    def test_the_same_rows_change_nothing_and_later_ones_follow(self, path):
        before = self.old(path)
        file = HistoryFile(path)
        assert file.rewind(3, 2).num_rows == 3
        for window in range(3, 6):
            assert path.read_bytes() == before
            file.append({"window": window, "score": 1})
        file.append({"window": 6, "score": 1})
        file.close()
        assert path.read_bytes().startswith(before)
        assert [row["window"] for row in read_history(path)] == list(range(7))

    def test_other_rows_wait_beside_until_there_are_as_many(self, path):
        before = self.old(path)
        file = HistoryFile(path)
        file.rewind(3, 2)
        for window in (3, 4):
            file.append({"window": window, "score": 2})
            assert path.read_bytes() == before
        file.append({"window": 5, "score": 2})
        file.sync()
        assert [row["score"] for row in read_history(path)] == [1, 1, 1, 2, 2, 2]
        file.append({"window": 6, "score": 2})
        file.close()
        assert [row["window"] for row in read_history(path)] == list(range(7))
        assert [p.name for p in path.parent.iterdir()] == [path.name]

    @pytest.mark.parametrize("num_rows", [2, 3, 4, 5])
    def test_a_crash_in_between_is_gone_on_from_on_either_side(self, path, num_rows):
        before = self.old(path)
        file = HistoryFile(path)
        file.rewind(3, 2)
        for window in (3, 4):
            file.append({"window": window, "score": 2})
        file.close()
        assert path.read_bytes() == before
        again = HistoryFile(path)
        rows = again.rewind(num_rows, num_rows - 1)
        assert rows.history.columns()["score"] == [1, 1, 1, 2, 2][:num_rows]
        for window in range(num_rows, 8):
            again.append({"window": window, "score": 1 if window < 3 else 2})
        again.close()
        assert [row["score"] for row in read_history(path)] == [1, 1, 1, 2, 2, 2, 2, 2]

    def test_a_run_that_ends_earlier_keeps_the_old_rows_beside(self, path):
        before = self.old(path)
        file = HistoryFile(path)
        file.rewind(3, 2)
        file.append({"window": 3, "score": 2})
        file.settle()
        file.close()
        assert [row["score"] for row in read_history(path)] == [1, 1, 1, 2]
        assert path.with_name("history.superseded.jsonl").read_bytes() == before
