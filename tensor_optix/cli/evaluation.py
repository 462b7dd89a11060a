"""What `tensor-optix evaluate` does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from tensor_optix.cli.algorithms import import_for_run
from tensor_optix.cli.environments import TypedEnvironment
from tensor_optix.cli.plan import read_plan
from tensor_optix.cli.quiet import load_tensorflow
from tensor_optix.core.storage.run_folder import existing_run, read_run_json
from tensor_optix.exceptions import CheckpointError
from tensor_optix.pipeline.stepping.env_state import env_state

if TYPE_CHECKING:
    from tensor_optix.adapters.tensorflow.tf_agent import TFAgent


def run_evaluation(
    run_dir: Path, env: TypedEnvironment, num_episodes: int, seed: int, console: Console, *, algorithm: str | None
) -> None:
    """Load a run's champion, play it, and print mean and interval.

    Args:
        run_dir: The run's folder.
        env: Where to play.
        num_episodes: How many fresh greedy episodes.
        seed: Same seed, same episodes.
        console: Where to print.
        algorithm: ``--algorithm``: the user's own that made it.

    Raises:
        TensorOptixError: The folder holds no champion, the environment is not known, or the folder asks for what the
            user did not ask for.
    """
    name = env.for_run(existing_run(run_dir), "evaluate", _recorded(run_dir))
    load_tensorflow()
    import_for_run(run_dir, "evaluate", _recorded_algorithm(run_dir), algorithm, env.is_trusted)
    from tensor_optix.pipeline.evaluation import evaluate

    agent, played = _champion_of(run_dir), name()
    try:
        result = evaluate(agent, played, num_episodes, seed=seed)
        anew = [state["class"] for state in env_state(played).values()]
    finally:
        played.close()
    verbatim: dict[str, Any] = {"markup": False, "highlight": False, "soft_wrap": True}
    console.print(f"{name}: mean return {result}", **verbatim)
    for wrapper in anew:
        console.print(
            f"Note: what the wrapper {wrapper} gathers over episodes begins anew in each evaluation.", **verbatim
        )


def _champion_of(run_dir: Path) -> TFAgent:
    """Return a run's champion; where loading it takes arguments that the command does not have, say where they are."""
    from tensor_optix.adapters.tensorflow.loading import load_agent

    try:
        return load_agent(str(run_dir))
    except CheckpointError as error:
        needed = [name for name in ("custom_objects", "max_load_bytes") if name in str(error)]
        if not needed:
            raise
        arguments = ", ".join(f"{name}=..." for name in needed)
        code = f'evaluate(load_agent("{run_dir.as_posix()}", {arguments}), env)'
        raise type(error)(f"{error} The command has no such option; in Python: {code}.") from error


def _recorded(run_dir: Path) -> Mapping[str, Any]:
    """Return what a run's ``run.json`` says of its environment; nothing where that cannot be read."""
    try:
        facts = read_run_json(run_dir).get("pipeline")
    except CheckpointError:
        return {}
    return facts if isinstance(facts, dict) else {}


def _recorded_algorithm(run_dir: Path) -> str | None:
    """Return what the command was asked for that started a run; None where no command did, or none can tell."""
    try:
        return read_plan(run_dir).algorithm
    except CheckpointError:
        return None
