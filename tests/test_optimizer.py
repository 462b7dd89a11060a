"""What an optimizer makes, and what it leaves: nothing before it runs, and nothing but its folder after."""

import gc
import os
import threading
from collections import Counter
from pathlib import Path

import pytest
from resume_fakes import make_run

from tensor_optix.exceptions import CheckpointError


def descriptors():
    """Count what is open; what earlier tests left may be closed at any time."""
    return Counter(os.readlink(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd") if is_open(number))


def is_open(number):
    return os.path.lexists(f"/proc/self/fd/{number}")


linux = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="looks into /proc")


@linux
def test_optimizers_that_never_ran_leave_nothing(tmp_path):
    before, threads = descriptors(), threading.enumerate()
    optimizers = [make_run(tmp_path / "runs") for _ in range(5)]
    assert [optimizer.best_snapshot for optimizer in optimizers] == [None] * 5
    assert optimizers[0].last_result is None
    assert optimizers[0].seed == 5
    optimizers[0].stop()
    assert not (tmp_path / "runs").exists()
    assert not descriptors() - before
    assert threading.enumerate() == threads


def test_who_asks_for_the_folder_has_it_and_leaves_none_that_was_never_used(tmp_path):
    optimizers = [make_run(tmp_path) for _ in range(3)]
    assert [optimizer.run_dir.name for optimizer in optimizers] == ["run-0001", "run-0002", "run-0003"]
    assert optimizers[1].run_dir.name == "run-0002"
    assert Path(optimizers[2].run().run_dir).name == "run-0003"
    del optimizers
    gc.collect()
    assert [path.name for path in tmp_path.iterdir()] == ["run-0003"]


def test_two_that_run_in_turn_do_not_collide(tmp_path):
    first, second = make_run(tmp_path), make_run(tmp_path)
    assert [Path(optimizer.run().run_dir).name for optimizer in (second, first)] == ["run-0001", "run-0002"]


@linux
def test_a_run_that_is_over_leaves_no_descriptor_and_no_thread(tmp_path):
    make_run(tmp_path / "warm-up").run()
    before, threads = descriptors(), threading.active_count()
    optimizer = make_run(tmp_path / "runs")
    optimizer.run()
    assert not descriptors() - before
    assert threading.active_count() == threads
    optimizer.run()
    assert threading.active_count() == threads


@pytest.mark.parametrize("kind", ["file", "below a file"])
def test_a_place_where_nothing_can_be_made_is_refused_before_anything_runs(tmp_path, kind):
    (tmp_path / "file").write_text("")
    place = tmp_path / "file" if kind == "file" else tmp_path / "file" / "runs"
    with pytest.raises(CheckpointError, match="cannot be written to: Not a directory"):
        make_run(place)
