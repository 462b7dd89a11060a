"""One snapshot as a folder: ``snapshot_<id>/metadata.json`` and whatever lies beside it.

``metadata.json`` comes last and lists every file with its size and SHA-256. A folder without it is
no snapshot; one whose files differ from the list is damaged and never loaded.
"""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tensor_optix.core.checks import check_flags, check_instance
from tensor_optix.core.storage.agent_files import WEIGHTS_NAME, list_tree
from tensor_optix.core.storage.atomic_files import inside, regular_file, sha256_of, sync_all
from tensor_optix.core.storage.exact_json import from_exact, to_exact
from tensor_optix.core.storage.json_files import field, number_field, read_sealed_json, to_jsonable, write_sealed_json
from tensor_optix.core.storage.stateful import decode_hyperparams, decode_metrics, encode_hyperparams, encode_metrics
from tensor_optix.core.types import EvalMetrics, HyperparamSet, PolicySnapshot
from tensor_optix.exceptions import CheckpointError, UnsafeFileError

METADATA_FILE = "metadata.json"
PREFIX = "snapshot_"

_FORMAT = "tensor-optix snapshot"
_VERSION = 1
_UNFINISHED = ".unfinished"
_REMOVED = ".removed"
_ID = re.compile(r"[0-9A-Za-z-]{1,64}")
_WRITERS = ("agent", "state", "files")


@dataclass(frozen=True)
class StoredSnapshot:
    """A snapshot and what is known of its files.

    Attributes:
        snapshot: What users see.
        written_by: ``"agent"`` (its ``save_weights``), ``"state"`` (``write_agent_state``) or
            ``"files"`` (a captured ``save_weights``).
        files: Per file its relative ``path``, ``bytes`` and ``sha256``.
    """

    snapshot: PolicySnapshot
    written_by: str
    files: tuple[dict[str, Any], ...]


def folder_name(snapshot_id: object) -> str:
    """Return the name of a snapshot's folder.

    Raises:
        CheckpointError: The id could not be one of ours, so neither could the folder.
    """
    if not isinstance(snapshot_id, str) or not _ID.fullmatch(snapshot_id):
        raise CheckpointError(f"{snapshot_id!r:.200} is no snapshot id: up to 64 letters, digits and dashes.")
    return PREFIX + snapshot_id


def described_snapshot(path_of: Callable[[str], str], plain: dict[str, Any]) -> PolicySnapshot:
    """Return the snapshot that a checkpoint describes.

    Args:
        path_of: From an id to ``weights_path``.
        plain: ``snapshot_id``, ``metrics``, ``hyperparams``, ``episode_id`` and ``timestamp``, encoded.

    Raises:
        CheckpointError: It says something that no snapshot can be.
    """
    snapshot_id = str(plain["snapshot_id"])
    return PolicySnapshot(
        snapshot_id,
        decode_metrics(plain["metrics"]),
        decode_hyperparams(plain["hyperparams"]),
        path_of(snapshot_id),
        int(plain["episode_id"]),
        float(plain["timestamp"]),
    )


def write_snapshot(
    root: Path, snapshot: PolicySnapshot, written_by: str, write_weights: Callable[[Path], None]
) -> StoredSnapshot:
    """Write a snapshot's folder; it counts from the moment ``metadata.json`` is there.

    Args:
        root: The run folder.
        snapshot: What it is.
        written_by: See ``StoredSnapshot``.
        write_weights: Writes below or beside the path it is given.

    Raises:
        CheckpointError: It cannot be written; nothing of it is left.
        Exception: Whatever ``write_weights`` raises; nothing of it is left either.
    """
    folder = root / folder_name(snapshot.snapshot_id)
    try:
        folder.mkdir()
    except OSError as error:
        raise CheckpointError(f"Could not make the folder {folder}: {error.strerror or error}.") from error
    try:
        (folder / _UNFINISHED).touch()
        sync_all(folder)
        write_weights(folder / WEIGHTS_NAME)
        stored = StoredSnapshot(snapshot, written_by, _list_files(folder))
        _write_metadata(root, stored)
        files, folders = list_tree(folder)
        sync_all(folder, *(regular_file(folder, name) for name in files), *(inside(folder, name) for name in folders))
        (folder / _UNFINISHED).unlink()
    except BaseException as error:
        with contextlib.suppress(OSError):
            remove_snapshot(folder)
        if isinstance(error, OSError) and not isinstance(error, CheckpointError):
            raise CheckpointError(f"Could not write {folder}: {error.strerror or error}.") from error
        raise
    return stored


def _write_metadata(root: Path, stored: StoredSnapshot) -> None:
    """Write ``metadata.json`` of a snapshot whose files are there; whoever asked brings all of it to the disk."""
    snapshot = stored.snapshot
    document = {
        "format": _FORMAT,
        "version": _VERSION,
        "id": snapshot.snapshot_id,
        "episode_id": snapshot.episode_id,
        "timestamp": snapshot.timestamp,
        "env_steps": snapshot.eval_metrics.env_steps,
        "eval_metrics": encode_metrics(snapshot.eval_metrics),
        "hyperparams": to_exact(encode_hyperparams(snapshot.hyperparams), "hyperparams"),
        "written_by": stored.written_by,
        "files": list(stored.files),
    }
    write_sealed_json(root / folder_name(snapshot.snapshot_id) / METADATA_FILE, to_jsonable(document), flush=False)


