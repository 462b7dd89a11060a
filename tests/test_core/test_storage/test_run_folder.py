import logging
import math
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from storage_fakes import read_history

import tensor_optix
from tensor_optix.core.storage.run_folder import LOCK_FILE, RUN_FILE, RunFolder, is_held, list_runs, read_run_json
from tensor_optix.exceptions import CheckpointError, UnsafeFileError

HOME = Path(tensor_optix.__file__).parents[1]

HOLDER = """
import os, sys, time
from tensor_optix.core.storage.run_folder import RunFolder
run = RunFolder.open(sys.argv[1])
if sys.argv[2] == "with_child" and os.fork() == 0:
    time.sleep(0.7)   # an orphan that inherited the lock, and ends soon after its parent
    os._exit(0)
print("held", os.getpid(), flush=True)
time.sleep(60)
"""


def hold_in_another_process(path, how="alone"):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path), how], cwd=HOME, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline().startswith("held")
    return holder


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_each_run_gets_the_next_free_folder(tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        with RunFolder.create(tmp_path / "new" / "deep") as first:
            pass
        assert "earlier runs" not in caplog.text
        with RunFolder.create(tmp_path / "new" / "deep") as second:
            pass
        assert "earlier runs" in caplog.text
    assert [first.path.name, second.path.name] == ["run-0001", "run-0002"]
    assert first.path.is_absolute()


def test_numbers_go_on_after_the_highest_and_step_over_what_is_in_the_way(tmp_path):
    (tmp_path / "run-0007").mkdir()
    (tmp_path / "run-9").mkdir()
    (tmp_path / "run-0008").write_text("a file")
    with RunFolder.create(tmp_path) as run:
        assert run.path.name == "run-0009"
    (tmp_path / "run-9999").mkdir()
    with RunFolder.create(tmp_path) as run:
        assert run.path.name == "run-10000"
    assert [path.name for path in list_runs(tmp_path)] == ["run-0007", "run-0009", "run-9999", "run-10000"]


def test_older_runs_are_never_touched(tmp_path):
    with RunFolder.create(tmp_path) as run:
        run.write_run_json({"seed": 1})
        run.history.append({"window": 0})
    before = {path.name: path.read_bytes() for path in run.path.iterdir()}
    RunFolder.create(tmp_path).close()
    assert {path.name: path.read_bytes() for path in run.path.iterdir()} == before


def test_many_at_once_get_folders_of_their_own(tmp_path):
    made = []

    def create():
        made.append(RunFolder.create(tmp_path))

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({run.path for run in made}) == 8
    for run in made:
        run.close()


def test_what_the_run_is_comes_back(tmp_path):
    with RunFolder.create(tmp_path) as run:
        run.write_run_json({"seed": 7, "bounds": (1, 2), "gap": math.nan, "fn": len})
        assert run.read_run_json() == {"seed": 7, "bounds": [1, 2], "gap": None, "fn": "<built-in function len>"}
        run.write_run_json({"seed": 8})
    assert read_run_json(run.path) == {"seed": 8}


def test_a_damaged_or_missing_run_json_is_an_error(tmp_path):
    with RunFolder.create(tmp_path) as run:
        with pytest.raises(CheckpointError, match=r"run\.json is missing"):
            run.read_run_json()
        run.write_run_json({"seed": 7})
        path = run.path / RUN_FILE
        path.write_text(path.read_text().replace("7", "8", 1))
        with pytest.raises(CheckpointError, match="damaged"):
            run.read_run_json()


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200))
def test_fuzzed_run_json_is_refused(tmp_path, data):
    (tmp_path / RUN_FILE).write_bytes(data)
    with pytest.raises(CheckpointError):
        read_run_json(tmp_path)


def test_history_goes_on_after_reopening(tmp_path):
    with RunFolder.create(tmp_path) as run:
        run.history.append({"window": 0, "score": math.nan})
        run.history.flush()
        assert read_history(run.history.path) == [{"window": 0, "score": None}]
    with RunFolder.open(run.path) as again:
        again.history.append({"window": 1})
        assert [row["window"] for row in read_history(again.history.path)] == [0, 1]


