"""`tensor-optix train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tensor_optix.cli.answer import answering
from tensor_optix.cli.exits import leave
from tensor_optix.cli.options import (
    ALGORITHMS,
    BUDGET,
    ENVIRONMENT,
    FILES,
    LEARNING,
    OUTPUT,
    Cache,
    EnvKwargs,
    Json,
    Quiet,
    TrustEnv,
    Wrappers,
)


def _named_callbacks() -> list[str]:
    from tensor_optix.reporting.named_callbacks import NAMED_CALLBACKS

    return list(NAMED_CALLBACKS)


def train(
    env: Annotated[
        str | None,
        typer.Argument(
            metavar="ENV",
            help="Gymnasium id, for example CartPole-v1, or module:id of one of yours.",
            show_default=False,
        ),
    ] = None,
    env_kwargs: EnvKwargs = None,
    wrapper: Wrappers = None,
    evaluation_env: Annotated[
        str | None,
        typer.Option(
            metavar="ENV",
            help="Where greedy episodes are played, in the same wrappers. [dim]Default: the environment itself.[/]",
            rich_help_panel=ENVIRONMENT,
        ),
    ] = None,
    evaluation_env_kwargs: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE", help="An argument of that one; may come several times.", rich_help_panel=ENVIRONMENT
        ),
    ] = None,
    trust_env: TrustEnv = False,
    algorithm: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=f"{', '.join(ALGORITHMS)}, or module:name of one that a module of yours registers. "
            "[dim]Default: auto, the first that serves the actions.[/]",
            rich_help_panel=LEARNING,
            autocompletion=lambda: list(ALGORITHMS),
        ),
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(metavar="X", help="Base learning rate.", rich_help_panel=LEARNING)
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="What the policy remembers by: gru or lstm, with ppo. [dim]Default: nothing.[/]",
            rich_help_panel=LEARNING,
            autocompletion=lambda: ["gru", "lstm"],
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="Same seed, same run. [dim]Default: drawn.[/]", rich_help_panel=LEARNING),
    ] = None,
    num_envs: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Environments that step together. [dim]Default: what suits the algorithm.[/]",
            rich_help_panel=LEARNING,
        ),
    ] = None,
    window_size: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Steps of each between two updates.", rich_help_panel=LEARNING),
    ] = None,
    rollback: Annotated[
        bool | None,
        typer.Option(
            help="Bring back the champion when a degradation is seen. [dim]Default: no.[/]", rich_help_panel=LEARNING
        ),
    ] = None,
    max_env_steps: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Most environment steps.", rich_help_panel=BUDGET)
    ] = None,
    max_windows: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Most windows.", rich_help_panel=BUDGET)
    ] = None,
    target_score: Annotated[
        float | None,
        typer.Option(
            metavar="X", help="End as soon as fresh episodes show that it is reached.", rich_help_panel=BUDGET
        ),
    ] = None,
    callback: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="What else watches the run: csv, monitor, ...; may come several times. "
            "[dim]An unknown name lists them all.[/]",
            rich_help_panel=OUTPUT,
            autocompletion=_named_callbacks,
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Settings in TOML, YAML or JSON, or a run's folder or run.json, to repeat that run. What is typed "
            "comes first.",
            rich_help_panel=FILES,
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Any setting of the file, or of the agent (gamma=0.98); may come several times.",
            rich_help_panel=FILES,
        ),
    ] = None,
    checkpoint_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Where run folders are made. [dim]Default: tensor_optix_checkpoints.[/]",
            rich_help_panel=FILES,
        ),
    ] = None,
    cache: Cache = True,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Train an agent until nothing more is to be gained."""
    from tensor_optix.cli.algorithms import import_typed
    from tensor_optix.cli.key_values import parse_settings
    from tensor_optix.cli.process.compile_cache import compile_cache
    from tensor_optix.cli.process.threads import intra_op_threads, threads_for, threads_of
    from tensor_optix.cli.settings.config import read_config
    from tensor_optix.cli.settings.planning import planned
    from tensor_optix.cli.settings.setting_names import from_pairs, together
    from tensor_optix.cli.training import run_training

    with answering(as_json) as answer:
        named = {
            "env": env,
            "env_kwargs": parse_settings(env_kwargs or [], "--env-kwargs", "size=7") or None,
            "wrappers": wrapper or None,
            "evaluation_env": evaluation_env,
            "evaluation_env_kwargs": parse_settings(evaluation_env_kwargs or [], "--evaluation-env-kwargs", "size=7")
            or None,
            "algorithm": algorithm,
            "agent": {k: v for k, v in (("learning_rate", learning_rate), ("memory", memory)) if v is not None} or None,
            "seed": seed,
            "num_envs": num_envs,
            "window_size": window_size,
            "max_env_steps": max_env_steps,
            "max_windows": max_windows,
            "target_score": target_score,
            "rollback": rollback,
            "callbacks": callback or None,
            "checkpoint_dir": checkpoint_dir,
        }
        typed = together(named, from_pairs(parse_settings(settings or [])))
        said = None if config is None else read_config(config)
        plan = planned(said, typed, trust_env)
        run_dir = None if said is None else said.run_dir
        threads = threads_for(plan.environment, plan.overrides) if run_dir is None else threads_of(run_dir)
        with intra_op_threads(threads), compile_cache(cache):
            import_typed(plan.algorithm)
            leave(run_training(plan, answer, quiet=quiet))
