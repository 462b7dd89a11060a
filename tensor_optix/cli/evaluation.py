"""What `tensor-optix evaluate` does."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from tensor_optix.cli.quiet import load_tensorflow
from tensor_optix.core.storage.run_folder import read_run_json
from tensor_optix.exceptions import CheckpointError, InvalidArgumentError
from tensor_optix.presets import check_environment_id


def run_evaluation(run_dir: Path, env_id: str | None, num_episodes: int, seed: int, console: Console) -> None:
    """Load a run's champion, play it, and print mean and interval.

    Raises:
        TensorOptixError: The folder holds no champion, or the environment is not known.
    """
    if not run_dir.is_dir():
        raise CheckpointError(f"There is no run folder {run_dir.as_posix()!r}.")
    env_id = env_id or environment_of(run_dir)
    check_environment_id(env_id)
    load_tensorflow()
    from tensor_optix.adapters.tensorflow.loading import load_agent
    from tensor_optix.pipeline.evaluation import evaluate

    result = evaluate(load_agent(str(run_dir)), env_id, num_episodes, seed=seed)
    console.print(f"{env_id}: mean return {result}", highlight=False, soft_wrap=True)


def environment_of(run_dir: Path) -> str:
    """Return the environment id that a run's ``run.json`` names.

    Raises:
        InvalidArgumentError: It names none.
    """
    try:
        env_id = read_run_json(run_dir).get("pipeline", {}).get("env_id")
    except CheckpointError:
        env_id = None
    if not isinstance(env_id, str):
        raise InvalidArgumentError(
            f"{run_dir.as_posix()} does not say which environment it was trained in. "
            "Name it: tensor-optix evaluate RUN_DIR ENV."
        )
    return env_id
