import logging
import os
import shutil

import pytest
from storage_fakes import StateAgent, StemAgent, all_files, flip, load_value, save_all, save_one

from tensor_optix.core.checkpoint_registry import CheckpointRegistry
from tensor_optix.core.storage.json_files import read_sealed_json
from tensor_optix.exceptions import CheckpointError

DAMAGE = {
    "removed": lambda path: path.unlink(),
    "emptied": lambda path: path.write_bytes(b""),
    "truncated": lambda path: os.truncate(path, path.stat().st_size // 2),
    "cut by two": lambda path: os.truncate(path, path.stat().st_size - 2),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"xx"),
    "flipped": lambda path: flip(path, 0.5),
    "flipped at the end": lambda path: flip(path, 0.97),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "a pipe": lambda path: (path.unlink(), os.mkfifo(path)),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_every_file_damaged_one_at_a_time(whole_folder, tmp_path, caplog, damage):
    names = [path.relative_to(whole_folder) for path in all_files(whole_folder)]
    assert len(names) == 3 * 3 + 2 + 1
    for number, name in enumerate(names):
        root = tmp_path / str(number)
        shutil.copytree(whole_folder, root)
        DAMAGE[damage](root / name)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            registry = CheckpointRegistry(root)
            expected = 2.0 if "000002" in str(name) else 3.0
            assert load_value(registry) == expected, name
            assert registry.best.eval_metrics.primary_score == expected
            for snapshot in registry.snapshots:  # each of them is whole, or says that it is not
                try:
                    agent = StemAgent() if snapshot.eval_metrics.primary_score == 0.5 else StateAgent()
                    registry.load(agent, snapshot.snapshot_id)
                except CheckpointError as error:
                    assert str(name) in str(error)  # noqa: PT017
                else:
                    assert agent.value[0] == snapshot.eval_metrics.primary_score
        if "000002" in str(name):
            assert "Snapshot 000002 is not used" in caplog.text
            assert name.name in caplog.text
        if name.name == "manifest.json" and damage != "cut by two":
            assert "made anew from the snapshots" in caplog.text


@pytest.mark.parametrize("name", ["weights/state.safetensors", "weights/state.json", "metadata.json"])
def test_damage_after_opening_is_noticed_on_loading(tmp_path, caplog, name):
    registry = CheckpointRegistry(tmp_path)
    save_all(registry, [1.0, 3.0, 2.0])
    if name == "metadata.json":
        (tmp_path / "snapshot_000002" / "weights" / "state.json").unlink()
    else:
        flip(tmp_path / "snapshot_000002" / name, 0.7)
    with caplog.at_level(logging.WARNING):
        assert load_value(registry) == 2.0
    assert "Snapshot 000002 is not used" in caplog.text
    assert registry.best.eval_metrics.primary_score == 2.0
    with pytest.raises(CheckpointError, match="no snapshot '000002'"):
        registry.load(StateAgent(), "000002")
    save_one(registry, 1.5)  # goes on, and keeps its hands off the damaged folder
    assert (tmp_path / "snapshot_000002").exists()
    assert load_value(CheckpointRegistry(tmp_path)) == 2.0


def test_when_all_are_damaged_nothing_is_loaded(tmp_path, caplog):
    save_all(CheckpointRegistry(tmp_path), [1.0, 2.0])
    for path in all_files(tmp_path):
        if path.suffix == ".safetensors":
            flip(path, 0.9)
    agent = StateAgent(-1.0)
    with caplog.at_level(logging.WARNING):
        registry = CheckpointRegistry(tmp_path)
    assert registry.best is None
    assert registry.load_best(agent) is None
    assert agent.value[0] == -1.0
    assert caplog.text.count("is not used") == 2


def test_a_swapped_snapshot_is_refused(tmp_path, caplog):
    save_all(CheckpointRegistry(tmp_path), [1.0, 3.0])
    save_all(CheckpointRegistry(tmp_path / "other"), [7.0, 8.0])
    shutil.rmtree(tmp_path / "snapshot_000002")
    shutil.move(tmp_path / "other" / "snapshot_000002", tmp_path)
    with caplog.at_level(logging.WARNING):
        assert load_value(CheckpointRegistry(tmp_path)) == 1.0
    assert "are not those that manifest.json lists" in caplog.text
    shutil.copytree(tmp_path / "snapshot_000001", tmp_path / "snapshot_000009")
    with caplog.at_level(logging.WARNING):
        assert load_value(CheckpointRegistry(tmp_path)) == 1.0
    assert "belongs to snapshot '000001', not '000009'" in caplog.text


def test_a_lost_manifest_is_made_anew(tmp_path):
    save_all(CheckpointRegistry(tmp_path), [1.0, 3.0, 2.0])
    before = read_sealed_json(tmp_path / "manifest.json")
    (tmp_path / "manifest.json").unlink()
    CheckpointRegistry(tmp_path)
    assert read_sealed_json(tmp_path / "manifest.json") == before


def test_a_snapshot_that_the_manifest_missed_is_taken_in(tmp_path):
    """A crash came between the snapshot and the manifest."""
    registry = CheckpointRegistry(tmp_path)
    save_one(registry, 1.0)
    old = (tmp_path / "manifest.json").read_bytes()
    save_one(registry, 2.0)
    (tmp_path / "manifest.json").write_bytes(old)
    again = CheckpointRegistry(tmp_path)
    assert len(again.snapshots) == 2
    assert again.best.eval_metrics.primary_score == 1.0  # as the manifest says


def test_what_a_crash_left_half_written_is_swept_away_by_the_next_writer(tmp_path, caplog):
    registry = CheckpointRegistry(tmp_path)
    save_one(registry, 1.0)
    debris = tmp_path / "snapshot_000002"
    (debris / "weights").mkdir(parents=True)
    (debris / ".unfinished").touch()
    kept = tmp_path / "snapshot_000003"  # no mark of ours: damaged, not unfinished
    kept.mkdir()
    (kept / "weights").write_text("someone may still want to look into this")
    with caplog.at_level(logging.WARNING):
        again = CheckpointRegistry(tmp_path)
    assert "Snapshot 000003 is not used" in caplog.text
    assert "000002" not in caplog.text
    assert debris.exists()
    assert save_one(again, 2.0).snapshot_id == "000004"
    assert not debris.exists()
    assert kept.exists()
