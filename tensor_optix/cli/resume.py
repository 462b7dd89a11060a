"""`tensor-optix resume`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tensor_optix.cli.exits import failures_as_messages, leave
from tensor_optix.cli.options import EnvKwargs, Quiet, RunAlgorithm, RunEnvironment, TrustEnv, Wrappers


def resume(
    run_dir: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="Folder of a run that was interrupted.")],
    env: RunEnvironment = None,
    max_env_steps: Annotated[
        int | None, typer.Option(min=1, help="Largest number of environment steps. [dim]Default: as it was.[/]")
    ] = None,
    max_windows: Annotated[
        int | None, typer.Option(min=1, help="Largest number of windows. [dim]Default: as it was.[/]")
    ] = None,
    algorithm: RunAlgorithm = None,
    env_kwargs: EnvKwargs = None,
    wrapper: Wrappers = None,
    trust_env: TrustEnv = False,
    quiet: Quiet = False,
) -> None:
    """Go on with a run as if it had never been interrupted."""
    from tensor_optix.cli.algorithms import import_for_run
    from tensor_optix.cli.environments import typed_environment
    from tensor_optix.cli.plan import read_plan
    from tensor_optix.cli.training import run_training

    with failures_as_messages():
        plan = read_plan(run_dir)
        typed = typed_environment(env, env_kwargs, wrapper, trust_env)
        name = typed.for_run(run_dir, "resume", plan.environment.to_json())
        import_for_run(run_dir, "resume", plan.algorithm, algorithm, trust_env)
        plan = replace(
            plan,
            algorithm=algorithm or plan.algorithm,
            env_id=name.id,
            env_kwargs=dict(name.kwargs),
            wrappers=tuple(name.wrappers),
            max_env_steps=max_env_steps or plan.max_env_steps,
            max_windows=max_windows or plan.max_windows,
        )
        leave(run_training(plan, Console(), quiet=quiet, resume=run_dir))
