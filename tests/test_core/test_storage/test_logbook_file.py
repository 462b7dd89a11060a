"""A logbook comes back as it was written, whatever became of the file."""

import os

import pytest

from tensor_optix.core.storage.logbook_file import LOGBOOK_FILE, append_entry, read_entries, try_read_entries
from tensor_optix.exceptions import UnsafeFileError


def entry(kind, windows, **facts):
    return {"kind": kind, "windows": windows, "env_steps": 100 * windows, "seconds": float(windows), **facts}


def test_entries_come_back_in_order(tmp_path):
    written = [entry("began", 0), entry("champion", 1, score=3.5), entry("time", 2)]
    for one in written:
        append_entry(tmp_path, one)
    assert read_entries(tmp_path) == (written, 0)


def test_a_folder_without_one_has_no_entries(tmp_path):
    assert read_entries(tmp_path) == ([], 0)


def test_what_a_resumed_run_made_again_is_told_once(tmp_path):
    for one in (entry("began", 0), entry("time", 1), entry("time", 2), entry("alarm", 3), entry("began", 1)):
        append_entry(tmp_path, one)
    append_entry(tmp_path, entry("time", 2, second=True))
    entries, _ = read_entries(tmp_path)
    assert [(one["kind"], one["windows"]) for one in entries] == [("began", 0), ("time", 1), ("began", 1), ("time", 2)]
    assert entries[-1]["second"]


def test_damaged_lines_are_counted_and_left_out(tmp_path):
    append_entry(tmp_path, entry("began", 0))
    with (tmp_path / LOGBOOK_FILE).open("ab") as file:
        file.write(b'{"kind": "time", "windows": "x"}\n{"kind"\n\xff\xfe\n[1]\n')
    append_entry(tmp_path, entry("time", 1))
    with (tmp_path / LOGBOOK_FILE).open("ab") as file:
        file.write(b'{"kind": "time", "windows": 2, "env')
    assert read_entries(tmp_path) == ([entry("began", 0), entry("time", 1)], 5)


def test_nan_is_written_as_null(tmp_path):
    append_entry(tmp_path, entry("alarm", 1, score=float("nan")))
    assert read_entries(tmp_path)[0][0]["score"] is None


def test_no_link_is_followed(tmp_path):
    (tmp_path / "elsewhere").write_text("")
    (tmp_path / "run").mkdir()
    os.symlink(tmp_path / "elsewhere", tmp_path / "run" / LOGBOOK_FILE)
    with pytest.raises(OSError):
        append_entry(tmp_path / "run", entry("began", 0))
    with pytest.raises(UnsafeFileError):
        read_entries(tmp_path / "run")
    assert try_read_entries(tmp_path / "run") == ([], 0)
