"""Another place for snapshots is one class: here a table of a database, filled by the registry and by a whole loop."""

import hashlib
import io
import json
import sqlite3
import tarfile
import tempfile
from pathlib import Path

import pytest
from loop_fakes import NoTuning
from storage_fakes import AGENTS, load_value, metrics, save_all

from tensor_optix.core.backoff_scheduler import BackoffScheduler
from tensor_optix.core.checkpoint_registry import CheckpointRegistry
from tensor_optix.core.loop_controller import LoopController
from tensor_optix.core.storage.agent_files import capture, read_files, restore
from tensor_optix.core.storage.manifest import Inventory
from tensor_optix.core.storage.snapshot_files import StoredSnapshot
from tensor_optix.core.types import HyperparamSet, PolicySnapshot
from tensor_optix.exceptions import CheckpointError
from tensor_optix.testing.fakes import RewardEvaluator, ScriptedPipeline, StatefulAgent


class TableStore:
    """A row a snapshot: what is said of it, and its files as one archive."""

    def __init__(self, file):
        self._table = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
        self._table.execute("CREATE TABLE IF NOT EXISTS snapshots (id TEXT PRIMARY KEY, facts TEXT, files BLOB)")
        self._table.execute("CREATE TABLE IF NOT EXISTS best (id TEXT)")

    def prepare(self):
        pass

    def take_inventory(self):
        rows = self._table.execute("SELECT facts FROM snapshots ORDER BY id").fetchall()
        best = self._table.execute("SELECT id FROM best").fetchone()
        return Inventory(tuple(self._stored(json.loads(facts)) for (facts,) in rows), best and best[0], True)

    def ids(self):
        return [row[0] for row in self._table.execute("SELECT id FROM snapshots")]

    def path_of(self, snapshot_id):
        return f"row/{snapshot_id}"

    def is_taken(self, snapshot_id):
        return snapshot_id in self.ids()

    def write(self, snapshot, written_by, write_weights):
        with tempfile.TemporaryDirectory() as folder:
            write_weights(Path(folder) / "weights")
            packed = io.BytesIO()
            with tarfile.open(fileobj=packed, mode="w") as archive:
                archive.add(folder, "")
        content = packed.getvalue()
        stored = StoredSnapshot(snapshot, written_by, ({"sha256": hashlib.sha256(content).hexdigest()},))
        facts = {
            "id": snapshot.snapshot_id,
            "score": snapshot.eval_metrics.primary_score,
            "params": snapshot.hyperparams.params,
            "written_by": written_by,
            "files": stored.files,
        }
        row = (snapshot.snapshot_id, json.dumps(facts), content)
        self._table.execute("INSERT INTO snapshots VALUES (?, ?, ?)", row)
        return stored

    def write_index(self, snapshots, best_id):
        self._table.execute("DELETE FROM best")
        self._table.execute("INSERT INTO best VALUES (?)", (best_id,))

    def remove(self, snapshot_id):
        self._table.execute("DELETE FROM snapshots WHERE id = ?", (snapshot_id,))

    def sweep(self):
        pass

    def check(self, stored):
        if hashlib.sha256(self._content(stored)).hexdigest() != stored.files[0]["sha256"]:
            raise CheckpointError("The row is damaged.")

    def read(self, stored):
        with tempfile.TemporaryDirectory() as folder:
            self._unpack(stored, folder)
            return read_files(Path(folder), stored.snapshot.hyperparams)

    def restore(self, stored, agent):
        restore(agent, self.read(stored))

    def damage(self, snapshot_id):
        self._table.execute("UPDATE snapshots SET files = x'00' WHERE id = ?", (snapshot_id,))

    def _content(self, stored):
        found = self._table.execute("SELECT files FROM snapshots WHERE id = ?", (stored.snapshot.snapshot_id,))
        return found.fetchone()[0]

    def _unpack(self, stored, folder):
        with tarfile.open(fileobj=io.BytesIO(self._content(stored))) as archive:
            archive.extractall(folder, filter="data")

    def _stored(self, facts):
        made = HyperparamSet(facts["params"], 0)
        snapshot = PolicySnapshot(facts["id"], metrics(facts["score"]), made, self.path_of(facts["id"]), 0)
        return StoredSnapshot(snapshot, facts["written_by"], tuple(facts["files"]))


@pytest.fixture
def table(tmp_path):
    return tmp_path / "snapshots.sqlite"


@pytest.mark.parametrize("cls", AGENTS)
def test_what_is_saved_comes_back_from_the_table_in_another_process_too(tmp_path, table, cls):
    save_all(CheckpointRegistry(tmp_path / "run", max_snapshots=2, store=TableStore(table)), [1.0, 3.0, 2.0], cls)
    again = CheckpointRegistry(tmp_path / "run", store=TableStore(table))
    assert [snapshot.eval_metrics.primary_score for snapshot in again.snapshots] == [3.0, 2.0]
    assert load_value(again, cls) == 3.0
    assert not list(tmp_path.glob("run/*"))


def test_a_captured_state_is_written_beside_the_loop(tmp_path, table):
    registry, agent = CheckpointRegistry(tmp_path, store=TableStore(table)), AGENTS[-1](7.0)
    registry.save_state(capture(agent), metrics(1.0), agent.get_hyperparams())
    assert registry.flush() == []
    registry.close()
    assert TableStore(table).ids() == ["000001"]


def test_a_damaged_row_is_reported_and_the_next_best_is_used(tmp_path, table, caplog):
    save_all(CheckpointRegistry(tmp_path, store=TableStore(table)), [1.0, 3.0])
    TableStore(table).damage("000002")
    assert load_value(CheckpointRegistry(tmp_path, store=TableStore(table))) == 1.0
    assert "The row is damaged." in caplog.text


def test_a_whole_loop_keeps_its_champions_in_the_table(tmp_path, table):
    agent = StatefulAgent()
    loop = LoopController(
        agent,
        RewardEvaluator(),
        NoTuning(),
        ScriptedPipeline([3.0 * (k + 1) for k in range(10)]),
        CheckpointRegistry(tmp_path, store=TableStore(table)),
        BackoffScheduler(),
    )
    champion = loop.run().champion
    kept = CheckpointRegistry(tmp_path, store=TableStore(table)).best
    assert kept.snapshot_id == champion.snapshot_id
    assert kept.eval_metrics.primary_score == champion.eval_metrics.primary_score
