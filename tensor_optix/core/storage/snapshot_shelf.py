"""Which snapshots a registry has, which of them is the best, and which a resumed run is to make again."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

from tensor_optix.core.checks import check_flags
from tensor_optix.core.storage.manifest import age_key
from tensor_optix.core.storage.snapshot_writer import Entry
from tensor_optix.core.types import PolicySnapshot


class SnapshotShelf:
    """The entries of a registry, in order of age. Methods may be called from any thread.

    A run that is resumed goes back to when it had fewer snapshots. The *later* ones are no part of what it has by
    then, but stay listed on disk until they were made again or are forgotten.

    Args:
        max_snapshots: How many to keep, the later ones apart.

    Attributes:
        best_id: The best of those that the run has; None where there is none.
        held_id: What is the best on disk whatever the run has; None: the same.
        last_number: Number of the newest that was ever made.
        lock: Of all of this; never held while the disk is written to.
    """

    def __init__(self, max_snapshots: int) -> None:
        self._max_snapshots = max_snapshots
        self._entries: dict[str, Entry] = {}
        self._later: dict[str, Entry] = {}
        self._are_made_again = True
        self.best_id: str | None = None
        self.held_id: str | None = None
        self.last_number = 0
        self.lock = threading.RLock()

    @property
    def entries(self) -> list[Entry]:
        """Those that the run has, oldest first."""
        with self.lock:
            return [self._entries[snapshot_id] for snapshot_id in sorted(self._entries, key=age_key)]

    @property
    def best(self) -> PolicySnapshot | None:
        """The best of them."""
        with self.lock:
            return None if self.best_id is None else self._entries[self.best_id].snapshot

    def contents(self) -> tuple[list[Entry], str | None]:
        """Return all that belongs on the disk, oldest first, and the id of the best there."""
        with self.lock:
            entries = {**self._later, **self._entries}
            return [entries[snapshot_id] for snapshot_id in sorted(entries, key=age_key)], self.held_id or self.best_id

    def get(self, snapshot_id: str) -> Entry | None:
        """Return an entry, a later one included."""
        with self.lock:
            return (
                (self._entries.get(snapshot_id) or self._later.get(snapshot_id))
                if isinstance(snapshot_id, str)
                else None
            )

    def get_later(self, snapshot_id: str) -> Entry | None:
        """Return an entry that the run is to make again."""
        with self.lock:
            return self._later.get(snapshot_id)

    def put(self, entry: Entry) -> None:
        """Take an entry in, and nothing else."""
        with self.lock:
            self._entries[entry.snapshot.snapshot_id] = entry

    def admit(self, entry: Entry, is_best: bool) -> None:
        """Take an entry in, see whether it is the best, and let go of the oldest ones."""
        check_flags(is_best=is_best)
        with self.lock:
            self._later.pop(entry.snapshot.snapshot_id, None)
            self.put(entry)
            score, best = entry.snapshot.eval_metrics.primary_score, self.best
            is_higher = math.isfinite(score) and (best is None or not best.eval_metrics.primary_score >= score)
            if is_best or is_higher:
                self.best_id = entry.snapshot.snapshot_id
            self._prune()

    def hold(self, snapshot_id: str | None) -> None:
        """Let a snapshot be the best on disk, whatever the run has; None: no longer."""
        with self.lock:
            self.held_id = snapshot_id

    def _prune(self) -> None:
        """Let go of the oldest; what is held is no longer the run's own then, but stays listed."""
        for snapshot_id in sorted(self._entries, key=age_key):
            if len(self._entries) > self._max_snapshots and snapshot_id != self.best_id:
                entry = self._entries.pop(snapshot_id)
                if snapshot_id == self.held_id:
                    self._later[snapshot_id] = entry

    def take_out(self, snapshot_id: str) -> None:
        """Forget an entry."""
        with self.lock:
            self._entries.pop(snapshot_id, None)
            if self.best_id == snapshot_id:
                self.best_id = None

    def by_merit(self) -> list[Entry]:
        """Return the best first, then by score; snapshots without a score are no candidates."""
        with self.lock:
            scored = [e for e in self._entries.values() if math.isfinite(e.snapshot.eval_metrics.primary_score)]
            scored.sort(key=lambda e: e.snapshot.eval_metrics.primary_score, reverse=True)
            if self.best_id is None:
                return scored
            best = self._entries[self.best_id]
            return [best, *(entry for entry in scored if entry is not best)]

    def next_id(self, ending: str, may_be_used: Callable[[str], bool]) -> str:
        """Return the next number that may be used, with an ending."""
        with self.lock:
            while True:
                self.last_number += 1
                snapshot_id = f"{self.last_number:06d}{ending}"
                if may_be_used(snapshot_id):
                    return snapshot_id

    def go_back(self, last_number: int, are_made_again: bool) -> None:
        """Make those that are newer than this number later ones.

        Args:
            last_number: Number of a snapshot.
            are_made_again: Whether the same will come again, under the same numbers.
        """
        with self.lock:
            for snapshot_id in [id_ for id_ in self._entries if age_key(id_)[0] > last_number]:
                self._later[snapshot_id] = self._entries.pop(snapshot_id)
            if self.best_id not in self._entries:
                self.best_id = None
            self._are_made_again = are_made_again
            if are_made_again:
                self.last_number = last_number

    def forget_later(self) -> list[str]:
        """Forget the later ones, and return their ids; those that could not come again are like any older ones."""
        with self.lock:
            if not self._are_made_again:
                self._entries.update(self._later)
            forgotten = list(self._later)
            self._later.clear()
            self._prune()
            return forgotten
