"""`tensor-optix video`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tensor_optix.cli.answer import answering
from tensor_optix.cli.options import EnvKwargs, Json, RunAlgorithm, RunDir, RunEnvironment, TrustEnv, Wrappers

if TYPE_CHECKING:
    from tensor_optix.pipeline.environment_names import EnvironmentName

VIDEOS = "videos"


def video(
    run_dir: RunDir,
    env: RunEnvironment = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="DIR", help="Folder to write to. [dim]Default: videos, in the run's.[/]"
        ),
    ] = None,
    episodes: Annotated[int, typer.Option(min=1, max=100, metavar="N", help="Greedy episodes, a file each.")] = 1,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Same seed, same episodes.")] = 0,
    algorithm: RunAlgorithm = None,
    env_kwargs: EnvKwargs = None,
    wrapper: Wrappers = None,
    trust_env: TrustEnv = False,
    as_json: Json = False,
) -> None:
    """Film a run's champion in greedy episodes."""
    from tensor_optix.cli.algorithms import import_for_run
    from tensor_optix.cli.champions import (
        champion_of,
        output_folder,
        recorded_algorithm,
        recorded_environment,
        without_statistics,
    )
    from tensor_optix.cli.environments import typed_environment
    from tensor_optix.cli.quiet import load_tensorflow
    from tensor_optix.core.storage.run_folder import existing_run

    with answering(as_json) as answer:
        typed = typed_environment(env, env_kwargs, wrapper, trust_env)
        name = typed.for_run(existing_run(run_dir), "video", recorded_environment(run_dir))
        folder = output_folder(run_dir, VIDEOS, output)
        filmed = _filmed(name)
        try:
            load_tensorflow()
            import_for_run(run_dir, "video", recorded_algorithm(run_dir), algorithm, trust_env)
            agent = champion_of(run_dir)
            without_statistics(filmed, run_dir)
            returns = _film(agent, filmed, folder, episodes, seed)
        finally:
            filmed.close()
        files = [folder / f"{_prefix(seed)}-episode-{number}.mp4" for number in range(episodes)]
        answer.document |= {"run_dir": run_dir, "env": str(name), "seed": seed, "videos": files, "returns": returns}
        answer.say(*(f"{file.as_posix()}: return {earned:.2f}" for file, earned in zip(files, returns, strict=True)))
        place = shlex.quote(run_dir.as_posix())
        answer.suggest(f"tensor-optix evaluate {place}", f"tensor-optix show {place}")


def _prefix(seed: int) -> str:
    return f"champion-seed-{seed}"


def _filmed(name: EnvironmentName) -> Any:
    """Return the environment, made so that it can be filmed.

    Raises:
        MissingExtraError: MoviePy is not installed, which Gymnasium's recorder writes with.
        EnvironmentFailureError: It cannot be made, or draws no pictures.
    """
    import importlib.util

    from tensor_optix.cli.filming import environment_to_film
    from tensor_optix.exceptions import MissingExtraError

    if importlib.util.find_spec("moviepy") is None:
        raise MissingExtraError("Videos need MoviePy, the extra tensor-optix[video]: pip install moviepy.")
    return environment_to_film(name)


def _film(agent: Any, env: Any, folder: Path, episodes: int, seed: int) -> list[float]:
    """Play episodes before Gymnasium's recorder, and return what each came to."""
    import warnings

    import gymnasium as gym

    from tensor_optix.exceptions import EnvironmentFailureError, MissingExtraError
    from tensor_optix.pipeline.evaluation import evaluate

    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*Overwriting existing videos.*")
            recorder = gym.wrappers.RecordVideo(
                env, str(folder), episode_trigger=lambda _: True, name_prefix=_prefix(seed), disable_logger=True
            )
        returns = [float(earned) for earned in evaluate(agent, recorder, episodes, seed=seed).returns]
        recorder.close()
    except gym.error.DependencyNotInstalled as error:
        raise MissingExtraError(f"Filming needs more: {error.__cause__ or error}. {error}.") from error
    except OSError as error:
        raise EnvironmentFailureError(f"The video could not be written: {error}") from error
    return returns
