"""What pages say of a run, in sentences and rows of plain text."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping
from typing import Any

from tensor_optix.core.types import EvaluationResult
from tensor_optix.reporting.run import RUNNING, Run, number_or_nan

_VERDICTS = {
    "trained": "Trained: nothing more was to be gained.",
    "stalled": "Stalled: it never left its first level, so nothing was learned.",
    "target": "The target was reached.",
    "budget": "The budget was used up; more might have been gained.",
    "stopped": "Stopped before it ended by itself.",
    "error": "Ended by an error.",
    RUNNING: "Still running: this is how far it is.",
}
_UNFINISHED = "It never came to an end: it can be resumed."

_PLAIN, _LONGEST = 1e12, 300
"""Larger numbers are told by their powers of ten, longer texts cut."""

_OPTIONS = {
    "algorithm": "--algorithm",
    "seed": "--seed",
    "num_envs": "--num-envs",
    "window_size": "--window-size",
    "max_env_steps": "--max-env-steps",
    "max_windows": "--max-windows",
    "target_score": "--target-score",
    "evaluation_env": "--evaluation-env",
}


def number(value: Any, digits: int = 2) -> str:
    """Return a number with commas and so many digits behind the point, "-" for none."""
    known = number_or_nan(value)
    if abs(known) >= _PLAIN:
        return f"{known:.6g}"
    return f"{known:,.{digits}f}" if math.isfinite(known) else "-"


def verdict_sentence(run: Run) -> str:
    """Return what a run came to, in a sentence or three."""
    sentences = [_VERDICTS.get(run.verdict, _UNFINISHED)]
    report = None if run.result is None else run.result.report
    if report is not None:
        sentences.append(reached(report))
        if report.against is not None:
            sentences.append(difference_sentence(report))
    elif run.champion is not None:
        score = number(run.champion.eval_metrics.primary_score)
        sentences.append(f"Its champion scored {score} while training; no fresh episodes confirm that.")
    return " ".join(sentences)


def reached(report: EvaluationResult) -> str:
    """Return what a report's episodes came to, in a sentence."""
    low, high = report.interval
    interval = f"95 % interval {number(low)} to {number(high)}"
    if not (math.isfinite(low) and math.isfinite(high)):
        interval = "one episode, so no interval"
    cut = f", {report.num_cut} of them cut before their end" if report.num_cut else ""
    episodes = f"{report.num_episodes} fresh greedy episodes{cut}"
    return f"The champion reaches a mean return of {number(report.mean)} ({interval}) in {episodes}."


def difference_sentence(report: EvaluationResult) -> str:
    """Return how a champion compares with the baseline, in a sentence."""
    if report.against is None or report.difference is None or report.difference_interval is None:
        return ""
    low, high = report.difference_interval
    unclear = "" if low > 0 or high < 0 else ", which may be chance"
    return (
        f"The baseline reaches {number(report.against.mean)} in the same episodes: the champion's difference to it is "
        f"{report.difference:+,.2f} (95 % interval {low:+,.2f} to {high:+,.2f}){unclear}."
    )


def duration(seconds: float) -> str:
    """Return a length of time as it is said: seconds, minutes, hours or days."""
    for unit, name in ((86_400.0, "days"), (3600.0, "hours"), (60.0, "minutes")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:,.1f} {name}"
    return f"{seconds:,.1f} seconds"


def reproducing_command(run: Run) -> str | None:
    """Return the command that trains the same once more; None where a script started the run."""
    plan = run.command
    if plan is None or not isinstance(plan.get("env_id"), str):
        return None
    words = ["tensor-optix", "train", str(plan["env_id"])]
    words += _pairs("--env-kwargs", plan.get("env_kwargs"))
    words += [word for wrapper in _items(plan.get("wrappers")) for word in ("--wrapper", str(wrapper))]
    for name, option in _OPTIONS.items():
        if plan.get(name) not in (None, "auto"):
            words += [option, str(plan[name])]
    words += _pairs("--evaluation-env-kwargs", plan.get("evaluation_env_kwargs"))
    words += ["--rollback"] if plan.get("rollback") else []
    words += [word for name in _items(plan.get("callbacks")) for word in ("--callback", str(name))]
    return shlex.join([*words, *_pairs("--set", plan.get("overrides"))])


def reproducing_script(run: Run) -> str:
    """Return what to do where a script started a run."""
    seed = "" if run.seed is None else f" with RLOptimizer(..., seed={run.seed})"
    return f"A script started this run. It is repeated by that script,{seed} and the settings and versions below."


def _pairs(option: str, values: Any) -> list[str]:
    pairs = values.items() if isinstance(values, Mapping) else ()
    return [word for key, value in pairs for word in (option, f"{key}={_typed(value)}")]


def _items(values: Any) -> list[Any]:
    return list(values) if isinstance(values, list | tuple) else []


def _typed(value: Any) -> str:
    """Return a value as it is typed behind a ``=``: text as it is, unless it would be read as something else."""
    if not isinstance(value, str):
        return json.dumps(value)
    try:
        json.loads(value)
    except ValueError:
        return value
    return json.dumps(value)


def joined(values: Any, between: str = " = ") -> str:
    """Return a table's names and values in a line."""
    pairs = values.items() if isinstance(values, Mapping) else ()
    return ", ".join(f"{name}{between}{_short(value)}" for name, value in pairs)


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else cut(str(value))


def cut(text: str) -> str:
    """Return a text, and of a long one its beginning."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
