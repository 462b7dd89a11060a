"""The report on one run: a page to send to a colleague, and its pictures beside it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tensor_optix import __version__
from tensor_optix.core.protocols import CanAct
from tensor_optix.core.storage.atomic_files import make_writable_folder, write_atomically
from tensor_optix.exceptions import EnvironmentFailureError, MissingExtraError
from tensor_optix.reporting.pages import html_page as html
from tensor_optix.reporting.pages.event_tables import alarm_table, champion_table, trial_table
from tensor_optix.reporting.pages.wording import (
    cut,
    duration,
    joined,
    number,
    reproducing_command,
    reproducing_script,
    verdict_sentence,
)
from tensor_optix.reporting.pictures.canvas import Picture
from tensor_optix.reporting.pictures.film import Film, film_of
from tensor_optix.reporting.pictures.learning_curve import learning_curve
from tensor_optix.reporting.pictures.time_spent import time_spent
from tensor_optix.reporting.pictures.traces import diagnostic_series, hyperparameter_series, traces
from tensor_optix.reporting.run import Run

REPORT_FILE, FILM_FILE = "report.html", "film.gif"

_MOST_ROWS = 4000
"""Of the history, for traces: of a longer one every second, third, ... row is read."""


def write_report(
    run: Run | str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    agent: CanAct | None = None,
    env: Any = None,
    no_film: str = "",
) -> Path:
    """Write a report on a run: ``report.html``, which needs no other file and no network, and its pictures as PNGs.

    What the run's folder does not tell is left out of the page, and the page says so.

    Args:
        run: It, or its folder.
        folder: Where to write; made where it is missing.
        agent: Who plays the episode that is filmed, usually ``load_agent(run_dir)``; None: no film.
        env: Where it plays: one environment made with ``render_mode="rgb_array"``. It stays open.
        no_film: Why there is none, for the page.

    Returns:
        The page.

    Raises:
        CheckpointError: The folder is none of a run, or the files cannot be written.
        MissingExtraError: Matplotlib is not installed.
    """
    loaded = run if isinstance(run, Run) else Run.load(run)
    film, why_not = _film(agent, env, no_film)
    target = Path(folder)
    history = loaded.thinned_history(every=max(1, len(loaded.columns["env_steps"]) // _MOST_ROWS))
    pictures = _pictures(loaded, history)
    page = _page(loaded, pictures, film, why_not)
    make_writable_folder(target)
    for picture in pictures.values():
        if picture is not None:
            write_atomically(target / f"{picture.name}.png", picture.wide, flush=False)
    if film is not None:
        write_atomically(target / FILM_FILE, film.gif, flush=False)
    write_atomically(target / REPORT_FILE, page.encode(), flush=False)
    return target / REPORT_FILE


def _film(agent: CanAct | None, env: Any, no_film: str) -> tuple[Film | None, str]:
    if agent is None or env is None:
        return None, no_film
    try:
        return film_of(agent, env), ""
    except (EnvironmentFailureError, MissingExtraError) as error:
        return None, f"There is no film: {error}"


def _pictures(run: Run, history: Mapping[str, list[Any]]) -> dict[str, Picture | None]:
    return {
        "steps": learning_curve(run),
        "time": learning_curve(run, over_time=True),
        "hyperparameters": traces(
            "hyperparameters", "Hyperparameters over env steps.", hyperparameter_series(run, history)
        ),
        "losses": traces("losses", "What learning told of itself, over env steps.", diagnostic_series(run, history)),
        "spent": time_spent(run),
    }


def _page(run: Run, pictures: Mapping[str, Picture | None], film: Film | None, no_film: str) -> str:
    title = " · ".join(filter(None, [run.env_id or "A run", run.algorithm, run.path.resolve().name]))
    explanation = "" if run.result is None else f"Why it ended: {cut(run.result.explanation)}."
    parts = [
        html.heading(title),
        html.paragraph(verdict_sentence(run), "lead"),
        html.paragraph(explanation, "note"),
        html.facts(_key_figures(run)),
        html.section("Learning curve", *_curves(pictures)),
        html.section("Champions", _about_champions(), champion_table(run)),
        html.section("Trials and challenges", trial_table(run) or _none_of(run, "No trial and no challenge")),
        html.section("Alarms", alarm_table(run) or _none_of(run, "No alarm")),
        html.section(
            "Film", "" if film is None else html.film(film.gif, film.caption), html.paragraph(no_film, "note")
        ),
        html.section("Hyperparameters", *_about_hyperparameters(run, pictures["hyperparameters"])),
        html.section("Losses and the like", html.shown(pictures["losses"])),
        html.section("Speed, and where the time went", html.shown(pictures["spent"]) or _no_times()),
        html.section("The same again", *_again(run)),
        html.section("Settings and versions", html.facts(_settings(run))),
        html.section(
            "Notes", html.listing([cut(note) for note in (*(run.result.notes if run.result else ()), *run.notes)])
        ),
    ]
    return html.page(title, parts, f"Written by tensor-optix {__version__}.")


def _key_figures(run: Run) -> dict[str, Any]:
    result = run.result
    figures: dict[str, Any] = {"Seed": run.seed, "Began (UTC)": run.description.get("started")}
    if result is None:
        return {"Env steps of training": f"{run.env_steps:,}", **figures}
    steps = [f"{count:,} {use}" for use, count in result.env_steps.items() if count]
    return {
        "Env steps": f"{sum(result.env_steps.values()):,} ({', '.join(steps)})",
        "Windows": f"{result.windows:,}",
        "Wall time": duration(result.seconds),
        "Latest training windows": None if result.training_mean is None else number(result.training_mean),
        **figures,
    }


def _curves(pictures: Mapping[str, Picture | None]) -> Sequence[str]:
    steps, time = html.shown(pictures["steps"]), html.shown(pictures["time"])
    if not steps:
        return [html.paragraph("There is no history to draw: no window gave a score, or its file is missing.", "note")]
    return [steps, time or html.paragraph("Over time it cannot be drawn: the run kept no logbook.", "note")]


def _about_champions() -> str:
    return html.paragraph(
        "The training score is that of the window in which a champion acted, and may be luck; its greedy mean is that "
        "of fresh episodes. The report's episodes chose nothing.",
        "note",
    )


def _none_of(run: Run, what: str) -> str:
    said = f"{what} in this run." if run.logbook else "The run kept no logbook, so this is not known."
    return html.paragraph(said, "note")


def _no_times() -> str:
    return html.paragraph("The run kept no logbook, so this is not known.", "note")


def _about_hyperparameters(run: Run, picture: Picture | None) -> Sequence[str]:
    constant = html.paragraph("None of them changed while it ran.", "note") if picture is None else ""
    return [
        html.paragraph(_at_the_start(run), "note"),
        html.shown(picture),
        constant,
    ]


def _at_the_start(run: Run) -> str:
    told = joined(run.described("agent").get("hyperparams"))
    return f"At the start: {told}." if told else ""


def _again(run: Run) -> Sequence[str]:
    command = reproducing_command(run)
    if command is None:
        return [html.paragraph(reproducing_script(run))]
    return [
        html.code(command),
        html.paragraph("With the versions below, on such a machine, it is the same to the bit.", "note"),
    ]


def _settings(run: Run) -> dict[str, Any]:
    pipeline = {name: value for name, value in run.described("pipeline").items() if value not in ([], {}, None)}
    told = {
        "Environment": joined(pipeline),
        "Agent": run.algorithm,
        "Settings": joined(run.described("settings")),
        "Versions": joined(run.described("versions"), " "),
        "Machine": ", ".join(str(run.description[key]) for key in ("machine", "processor") if run.description.get(key)),
        "CPUs": run.description.get("num_cpus"),
        "Threads": joined(run.described("threads")),
    }
    with contextlib.suppress(OSError):
        told["Run folder"] = run.path.resolve().as_posix()
    return told
