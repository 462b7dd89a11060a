"""Files crafted by hand, by the thousand: a clear error of ours or something whole; nothing outside is touched."""

import logging
import resource
import shutil

import numpy as np
import pytest
from harness.crafted_files import craft, mutate_bytes
from hypothesis import Phase, given, settings, strategies
from resume_fakes import LinearAgent, interrupted, make_run

from tensor_optix import CheckpointRegistry
from tensor_optix.core.loop import run_checkpoint
from tensor_optix.core.storage.checkpoint_slots import CheckpointSlots
from tensor_optix.core.storage.run_folder import read_run_json
from tensor_optix.core.storage.state_files import ARRAYS_FILE, META_FILE, read_agent_state
from tensor_optix.exceptions import TensorOptixError

RUN = "run-0001"


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A run that was cut, with all its files."""
    folder = tmp_path_factory.mktemp("source")
    patch = pytest.MonkeyPatch()
    patch.setattr(run_checkpoint.RunCheckpoint, "save_if_due", run_checkpoint.RunCheckpoint.save)
    interrupted(make_run(folder / "cut", stop_at=21, max_env_steps=None, max_episodes=24))
    patch.undo()
    (folder / "outside").mkdir()
    (folder / "outside" / "precious").write_text("precious")
    return folder


def is_refused(run, path):
    """Read what a file of a run folder belongs to; tell whether that was refused."""
    readers = {
        "checkpoint": lambda: CheckpointSlots(run).read(),
        "run.json": lambda: read_run_json(run),
    }
    first = path.relative_to(run).parts[0]
    try:
        readers.get(first, lambda: CheckpointRegistry(run, read_only=True).load_best(LinearAgent()))()
        if path.name in (ARRAYS_FILE, META_FILE):
            read_agent_state(path.parent)
    except TensorOptixError:
        return True
    return False


@pytest.fixture(autouse=True)
def without_log():
    """Thousands of warnings would be kept in memory."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])])
def test_crafted_files_are_refused_or_harmless(source, tmp_path, count):
    run = tmp_path / "run"
    shutil.copytree(source / "cut" / RUN, run)
    files = [
        path for path in sorted(run.rglob("*")) if path.suffix in (".json", ".safetensors") and path.name[0] != "."
    ]
    files = [path for path in files if path.name != "run.owner.json"]
    assert len(files) >= 15
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused = []

    @settings(max_examples=count, database=None, derandomize=True, deadline=None, phases=[Phase.generate])
    @given(strategies.data())
    def read_crafted(data):
        def draw(number):
            return data.draw(strategies.integers(0, number - 1))

        path = files[draw(len(files))]
        good = path.read_bytes()
        craft(draw, path)
        try:
            refused.append(is_refused(run, path))
        finally:
            path.write_bytes(good)

    read_crafted()
    assert len(refused) >= count
    assert sum(refused) > count / 10
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < 100
    assert (source / "outside" / "precious").read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


@pytest.mark.parametrize("count", [40, pytest.param(1000, marks=pytest.mark.slow)])
def test_resuming_from_crafted_files_ends_or_is_refused(source, tmp_path, count):
    rng = np.random.default_rng(count)
    ended = 0

    def draw(number):
        return int(rng.integers(number))

    for number in range(count):
        folder = tmp_path / str(number)
        shutil.copytree(source / "cut", folder)
        slots = [path for path in sorted((folder / RUN / "checkpoint").rglob("*")) if path.is_file()]
        for _ in range(2):
            path = slots[rng.integers(len(slots))]
            if (
                path.name == "loop.json"
            ):  # with a good seal its numbers are believed: they are no code, no path, no size
                path.write_bytes(mutate_bytes(draw, path.read_bytes()))
            else:
                craft(draw, path)
        try:
            make_run(folder, agent=LinearAgent(init_seed=1), max_env_steps=None, max_episodes=24).run(resume=True)
            ended += 1
        except (TensorOptixError, KeyError, TypeError, ValueError):
            pass  # ours, or what the fake agent makes of hyperparameters that are not its own
        shutil.rmtree(folder)
    assert ended > count / 4
