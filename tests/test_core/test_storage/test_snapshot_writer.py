import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import storage_fakes
from storage_fakes import (
    AGENTS,
    StateAgent,
    StemAgent,
    all_files,
    limited_file_size,
    load_value,
    metrics,
    save_all,
    save_one,
)

import tensor_optix
from tensor_optix.core.checkpoint_registry import CheckpointRegistry
from tensor_optix.core.storage import snapshot_files
from tensor_optix.core.storage.agent_files import capture
from tensor_optix.core.types import AgentState, HyperparamSet
from tensor_optix.exceptions import CheckpointError


@pytest.mark.parametrize("cls", AGENTS)
@pytest.mark.parametrize("background", [True, False])
def test_a_captured_state_is_kept_as_if_the_agent_had_written_it(tmp_path, cls, background):
    registry = CheckpointRegistry(tmp_path)
    agent = cls(4.0)
    snapshot = registry.save_state(capture(agent), metrics(9.0), agent.get_hyperparams(), background=background)
    assert registry.best is snapshot
    assert load_value(registry, cls) == 4.0
    assert registry.flush() == []
    assert load_value(CheckpointRegistry(tmp_path), cls) == 4.0
    fresh = cls()
    fresh.load_weights(snapshot.weights_path)
    assert fresh.value[0] == 4.0
    registry.close()


def hold_the_disk(monkeypatch):
    """Stop the writing thread at the door until the returned event is set."""
    may_go = threading.Event()
    real = snapshot_files.write_snapshot

    def slow(*args):
        assert may_go.wait(10)
        return real(*args)

    monkeypatch.setattr(snapshot_files, "write_snapshot", slow)
    return may_go


def test_saving_in_the_background_returns_at_once_and_loads_from_memory(tmp_path, monkeypatch):
    may_go = hold_the_disk(monkeypatch)
    registry = CheckpointRegistry(tmp_path, max_snapshots=2)
    for score in (1.0, 2.0, 3.0):
        agent = StateAgent(score)
        snapshot = registry.save_state(capture(agent), metrics(score), agent.get_hyperparams())
        assert not Path(snapshot.weights_path).exists()
        assert load_value(registry) == score
    assert registry.load_state(snapshot.snapshot_id).arrays["value"][0] == 3.0
    may_go.set()
    assert registry.flush() == []
    again = CheckpointRegistry(tmp_path)
    assert [s.eval_metrics.primary_score for s in again.snapshots] == [2.0, 3.0]
    assert load_value(again) == 3.0


def test_the_manifest_never_names_a_best_that_is_not_there(tmp_path, caplog):
    first, _ = save_all(CheckpointRegistry(tmp_path), [1.0, 2.0])
    CheckpointRegistry(tmp_path).set_best(first.snapshot_id)
    registry = CheckpointRegistry(tmp_path)
    with limited_file_size(40_000):
        registry.save_state(AgentState({"value": np.full(20_000, 3.0)}), metrics(3.0), HyperparamSet({}, 0))
        assert len(registry.flush()) == 1
    caplog.clear()
    assert CheckpointRegistry(tmp_path, read_only=True).best == first
    assert caplog.text == ""
    assert load_value(registry) == 3.0


def test_a_state_that_left_while_being_written_leaves_nothing_behind(tmp_path, monkeypatch):
    may_go = hold_the_disk(monkeypatch)
    registry = CheckpointRegistry(tmp_path, max_snapshots=1)
    agent = StateAgent(1.0)
    registry.save_state(capture(agent), metrics(1.0), agent.get_hyperparams())
    time.sleep(0.05)  # the thread stands at the door with the first one
    registry.save_state(capture(agent), metrics(2.0), agent.get_hyperparams())
    may_go.set()
    registry.close()
    assert len(list(tmp_path.glob("snapshot_*"))) == 1
    assert CheckpointRegistry(tmp_path).best.eval_metrics.primary_score == 2.0


def test_a_full_disk_is_said_loudly_and_training_goes_on(tmp_path, caplog):
    registry = CheckpointRegistry(tmp_path, max_snapshots=2)
    save_all(registry, [1.0, 2.0])
    big = AgentState({"value": np.full(20_000, 7.0)})
    with limited_file_size(40_000), caplog.at_level(logging.ERROR):
        for score in (3.0, 4.0, 5.0):
            registry.save_state(big, metrics(score), HyperparamSet({}, 0))
        failures = registry.flush()
    assert failures
    assert all(isinstance(error, CheckpointError) for error in failures)
    assert "could not be written" in caplog.text
    assert "stays in memory" in caplog.text
    assert registry.flush() == []
    assert registry.failures == failures
    assert load_value(registry) == 7.0  # from memory
    # What is on disk was not given up for what could not be written.
    assert load_value(CheckpointRegistry(tmp_path, read_only=True)) == 2.0
    # With room again the next save brings everything there.
    registry.save_state(big, metrics(6.0), HyperparamSet({}, 0))
    assert registry.flush() == []
    again = CheckpointRegistry(tmp_path)
    assert [s.eval_metrics.primary_score for s in again.snapshots] == [5.0, 6.0]
    assert len(list(tmp_path.glob("snapshot_*"))) == 2


