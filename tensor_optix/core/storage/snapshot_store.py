"""Where the snapshots of a registry lie: all that it asks of the place, and the place that is a folder."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

from tensor_optix.core.storage import manifest, snapshot_files
from tensor_optix.core.storage.agent_files import WEIGHTS_NAME, read_files, restore
from tensor_optix.core.storage.atomic_files import make_writable_folder
from tensor_optix.core.storage.manifest import Inventory
from tensor_optix.core.storage.snapshot_files import METADATA_FILE, StoredSnapshot, folder_name
from tensor_optix.core.storage.state_files import META_FILE, read_agent_state
from tensor_optix.core.types import AgentState, PolicySnapshot
from tensor_optix.exceptions import CheckpointError

logger = logging.getLogger(__name__)


class SnapshotStore(Protocol):
    """What a registry asks of the place where its snapshots lie; ids are those that the registry gave.

    Nothing here decides which snapshots there are to be. Methods that write are called from one thread at a time, and
    what they raise is told: an ``OSError``, or a ``CheckpointError`` that names the place.
    """

    def prepare(self) -> None:
        """Make the place ready to be written to."""

    def take_inventory(self) -> Inventory:
        """Find what is there; log a warning for each snapshot that cannot be used."""

    def ids(self) -> list[str]:
        """Return the ids of all that is there, whole or not."""

    def path_of(self, snapshot_id: str) -> str:
        """Return what ``PolicySnapshot.weights_path`` says."""

    def is_taken(self, snapshot_id: str) -> bool:
        """Tell whether anything is there under this id."""

    def write(self, snapshot: PolicySnapshot, written_by: str, write_weights: Callable[[Path], None]) -> StoredSnapshot:
        """Write a snapshot whole, or leave nothing of it; ``write_weights`` writes below or beside a path."""

    def write_index(self, snapshots: Iterable[StoredSnapshot], best_id: str | None) -> None:
        """Say which snapshots there are to be, and which is the best."""

    def remove(self, snapshot_id: str) -> None:
        """Remove a snapshot, if it is there."""

    def sweep(self) -> None:
        """Remove what the crash of an earlier process left half-written."""

    def check(self, stored: StoredSnapshot) -> None:
        """Raise ``CheckpointError`` unless a snapshot is whole, to the last bit."""

    def read(self, stored: StoredSnapshot) -> AgentState:
        """Return the state of a snapshot, once :meth:`check` has passed it."""

    def restore(self, stored: StoredSnapshot, agent: Any) -> None:
        """Make the agent a snapshot, once :meth:`check` has passed it; its hyperparameters follow."""


class SnapshotFolder:
    """Snapshots as ``snapshot_<id>/`` folders beside ``manifest.json``; see :class:`SnapshotStore`.

    Args:
        root: The folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def prepare(self) -> None:
        """Make the folder."""
        make_writable_folder(self._root)

    def take_inventory(self) -> Inventory:
        """Look at the folders and the manifest."""
        if not self._root.is_dir():
            raise CheckpointError(f"There is no folder {self._root}; give the folder of a run.")
        return manifest.take_inventory(self._root)

    def ids(self) -> list[str]:
        """List the folders."""
        return manifest.ids_on_disk(self._root)

    def path_of(self, snapshot_id: str) -> str:
        """Name the file stem that the agent writes to."""
        return str(self._folder(snapshot_id) / WEIGHTS_NAME)

    def is_taken(self, snapshot_id: str) -> bool:
        """Tell whether there is such a folder."""
        return os.path.lexists(self._folder(snapshot_id))

    def write(self, snapshot: PolicySnapshot, written_by: str, write_weights: Callable[[Path], None]) -> StoredSnapshot:
        """Write the folder; ``metadata.json`` comes last."""
        return snapshot_files.write_snapshot(self._root, snapshot, written_by, write_weights)

    def write_index(self, snapshots: Iterable[StoredSnapshot], best_id: str | None) -> None:
        """Write ``manifest.json``."""
        manifest.write_manifest(self._root, snapshots, best_id)

    def remove(self, snapshot_id: str) -> None:
        """Remove the folder."""
        snapshot_files.remove_snapshot(self._folder(snapshot_id))

    def sweep(self) -> None:
        """Remove what is unfinished, and what was being removed."""
        for folder in manifest.unfinished_folders(self._root):
            logger.info("Removing %s, whose writing was cut short.", folder)
            snapshot_files.remove_snapshot(folder)
        for folder in snapshot_files.discarded_folders(self._root):
            shutil.rmtree(folder)

    def check(self, stored: StoredSnapshot) -> None:
        """Hold the files against their checksums."""
        snapshot_files.check_files(self._root, stored)

    def read(self, stored: StoredSnapshot) -> AgentState:
        """Read what ``get_state`` gave, or the files of ``save_weights``."""
        weights = Path(stored.snapshot.weights_path)
        if (weights / META_FILE).is_file():
            return read_agent_state(weights)
        state = read_files(weights.parent, stored.snapshot.hyperparams)
        del state.arrays[METADATA_FILE]
        return state

    def restore(self, stored: StoredSnapshot, agent: Any) -> None:
        """Give the agent its state, or the path to load from."""
        weights = stored.snapshot.weights_path
        if stored.written_by == "state":
            restore(agent, read_agent_state(weights))
        else:
            agent.load_weights(weights)

    def _folder(self, snapshot_id: str) -> Path:
        return self._root / folder_name(snapshot_id)
