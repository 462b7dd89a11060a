"""What a run is: settings, versions and machine, for `run.json`."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensor_optix.core.storage.json_files import to_jsonable

_PACKAGES = ("tensor-optix", "numpy", "gymnasium", "keras", "tensorflow")
_VARIABLES = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"),
    *("TF_ENABLE_ONEDNN_OPTS", "TF_XLA_FLAGS", "XLA_FLAGS"),
)
_HOW_LONG = ("max_episodes", "max_env_steps", "max_snapshots", "report_episodes")
_COMPARED = ("machine", "processor", "num_cpus", "threads", "agent_platform")


def describe_platform(agent: Any = None) -> dict[str, Any]:
    """Return all that a run's numbers may depend on besides its own settings.

    Args:
        agent: Asked for what it knows of; None: nobody is.
    """
    own: dict[str, Any] = {} if agent is None else getattr(agent, "describe_platform", dict)()
    return {
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}},
        "machine": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "num_cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": {name: os.environ[name] for name in _VARIABLES if name in os.environ},
        "agent_platform": to_jsonable(own),
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
        **describe_platform(agent),
    }


def differences(recorded: Mapping[str, Any], agent: Any = None) -> list[str]:
    """Return how this platform differs from the recorded one, in phrases; empty if it does not."""
    here, versions = describe_platform(agent), recorded.get("versions")
    found = []
    for key, value in here["versions"].items():
        then = versions.get(key) if isinstance(versions, Mapping) else None
        if then != value:
            found.append(f"{key} was {then}, is {value}")
    found += [f"{key} was {recorded.get(key)}, is {here[key]}" for key in _COMPARED if recorded.get(key) != here[key]]
    return found


def setting_differences(recorded: Mapping[str, Any], current: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Return how a run is asked for otherwise than it was, in phrases.

    Args:
        recorded: What :func:`describe_run` returned then.
        current: What it returns now.

    Returns:
        What decides only how long it goes on and what is kept of it; and what makes it another run. Parts
        and counts are not among them: ``structure_differences`` tells them.
    """
    then, now = recorded.get("settings"), to_jsonable(dict(current["settings"]))
    then = then if isinstance(then, Mapping) else {}
    changed = [name for name, value in now.items() if name in then and then[name] != value]
    phrases = {name: f"{name} was {then[name]}, is {now[name]}" for name in changed}
    longer = [phrase for name, phrase in phrases.items() if name in _HOW_LONG]
    return longer, [phrase for name, phrase in phrases.items() if name not in (*_HOW_LONG, "hyperparameter_optimizer")]


def _pipeline_facts(pipeline: Any) -> dict[str, Any]:
    facts: dict[str, Any] = {"env_id": getattr(pipeline, "env_id", None)}
    facts.update(getattr(pipeline, "describe_environment", dict)())
    for name in ("num_envs", "window_size", "barrier_interval_steps"):
        if hasattr(pipeline, name):
            facts[name] = getattr(pipeline, name)
    return facts


def _processor() -> str:
    """Return the processor's name: what instructions it has decides how sums are rounded."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")


def _version(package: str) -> str | None:
    loaded = getattr(sys.modules.get(package.replace("-", "_")), "__version__", None)
    if loaded is not None:  # what runs; and an installed package's files take 10 ms to be read
        return str(loaded)
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