def read_snapshot(root: Path, snapshot_id: str) -> StoredSnapshot:
    """Return the snapshot that a folder holds; its files are there and have their sizes.

    Raises:
        CheckpointError: It is damaged, incomplete, or written by a newer version.
        UnsafeFileError: It, or a file that it lists, lies outside the run folder.
    """
    folder = inside(root, folder_name(snapshot_id))
    path = regular_file(folder, METADATA_FILE)
    document = read_sealed_json(path)
    if document.get("format") != _FORMAT or document.get("version") != _VERSION:
        raise CheckpointError(
            f"{path} is {document.get('format')!r:.50} version {document.get('version')!r:.50}; "
            f"this release reads {_FORMAT!r} version {_VERSION}."
        )
    if document.get("written_by") not in _WRITERS:
        raise CheckpointError(f"{path}: `written_by` is {document.get('written_by')!r:.50}, not one of {_WRITERS}.")
    if document.get("id") != snapshot_id:
        raise CheckpointError(f"{path} belongs to snapshot {document.get('id')!r:.80}, not {snapshot_id!r}.")
    stored = StoredSnapshot(
        PolicySnapshot(
            snapshot_id,
            decode_metrics(field(document, "eval_metrics", dict, path), path),
            decode_hyperparams(from_exact(field(document, "hyperparams", dict, path)), path),
            str(folder / WEIGHTS_NAME),
            field(document, "episode_id", int, path),
            number_field(document, "timestamp", path),
        ),
        document["written_by"],
        tuple(field(document, "files", list, path)),
    )
    check_files(root, stored, checksums=False)
    return stored


def check_files(root: Path, stored: StoredSnapshot, *, checksums: bool = True) -> None:
    """Check that a snapshot's files are all there and whole.

    Args:
        root: The run folder.
        stored: The snapshot.
        checksums: Whether to read the files; otherwise only their sizes are looked at.

    Raises:
        CheckpointError: A file is missing or differs from the list.
        UnsafeFileError: A file lies outside the snapshot.
    """
    folder = inside(root, folder_name(stored.snapshot.snapshot_id))
    for entry in stored.files:
        if not isinstance(entry, dict):
            raise CheckpointError(f"{folder / METADATA_FILE} lists {entry!r:.200}, which is no file.")
        path = regular_file(folder, entry.get("path"))
        size = path.stat().st_size
        if size != entry.get("bytes"):
            raise CheckpointError(f"{path} has {size} bytes instead of {entry.get('bytes')!r:.50}: it is not whole.")
        try:
            intact = not checksums or sha256_of(path) == entry.get("sha256")
        except OSError as error:
            raise CheckpointError(f"{path} cannot be read: {error.strerror or error}.") from error
        if not intact:
            raise CheckpointError(f"{path} is damaged: its content does not match its checksum.")


def is_unfinished(folder: Path) -> bool:
    """Tell whether a crash cut the writing of a snapshot short, given that it is not whole."""
    if folder.is_symlink():
        return False
    return (folder / _UNFINISHED).exists() or (folder.is_dir() and not any(folder.iterdir()))


def remove_snapshot(folder: Path) -> None:
    """Remove a snapshot's folder; a crash half-way leaves what no one takes for a snapshot.

    Raises:
        UnsafeFileError: The folder is a link.
    """
    if folder.is_symlink():
        raise UnsafeFileError(f"{folder} is a link; what it leads to is not removed.")
    if not folder.exists():
        return
    discarded = folder.with_name(f".{folder.name}{_REMOVED}")
    if discarded.exists():
        shutil.rmtree(discarded)
    folder.rename(discarded)
    sync_all(folder.parent)  # the name goes first: after a power cut, any part of the content may be gone
    shutil.rmtree(discarded)


def discarded_folders(root: Path) -> list[Path]:
    """Return what is left of snapshots whose removal was cut short."""
    return [path for path in root.glob(f".{PREFIX}*{_REMOVED}") if path.is_dir() and not path.is_symlink()]


def _list_files(folder: Path) -> tuple[dict[str, Any], ...]:
    names, _ = list_tree(folder)
    if METADATA_FILE in names:
        raise CheckpointError(f"The agent wrote {folder / METADATA_FILE}, a name that the snapshot itself needs.")
    files = []
    for name in names:
        if name == _UNFINISHED:
            continue
        path = regular_file(folder, name)
        files.append({"path": name, "bytes": path.stat().st_size, "sha256": sha256_of(path)})
    return tuple(files)


def check_named(metrics: Any, hyperparams: Any, is_final: Any) -> None:
    """Raise ``InvalidTypeError`` unless a snapshot can be named by these."""
    check_instance("eval_metrics", metrics, EvalMetrics)
    check_instance("hyperparams", hyperparams, HyperparamSet)
    check_flags(is_final=is_final)
