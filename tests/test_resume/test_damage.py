"""Every file of a run's folder, broken in every way, one at a time: what is whole is used, or nothing."""

import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from resume_fakes import LinearAgent, assert_same, interrupted, make_run, outcome_of, wait_for_writers

from tensor_optix import CheckpointRegistry, LoopCallback
from tensor_optix.core.loop import run_checkpoint
from tensor_optix.core.storage.checkpoint_slots import CheckpointSlots
from tensor_optix.exceptions import CheckpointError

pytestmark = pytest.mark.usefixtures("save_at_every_barrier")


SHORT = {"max_env_steps": None, "max_episodes": 24, "max_snapshots": 3}
RUN = "run-0001"
HOME = Path(__file__).parents[2]
HELPERS = HOME / "tests" / "helpers"


def flip(path):
    data = bytearray(path.read_bytes())
    data[int(0.6 * len(data))] ^= 4
    path.write_bytes(data)


DAMAGES = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "emptied": lambda path: path.write_bytes(b""),
    "bit-flipped": flip,
    "removed": lambda path: path.unlink(),
}


def files_of(run):
    """Return all files of a run that hold something, as relative names."""
    files = (path.relative_to(run) for path in run.rglob("*") if path.is_file() and path.stat().st_size)
    return sorted(str(name) for name in files if name.name not in ("run.lock", "run.owner.json"))


@pytest.fixture(scope="module")
def cut(tmp_path_factory):
    """A run that was cut, and what the run that was not came to."""
    folder = tmp_path_factory.mktemp("cut")
    patch = pytest.MonkeyPatch()
    patch.setattr(run_checkpoint.RunCheckpoint, "save_if_due", run_checkpoint.RunCheckpoint.save)
    whole = make_run(folder / "left-alone", **SHORT)
    expected = outcome_of(whole, whole.run())
    interrupted(make_run(folder / "cut", stop_at=21, **SHORT))
    patch.undo()
    assert len(list((folder / "cut" / RUN).glob("snapshot_*"))) >= 2
    assert len(files_of(folder / "cut" / RUN)) >= 17
    return folder / "cut", expected


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_resumed_run_ends_the_same_whichever_file_is_broken(cut, tmp_path, damage, caplog):
    source, expected = cut
    tolerated = ("rows", "history", "snapshots", "champion")
    for number, name in enumerate(files_of(source / RUN)):
        folder = tmp_path / str(number)
        shutil.copytree(source, folder)
        DAMAGES[damage](folder / RUN / name)
        caplog.clear()
        optimizer = make_run(folder, agent=LinearAgent(init_seed=50), seed=None, **SHORT)
        with caplog.at_level(logging.WARNING):
            result = optimizer.run(resume=True)
        outcome = outcome_of(optimizer, result)
        # the other slot is a few windows older; from there on, everything happens again
        assert_same(outcome, {k: v for k, v in expected.items() if k not in tolerated}, of=name)
        assert outcome["champion"][1:] == expected["champion"][1:], name
        if name == "history.jsonl":
            assert any("history is not what it was" in note for note in result.notes)
        else:
            assert (outcome["rows"], outcome["history"]) == (expected["rows"], expected["history"]), name
        if name == "run.json":
            assert any("whether machine and versions are the same cannot be told" in note for note in result.notes)
        elif not is_quietly_missing(name, damage) and not is_only_read_when_loaded(name, damage, outcome):
            assert caplog.text or result.notes, f"{name} {damage} was not said"


def is_quietly_missing(name, damage):
    """Tell whether what is gone cannot be missed: nothing else speaks of it."""
    if name == "logbook.jsonl":  # a run never reads it; reports do, and say so: tests/test_reporting/test_run.py
        return True
    return (damage == "removed" and name.endswith(("loop.json", "metadata.json"))) or older_slot_holds(name)


def is_only_read_when_loaded(name, damage, outcome):
    """Tell whether a flipped bit waits in a snapshot that is not the best: its checksum is read when it is loaded."""
    return damage == "bit-flipped" and "/weights/" in name and not name.startswith(f"snapshot_{outcome['champion'][0]}")


