"""What a run is: settings, versions and machine, for `run.json`."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
import time
from collections.abc import Mapping
from typing import Any

from tensor_optix.core.json_files import to_jsonable

_PACKAGES = ("tensor-optix", "numpy", "gymnasium", "keras", "tensorflow")
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


def describe_platform() -> dict[str, Any]:
    """Return all that a run's numbers may depend on besides its own settings."""
    return {
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}},
        "machine": f"{platform.system()} {platform.machine()}",
        "num_cpus": os.cpu_count(),
        "threads": {name: os.environ[name] for name in _THREAD_VARIABLES if name in os.environ},
    }


def describe_run(settings: Mapping[str, Any], seed: int, agent: Any, pipeline: Any) -> dict[str, Any]:
    """Return the document that a run's folder explains itself with.

    Args:
        settings: What the user asked for.
        seed: Source of all randomness.
        agent: Acts and learns.
        pipeline: Yields windows.
    """
    return {
        "seed": seed,
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "settings": dict(settings),
        "agent": {"class": type(agent).__name__, "hyperparams": dict(agent.get_hyperparams().params)},
        "pipeline": {"class": type(pipeline).__name__, **_pipeline_facts(pipeline)},
        **describe_platform(),
    }


def differences(recorded: Mapping[str, Any]) -> list[str]:
    """Return how this platform differs from the recorded one, in phrases; empty if it does not."""
    here, versions = describe_platform(), recorded.get("versions")
    found = []
    for key, value in here["versions"].items():
        then = versions.get(key) if isinstance(versions, Mapping) else None
        if then != value:
            found.append(f"{key} was {then}, is {value}")
    found += [
        f"{key} was {recorded.get(key)}, is {here[key]}"
        for key in ("machine", "num_cpus", "threads")
        if recorded.get(key) != here[key]
    ]
    return found


def setting_differences(recorded: Mapping[str, Any], current: Mapping[str, Any]) -> list[str]:
    """Return how a run is asked for otherwise than it was, in phrases; empty if it is not."""
    found = []
    for group in ("settings", "pipeline"):
        then, now = recorded.get(group), to_jsonable(dict(current[group]))
        then = then if isinstance(then, Mapping) else {}
        for name, value in now.items():
            if name in then and then[name] != value:
                found.append(f"{name} was {then[name]}, is {value}")
    return found


def _pipeline_facts(pipeline: Any) -> dict[str, Any]:
    facts: dict[str, Any] = {"env_id": getattr(pipeline, "env_id", None)}
    for name in ("num_envs", "window_size", "barrier_interval_steps"):
        if hasattr(pipeline, name):
            facts[name] = getattr(pipeline, name)
    return facts


def _version(package: str) -> str | None:
    loaded = getattr(sys.modules.get(package.replace("-", "_")), "__version__", None)
    if loaded is not None:  # what runs; and an installed package's files take 10 ms to be read
        return str(loaded)
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
