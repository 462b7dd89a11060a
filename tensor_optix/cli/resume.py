"""`tensor-optix resume`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from tensor_optix.cli.answer import answering
from tensor_optix.cli.exits import leave
from tensor_optix.cli.options import (
    BUDGET,
    Cache,
    EnvKwargs,
    Json,
    Quiet,
    RunAlgorithm,
    RunEnvironment,
    TrustEnv,
    Wrappers,
)


def resume(
    run_dir: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="Folder of a run that was interrupted.")],
    env: RunEnvironment = None,
    max_env_steps: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Most environment steps. [dim]Default: as it was.[/]", rich_help_panel=BUDGET
        ),
    ] = None,
    max_windows: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Most windows. [dim]Default: as it was.[/]", rich_help_panel=BUDGET),
    ] = None,
    algorithm: RunAlgorithm = None,
    env_kwargs: EnvKwargs = None,
    wrapper: Wrappers = None,
    trust_env: TrustEnv = False,
    cache: Cache = True,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Go on with a run as if it had never been interrupted."""
    from tensor_optix.cli.algorithms import import_for_run
    from tensor_optix.cli.environments import typed_environment
    from tensor_optix.cli.plan import read_plan
    from tensor_optix.cli.process.compile_cache import compile_cache
    from tensor_optix.cli.process.threads import intra_op_threads, threads_of
    from tensor_optix.cli.settings.planning import allow_the_rest
    from tensor_optix.cli.training import run_training

    with answering(as_json) as answer:
        plan = read_plan(run_dir)
        recorded = plan.algorithm
        typed = typed_environment(env, env_kwargs, wrapper, trust_env)
        name = typed.for_run(run_dir, "resume", plan.environment.to_json())
        allow_the_rest(plan, run_dir, trust_env)
        plan = replace(
            plan,
            algorithm=algorithm or plan.algorithm,
            env_id=name.id,
            env_kwargs=dict(name.kwargs),
            wrappers=tuple(name.wrappers),
            max_env_steps=max_env_steps or plan.max_env_steps,
            max_windows=max_windows or plan.max_windows,
        )
        with intra_op_threads(threads_of(run_dir)), compile_cache(cache):
            import_for_run(run_dir, "resume", recorded, algorithm, trust_env)
            leave(run_training(plan, answer, quiet=quiet, resume=run_dir))
