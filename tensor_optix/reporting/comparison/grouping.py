"""Which runs belong together: those that differ in nothing but their seed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tensor_optix.core.storage.json_files import to_jsonable
from tensor_optix.reporting.run import Run

UNKNOWN = "an unknown environment"

_NO_SETTINGS = ("max_snapshots", "report_episodes", "evaluation_env")
_OF_THE_PLAN = ("overrides", "num_envs", "window_size", "evaluation_env", "rollback")
_LONGEST_NAME = 60


def environment_of(run: Run) -> str:
    """Return what tells one environment from another: id, arguments, wrappers."""
    told = {**(run.command or {}), **run.described("pipeline")}
    if not isinstance(told.get("env_id"), str):
        return UNKNOWN
    kwargs = told.get("env_kwargs")
    pairs = (
        [f"{key}={json.dumps(to_jsonable(value))}" for key, value in kwargs.items()]
        if isinstance(kwargs, Mapping)
        else []
    )
    wrappers = [f"in {wrapper}" for wrapper in told.get("wrappers") or ()]
    more = ", ".join([*pairs, *wrappers])
    return f"{told['env_id']} ({more})" if more else str(told["env_id"])


def by_environment(runs: Iterable[Run]) -> dict[str, list[Run]]:
    """Return the runs of each environment, in the order given."""
    found: dict[str, list[Run]] = {}
    for run in runs:
        found.setdefault(environment_of(run), []).append(run)
    return found


def by_settings(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Return groups of runs that differ in their seeds only, each named by what tells it from the others.

    Args:
        runs: Of one environment.
    """
    facts = [_facts(run) for run in runs]
    groups: dict[str, list[int]] = {}
    for i, told in enumerate(facts):
        groups.setdefault(json.dumps(told, sort_keys=True, default=str), []).append(i)
    firsts = [facts[members[0]] for members in groups.values()]
    named: dict[str, list[Run]] = {}
    for members in groups.values():
        name = _name(facts[members[0]], firsts)
        if name in named:
            name = f"{name} ({runs[members[0]].path.name})"
        named[name] = [runs[i] for i in members]
    return named


def _facts(run: Run) -> dict[str, Any]:
    """Return all that was chosen of a run but its seed, flat."""
    agent = run.described("agent")
    hyperparams, plan = agent.get("hyperparams"), run.command or {}
    settings = {name: value for name, value in run.described("settings").items() if name not in _NO_SETTINGS}
    chosen = {name: plan[name] for name in _OF_THE_PLAN if plan.get(name) not in (None, {}, [], False)}
    overrides = chosen.pop("overrides", None)
    counts = {name: run.described("pipeline").get(name) for name in ("num_envs", "window_size")}
    parts = (hyperparams, settings, overrides, chosen, counts)
    flat = {name: value for part in parts if isinstance(part, Mapping) for name, value in part.items()}
    return (
        {"agent": agent.get("class"), **to_jsonable(flat)}
        if agent or chosen or overrides
        else {"folder": run.path.as_posix()}
    )


def _name(told: Mapping[str, Any], all_told: Sequence[Mapping[str, Any]]) -> str:
    """Return a group's agent, and in what it differs from others."""
    agent = str(told.get("agent") or told.get("folder") or "runs")
    rivals = [other for other in all_told if other.get("agent") == told.get("agent")]
    names = dict.fromkeys(name for other in rivals for name in other)
    differing = [name for name in names if any(other.get(name) != told.get(name) for other in rivals)]
    shown = ", ".join(f"{name}={told[name]}" for name in differing if name in told and told[name] is not None)
    name = f"{agent}, {shown}" if shown else agent
    return name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}..."
