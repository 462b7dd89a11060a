"""What `doctor` looks at: versions, processors, backend, extras, and what makes runs slow on this machine."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

from tensor_optix.cli.process.compile_cache import ready_folder
from tensor_optix.cli.process.threads import VARIABLE
from tensor_optix.cli.quiet import load_tensorflow
from tensor_optix.core.loop.run_info import describe_platform
from tensor_optix.exceptions import CheckpointError

PACKAGE = "tensor-optix"
NO_EXTRAS = ("dev",)
SLOW_IMPORT_SECONDS, SLOW_SYNC_SECONDS = 8.0, 0.05
NUM_SYNCS = 7


def examined() -> dict[str, Any]:
    """Return what was found, JSON-able: ``problems`` keep runs from working, what is ``slow`` does not."""
    began = time.perf_counter()
    backend, devices, problems = _tensorflow()
    import_seconds = time.perf_counter() - began
    found = describe_platform()
    cache = _compile_cache()
    return {
        "versions": found["versions"],
        "machine": found["machine"],
        "processor": found["processor"],
        "num_cpus": found["num_cpus"],
        "threads": found["threads"],
        "backend": backend,
        "devices": devices,
        "compile_cache": cache,
        "extras": extras(),
        "slow": [
            *slow_import(import_seconds),
            *slow_processors(_load(), found["num_cpus"] or 1),
            *slow_threads(os.environ.get(VARIABLE)),
            *slow_disk(sync_seconds(Path.cwd())),
            *slow_interpreter(),
            *([] if cache["unusable"] is None else [f"each run compiles anew: {cache['unusable']}"]),
        ],
        "problems": problems,
    }


def _tensorflow() -> tuple[str, list[str], list[str]]:
    """Return Keras's backend, TensorFlow's devices, and what keeps runs from working."""
    try:
        load_tensorflow()
        import keras
        import tensorflow as tf
    except Exception as error:  # whatever is broken there is what is looked for
        return "none", [], [f"TensorFlow cannot be loaded: {type(error).__name__}: {error}"]
    backend = keras.config.backend()
    problems = [] if backend == "tensorflow" else [f"Keras runs on {backend!r}: set KERAS_BACKEND=tensorflow"]
    return backend, [device.name.removeprefix("/device:") for device in tf.config.list_logical_devices()], problems


def extras(package: str = PACKAGE) -> dict[str, list[str]]:
    """Return the packages that each extra still lacks, by its name; none where the package itself is not installed."""
    try:
        names = metadata.metadata(package).get_all("Provides-Extra") or []
    except metadata.PackageNotFoundError:
        return {}
    return {name: missing_packages(package, name) for name in names if name not in NO_EXTRAS}


def missing_packages(package: str, extra: str) -> list[str]:
    """Return what an extra asks for and is not installed, or not in the version that it asks for."""
    missing = []
    for line in metadata.requires(package) or []:
        try:
            wanted = Requirement(line)
        except InvalidRequirement:
            continue
        if (
            wanted.marker is None
            or not wanted.marker.evaluate({"extra": extra})
            or wanted.marker.evaluate({"extra": ""})
        ):
            continue
        try:
            is_there = wanted.specifier.contains(metadata.version(wanted.name), prereleases=True)
        except metadata.PackageNotFoundError:
            is_there = False
        if not is_there:
            missing.append(f"{wanted.name}{wanted.specifier}")
        else:
            missing += [name for inner in wanted.extras for name in missing_packages(wanted.name, inner)]
    return missing


def slow_import(seconds: float) -> list[str]:
    """Return what there is to say of the time that TensorFlow took to load."""
    if seconds < SLOW_IMPORT_SECONDS:
        return []
    return [f"TensorFlow took {seconds:.0f} seconds to load: a slow disk, or a busy machine (the first time it may)"]


def slow_processors(load: float, num_cpus: int) -> list[str]:
    """Return what there is to say of how busy the machine is."""
    if load <= num_cpus:
        return []
    return [f"other programs want {load:.1f} processors of {num_cpus}: runs share them"]


def slow_threads(number: str | None) -> list[str]:
    """Return what there is to say of the threads that the user has set."""
    if number in (None, "", "1"):
        return []
    return [f"{VARIABLE}={number}: small networks are faster with 1"]


def slow_disk(seconds: float | None) -> list[str]:
    """Return what there is to say of the time that a small file took to be on the disk; None: it could not be."""
    if seconds is None:
        return ["nothing can be written here: name a folder for runs with --checkpoint-dir"]
    if seconds < SLOW_SYNC_SECONDS:
        return []
    return [
        f"a small file takes {1000 * seconds:.0f} ms to be on this disk: keep runs on another one, --checkpoint-dir"
    ]


def slow_interpreter() -> list[str]:
    """Return what there is to say of this Python."""
    found = [] if sys.gettrace() is None else ["a debugger or a coverage tool watches every line"]
    return [*found, *(["this Python is a debug build"] if hasattr(sys, "gettotalrefcount") else [])]


def sync_seconds(folder: Path) -> float | None:
    """Return how long a small file takes to be on the disk of a folder; None where none can be written."""
    taken = []
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            for _ in range(NUM_SYNCS):
                began = time.perf_counter()
                file.write(b"x" * 4096)
                file.flush()
                os.fsync(file.fileno())
                taken.append(time.perf_counter() - began)
    except OSError:
        return None
    return median(taken)


def _load() -> float:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def _compile_cache() -> dict[str, Any]:
    try:
        folder = ready_folder()
        programs = list(folder.parent.glob("xla-*/*.pb"))
        size = sum(path.stat().st_size for path in programs)
    except (CheckpointError, OSError) as error:
        return {"folder": None, "programs": 0, "bytes": 0, "unusable": str(error)}
    return {"folder": str(folder.parent), "programs": len(programs), "bytes": size, "unusable": None}
