"""What `train` and `resume` do: train as planned, and say what was reached and how to go on from there."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from tensor_optix.cli.algorithms import module_to_import
from tensor_optix.cli.answer import Answer
from tensor_optix.cli.plan import TrainingPlan, write_plan
from tensor_optix.cli.quiet import load_tensorflow
from tensor_optix.cli.settings.setting_names import CHECKS
from tensor_optix.core.callbacks import LoopCallback
from tensor_optix.core.checks import nearest
from tensor_optix.core.loop.result_file import ENVIRONMENT_FILE
from tensor_optix.core.run_result import RunResult
from tensor_optix.exceptions import InvalidArgumentError
from tensor_optix.functional.seeding import derive_seed, fresh_seed
from tensor_optix.optimizer import RLOptimizer
from tensor_optix.pipeline.environment_names import EnvironmentName, environment_named
from tensor_optix.presets import make_agent, make_pipeline
from tensor_optix.reporting.progress import Progress


def run_training(plan: TrainingPlan, answer: Answer, *, quiet: bool = False, resume: Path | None = None) -> RunResult:
    """Train as planned, show progress, say what was reached, however the run ended, and return it.

    Args:
        plan: What to do.
        answer: What is said goes into it.
        quiet: No live progress.
        resume: Folder of the run to go on with; None: a new one.

    Raises:
        TensorOptixError: Something in the plan does not fit, or the environment failed.
        KeyboardInterrupt: Ctrl-C came a second time.
    """
    with answer.meanwhile("Loading TensorFlow", quiet=quiet):
        load_tensorflow()
    progress = Progress(answer.console)
    keeper = PlanKeeper(plan)
    named = [name for name in plan.callbacks if name != "progress"]  # the command shows it unasked
    optimizer = assemble(plan, [keeper, *named] if quiet else [keeper, progress, *named])
    keeper.optimizer = optimizer
    progress.follow(optimizer)
    if resume is None:
        write_plan(optimizer.run_dir, replace(plan, seed=optimizer.seed))
    try:
        result = optimizer.run(resume=resume or False)
    finally:
        say_outcome(answer, optimizer, plan)
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
    return RLOptimizer(
        _agent_of(plan, pipeline.env, derive_seed(seed, "model")),
        pipeline,
        checkpoint_dir=str(plan.checkpoint_dir),
        rollback_on_degradation=plan.rollback,
        max_episodes=plan.max_windows,
        callbacks=callbacks,
        seed=seed,
        max_env_steps=plan.max_env_steps,
        target_score=plan.target_score,
        evaluation_env=plan.evaluation_environment,
    )


def _agent_of(plan: TrainingPlan, env: Any, seed: int) -> Any:
    """Return the plan's agent; what is unknown to it may be a setting of the run that was written otherwise."""
    try:
        return make_agent(env, plan.algorithm, **{"seed": seed, **plan.overrides})
    except InvalidArgumentError as error:
        near = [
            hint for name in plan.overrides if f"setting {name!r}" in str(error) and (hint := nearest(name, CHECKS))
        ]
        if not near:
            raise
        raise InvalidArgumentError(f"{error} Of the run's own settings:{near[0]}") from error


def say_outcome(answer: Answer, optimizer: RLOptimizer, plan: TrainingPlan) -> None:
    """Say what was reached, what may be done next and, where there is a champion, the code that loads it."""
    result, run_dir = optimizer.last_result, optimizer.run_dir
    answer.document |= {"run_dir": run_dir, "seed": optimizer.seed, "env": str(plan.environment)}
    if result is not None:
        answer.document |= result_document(result)
        answer.say("", summary(result, seed=optimizer.seed))
    elif isinstance(sys.exception(), KeyboardInterrupt):
        answer.say("", "Interrupted: ended at once, nothing was measured.")
    if result is not None or optimizer.best_snapshot is not None:
        answer.suggest(*next_steps(run_dir, result))
    if optimizer.best_snapshot is not None:
        code = loading_code(run_dir, plan.environment, module_to_import(plan.algorithm))
        answer.say("", "Load the champion with:", "", code)


def next_steps(run_dir: Path, result: RunResult | None) -> list[str]:
    """Return commands that go on from a run: into it, or further with it, as it ended."""
    place = shlex.quote(_short(run_dir))
    show, play = f"tensor-optix show {place}", f"tensor-optix evaluate {place}"
    if result is None or result.reason in ("stopped", "error"):
        return [f"tensor-optix resume {place}", show]
    if result.reason == "stalled":
        return [show, f"tensor-optix plot {place}"]
    if result.reason != "budget":
        return [play, f"tensor-optix report {place}", f"tensor-optix video {place}", show]
    used = sum(result.env_steps.get(use, 0) for use in ("training", "evaluation", "diagnosis"))
    return [f"tensor-optix resume {place} {_larger_budget(result, used)}", play, show]


def _larger_budget(result: RunResult, used_steps: int) -> str:
    if "max_episodes" in result.explanation:
        return f"--max-windows {2 * result.windows}"
    return f"--max-env-steps {2 * used_steps}"


def _short(run_dir: Path) -> str:
    """Return a folder as it would be typed here."""
    place = run_dir.resolve()
    return (place.relative_to(Path.cwd()) if place.is_relative_to(Path.cwd()) else place).as_posix()


def result_document(result: RunResult) -> dict[str, Any]:
    """Return what a run came to, for ``--json``."""
    report = result.report
    return {
        "reason": result.reason,
        "explanation": result.explanation,
        "state": result.state.name,
        "confirmed_mean": result.confirmed_mean,
        "confirmed_interval": result.confirmed_interval,
        "report_episodes": None if report is None else report.num_episodes,
        "champion": None if result.champion is None else result.champion.weights_path,
        "training_score": None if result.champion is None else result.champion.eval_metrics.primary_score,
        "env_steps": dict(result.env_steps),
        "windows": result.windows,
        "seconds": result.seconds,
        "is_interrupted": result.is_interrupted,
        "notes": list(result.notes),
    }


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
