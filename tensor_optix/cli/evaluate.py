"""`tensor-optix evaluate`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tensor_optix.cli.answer import Answer, answering
from tensor_optix.cli.options import EnvKwargs, Json, RunAlgorithm, RunDir, RunEnvironment, TrustEnv, Wrappers

if TYPE_CHECKING:
    from tensor_optix.adapters.tensorflow.tf_agent import TFAgent
    from tensor_optix.pipeline.environment_names import EnvironmentName


def evaluate(
    run_dir: RunDir,
    env: RunEnvironment = None,
    episodes: Annotated[int, typer.Option(min=1, metavar="N", help="Fresh greedy episodes to play.")] = 100,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Same seed, same episodes.")] = 0,
    algorithm: RunAlgorithm = None,
    env_kwargs: EnvKwargs = None,
    wrapper: Wrappers = None,
    trust_env: TrustEnv = False,
    as_json: Json = False,
) -> None:
    """Play a run's champion in fresh greedy episodes."""
    from tensor_optix.cli.algorithms import import_for_run
    from tensor_optix.cli.champions import champion_of, recorded_algorithm, recorded_environment
    from tensor_optix.cli.environments import typed_environment
    from tensor_optix.cli.quiet import load_tensorflow
    from tensor_optix.core.storage.run_folder import existing_run

    with answering(as_json) as answer:
        typed = typed_environment(env, env_kwargs, wrapper, trust_env)
        name = typed.for_run(existing_run(run_dir), "evaluate", recorded_environment(run_dir))
        load_tensorflow()
        import_for_run(run_dir, "evaluate", recorded_algorithm(run_dir), algorithm, trust_env)
        _play(answer, champion_of(run_dir), name, episodes, seed, run_dir)


def _play(answer: Answer, agent: TFAgent, name: EnvironmentName, num_episodes: int, seed: int, run_dir: Path) -> None:
    """Say the mean of fresh episodes and its interval, and which wrappers had to begin anew."""
    from tensor_optix.cli.champions import without_statistics
    from tensor_optix.pipeline.evaluation import evaluate as evaluation_of

    played = name()
    try:
        anew = without_statistics(played, run_dir)
        result = evaluation_of(agent, played, num_episodes, seed=seed)
    finally:
        played.close()
    notes = [f"Note: what the wrapper {kind} gathers over episodes begins anew in each evaluation." for kind in anew]
    answer.document |= {
        "run_dir": run_dir,
        "env": str(name),
        "seed": seed,
        "mean": result.mean,
        "interval": result.interval,
        "num_episodes": result.num_episodes,
        "returns": result.returns,
        "lengths": result.lengths,
        "env_steps": result.env_steps,
        "notes": notes,
    }
    answer.say(f"{name}: mean return {result}", *notes)
    place = shlex.quote(run_dir.as_posix())
    answer.suggest(f"tensor-optix video {place}", f"tensor-optix show {place}")
