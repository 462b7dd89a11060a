"""`tensor-optix train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tensor_optix.cli.exits import failures_as_messages, leave
from tensor_optix.cli.options import EnvKwargs, Quiet, Wrappers


def train(
    env: Annotated[
        str, typer.Argument(metavar="ENV", help="Gymnasium id, for example CartPole-v1, or module:id of one of yours.")
    ],
    algorithm: Annotated[
        str,
        typer.Option(
            help="How to learn: auto, ppo, ..., or module:name of one that a module of yours registers. "
            "[dim]An unknown name lists them all.[/]"
        ),
    ] = "auto",
    seed: Annotated[int | None, typer.Option(min=0, help="Same seed, same run. [dim]Default: drawn.[/]")] = None,
    num_envs: Annotated[
        int | None,
        typer.Option(
            min=1, max=4096, help="Environments that step together. [dim]Default: what suits the algorithm.[/]"
        ),
    ] = None,
    window_size: Annotated[
        int | None, typer.Option(min=1, max=10_000_000, help="Steps of each environment between two updates.")
    ] = None,
    max_env_steps: Annotated[int | None, typer.Option(min=1, help="Largest number of environment steps.")] = None,
    max_windows: Annotated[int | None, typer.Option(min=1, help="Largest number of windows.")] = None,
    target_score: Annotated[
        float | None, typer.Option(help="End as soon as fresh episodes show that it is reached.")
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Base learning rate.")] = None,
    rollback: Annotated[bool, typer.Option(help="Bring back the champion when a degradation is seen.")] = False,
    checkpoint_dir: Annotated[Path, typer.Option(help="Where run folders are made.")] = Path(
        "tensor_optix_checkpoints"
    ),
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Another setting of the agent; may come several times."),
    ] = None,
    env_kwargs: EnvKwargs = None,
    wrapper: Wrappers = None,
    quiet: Quiet = False,
) -> None:
    """Train an agent until nothing more is to be gained."""
    from tensor_optix.cli.algorithms import import_typed
    from tensor_optix.cli.environments import typed_environment
    from tensor_optix.cli.key_values import parse_settings
    from tensor_optix.cli.plan import TrainingPlan
    from tensor_optix.cli.training import run_training

    with failures_as_messages():
        overrides = parse_settings(settings or [])
        if learning_rate is not None:
            overrides["learning_rate"] = learning_rate
        name = typed_environment(env, env_kwargs, wrapper).alone()
        import_typed(algorithm)
        plan = TrainingPlan(
            env_id=name.id,
            env_kwargs=dict(name.kwargs),
            wrappers=tuple(name.wrappers),
            algorithm=algorithm,
            seed=seed,
            num_envs=num_envs,
            window_size=window_size,
            max_env_steps=max_env_steps,
            max_windows=max_windows,
            target_score=target_score,
            rollback=rollback,
            checkpoint_dir=checkpoint_dir,
            overrides=overrides,
        )
        leave(run_training(plan, Console(), quiet=quiet))
