"""The champions of one run, on disk and, until they are there, in memory."""

from __future__ import annotations

import copy
import logging
import os
from pathlib import Path
from typing import Any

from tensor_optix.core.checks import check_flags, check_int, check_methods, check_path
from tensor_optix.core.storage.agent_files import apply_hyperparams, is_same_state, restore
from tensor_optix.core.storage.manifest import age_key
from tensor_optix.core.storage.snapshot_files import StoredSnapshot, check_named, described_snapshot
from tensor_optix.core.storage.snapshot_shelf import SnapshotShelf
from tensor_optix.core.storage.snapshot_store import SnapshotFolder, SnapshotStore
from tensor_optix.core.storage.snapshot_writer import Entry, SnapshotWriter
from tensor_optix.core.types import AgentState, EvalMetrics, HyperparamSet, PolicySnapshot
from tensor_optix.exceptions import CheckpointError

logger = logging.getLogger(__name__)


class CheckpointRegistry:
    """Keeps snapshots of policies in one folder, and knows which of them is the best.

    Snapshots are ``snapshot_<id>/`` folders beside ``manifest.json``, with relative paths only: the folder can be
    moved. Each carries checksums; a damaged one is reported with its reason and the next best is used. By default the
    highest score is the best (NaN never is); a loop that judges by better evidence says so with ``set_best``.

    Methods may be called from any thread.

    Args:
        checkpoint_dir: The folder; made where it is missing, unless ``read_only``.
        max_snapshots: How many to keep. The best is never removed, the oldest others are.
        read_only: Never write anything, for example to look into a run that is going on.
        store: Where snapshots lie, if not in that folder.

    Raises:
        CheckpointError: The folder cannot be made or written to.

    Example:
        >>> import tempfile
        >>> from tensor_optix.testing.fakes import StatefulAgent
        >>> folder, agent = tempfile.mkdtemp(), StatefulAgent()
        >>> registry = CheckpointRegistry(folder)
        >>> snapshot = registry.save(agent, EvalMetrics(12.5, {}, 0), agent.get_hyperparams())
        >>> CheckpointRegistry(folder).load_best(agent).eval_metrics.primary_score
        12.5
    """

    def __init__(
        self,
        checkpoint_dir: str | os.PathLike[str],
        max_snapshots: int = 10,
        *,
        read_only: bool = False,
        store: SnapshotStore | None = None,
    ) -> None:
        check_path("checkpoint_dir", checkpoint_dir)
        check_int("max_snapshots", max_snapshots, at_least=1)
        check_flags(read_only=read_only)
        if store is not None:
            check_methods("store", store, *(name for name in vars(SnapshotStore) if not name.startswith("_")))
        self.root = Path(checkpoint_dir).absolute()
        self.max_snapshots = max_snapshots
        self.read_only = read_only
        self._shelf = SnapshotShelf(max_snapshots)
        self._store: SnapshotStore = SnapshotFolder(self.root) if store is None else store
        self._writer = SnapshotWriter(self._store, self._shelf.contents)
        if not read_only:
            self._store.prepare()
        self._open()

    @property
    def best(self) -> PolicySnapshot | None:
        """The best snapshot, or None while there is none."""
        return self._shelf.best

    @property
    def snapshots(self) -> list[PolicySnapshot]:
        """All snapshots, oldest first."""
        return [entry.snapshot for entry in self._shelf.entries]

    def save(
        self,
        agent: Any,
        eval_metrics: EvalMetrics,
        hyperparams: HyperparamSet,
        *,
        is_best: bool = False,
        is_final: bool = False,
    ) -> PolicySnapshot:
        """Let the agent write a snapshot, now; it becomes the best if no other has a higher score.

        Args:
            agent: Writes.
            eval_metrics: The score that it earned.
            hyperparams: Those that made it.
            is_best: Make it the best whatever its score.
            is_final: See :meth:`save_state`.

        Raises:
            CheckpointError: It cannot be written; nothing of it is left.
        """
        entry = self._writer.write_by_agent(agent, self._name(eval_metrics, hyperparams, is_final))
        self._shelf.admit(entry, is_best)
        self._writer.write_index()
        return entry.snapshot

    def save_state(
        self,
        state: AgentState,
        eval_metrics: EvalMetrics,
        hyperparams: HyperparamSet,
        *,
        background: bool = True,
        is_best: bool = False,
        is_final: bool = False,
    ) -> PolicySnapshot:
        """Keep a captured state; it becomes the best if no other has a higher score.

        Args:
            state: From ``capture``. It is not copied: leave its arrays alone.
            eval_metrics: The score that it earned.
            hyperparams: Those that made it.
            background: Return at once and write beside the caller; a failure is logged, noted in ``failures``, and the
                state stays in memory, where ``load`` finds it. The next save tries again.
            is_best: Make it the best whatever its score.
            is_final: Give it a name that says that it was chosen at the end of a run: one that goes on from
                before makes no such snapshot there.

        Raises:
            CheckpointError: It cannot be written, and ``background`` is False.
        """
        entry = self._as_made_before(Entry(self._name(eval_metrics, hyperparams, is_final, state), state=state))
        if background:
            self._shelf.admit(entry, is_best)
            self._request_beside()
        else:
            self._writer.write_entry(entry)
            self._shelf.admit(entry, is_best)
            self._writer.write_index()
        return entry.snapshot

    def load_best(self, agent: Any) -> PolicySnapshot | None:
        """Make the agent the best snapshot that is whole; None where there is none.

        A damaged one is reported by a warning; the next best, by score, takes its place.
        """
        for entry in self._shelf.by_merit():
            try:
                self._give(agent, entry)
            except CheckpointError as error:
                self._discard(entry, error)
            else:
                self._shelf.best_id = entry.snapshot.snapshot_id
                return entry.snapshot
        return None

    def load(self, agent: Any, snapshot_id: str) -> PolicySnapshot:
        """Make the agent this snapshot: weights (whatever it saved with them) and hyperparameters.

        Raises:
            CheckpointError: There is no such snapshot, or it is damaged.
        """
        self._give(agent, entry := self._entry(snapshot_id))
        return entry.snapshot

    def load_state(self, snapshot_id: str) -> AgentState:
        """Return the state of a snapshot without an agent.

        Raises:
            CheckpointError: There is no such snapshot, or it is damaged.
        """
        entry = self._entry(snapshot_id)
        if (state := entry.state) is not None:
            return copy.deepcopy(state)
        return self._store.read(self._whole(entry))

    def holds(self, snapshot_id: str, state: AgentState | None) -> bool:
        """Tell whether a snapshot is this very state."""
        try:
            return state is not None and is_same_state(self.load_state(snapshot_id), state)
        except CheckpointError:
            return False

    def set_best(self, snapshot_id: str) -> PolicySnapshot:
        """Declare a snapshot the best, whatever its score.

        Raises:
            CheckpointError: There is no such snapshot, or that cannot be written down.
        """
        self._refuse_if_read_only()
        with self._shelf.lock:
            entry = self._entry(snapshot_id)
            is_news = snapshot_id != self._shelf.best_id
            self._shelf.best_id = snapshot_id
        if is_news:
            self._writer.request()
        return entry.snapshot

    @property
    def last_number(self) -> int:
        """Number of the newest snapshot that was ever saved, 0 before the first."""
        return self._shelf.last_number

    def rewind(self, last_number: int, *, are_made_again: bool = True) -> None:
        """Go back to when ``last_number`` was the newest; later ones stay on disk until :meth:`forget_later`.

        Args:
            last_number: Number of a snapshot.
            are_made_again: Whether the same snapshots will come again, to take the places of these.
        """
        self._refuse_if_read_only()
        known = [entry.snapshot.snapshot_id for entry in self._shelf.entries]
        for snapshot_id in {*known, *self._store.ids()} if are_made_again else ():
            if age_key(snapshot_id)[0] > last_number:
                self._writer.may_replace(snapshot_id)
        self._shelf.go_back(last_number, are_made_again)

    def hold(self, snapshot_id: str | None) -> None:
        """Call this snapshot the best on disk from the next write on, whatever comes to be it; None: no longer."""
        self._shelf.hold(snapshot_id)

    def release(self) -> None:
        """Call that snapshot the best on disk that is it."""
        self._shelf.hold(None)
        self._request_beside()

    def reinstate(self, snapshot_id: str) -> PolicySnapshot:
        """Make a snapshot the best again that a resumed run was to make anew.

        Raises:
            CheckpointError: There is no such snapshot.
        """
        entry = self._entry(snapshot_id)
        is_later = self._shelf.get_later(snapshot_id) is not None
        if is_later:
            self._writer.take_back([snapshot_id])
        if is_later or snapshot_id != self._shelf.best_id:
            self._shelf.admit(entry, is_best=True)
            self._request_beside()
        return entry.snapshot

    def forget_later(self) -> None:
        """Let go of what a resumed run was to make again, and did not."""
        self._writer.take_back(self._shelf.forget_later())
        self._request_beside()

    def readmit(self, plain: dict[str, Any], state: AgentState) -> None:
        """Take a snapshot back under its own id, unless it is here: it was pruned or damaged since.

        Args:
            plain: ``snapshot_id``, ``metrics``, ``hyperparams``, ``episode_id`` and ``timestamp``, encoded.
            state: The agent's, when the snapshot was made. It is not copied.

        Raises:
            CheckpointError: ``plain`` says something that no snapshot can be.
        """
        self._refuse_if_read_only()
        snapshot = described_snapshot(self._store.path_of, plain)
        with self._shelf.lock:
            if snapshot.snapshot_id in {known.snapshot_id for known in self.snapshots}:
                return
            self._writer.may_replace(snapshot.snapshot_id)
            self._shelf.admit(Entry(snapshot, state=state), is_best=True)
        self._request_beside()

    @property
    def failures(self) -> list[Exception]:
        """What could not be written so far, oldest first."""
        return list(self._writer.failures)

    def retry(self) -> None:
        """Try again, beside the caller, what could not be written so far, if there is such a thing."""
        is_missing = any(entry.stored is None for entry in self._shelf.entries)
        if is_missing and not self.read_only:
            self._request_beside()

    def _request_beside(self) -> None:
        self._writer.start_thread()
        self._writer.request()

    def flush(self) -> list[Exception]:
        """Wait until nothing is on its way to the disk; return what failed since the last call, and is in memory."""
        return self._writer.flush()

    def close(self) -> None:
        """Wait until nothing is on its way and end the writing thread; a later save starts it anew."""
        self._writer.close()

    def _open(self) -> None:
        inventory = self._store.take_inventory()
        shelf = self._shelf
        shelf.last_number = max((age_key(snapshot_id)[0] for snapshot_id in self._store.ids()), default=0)
        for stored in inventory.snapshots:
            shelf.put(Entry(stored.snapshot, stored))
        if shelf.get(inventory.best_id or "") is not None:
            shelf.best_id = inventory.best_id
        elif inventory.best_id is not None:
            logger.warning(
                "The best snapshot, %.80s, cannot be used; the next best takes its place.", inventory.best_id
            )
        for entry in self._shelf.by_merit():
            try:
                self._whole(entry)
            except CheckpointError as error:
                self._discard(entry, error)
            else:
                shelf.best_id = entry.snapshot.snapshot_id
                break
        snapshot_ids = [entry.snapshot.snapshot_id for entry in shelf.entries]
        self._writer.take_over(snapshot_ids, shelf.best_id)
        if snapshot_ids and not inventory.is_indexed and not self.read_only:
            try:
                self._writer.write_index()
            except CheckpointError as error:
                logger.warning("The list of snapshots could not be made anew on disk: %s", error)

    def _refuse_if_read_only(self) -> None:
        if self.read_only:
            raise CheckpointError(f"The registry of {self.root} was opened with read_only=True; it writes nothing.")

    def _name(
        self, metrics: EvalMetrics, hyperparams: HyperparamSet, is_final: bool, state: AgentState | None = None
    ) -> PolicySnapshot:
        self._refuse_if_read_only()
        check_named(metrics, hyperparams, is_final)

        def may_be_used(snapshot_id: str) -> bool:
            is_held = snapshot_id == self._shelf.held_id
            return self._writer.is_free(snapshot_id) and (not is_held or self.holds(snapshot_id, state))

        snapshot_id = self._shelf.next_id(
            f"-final-{metrics.env_steps or metrics.episode_id}" if is_final else "", may_be_used
        )
        weights_path = self._store.path_of(snapshot_id)
        return PolicySnapshot(snapshot_id, metrics, hyperparams.copy(), weights_path, metrics.episode_id)

    def _as_made_before(self, entry: Entry) -> Entry:
        """Take the files of a snapshot that an exactly resumed run made again: at no moment are they missing."""
        snapshot_id = entry.snapshot.snapshot_id
        earlier = self._shelf.get_later(snapshot_id)
        if earlier is not None and self.holds(snapshot_id, entry.state):
            entry = Entry(entry.snapshot, stored=earlier.stored)
            self._writer.take_back([snapshot_id])
        return entry

    def _entry(self, snapshot_id: str) -> Entry:
        entry = self._shelf.get(snapshot_id)
        if entry is None:
            known = ", ".join(snapshot.snapshot_id for snapshot in self.snapshots) or "none"
            raise CheckpointError(f"There is no snapshot {snapshot_id!r:.80} in {self.root}. Known: {known}.")
        return entry

    def _give(self, agent: Any, entry: Entry) -> None:
        check_methods("agent", agent, "load_weights")
        if (state := entry.state) is not None:
            restore(agent, state)
        else:
            self._store.restore(self._whole(entry), agent)
        hyperparams = entry.snapshot.hyperparams
        apply_hyperparams(agent, hyperparams.params, hyperparams.episode_id)

    def _whole(self, entry: Entry) -> StoredSnapshot:
        if entry.stored is None:
            raise CheckpointError(f"Snapshot {entry.snapshot.snapshot_id} is not on disk.")
        self._store.check(entry.stored)
        return entry.stored

    def _discard(self, entry: Entry, error: CheckpointError) -> None:
        snapshot_id = entry.snapshot.snapshot_id
        logger.warning("Snapshot %s is not used: %s The next best takes its place.", snapshot_id, error)
        self._writer.leave_alone(snapshot_id)
        self._shelf.take_out(snapshot_id)