def test_a_full_disk_in_the_foreground_raises_and_leaves_nothing(tmp_path):
    registry = CheckpointRegistry(tmp_path)
    save_one(registry, 1.0, cls=StemAgent)
    before = all_files(tmp_path)
    agent = StemAgent(2.0)
    agent.value = np.full(50_000, 2.0)
    state = AgentState({"value": agent.value})
    with limited_file_size(40_000):
        with pytest.raises((CheckpointError, OSError)):
            registry.save(agent, metrics(2.0), agent.get_hyperparams())
        with pytest.raises(CheckpointError, match="Could not write"):
            registry.save_state(state, metrics(2.0), agent.get_hyperparams(), background=False)
    assert all_files(tmp_path) == before
    assert registry.best.eval_metrics.primary_score == 1.0
    assert load_value(registry, StemAgent) == 1.0


def test_a_folder_that_vanishes_does_not_stop_the_run(tmp_path, caplog):
    registry = CheckpointRegistry(tmp_path / "run")
    shutil.rmtree(tmp_path / "run")
    agent = StateAgent(3.0)
    with caplog.at_level(logging.ERROR):
        registry.save_state(capture(agent), metrics(1.0), agent.get_hyperparams())
        assert registry.flush()
    assert "Could not make the folder" in caplog.text
    assert load_value(registry) == 3.0


def test_what_the_agent_raises_reaches_the_caller_and_leaves_nothing(tmp_path):
    class Broken(StemAgent):
        def save_weights(self, path):
            super().save_weights(path)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        save_one(CheckpointRegistry(tmp_path), 1.0, cls=Broken)
    assert all_files(tmp_path) == []


def test_an_agent_that_takes_our_name_is_told(tmp_path):
    class TakesOurName(StemAgent):
        def save_weights(self, path):
            Path(path).with_name("metadata.json").write_text("mine")

    with pytest.raises(CheckpointError, match="a name that the snapshot itself needs"):
        save_one(CheckpointRegistry(tmp_path), 1.0, cls=TakesOurName)


TRAINER = """
import sys
sys.path.insert(0, sys.argv[2])
from storage_fakes import StateAgent, metrics
from tensor_optix.core.storage.agent_files import capture
from tensor_optix.core.checkpoint_registry import CheckpointRegistry
registry = CheckpointRegistry(sys.argv[1], max_snapshots=3)
first = 1 + (0 if registry.best is None else int(registry.best.eval_metrics.primary_score))
for number in range(first, first + int(sys.argv[3])):
    agent = StateAgent(float(number))
    registry.save_state(capture(agent), metrics(float(number)), agent.get_hyperparams())
    if number % 3 == 0:
        registry.flush()
        print(number, flush=True)
"""


def start_trainer(root, num_snapshots):
    command = [sys.executable, "-c", TRAINER, str(root), str(Path(storage_fakes.__file__).parent), str(num_snapshots)]
    home = Path(tensor_optix.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(home)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def test_kill_9_at_any_moment_leaves_whole_snapshots(tmp_path, caplog):
    said = 0
    for attempt in range(6):
        trainer = start_trainer(tmp_path, 10**6)
        for _ in range(2):
            said = int(trainer.stdout.readline())
        time.sleep(0.0137 * attempt)
        trainer.kill()
        said = int((trainer.stdout.read().split() or [said])[-1])
        trainer.wait()
        registry = CheckpointRegistry(tmp_path, read_only=True)
        best = registry.best.eval_metrics.primary_score
        assert best >= said
        assert load_value(registry) == best
        for snapshot in registry.snapshots:
            agent = StateAgent()
            registry.load(agent, snapshot.snapshot_id)
            assert agent.value[0] == snapshot.eval_metrics.primary_score
    assert caplog.text == ""  # unfinished is not damaged


def test_what_is_on_its_way_when_the_program_ends_still_arrives(tmp_path):
    trainer = start_trainer(tmp_path, 2)
    assert trainer.wait(30) == 0
    assert load_value(CheckpointRegistry(tmp_path)) == 2.0