def older_slot_holds(name):
    """Tell whether a file is only read when the newer slot is broken."""
    return name.startswith("checkpoint/") and not name.endswith("loop.json")


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_champion_is_loaded_whole_or_not_at_all(cut, tmp_path, damage, caplog):
    source, _ = cut
    registry = CheckpointRegistry(source / RUN, read_only=True)
    whole = {s.snapshot_id: registry.load_state(s.snapshot_id).arrays["weights"] for s in registry.snapshots}
    best = registry.best.snapshot_id
    for number, name in enumerate(files_of(source / RUN)):
        folder = tmp_path / str(number)
        shutil.copytree(source / RUN, folder)
        DAMAGES[damage](folder / name)
        caplog.clear()
        agent = LinearAgent(init_seed=50)
        loaded = CheckpointRegistry(folder, read_only=True).load_best(agent)
        np.testing.assert_array_equal(agent.weights, whole[loaded.snapshot_id], err_msg=name)
        if name.startswith(f"snapshot_{best}"):
            assert loaded.snapshot_id != best
            assert best in caplog.text
        elif name != "manifest.json":
            assert loaded.snapshot_id == best, name


def test_with_every_checkpoint_broken_it_says_that_there_is_nothing_to_resume(cut, tmp_path):
    shutil.copytree(cut[0], tmp_path / "all")
    for path in (tmp_path / "all" / RUN / "checkpoint").rglob("*.safetensors"):
        flip(path)
    with pytest.raises(CheckpointError, match=r"Nothing to resume: .*holds no whole checkpoint"):
        make_run(tmp_path / "all", **SHORT).run(resume=True)
    assert (tmp_path / "all" / RUN / "history.jsonl").stat().st_size > 0


class Between(LoopCallback):
    """Makes the disk refuse from window 8 on, and hold again from window 16."""

    def __init__(self, refuse, hold):
        self.refuse, self.hold = refuse, hold

    def on_episode_end(self, episode_id, metrics):
        if episode_id == 8:
            self.refuse()
        if episode_id == 16:
            self.hold()


MANY = {**SHORT, "max_snapshots": 50}


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("may not mount")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(path):
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 1024):
                pass
        except OSError:
            return


@pytest.mark.parametrize("heals", [True, False])
def test_a_full_disk_costs_nothing_but_what_is_on_it(small_disk, tmp_path, caplog, heals):
    plain = make_run(tmp_path / "plain", **MANY)
    expected = outcome_of(plain, plain.run())
    filler = small_disk / "filler"

    def refuse():
        wait_for_writers(optimizer)
        fill(filler)

    callback = Between(refuse, filler.unlink if heals else lambda: None)
    optimizer = make_run(small_disk, callbacks=[callback], **MANY)
    result = optimizer.run()
    assert any("could not be saved" in note for note in result.notes)
    assert "training goes on in memory" in caplog.text
    on_disk = ("rows", "snapshots", "champion_weights", "callbacks")
    assert_same(outcome_of(optimizer, result), {k: v for k, v in expected.items() if k not in on_disk})
    assert CheckpointSlots(small_disk / RUN).read() is not None
    best = CheckpointRegistry(small_disk / RUN, read_only=True).best
    assert best is not None
    if heals:
        assert_same(outcome_of(optimizer, result), {k: v for k, v in expected.items() if k != "callbacks"})
        assert best.snapshot_id == result.champion.snapshot_id


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux to give up the superuser's rights")
@pytest.mark.parametrize("heals", [True, False])
def test_a_folder_that_becomes_read_only_costs_nothing_but_what_is_in_it(tmp_path, heals):
    """In a process of its own: permissions do not bind the superuser, unless it gives that right up."""
    plain = make_run(tmp_path / "plain", **MANY)
    expected = outcome_of(plain, plain.run())
    done = subprocess.run(
        [sys.executable, str(HELPERS / "read_only_run.py"), str(int(heals))],
        env={**os.environ, "PYTHONPATH": str(HOME)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert "training goes on in memory" in done.stderr
    report = json.loads(done.stdout)
    assert any("could not be saved" in note for note in report["notes"])
    assert report["history"] == expected["history"]
    assert report["agent"] == repr(expected["agent"])
    assert report["is_checkpoint_whole"]
    assert report["best_on_disk"] is not None
    if heals:
        assert report["best_on_disk"] == expected["champion"][0]
        assert report["rows"] == expected["rows"]
