"""`tensor-optix compare`."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tensor_optix.cli.answer import Answer, answering, printable
from tensor_optix.cli.options import Json

if TYPE_CHECKING:
    from tensor_optix.reporting.comparison.figures import Comparison

COMPARISON_FILE = Path("comparison.html")


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...",
            help="Runs, or folders that hold runs; those that differ in their seed only are a group. NAME=FOLDER puts "
            "what is in it into a group of that name.",
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="HTML file to write.")
    ] = COMPARISON_FILE,
    score: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            help="Whose steps and time are told. [dim]Default: 90 % of the way to the best that was confirmed.[/]",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Same seed, same intervals.")] = 0,
    as_json: Json = False,
) -> None:
    """Hold runs against each other: over seeds, with intervals."""
    from tensor_optix.exceptions import MissingExtraError
    from tensor_optix.reporting.comparison.figures import compare_runs
    from tensor_optix.reporting.pages.comparison_page import write_comparison

    with answering(as_json) as answer:
        comparisons = compare_runs(_named(runs), score=score, seed=seed)
        answer.document["comparisons"] = [_document(comparison) for comparison in comparisons]
        for comparison in comparisons:
            _say(answer, comparison)
        try:
            page = write_comparison(comparisons, output)
        except MissingExtraError as error:
            answer.say("", f"Note: there is no page. {error}")
        else:
            answer.document["page"] = page
            answer.say("", f"Page: {page.as_posix()}")
        first = comparisons[0].groups[0].runs[0].path
        answer.suggest(f"tensor-optix report {shlex.quote(first.as_posix())}")


def _named(words: list[str]) -> Any:
    """Return what was typed as runs, or as groups of runs by name where any was named.

    Raises:
        CheckpointError: A folder is neither a run nor holds any.
        InvalidArgumentError: A run comes twice, or a group has no name or no folder.
    """
    from tensor_optix.exceptions import InvalidArgumentError

    groups: dict[str, list[Path]] = {}
    is_named = False
    seen: set[str] = set()
    for word in words:
        name, equals, place = word.partition("=")
        has_name = bool(equals) and not os.path.exists(word)
        is_named = is_named or has_name
        if has_name and not (name and place):
            raise InvalidArgumentError(f"A group is named as NAME=FOLDER, and both must be there. Received: {word!r}.")
        for run in _runs_in(Path(place if has_name else word)):
            place_of_run = os.path.realpath(run) if os.path.isdir(run) else run.as_posix()
            if place_of_run in seen:
                raise InvalidArgumentError(f"{run.as_posix()} is named twice. Name each run once.")
            seen.add(place_of_run)
            groups.setdefault(name if has_name else run.name, []).append(run)
    return groups if is_named else [run for some in groups.values() for run in some]


def _runs_in(place: Path) -> list[Path]:
    from tensor_optix.core.storage.run_folder import list_runs, was_started

    is_folder = os.path.isdir(place)
    within = [run for run in list_runs(place) if was_started(run)] if is_folder and not was_started(place) else []
    return within or [place]


def _say(answer: Answer, comparison: Comparison) -> None:
    from tensor_optix.reporting.pages.comparison_tables import group_rows, improvement_rows, run_rows

    answer.say(comparison.environment, "")
    for headings, rows in (group_rows(comparison), run_rows(comparison), improvement_rows(comparison)):
        if rows:
            _draw(answer, headings, rows)
    answer.say(*(f"Note: {note}" for note in comparison.notes))


def _draw(answer: Answer, headings: list[str], rows: list[list[str]]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    answer.show(table)


def _document(comparison: Comparison) -> Mapping[str, Any]:
    return {
        "environment": comparison.environment,
        "score": comparison.score,
        "groups": [
            {
                "name": group.name,
                "runs": [run.path for run in group.runs],
                "scores": group.scores,
                "interquartile_mean": group.mean,
                "interval": group.interval,
                "steps_to_score": group.steps_to_score,
                "seconds_to_score": group.seconds_to_score,
                "profile": group.profile,
            }
            for group in comparison.groups
        ],
        "improvements": [
            {"better": pair.better, "other": pair.other, "probability": pair.probability, "interval": pair.interval}
            for pair in comparison.improvements
        ],
        "thresholds": comparison.thresholds,
        "notes": comparison.notes,
    }
