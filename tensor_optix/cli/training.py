"""What `train` and `resume` do: train as planned, and say what was reached and how to go on from there."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from tensor_optix.cli.algorithms import module_to_import
from tensor_optix.cli.plan import TrainingPlan, write_plan
from tensor_optix.cli.quiet import load_tensorflow
from tensor_optix.core.callbacks import LoopCallback
from tensor_optix.core.loop.result_file import ENVIRONMENT_FILE
from tensor_optix.core.run_result import RunResult
from tensor_optix.functional.seeding import derive_seed, fresh_seed
from tensor_optix.optimizer import RLOptimizer
from tensor_optix.pipeline.environment_names import EnvironmentName, environment_named
from tensor_optix.presets import make_agent, make_pipeline
from tensor_optix.reporting.progress import Progress


def run_training(plan: TrainingPlan, console: Console, *, quiet: bool = False, resume: Path | None = None) -> RunResult:
    """Train as planned, show progress, print what was reached, however the run ended, and return it.

    Args:
        plan: What to do.
        console: Where to print.
        quiet: No live progress.
        resume: Folder of the run to go on with; None: a new one.

    Raises:
        TensorOptixError: Something in the plan does not fit, or the environment failed.
        KeyboardInterrupt: Ctrl-C came a second time.
    """
    load_tensorflow()
    progress = Progress(console)
    keeper = PlanKeeper(plan)
    optimizer = assemble(plan, [keeper] if quiet else [keeper, progress])
    keeper.optimizer = optimizer
    progress.follow(optimizer)
    if resume is None:
        write_plan(optimizer.run_dir, replace(plan, seed=optimizer.seed))
    try:
        result = optimizer.run(resume=resume or False)
    finally:
        print_outcome(console, optimizer, plan)
    return result


class PlanKeeper(LoopCallback):
    """Writes down what a run was asked for once it begins, so that what is resumed later has that budget and seed.

    Args:
        plan: It.
    """

    def __init__(self, plan: TrainingPlan) -> None:
        self._plan = plan
        self.optimizer: RLOptimizer | None = None

    def on_loop_start(self) -> None:
        """Write it: a run that is over does not come to this."""
        if self.optimizer is not None:
            write_plan(self.optimizer.run_dir, replace(self._plan, seed=self.optimizer.seed))


def assemble(plan: TrainingPlan, callbacks: list[Any]) -> RLOptimizer:
    """Return the optimizer that runs the plan; one seed reaches the first weights, too."""
    seed = fresh_seed() if plan.seed is None else plan.seed
    pipeline = make_pipeline(
        plan.environment, num_envs=plan.num_envs, window_size=plan.window_size, algorithm=plan.algorithm
    )
    overrides = {"seed": derive_seed(seed, "model"), **plan.overrides}
    return RLOptimizer(
        make_agent(pipeline.env, plan.algorithm, **overrides),
        pipeline,
        checkpoint_dir=str(plan.checkpoint_dir),
        rollback_on_degradation=plan.rollback,
        max_episodes=plan.max_windows,
        callbacks=callbacks,
        seed=seed,
        max_env_steps=plan.max_env_steps,
        target_score=plan.target_score,
    )


def print_outcome(console: Console, optimizer: RLOptimizer, plan: TrainingPlan) -> None:
    """Print what was reached and, where there is a champion, the code that loads it, ready to be pasted."""
    verbatim: dict[str, Any] = {"markup": False, "highlight": False, "soft_wrap": True}
    result = optimizer.last_result
    console.print()
    if result is not None:
        console.print(summary(result, seed=optimizer.seed), **verbatim)
    elif isinstance(sys.exception(), KeyboardInterrupt):
        console.print("Interrupted: ended at once, nothing was measured.", **verbatim)
    if optimizer.best_snapshot is not None:
        console.print("\nLoad the champion with:\n", **verbatim)
        console.print(loading_code(optimizer.run_dir, plan.environment, module_to_import(plan.algorithm)), **verbatim)


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
        if result.training_mean is not None:
            rows.append(("In training", f"mean return {result.training_mean:.2f} in the latest windows"))
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
