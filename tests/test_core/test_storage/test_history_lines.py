"""Columns of a history file, read without parsing what is not asked for."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tensor_optix.core.run_result import History
from tensor_optix.core.storage.history_file import HistoryFile
from tensor_optix.core.storage.history_lines import RowsRead, last_row, line_of, read_columns
from tensor_optix.exceptions import CheckpointError


def row_of(window: int, **more: Any) -> dict[str, Any]:
    row = {"window": window, "state": "active", "env_steps": 200 * window, "score": window / 3, "champion": 7.5}
    return {**row, **more, **{f"diagnostic_{i}": window / (i + 1) for i in range(10)}}


def write(path: Path, *rows: dict[str, Any]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.jsonl"


def test_columns_are_those_of_the_rows(path: Path) -> None:
    rows = [row_of(0, score=None, champion=None), row_of(1, alarm=True), row_of(2, state="dormant", score=-1.5e-7)]
    write(path, *rows)
    columns = read_columns(path)
    assert columns["env_steps"].tolist() == [0, 200, 400]
    assert columns["state"].tolist() == ["active", "active", "dormant"]
    assert columns["alarm"].tolist() == [False, True, False]
    np.testing.assert_array_equal(columns["score"], [math.nan, 1 / 3, -1.5e-7])
    np.testing.assert_array_equal(columns["champion"], [math.nan, 7.5, 7.5])


def test_rows_that_are_written_otherwise_are_parsed(path: Path) -> None:
    rows = [dict(reversed(row_of(window, alarm=window == 1).items())) for window in range(3)]
    write(path, *rows)
    columns = read_columns(path)
    assert columns["score"].tolist() == [0, 1 / 3, 2 / 3]
    assert columns["alarm"].tolist() == [False, True, False]


def test_what_is_no_row_is_left_out_and_counted(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(path, row_of(0), row_of(1, state="odd"), {"window": 2}, row_of(3, env_steps=None), row_of(4, env_steps="7"))
    whole = path.read_bytes()
    path.write_bytes(whole + b"\xff\n[1]\n" + b"x" * (3 * 2**20) + b"\n" + whole[:30])
    with caplog.at_level(logging.WARNING):
        assert read_columns(path)["env_steps"].tolist() == [0]
    assert "lines of" in caplog.text


@pytest.mark.parametrize("number", ["1e999", "1" + "0" * 400, "NaN", "true"])
def test_numbers_that_are_none_are_missing(path: Path, number: str) -> None:
    line = json.dumps(row_of(0, score="X", champion=1.0)) + "\n"
    path.write_text(line.replace('"X"', number) + json.dumps(row_of(1)) + "\n", encoding="utf-8")
    columns = read_columns(path)
    assert columns["env_steps"].tolist()[-1] == 200
    assert np.isnan(columns["score"][:-1]).all()


def test_an_empty_file_has_empty_columns(path: Path) -> None:
    path.touch()
    assert {len(column) for column in read_columns(path).values()} == {0}


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="Could not read"):
        read_columns(tmp_path)


def test_a_long_history_costs_little(path: Path) -> None:
    """A million lines take 3 s and 100 MB on a quiet machine; here there is room for whatever else a machine does."""
    num_rows = 20_000
    write(path, *map(row_of, range(num_rows)))
    seconds = min(seconds_of(path) for _ in range(3))
    tracemalloc.start()
    read_columns(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    fixed_bytes = 8 * 2**20  # a block of lines and its pieces
    assert (peak - fixed_bytes) / num_rows < 150
    assert seconds / num_rows < 15e-6


def seconds_of(path: Path) -> float:
    begin = time.process_time()
    read_columns(path)
    return time.process_time() - begin


class TestGoingOn:
    """What a resumed run has of the rows before it."""

    def rewound(self, path: Path, num_rows: int, last_window: int | None = None) -> RowsRead:
        file = HistoryFile(path)
        rows = file.rewind(num_rows, last_window)
        file.close()
        return rows

    def test_it_is_what_was_recorded(self, path: Path) -> None:
        states = ["active"] * 300 + ["watchdog"] * 900 + ["active"] * 20 + ["watchdog"] * 700
        rows = [row_of(window, state=state, alarm=window == 5) for window, state in enumerate(states)]
        write(path, *rows)
        expected = History()
        for row in rows[:1800]:
            expected.append(row)
        read = self.rewound(path, 1800, 1799)
        assert (read.num_rows, read.last_window) == (1800, 1799)
        assert read.history.columns() == expected.columns()
        assert read.digest.digest() == hashlib.sha256(b"".join(map(line_of, rows[:1800]))).digest()
        for row in (row_of(1800, state="watchdog"), row_of(1801, state="active")):
            expected.append(row)
            read.history.append(row)
        assert read.history.columns() == expected.columns(), "the watch goes on being counted"

    @pytest.mark.parametrize("damage", [b"", b'{"window": 1, "sc\n', b"[1]\n", b"\xff\xfe\n"])
    def test_rows_that_were_lost_are_told_by_their_windows(self, path: Path, damage: bytes) -> None:
        write(path, *map(row_of, range(6)))
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(lines[0] + damage + b"".join(lines[2:]))
        read = self.rewound(path, 4, 3)
        assert read.num_rows == 3
        assert read.history.columns()["window"] == [0, 2, 3]
        assert [row["window"] for row in map(json.loads, path.read_text().splitlines())] == [0, 2, 3]

    def test_a_line_that_only_looks_whole_is_left_out(self, path: Path) -> None:
        write(path, *map(row_of, range(3)))
        path.write_bytes(path.read_bytes().replace(b'"window": 1, "state"', b'"window": 1, state'))
        assert self.rewound(path, 3, 2).history.columns()["window"] == [0, 2]

    def test_a_long_history_costs_little(self, path: Path) -> None:
        num_rows = 40_000
        write(path, *map(row_of, range(num_rows)))
        tracemalloc.start()
        self.rewound(path, num_rows, num_rows - 1)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        begin = time.process_time()
        self.rewound(path, num_rows, num_rows - 1)
        assert peak < 40 * 2**20, "20,000 lines, however many there are"
        assert (time.process_time() - begin) / num_rows < 15e-6


def test_the_last_whole_row_is_read_from_the_end(path: Path) -> None:
    path.write_bytes(b"")
    assert last_row(path) is None
    path.write_bytes(b'{"window": 0}\n{"window": 1}\n{"wind')
    assert last_row(path) == {"window": 1}
    with pytest.raises(CheckpointError, match="Could not read"):
        last_row(path.with_name("nowhere"))
