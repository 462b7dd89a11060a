"""What `train` and `resume` do: train as planned."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from tensor_optix.cli.algorithms import module_to_import
from tensor_optix.cli.plan import TrainingPlan, write_plan
from tensor_optix.cli.quiet import load_tensorflow
from tensor_optix.core.callbacks import LoopCallback
from tensor_optix.core.run_result import RunResult
from tensor_optix.functional.seeding import derive_seed, fresh_seed
from tensor_optix.optimizer import RLOptimizer
from tensor_optix.presets import make_agent, make_pipeline
from tensor_optix.reporting.progress import Progress
from tensor_optix.reporting.summary import loading_code, summary


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