def test_a_folder_that_cannot_be_written_is_refused_at_once(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CheckpointError, match=r"cannot be written to: Not a directory. Make it writable, or choose"):
        RunFolder.create(tmp_path / "file" / "runs")
    with pytest.raises(CheckpointError, match=r"cannot be written to: File exists"):
        RunFolder.create(tmp_path / "file")
    with pytest.raises(CheckpointError, match="There is no run folder"):
        RunFolder.open(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match="Could not list"):
        list_runs(tmp_path / "file")
    assert list_runs(tmp_path / "nowhere") == []


def test_a_second_process_is_refused_by_name(tmp_path):
    path = RunFolder.create(tmp_path)
    path.close()
    holder = hold_in_another_process(path.path)
    try:
        with pytest.raises(CheckpointError, match=f"in use by the process with pid {holder.pid} on .*end that one"):
            RunFolder.open(path.path)
        with RunFolder.create(tmp_path) as other:  # beside it is fine
            assert other.path.name == "run-0002"
    finally:
        kill(holder)


def test_a_second_hold_in_the_same_process_is_refused(tmp_path):
    with RunFolder.create(tmp_path) as run:
        with pytest.raises(CheckpointError, match=f"in use by the process with pid {os.getpid()}"):
            RunFolder.open(run.path)
        run.history.append({"window": 0})  # the first is unharmed
    with RunFolder.open(run.path):
        pass


def test_the_lock_of_a_dead_process_is_not_in_the_way(tmp_path):
    RunFolder.create(tmp_path).close()
    kill(hold_in_another_process(tmp_path / "run-0001"))
    began = time.monotonic()
    with RunFolder.open(tmp_path / "run-0001") as run:
        assert run.path.name == "run-0001"
    assert time.monotonic() - began < 1.0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_that_outlives_the_dead_process_is_waited_for(tmp_path):
    RunFolder.create(tmp_path).close()
    kill(hold_in_another_process(tmp_path / "run-0001", "with_child"))
    with RunFolder.open(tmp_path / "run-0001"):
        pass


def test_it_can_be_closed_twice_and_from_another_thread(tmp_path):
    run = RunFolder.create(tmp_path)
    thread = threading.Thread(target=run.close)
    thread.start()
    thread.join()
    run.close()
    with RunFolder.open(run.path):
        pass


@pytest.mark.parametrize("owner", ["", "{", '{"pid": 1}', '{"pid": "x"}', '{"pid": -1}'])
def test_a_damaged_owner_file_is_not_in_the_way(tmp_path, owner):
    RunFolder.create(tmp_path).close()
    (tmp_path / "run-0001" / "run.owner.json").write_text(owner)
    with RunFolder.open(tmp_path / "run-0001"):
        pass


def test_links_in_the_place_of_our_files_are_not_followed(tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("precious")
    for name in (LOCK_FILE, "history.jsonl"):
        run = RunFolder.create(tmp_path)
        run.close()
        (run.path / name).unlink()
        (run.path / name).symlink_to(outside)
        with pytest.raises(CheckpointError, match=r"leads outside|Could not open"):
            RunFolder.open(run.path)
    run = RunFolder.create(tmp_path)
    run.close()
    (run.path / LOCK_FILE).unlink(missing_ok=True)
    (run.path / LOCK_FILE).symlink_to("history.jsonl")
    with pytest.raises(UnsafeFileError, match="is a link; remove it"):
        RunFolder.open(run.path)
    assert outside.read_text() == "precious"


def test_a_folder_is_held_while_a_run_goes_on_in_it(tmp_path):
    with RunFolder.create(tmp_path) as run:
        assert is_held(run.path)
    assert not is_held(run.path)
    assert not is_held(tmp_path / "nowhere")


@pytest.mark.skipif(os.name != "posix", reason="sends SIGKILL")
def test_a_folder_whose_process_was_killed_is_not_held(tmp_path):
    with RunFolder.create(tmp_path) as run:
        pass
    holder = hold_in_another_process(run.path)
    assert is_held(run.path)
    holder.kill()
    holder.wait()
    holder.stdout.close()
    assert not is_held(run.path)
