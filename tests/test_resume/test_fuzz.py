"""Files crafted by hand, by the thousand: a clear error of ours or something whole; nothing outside is touched."""

import json
import logging
import resource
import shutil

import numpy as np
import pytest
from resume_fakes import LinearAgent, interrupted, make_run

from tensor_optix import CheckpointRegistry
from tensor_optix.core import run_checkpoint
from tensor_optix.core.checkpoint_slots import CheckpointSlots
from tensor_optix.core.json_files import write_sealed_json
from tensor_optix.core.run_folder import read_run_json
from tensor_optix.core.state_files import ARRAYS_FILE, META_FILE, read_agent_state
from tensor_optix.exceptions import TensorOptixError

RUN = "run-0001"
STRANGE = [
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 10**30, 1.5, -0.0, 1e308, "", "a", "000001", "best", "\0", "é" * 300),
    *("/etc/passwd", "../../outside", "..\\outside", "C:\\windows", "snapshot_000001", "agent", "NaN", "a/" * 200),
    *([], {}, [[]], [None], {"a": {}}, ["agent"], {"$float": "nan"}, {"$array": [1], "dtype": "O", "shape": [1]}),
    *([0, 2**48], [2**40, 2**40], {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}),
]


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


def mutate_document(rng, document):
    """Replace, remove or add something somewhere in a JSON document."""
    places = []

    def walk(node, path):
        for key in list(node) if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], (dict, list)) and node[key]:
                walk(node[key], (*path, key))

    walk(document, ())
    node, key = places[rng.integers(len(places))]
    value = STRANGE[rng.integers(len(STRANGE))]
    kind = rng.integers(4)
    if kind == 0 and isinstance(node, dict):
        del node[key]
    elif kind == 1 and isinstance(node, list):
        node.append(value)
    else:
        node[key] = value


def mutate_bytes(rng, data):
    """Flip, cut, repeat or overwrite some bytes."""
    data = bytearray(data)
    kind, where = rng.integers(5), int(rng.integers(max(len(data), 1)))
    if kind == 0 and data:
        data[where] ^= 1 << rng.integers(8)
    elif kind == 1:
        del data[where:]
    elif kind == 2:
        data[where:where] = data[where : where + int(rng.integers(1, 64))]
    elif kind == 3:
        data[where : where + 8] = rng.integers(0, 256, 8, np.uint8).tobytes()
    else:
        data[:8] = int(rng.integers(0, 2**63)).to_bytes(8, "little")
    return bytes(data)


def craft(rng, path):
    """Write a crafted file in the place of a good one, sealed as a good one is where it is JSON."""
    if path.suffix == ".json" and rng.random() < 0.7:
        try:
            document = json.loads(path.read_bytes())
        except ValueError:  # crafted before
            document = {"sha256": ""}
        seal = document.pop("sha256")
        if document:
            mutate_document(rng, document)
        if isinstance(document, dict):
            write_sealed_json(path, document, flush=False)
            return
        path.write_text(json.dumps({"sha256": seal}))
    else:
        path.write_bytes(mutate_bytes(rng, path.read_bytes()))


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
    rng = np.random.default_rng(count)
    run = tmp_path / "run"
    shutil.copytree(source / "cut" / RUN, run)
    files = [
        path for path in sorted(run.rglob("*")) if path.suffix in (".json", ".safetensors") and path.name[0] != "."
    ]
    files = [path for path in files if path.name != "run.owner.json"]
    assert len(files) >= 15
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused = 0
    for _ in range(count):
        path = files[rng.integers(len(files))]
        good = path.read_bytes()
        craft(rng, path)
        refused += is_refused(run, path)
        path.write_bytes(good)
    assert refused > count / 10
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < 100
    assert (source / "outside" / "precious").read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


@pytest.mark.parametrize("count", [40, pytest.param(1000, marks=pytest.mark.slow)])
def test_resuming_from_crafted_files_ends_or_is_refused(source, tmp_path, count, caplog):
    rng = np.random.default_rng(count)
    ended = 0
    for number in range(count):
        folder = tmp_path / str(number)
        shutil.copytree(source / "cut", folder)
        slots = [path for path in sorted((folder / RUN / "checkpoint").rglob("*")) if path.is_file()]
        for _ in range(2):
            path = slots[rng.integers(len(slots))]
            if (
                path.name == "loop.json"
            ):  # with a good seal its numbers are believed: they are no code, no path, no size
                path.write_bytes(mutate_bytes(rng, path.read_bytes()))
            else:
                craft(rng, path)
        try:
            make_run(folder, agent=LinearAgent(init_seed=1), max_env_steps=None, max_episodes=24).run(resume=True)
            ended += 1
        except (TensorOptixError, KeyError, TypeError, ValueError):
            pass  # ours, or what the fake agent makes of hyperparameters that are not its own
        shutil.rmtree(folder)
    assert ended > count / 4
