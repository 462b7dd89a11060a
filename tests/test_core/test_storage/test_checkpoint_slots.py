"""Two slots of which one is always whole: shown by breaking them."""

import os
import shutil

import numpy as np
import pytest
from storage_fakes import all_files, edit, flip, limited_file_size

from tensor_optix.core.storage.checkpoint_slots import CheckpointSlots
from tensor_optix.core.types import AgentState
from tensor_optix.exceptions import CheckpointError


def state(value):
    return AgentState({"w": np.full(100, float(value))}, {"value": value}, "all")


def write(slots, number):
    slots.write({"number": number}, {"agent": state(number), "champion": state(-number)})


def number_in(root):
    found = CheckpointSlots(root).read()
    return None if found is None else found[0]["number"]


@pytest.fixture
def two(tmp_path):
    slots = CheckpointSlots(tmp_path)
    write(slots, 1)
    write(slots, 2)
    return tmp_path


def test_nothing_is_there_before_the_first_is_written(tmp_path):
    assert CheckpointSlots(tmp_path).read() is None


def test_the_newest_comes_back_whole(tmp_path):
    slots = CheckpointSlots(tmp_path)
    for number in range(1, 6):
        write(slots, number)
        document, states = CheckpointSlots(tmp_path).read()
        assert document == {"number": number}
        assert states["agent"].meta == {"value": number}
        assert states["champion"].arrays["w"][0] == -number
    assert sorted(path.name for path in (tmp_path / "checkpoint").iterdir()) == ["a", "b"]


def test_a_state_that_is_no_longer_given_is_gone(two):
    slots = CheckpointSlots(two)
    slots.write({"number": 3}, {"agent": state(3)})
    assert set(CheckpointSlots(two).read()[1]) == {"agent"}


DAMAGES = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "emptied": lambda path: path.write_bytes(b""),
    "bit-flipped": lambda path: flip(path, 0.5),
    "removed": lambda path: path.unlink(),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "a link that leads outside": lambda path: (path.unlink(), path.symlink_to("/etc/hostname")),
    "a link to itself": lambda path: (path.unlink(), path.symlink_to(path.name)),
    "a pipe": lambda path: (path.unlink(), os.mkfifo(path)),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("which", range(5))
def test_a_damaged_slot_is_said_and_the_other_used(two, damage, which, caplog):
    files = all_files(two / "checkpoint" / "b")
    assert len(files) == 5
    DAMAGES[damage](files[which])
    assert number_in(two) == 1
    if damage != "removed" or files[which].name != "loop.json":
        assert "is not whole and is skipped" in caplog.text


@pytest.mark.parametrize("which", range(5))
def test_a_damaged_slot_is_the_next_to_be_written_to(two, which):
    """Else the only whole one would be given up for a new one that may never be finished."""
    flip(all_files(two / "checkpoint" / "b")[which], 0.5)
    slots = CheckpointSlots(two)
    assert slots.read()[0] == {"number": 1}
    before = {path: path.read_bytes() for path in all_files(two / "checkpoint" / "a")}
    write(slots, 3)
    assert {path: path.read_bytes() for path in all_files(two / "checkpoint" / "a")} == before
    assert number_in(two) == 3


def test_with_both_damaged_nothing_is_read(two, caplog):
    for path in all_files(two / "checkpoint"):
        flip(path, 0.7)
    assert CheckpointSlots(two).read() is None
    assert caplog.text.count("is not whole and is skipped") == 2


def test_a_full_disk_leaves_the_other_slot(two):
    slots = CheckpointSlots(two)
    with limited_file_size(500), pytest.raises(CheckpointError, match="Could not write"):
        write(slots, 3)
    assert number_in(two) == 2
    write(slots, 4)
    assert number_in(two) == 4


@pytest.mark.parametrize(("where", "expected"), [("checkpoint", None), ("checkpoint/a", {"number": 2})])
def test_links_that_lead_outside_are_neither_read_nor_written_through(two, tmp_path_factory, where, expected):
    outside = tmp_path_factory.mktemp("outside")
    target = outside / "there"
    shutil.move(two / where, target)
    (two / where).symlink_to(target)
    before = {path: path.read_bytes() for path in all_files(outside)}
    slots = CheckpointSlots(two)
    found = slots.read()
    assert (found and found[0]) == expected
    for number in (3, 4):
        with pytest.raises(CheckpointError, match="leads outside"):
            write(slots, number)
    assert {path: path.read_bytes() for path in all_files(outside)} == before


@pytest.mark.parametrize(
    "change",
    [
        {"format": "something else"},
        {"version": 99},
        {"states": ["agent", "../../outside"]},
        {"states": ["agent", ["agent"]]},
        {"states": "agent"},
        {"states": ["champion"]},
        {"number": -3},
        {"number": "7"},
        {"number": None},
        {"loop": [1]},
        {"loop": {"x": {"$float": "no number"}}},
    ],
)
def test_documents_that_no_run_wrote_are_refused(two, change, caplog):
    edit(two / "checkpoint" / "b" / "loop.json", lambda document: document.update(change))
    assert number_in(two) == 1
    assert "is not whole and is skipped" in caplog.text


def test_the_newest_open_state_stays_beside_later_ones_that_are_not(tmp_path):
    slots = CheckpointSlots(tmp_path)
    write(slots, 1)
    write(slots, 2)
    for number in range(3, 8):
        slots.write({"number": number}, {"agent": state(number)}, False)
        assert number_in(tmp_path) == number
        again = CheckpointSlots(tmp_path)
        again.is_wanted = lambda document: document["number"] < 3
        assert again.read()[0]["number"] == 2
    assert sorted(path.name for path in (tmp_path / "checkpoint").iterdir()) == ["a", "b", "c"]
    write(slots, 8)
    again = CheckpointSlots(tmp_path)
    assert again.newest_document() == {"number": 8}
    again.is_wanted = lambda document: document["number"] < 2
    assert again.read()[0]["number"] == 8, "nothing wanted is left: the newest"
