"""Brings snapshots from memory to the disk, beside whoever made them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tensor_optix.core.checks import check_methods
from tensor_optix.core.storage.agent_files import is_file_state, write_files
from tensor_optix.core.storage.snapshot_files import StoredSnapshot
from tensor_optix.core.storage.snapshot_store import SnapshotStore
from tensor_optix.core.storage.state_files import write_agent_state
from tensor_optix.core.types import AgentState, PolicySnapshot
from tensor_optix.exceptions import CheckpointError

logger = logging.getLogger(__name__)


@dataclass
class Entry:
    """A snapshot in memory (``state``), on disk (``stored``), or on its way.

    Attributes:
        snapshot: What users see.
        stored: What lies on disk; None until it does.
        state: What is still to be written; None once it is.
    """

    snapshot: PolicySnapshot
    stored: StoredSnapshot | None = None
    state: AgentState | None = None


class SnapshotWriter:
    """Writes whatever of a registry's contents is not yet on disk.

    A failure is logged and kept, and what could not be written is tried again with the next
    request.

    Args:
        store: Where the snapshots lie.
        contents: Returns the entries there are now, and the id of the best.
    """

    def __init__(self, store: SnapshotStore, contents: Callable[[], tuple[list[Entry], str | None]]) -> None:
        self.failures: list[Exception] = []
        self._store = store
        self._contents = contents
        self._disk = threading.RLock()
        self._on_disk: set[str] = set()
        self._replaceable: set[str] = set()
        self._thread: ThreadPoolExecutor | None = None
        self._last_job: Future[None] | None = None
        self._best_on_disk: str | None = None
        self._is_index_due = False
        self._is_swept = False
        self._num_told = 0

    def take_over(self, snapshot_ids: Iterable[str], best_id: str | None) -> None:
        """Take charge of the folders that an earlier process wrote: each goes when its entry does."""
        self._on_disk.update(snapshot_ids)
        self._best_on_disk = best_id

    def leave_alone(self, snapshot_id: str) -> None:
        """Never remove this folder, for example because it is damaged and may be looked into."""
        self._on_disk.discard(snapshot_id)

    def take_back(self, snapshot_ids: Iterable[str]) -> None:
        """Take charge again of folders that were to be left alone: each goes when its entry does."""
        for snapshot_id in snapshot_ids:
            self._on_disk.add(snapshot_id)
            self._replaceable.discard(snapshot_id)

    def may_replace(self, snapshot_id: str) -> None:
        """Let a new snapshot take the place of the one with this id; until then its folder stays."""
        self.leave_alone(snapshot_id)
        self._replaceable.add(snapshot_id)

    def is_free(self, snapshot_id: str) -> bool:
        """Tell whether a new snapshot may have this id."""
        return snapshot_id in self._replaceable or not self._store.is_taken(snapshot_id)

    def start_thread(self) -> None:
        """Write beside the caller from now on."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="tensor-optix-writer")

    def request(self) -> None:
        """Bring everything to the disk: in the thread where one was started, else here and now.

        Raises:
            Exception: What went wrong last, where it was tried here and now.
        """
        self._is_index_due = True
        if self._thread is not None:
            self._last_job = self._thread.submit(self._write_all)
            return
        num_failures = len(self.failures)
        self._write_all()
        if len(self.failures) > num_failures:
            raise self.failures[-1]

    def write_by_agent(self, agent: Any, snapshot: PolicySnapshot) -> Entry:
        """Let the agent write its weights, here and now.

        Raises:
            CheckpointError: They cannot be written; nothing of them is left.
        """
        check_methods("agent", agent, "save_weights")
        with self._disk:
            self._sweep()
            stored = self._write(snapshot, "agent", lambda path: agent.save_weights(str(path)))
            self._on_disk.add(snapshot.snapshot_id)
            return Entry(snapshot, stored)

    def write_entry(self, entry: Entry) -> None:
        """Bring one entry to the disk, here and now, unless it is there.

        Raises:
            CheckpointError: It cannot be written; nothing of it is left.
        """
        with self._disk:
            self._sweep()
            if entry.state is not None:
                entry.stored = self._write_state(entry.snapshot, entry.state)
                entry.state = None
                self._on_disk.add(entry.snapshot.snapshot_id)
                self._is_index_due = True

    def write_index(self) -> None:
        """Write the manifest, here and now, and remove the snapshots that it no longer lists.

        Raises:
            CheckpointError: It cannot be written.
        """
        with self._disk:
            entries, best_id = self._contents()
            self._is_index_due = False
            try:
                stored = {e.snapshot.snapshot_id: e.stored for e in entries if e.stored is not None}
                # A best that is still on its way is not named: a crash now would leave it missing.
                named = best_id if best_id in stored else self._best_on_disk
                self._best_on_disk = named if named in stored else None
                self._store.write_index(stored.values(), self._best_on_disk)
                # While a new snapshot cannot be written, an old one on disk is worth more than none.
                if all(e.stored is not None for e in entries):
                    self._remove_all_but({e.snapshot.snapshot_id for e in entries})
            except OSError as error:
                self._is_index_due = True
                if isinstance(error, CheckpointError):
                    raise
                raise CheckpointError(f"Could not remove an old snapshot: {error}.") from error

    def flush(self) -> list[Exception]:
        """Wait until nothing is on its way; return what failed since the last call."""
        job = self._last_job
        if job is not None:
            job.result()
        fresh = self.failures[self._num_told :]
        self._num_told += len(fresh)
        return fresh

    def close(self) -> None:
        """Wait until nothing is on its way and end the thread."""
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.shutdown()

    def _remove_all_but(self, kept: set[str]) -> None:
        for snapshot_id in sorted(self._on_disk - kept):
            self._store.remove(snapshot_id)
            self._on_disk.discard(snapshot_id)

    def _write_all(self) -> None:
        with self._disk:
            for entry in self._contents()[0]:
                try:
                    self.write_entry(entry)
                except Exception as error:
                    self._note(f"Snapshot {entry.snapshot.snapshot_id} could not be written", error)
            try:
                if self._is_index_due:
                    self.write_index()
            except Exception as error:
                self._note("The list of snapshots could not be written", error)

    def _note(self, what: str, error: Exception) -> None:
        self.failures.append(error)
        logger.error("%s: %s What is not on disk stays in memory and is tried again with the next save.", what, error)

    def _write_state(self, snapshot: PolicySnapshot, state: AgentState) -> StoredSnapshot:
        if is_file_state(state):
            return self._write(snapshot, "files", lambda path: write_files(state, path.parent))
        return self._write(snapshot, "state", lambda path: write_agent_state(path, state, flush=False))

    def _write(
        self, snapshot: PolicySnapshot, written_by: str, write_weights: Callable[[Path], None]
    ) -> StoredSnapshot:
        """Write a snapshot in the place of what may be replaced, such as what is left of a try that failed."""
        if snapshot.snapshot_id in self._replaceable:
            self._store.remove(snapshot.snapshot_id)
        self._replaceable.add(snapshot.snapshot_id)
        stored = self._store.write(snapshot, written_by, write_weights)
        self._replaceable.discard(snapshot.snapshot_id)
        return stored

    def _sweep(self) -> None:
        """Remove, once, what the crash of an earlier process left half-written."""
        if self._is_swept:
            return
        self._is_swept = True
        try:
            self._store.sweep()
        except OSError as error:
            logger.warning("What a crash left half-written could not be removed: %s", error)
