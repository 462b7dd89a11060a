"""`tensor-optix report`."""

from __future__ import annotations

import shlex
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tensor_optix.cli.answer import answering
from tensor_optix.cli.options import EnvKwargs, Json, RunAlgorithm, RunDir, RunEnvironment, TrustEnv, Wrappers

if TYPE_CHECKING:
    from tensor_optix.reporting.run import Run

REPORT_FOLDER = "report"


def report(
    run_dir: RunDir,
    env: RunEnvironment = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="DIR", help="Folder to write to. [dim]Default: report, in the run's.[/]"
        ),
    ] = None,
    film: Annotated[
        bool, typer.Option("--film/--no-film", help="Film an episode, where the environment draws.")
    ] = True,
    algorithm: RunAlgorithm = None,
    env_kwargs: EnvKwargs = None,
    wrapper: Wrappers = None,
    trust_env: TrustEnv = False,
    as_json: Json = False,
) -> None:
    """Write a report on a run: one HTML file to send, and its pictures."""
    from tensor_optix.cli.champions import output_folder
    from tensor_optix.cli.environments import typed_environment
    from tensor_optix.reporting.pages.run_page import write_report
    from tensor_optix.reporting.pages.wording import verdict_sentence
    from tensor_optix.reporting.run import Run

    with answering(as_json) as answer, ExitStack() as closing:
        run = Run.load(run_dir)
        folder = output_folder(run_dir, REPORT_FOLDER, output)
        typed = typed_environment(env, env_kwargs, wrapper, trust_env)
        cast: dict[str, Any] = {"no_film": "It was not asked for."}
        if film:
            with answer.meanwhile("Loading the champion for the film"):
                cast = _cast(run, typed, algorithm, trust_env, closing)
        page = write_report(run, folder, **cast)
        pictures = sorted(path for path in folder.iterdir() if path.suffix in (".png", ".gif"))
        answer.document |= {"run_dir": run_dir, "verdict": run.verdict, "report": page, "pictures": pictures}
        answer.say(verdict_sentence(run), "", f"Report: {page.as_posix()}")
        answer.say(*(f"Note: {note}" for note in (*run.notes, *filter(None, [cast.get("no_film") if film else ""]))))
        place = shlex.quote(run_dir.as_posix())
        answer.suggest(f"tensor-optix show {place}", f"tensor-optix compare {place} OTHER_RUN")


def _cast(run: Run, typed: Any, algorithm: str | None, trust_env: bool, closing: ExitStack) -> dict[str, Any]:
    """Return the champion and where it is filmed, or why it is not: a report without a film is one, too."""
    from tensor_optix.cli.algorithms import import_for_run
    from tensor_optix.cli.champions import champion_of, recorded_algorithm, recorded_environment, without_statistics
    from tensor_optix.cli.filming import environment_to_film
    from tensor_optix.cli.quiet import load_tensorflow
    from tensor_optix.exceptions import TensorOptixError

    try:
        name = typed.for_run(run.path, "report", recorded_environment(run.path))
        env = environment_to_film(name)
        closing.callback(env.close)
        load_tensorflow()
        import_for_run(run.path, "report", recorded_algorithm(run.path), algorithm, trust_env)
        agent = champion_of(run.path)
        without_statistics(env, run.path)
    except TensorOptixError as error:
        return {"no_film": f"There is no film: {error}"}
    return {"agent": agent, "env": env}
