"""What a run is: settings, versions, machine and structure; and how a resumed one is otherwise.

All of it is for `run.json` or a checkpoint. What cannot go on is refused before the first step, what can goes on and
says what differs.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensor_optix.core.base_agent import BaseAgent
from tensor_optix.core.base_evaluator import BaseEvaluator
from tensor_optix.core.base_optimizer import BaseOptimizer
from tensor_optix.core.base_pipeline import BasePipeline
from tensor_optix.core.protocols import original
from tensor_optix.core.storage.exact_json import to_exact
from tensor_optix.core.storage.json_files import to_jsonable
from tensor_optix.exceptions import CheckpointError, StateMismatchError

_PACKAGES = ("tensor-optix", "numpy", "gymnasium", "keras", "tensorflow")
_VARIABLES = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"),
    *("TF_ENABLE_ONEDNN_OPTS", "TF_XLA_FLAGS", "XLA_FLAGS"),
)
_HOW_LONG = ("max_episodes", "max_env_steps", "max_snapshots", "report_episodes")
_COMPARED = ("machine", "processor", "num_cpus", "threads", "agent_platform")
_LONGEST_VALUE = 200


def describe_platform(agent: BaseAgent | None = None) -> dict[str, Any]:
    """Return all that a run's numbers may depend on besides its own settings.

    Args:
        agent: Asked for what it knows of; None: nobody is.
    """
    own = {} if agent is None else agent.describe_platform()
    return {
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}},
        "machine": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "num_cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": {name: value for name in _VARIABLES if (value := _told(name))},
        "agent_platform": to_jsonable(own),
    }


def _told(name: str) -> str:
    """Return a variable without what decides no number: whether compiled programs are kept, and where."""
    words = os.environ.get(name, "").split()
    return " ".join(word for word in words if not word.startswith("--tf_xla_persistent_cache"))


def describe_run(settings: Mapping[str, Any], seed: int, agent: BaseAgent, pipeline: BasePipeline) -> dict[str, Any]:
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
        "pipeline": {"class": type(pipeline).__name__, **pipeline_facts(pipeline)},
        **describe_platform(agent),
    }


def platform_differences(recorded: Mapping[str, Any], agent: BaseAgent) -> list[str]:
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


def describe_structure(
    agent: BaseAgent, evaluator: BaseEvaluator, tuner: BaseOptimizer, pipeline: BasePipeline
) -> dict[str, Any]:
    """Return, JSON-able, what a run is made of.

    Args:
        agent: Acts and learns.
        evaluator: Scores windows.
        tuner: The hyperparameter optimizer.
        pipeline: Yields windows.
    """
    parts = {
        "agent": agent,
        "evaluator": _innermost(original(evaluator)),
        "hyperparameter optimizer": tuner,
        "pipeline": pipeline,
    }
    facts: dict[str, Any] = {f"the class of the {name}": type(part).__qualname__ for name, part in parts.items()}
    facts |= {"env_id": pipeline.env_id, **_counts_of(pipeline)}
    bounds = tuner.param_bounds if isinstance(tuner.param_bounds, Mapping) else {}
    facts |= {f"the bounds of {name}": repr(spec) for name, spec in bounds.items()}
    told = {"observation_space": pipeline.observation_space, "action_space": pipeline.action_space}
    spaces = {name: space for name, space in told.items() if space is not None}
    facts |= {name: repr(space) for name, space in spaces.items()}
    layouts = {name: layout_of(space) for name, space in spaces.items()}
    return {"facts": _jsonable(facts), "layouts": layouts}


def structure_differences(saved: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Return how a run is made otherwise than the one that was saved, in phrases; empty if it is not.

    Args:
        saved: What :func:`describe_structure` returned then.
        here: What it returns now.

    Raises:
        StateMismatchError: Observations or actions are of another kind or shape: no agent can go on.
    """
    then, now = saved.get("facts", {}), here["facts"]
    for name, layout in saved.get("layouts", {}).items():
        if layout != here["layouts"].get(name, layout):
            raise StateMismatchError(
                f"The run cannot go on in another {name.replace('_', ' ')}: it was {_short(then.get(name))} and is "
                f"{_short(now.get(name))}. Resume with the environment that it was, or begin a new run."
            )
    names = [*then, *(name for name in now if name not in then)] if then else []
    return [
        f"{name} was {_short(then.get(name))}, is {_short(now.get(name))}"
        for name in names
        if then.get(name) != now.get(name)
    ]


def layout_of(space: Any) -> Any:
    """Return what of a space decides the shapes of arrays: kinds, shapes and counts, but no bounds or types."""
    parts = getattr(space, "spaces", None)
    if isinstance(parts, Mapping):
        return {str(name): layout_of(part) for name, part in parts.items()}
    if isinstance(parts, (list, tuple)):
        return [layout_of(part) for part in parts]
    counts = {name: to_jsonable(getattr(space, name, None)) for name in ("shape", "n", "nvec")}
    return {"kind": type(space).__name__, **counts}


def _innermost(evaluator: Any) -> Any:
    """Return what scores: an evaluator that wraps one other (to log, to time, to stop it) scores as that one does."""
    inner = [value for value in getattr(evaluator, "__dict__", {}).values() if isinstance(value, BaseEvaluator)]
    return _innermost(inner[0]) if len(inner) == 1 and inner[0] is not evaluator else evaluator


def _jsonable(facts: Mapping[str, Any]) -> dict[str, Any]:
    kept = {}
    for name, value in facts.items():
        try:
            kept[name] = to_exact(value, name)
        except CheckpointError:
            kept[name] = repr(value)
    return kept


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."


def pipeline_facts(pipeline: BasePipeline) -> dict[str, Any]:
    """Return what a pipeline tells of its environment, and how many of what it takes."""
    return {"env_id": pipeline.env_id, **pipeline.describe_environment(), **_counts_of(pipeline)}


def _counts_of(pipeline: BasePipeline) -> dict[str, int]:
    """Return how many of what a pipeline takes, as far as it tells."""
    told = {
        "num_envs": pipeline.num_envs,
        "window_size": pipeline.window_size,
        "barrier_interval_steps": pipeline.barrier_interval_steps,
    }
    return {name: count for name, count in told.items() if count}


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
