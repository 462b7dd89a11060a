"""`tensor-optix evaluate`."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    from tensor_optix.cli.environments import typed_environment
    from tensor_optix.cli.quiet import load_tensorflow
    from tensor_optix.core.storage.run_folder import existing_run

    with answering(as_json) as answer:
        typed = typed_environment(env, env_kwargs, wrapper, trust_env)
        name = typed.for_run(existing_run(run_dir), "evaluate", _recorded_environment(run_dir))
        load_tensorflow()
        import_for_run(run_dir, "evaluate", _recorded_algorithm(run_dir), algorithm, trust_env)
        _play(answer, _champion_of(run_dir), name, episodes, seed, run_dir)


def _play(answer: Answer, agent: TFAgent, name: EnvironmentName, num_episodes: int, seed: int, run_dir: Path) -> None:
    """Say the mean of fresh episodes and its interval, and which wrappers had to begin anew."""
    from tensor_optix.pipeline.evaluation import evaluate as evaluation_of

    played = name()
    try:
        anew = _without_statistics(played, run_dir)
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


def _without_statistics(env: Any, run_dir: Path) -> list[str]:
    """Give an environment's wrappers what the run's had gathered; return those for which there is nothing."""
    from tensor_optix.core.loop.result_file import read_environment_state
    from tensor_optix.exceptions import CheckpointError, StateMismatchError
    from tensor_optix.pipeline.stepping.env_state import env_state
    from tensor_optix.pipeline.stepping.fresh_wrappers import give_statistics

    try:
        give_statistics(env, read_environment_state(run_dir))
    except (CheckpointError, StateMismatchError):
        return [state["class"] for state in env_state(env).values()]
    return []


def _champion_of(run_dir: Path) -> TFAgent:
    """Return a run's champion; where loading it takes arguments that the command does not have, say where they are."""
    from tensor_optix.adapters.tensorflow.loading import load_agent
    from tensor_optix.exceptions import CheckpointError

    try:
        return load_agent(str(run_dir))
    except CheckpointError as error:
        needed = [name for name in ("custom_objects", "max_load_bytes") if name in str(error)]
        if not needed:
            raise
        arguments = ", ".join(f"{name}=..." for name in needed)
        code = f'evaluate(load_agent("{run_dir.as_posix()}", {arguments}), env)'
        raise type(error)(f"{error} The command has no such option; in Python: {code}.") from error


def _recorded_environment(run_dir: Path) -> Mapping[str, Any]:
    """Return what a run's ``run.json`` says of its environment; nothing where that cannot be read."""
    from tensor_optix.core.storage.run_folder import read_run_json
    from tensor_optix.exceptions import CheckpointError

    try:
        facts = read_run_json(run_dir).get("pipeline")
    except CheckpointError:
        return {}
    return facts if isinstance(facts, dict) else {}


def _recorded_algorithm(run_dir: Path) -> str | None:
    """Return what the command was asked for that started a run; None where no command did, or none can tell."""
    from tensor_optix.cli.plan import read_plan
    from tensor_optix.exceptions import CheckpointError

    try:
        return read_plan(run_dir).algorithm
    except CheckpointError:
        return None
