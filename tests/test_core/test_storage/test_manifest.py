import json
import logging
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from storage_fakes import all_files, edit, load_value, save_all, save_one

from tensor_optix.core.checkpoint_registry import CheckpointRegistry
from tensor_optix.core.storage.json_files import read_sealed_json, write_sealed_json
from tensor_optix.exceptions import CheckpointError


@pytest.mark.parametrize(
    "entry",
    [
        {"id": "000001", "path": "/etc"},
        {"id": "000001", "path": "../outside"},
        {"id": "../../outside", "path": "snapshot_../../outside"},
        {"id": "", "path": "snapshot_"},
        {"id": None, "path": None},
        {"id": "x" * 100, "path": "snapshot_" + "x" * 100},
        "text", 3, None, [],
    ],
)  # fmt: skip
def test_entries_of_the_manifest_that_lead_elsewhere_are_not_followed(tmp_path, caplog, entry):
    root = tmp_path / "run"
    save_all(CheckpointRegistry(root), [1.0, 2.0])
    save_one(CheckpointRegistry(tmp_path / "outside"), 99.0)
    edit(root / "manifest.json", lambda document: document["snapshots"].append(entry))
    with caplog.at_level(logging.WARNING):
        registry = CheckpointRegistry(root)
    assert "is no snapshot of this folder; it is not followed" in caplog.text
    assert load_value(registry) == 2.0
    assert len(registry.snapshots) == 2


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/etc/passwd", "leads outside"),
        ("../../secret", "leads outside"),
        ("weights/../../../secret", "leads outside"),
        ("link", "leads outside"),
        ("", "Expected a relative path"),
        (None, "Expected a relative path"),
        (3, "Expected a relative path"),
    ],
)
def test_files_of_a_snapshot_that_lie_elsewhere_are_not_read(tmp_path, caplog, path, message):
    root = tmp_path / "run"
    (tmp_path / "secret").write_text("s")
    save_all(CheckpointRegistry(root), [1.0, 2.0])
    (root / "snapshot_000002" / "link").symlink_to(tmp_path / "secret")
    edit(
        root / "snapshot_000002" / "metadata.json",
        lambda document: document["files"].append({"path": path, "bytes": 1, "sha256": "0"}),
    )
    with caplog.at_level(logging.WARNING):
        assert load_value(CheckpointRegistry(root)) == 1.0
    assert message in caplog.text


def test_linked_snapshots_are_neither_followed_nor_removed(tmp_path, caplog):
    root = tmp_path / "run"
    save_one(CheckpointRegistry(root), 1.0)
    save_all(CheckpointRegistry(tmp_path / "outside"), [98.0, 99.0])
    (tmp_path / "outside" / "snapshot_000002" / ".unfinished").touch()
    (root / "snapshot_000002").symlink_to(tmp_path / "outside" / "snapshot_000002")
    (root / "snapshot_000003").symlink_to("snapshot_000001")
    before = {path: path.read_bytes() for path in all_files(tmp_path / "outside")}
    with caplog.at_level(logging.WARNING):
        registry = CheckpointRegistry(root, max_snapshots=1)
    assert "link that leads outside" in caplog.text
    save_all(registry, [5.0, 6.0])
    assert load_value(CheckpointRegistry(root)) == 6.0
    assert {path: path.read_bytes() for path in all_files(tmp_path / "outside")} == before


def test_a_folder_swapped_for_a_link_is_not_removed_through_it(tmp_path):
    registry = CheckpointRegistry(tmp_path / "run", max_snapshots=1)
    save_one(registry, 1.0)
    shutil.move(tmp_path / "run" / "snapshot_000001", tmp_path / "outside")
    (tmp_path / "run" / "snapshot_000001").symlink_to(tmp_path / "outside")
    with pytest.raises(CheckpointError, match="is a link; what it leads to is not removed"):
        save_one(registry, 2.0)
    assert len(all_files(tmp_path / "outside")) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2}, {"format": "x"}, {"id": "7"}, {"files": {}}, {"files": [3]}, {"eval_metrics": None},
        {"eval_metrics": {}}, {"hyperparams": []}, {"timestamp": "now"}, {"timestamp": 10**400},
        {"episode_id": True}, {"written_by": "someone"},
    ],
)  # fmt: skip
def test_metadata_that_says_something_impossible_is_skipped(tmp_path, caplog, change):
    save_all(CheckpointRegistry(tmp_path), [1.0, 2.0])
    edit(tmp_path / "snapshot_000002" / "metadata.json", lambda document: document.update(change))
    with caplog.at_level(logging.WARNING):
        assert load_value(CheckpointRegistry(tmp_path)) == 1.0
    assert "Snapshot 000002 is not used" in caplog.text


def test_a_manifest_of_a_newer_release_is_left_alone(tmp_path):
    save_one(CheckpointRegistry(tmp_path), 1.0)
    edit(tmp_path / "manifest.json", lambda document: document.update(version=2))
    before = (tmp_path / "manifest.json").read_bytes()
    with pytest.raises(CheckpointError, match="has version 2; this release reads 1"):
        CheckpointRegistry(tmp_path)
    assert (tmp_path / "manifest.json").read_bytes() == before


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8) | st.sampled_from(["000001", "snapshot_000001", "../x", "/etc"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["id", "path", "sha256", "best", "bytes", "x"]), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sealed=st.booleans(),
    best=json_values,
    snapshots=json_values | st.lists(json_values, max_size=3),
    raw=st.none() | st.binary(max_size=100),
)
def test_fuzzed_manifests_change_nothing(whole_folder, tmp_path, sealed, best, snapshots, raw):
    root = tmp_path / "fuzzed"
    if not root.exists():
        shutil.copytree(whole_folder, root)
    document = {"format": "tensor-optix manifest", "version": 1, "best": best, "snapshots": snapshots}
    write_sealed_json(root / "manifest.json", document, flush=False)
    if raw is not None:
        (root / "manifest.json").write_bytes(raw)
    elif not sealed:
        (root / "manifest.json").write_text(json.dumps(document))
    registry = CheckpointRegistry(root, read_only=True)
    value = load_value(registry)
    assert value == registry.best.eval_metrics.primary_score
    assert value in (1.0, 2.0, 3.0)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    key=st.sampled_from(["files", "eval_metrics", "hyperparams", "timestamp", "id", "written_by"]), value=json_values
)
def test_fuzzed_metadata_is_refused_or_harmless(whole_folder, tmp_path, key, value):
    root = tmp_path / "fuzzed"
    if not root.exists():
        shutil.copytree(whole_folder, root)
    path = root / "snapshot_000002" / "metadata.json"
    whole = path.read_bytes()
    try:
        document = read_sealed_json(path)
        document[key] = value
        write_sealed_json(path, document, flush=False)
        assert load_value(CheckpointRegistry(root, read_only=True)) in (1.0, 2.0, 3.0)
    finally:
        path.write_bytes(whole)
