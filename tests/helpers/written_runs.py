"""Folders of runs, written by hand: what reports and comparisons read, in no time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from tensor_optix.core.budget import Budget
from tensor_optix.core.loop.result_file import Outcome, write_outcome
from tensor_optix.core.run_result import RunResult
from tensor_optix.core.storage.json_files import write_sealed_json
from tensor_optix.core.storage.logbook_file import append_entry
from tensor_optix.core.storage.run_folder import PLAN_FILE, RunFolder
from tensor_optix.core.types import EvaluationResult, LoopState
from tensor_optix.functional.statistics import mean_interval

STEPS = 100
"""Of a window; each takes a second."""


def write_run(
    parent: Path,
    scores: Any,
    *,
    seed: int = 0,
    returns: Any = (10.0, 12.0, 11.0),
    env_id: str = "CartPole-v1",
    agent: str = "PPOAgent",
    hyperparams: Any = None,
    entries: Any = (),
    plan: dict[str, Any] | None = None,
    has_logbook: bool = True,
    baseline: Any = None,
    **rows: Any,
) -> Path:
    """Write a run with these scores, a report of these returns (None: no report), and return its folder."""
    with RunFolder.create(parent) as folder:
        params = {"learning_rate": 0.001, "gamma": 0.99} if hyperparams is None else hyperparams
        folder.write_run_json(
            {
                "seed": seed,
                "started": "2026-01-02T03:04:05Z",
                "settings": {"max_env_steps": 10_000},
                "agent": {"class": agent, "hyperparams": params},
                "pipeline": {"env_id": env_id, "env_kwargs": {}, "wrappers": [], "num_envs": 1, "window_size": STEPS},
                "versions": {"python": "3.11.7"},
            }
        )
        champion = None
        for i, score in enumerate(scores):
            champion = score if champion is None else max(champion, score)
            row = {"window": i, "state": "active", "env_steps": STEPS * (i + 1), "score": score, "champion": champion}
            more = {name: values[i] for name, values in rows.items() if values[i] is not None}
            folder.history.append({**row, "loss": 1.0 / (i + 1), **more})
        folder.history.flush()
    if has_logbook:
        _write_logbook(folder.path, len(scores), entries)
    if plan is not None:
        write_sealed_json(folder.path / PLAN_FILE, plan)
    _write_outcome(folder.path, len(scores), returns, baseline)
    return folder.path


def _write_logbook(path: Path, num_windows: int, entries: Any) -> None:
    append_entry(path, {"kind": "began", "windows": 0, "env_steps": 0, "seconds": 0.0})
    for i in range(1, num_windows + 1):
        when = {"windows": i, "env_steps": STEPS * i, "seconds": float(i)}
        for entry in entries:
            if entry["windows"] == i:
                append_entry(path, {**when, **entry})
        spent = {"acting and stepping": 0.2 * i, "learning": 0.5 * i, "greedy episodes": 0.1 * i}
        append_entry(path, {"kind": "time", **when, "spent": spent})


def _write_outcome(path: Path, num_windows: int, returns: Any, baseline: Any) -> None:
    result = RunResult(
        reason="trained",
        explanation="the loop went DORMANT",
        state=LoopState.DORMANT,
        champion=None,
        report=None if returns is None else evaluation(returns, baseline),
        env_steps={"training": STEPS * num_windows, "evaluation": 50, "diagnosis": 0, "report": 30},
        windows=num_windows,
        seconds=float(num_windows),
        run_dir=str(path),
        history={},
    )
    nothing = Budget(None, None)
    write_outcome(path, Outcome(result, None, 1, nothing, nothing))


def evaluation(returns: Any, against: Any = None) -> EvaluationResult:
    """Return what episodes with these returns came to."""
    values = np.asarray(returns, np.float64)
    other = None if against is None else evaluation(against)
    return EvaluationResult(
        float(values.mean()), mean_interval(values), values, np.full(len(values), 10), 10 * len(values), against=other
    )


def rewrite(path: Path, **changes: Any) -> None:
    """Change values in a sealed JSON file, and seal it again."""
    document = json.loads(path.read_text())
    document.pop("sha256")
    write_sealed_json(path, {**document, **changes})
