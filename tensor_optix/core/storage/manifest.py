"""``manifest.json``: which snapshots a run folder holds, and which of them is the best.

The manifest is an index. Where it is missing or damaged it is made anew from the snapshots'
folders, and nothing that it says is believed about files that were not found to be whole.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tensor_optix.core.storage.atomic_files import regular_file
from tensor_optix.core.storage.json_files import read_sealed_json, to_jsonable, write_sealed_json
from tensor_optix.core.storage.snapshot_files import PREFIX, StoredSnapshot, folder_name, is_unfinished, read_snapshot
from tensor_optix.exceptions import CheckpointError

logger = logging.getLogger(__name__)

MANIFEST_FILE = "manifest.json"

_FORMAT = "tensor-optix manifest"
_VERSION = 1


@dataclass(frozen=True)
class Inventory:
    """What was found in a run folder.

    Attributes:
        snapshots: Those that are there and have their sizes, oldest first.
        best_id: What the manifest calls the best; None where it does not say.
        is_indexed: Whether the manifest was there and whole.
    """

    snapshots: tuple[StoredSnapshot, ...]
    best_id: str | None
    is_indexed: bool


def write_manifest(root: Path, snapshots: Iterable[StoredSnapshot], best_id: str | None) -> None:
    """Write the index of a run folder.

    Raises:
        CheckpointError: It cannot be written; the old one is still there.
    """
    entries = [
        {
            "id": stored.snapshot.snapshot_id,
            "path": folder_name(stored.snapshot.snapshot_id),
            "primary_score": stored.snapshot.eval_metrics.primary_score,
            "episode_id": stored.snapshot.episode_id,
            "sha256": _files_checksum(stored),
        }
        for stored in snapshots
    ]
    document = {"format": _FORMAT, "version": _VERSION, "best": best_id, "snapshots": entries}
    write_sealed_json(root / MANIFEST_FILE, to_jsonable(document))


def take_inventory(root: Path) -> Inventory:
    """Find the snapshots of a run folder, and log a warning for each that cannot be used.

    Raises:
        CheckpointError: The folder cannot be listed, or a newer release wrote the manifest.
    """
    document = _read_manifest(root)
    listed = {} if document is None else _checksums_by_id(document)
    snapshots = []
    for snapshot_id in sorted({*listed, *ids_on_disk(root)}, key=age_key):
        try:
            stored = read_snapshot(root, snapshot_id)
            if listed.get(snapshot_id) not in (None, _files_checksum(stored)):
                raise CheckpointError(f"its files are not those that {MANIFEST_FILE} lists.")
        except CheckpointError as error:
            if not is_unfinished(root / folder_name(snapshot_id)):
                logger.warning("Snapshot %s is not used: %s", snapshot_id, error)
        else:
            snapshots.append(stored)
    best_id = None if document is None else document.get("best")
    return Inventory(tuple(snapshots), best_id if isinstance(best_id, str) else None, document is not None)


def unfinished_folders(root: Path) -> list[Path]:
    """Return the folders of snapshots that a crash cut short."""
    marked = [id_ for id_ in ids_on_disk(root) if is_unfinished(root / folder_name(id_))]
    return [root / folder_name(snapshot_id) for snapshot_id in marked if not _is_whole(root, snapshot_id)]


def _is_whole(root: Path, snapshot_id: str) -> bool:
    try:
        read_snapshot(root, snapshot_id)
    except CheckpointError:
        return False
    return True


def age_key(snapshot_id: str) -> tuple[int, str]:
    """Return what sorts snapshots from old to new."""
    number = snapshot_id.partition("-")[0]
    return (int(number) if number.isdecimal() else 0, snapshot_id)


def ids_on_disk(root: Path) -> list[str]:
    """Return the ids of all snapshots' folders, whole or not.

    Raises:
        CheckpointError: The folder cannot be listed.
    """
    try:
        names = [path.name for path in root.iterdir() if path.is_dir() and path.name.startswith(PREFIX)]
    except OSError as error:
        raise CheckpointError(f"Could not list {root}: {error.strerror or error}.") from error
    return [name.removeprefix(PREFIX) for name in names if _is_id(name.removeprefix(PREFIX))]


def _is_id(snapshot_id: object) -> bool:
    try:
        folder_name(snapshot_id)
    except CheckpointError:
        return False
    return True


def _read_manifest(root: Path) -> dict[str, Any] | None:
    path = root / MANIFEST_FILE
    if not path.exists() and not path.is_symlink():
        if ids_on_disk(root):
            logger.warning("%s is missing; it is made anew from the snapshots.", path)
        return None
    try:
        document = read_sealed_json(regular_file(root, MANIFEST_FILE))
        if document.get("format") != _FORMAT or not isinstance(document.get("snapshots"), list):
            raise CheckpointError(f"{path} is no manifest.")
    except CheckpointError as error:
        logger.warning("%s It is made anew from the snapshots.", error)
        return None
    version = document.get("version")
    if version != _VERSION:
        raise CheckpointError(
            f"{path} has version {version!r:.50}; this release reads {_VERSION}. Use the release that wrote it."
        )
    return document


def _checksums_by_id(document: dict[str, Any]) -> dict[str, Any]:
    """Return the listed snapshots; entries that name anything but a folder of ours are left out."""
    checksums: dict[str, Any] = {}
    for entry in document["snapshots"]:
        snapshot_id = entry.get("id") if isinstance(entry, dict) else None
        if _is_id(snapshot_id) and entry.get("path") == folder_name(snapshot_id):
            checksums[str(snapshot_id)] = entry.get("sha256")
        else:
            logger.warning("%s lists %.200r, which is no snapshot of this folder; it is not followed.",
                           MANIFEST_FILE, entry)  # fmt: skip
    return checksums


def _files_checksum(stored: StoredSnapshot) -> str:
    return hashlib.sha256(json.dumps(stored.files, sort_keys=True).encode()).hexdigest()
