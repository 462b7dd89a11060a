"""The last words of a run: what was reached, and how to go on from there."""

from __future__ import annotations

import json
from pathlib import Path

from tensor_optix.core.loop.result_file import ENVIRONMENT_FILE
from tensor_optix.core.run_result import RunResult
from tensor_optix.pipeline.environment_names import EnvironmentName, environment_named


def summary(result: RunResult, *, seed: int | None = None) -> str:
    """Return what a run came to, as lines of text.

    Args:
        result: What the run returned.
        seed: The run's seed, to be shown with the figures that it reproduces.
    """
    rows = [("Reason", f"{result.reason}: {result.explanation}")]
    if result.report is not None:
        low, high = result.report.interval
        rows.append(("Reached", f"mean return {result.report.mean:.2f} (95 % interval {low:.2f} to {high:.2f})"))
        rows.append(("Measured on", f"{result.report.num_episodes} fresh greedy episodes of the champion"))
    elif result.champion is not None:
        score = result.champion.eval_metrics.primary_score
        rows.append(("Reached", f"score {score:.4g} while training; no fresh episodes were played"))
    else:
        rows.append(("Reached", "nothing: no window gave a score"))
    rows.append(("Env steps", _steps(result)))
    rows.append(("Windows", f"{result.windows:,} in {result.seconds:.1f} seconds"))
    if seed is not None:
        rows.append(("Seed", str(seed)))
    if result.champion is not None:
        rows.append(("Champion", Path(result.champion.weights_path).as_posix()))
    elif result.run_dir is not None:
        rows.append(("Run folder", Path(result.run_dir).as_posix()))
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def loading_code(run_dir: str | Path, env: str | EnvironmentName, module: str | None = None) -> str:
    """Return Python that loads a run's champion and plays it, in wrappers that have the run's statistics.

    Args:
        run_dir: The run's folder.
        env: Where it was trained; a name with arguments or wrappers is spelled out.
        module: What registers the algorithm when it is imported; None: it is one of this package.
    """
    first = [] if module is None else [f"import {module}  # registers the algorithm"]
    name = environment_named(env)
    is_given, make = ("", "")
    if (Path(run_dir) / ENVIRONMENT_FILE).exists():
        is_given, make = (", env=env", "()")
    loading = f"agent = load_agent({_quoted(Path(run_dir).as_posix())}{is_given})"
    if not (name.kwargs or name.wrappers or is_given):
        playing = f"print(evaluate(agent, {_quoted(name.id)}))"
        return "\n".join([*first, "from tensor_optix import evaluate, load_agent", "", loading, playing])
    wrappers = "".join(f"{_quoted(wrapper)}, " for wrapper in name.wrappers)
    more = [f", {dict(name.kwargs)!r}" if name.kwargs else "", f", wrappers=({wrappers.strip()})" if wrappers else ""]
    naming = f"env = EnvironmentName({_quoted(name.id)}{''.join(more)}){make}"
    imports = "from tensor_optix import EnvironmentName, evaluate, load_agent"
    return "\n".join([*first, imports, "", naming, loading, "print(evaluate(agent, env))"])


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _steps(result: RunResult) -> str:
    uses = [f"{count:,} {use}" for use, count in result.env_steps.items() if count]
    return f"{sum(result.env_steps.values()):,} ({', '.join(uses)})" if uses else "0"
