"""Runs compared: a page to send, with tables and pictures of each environment."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from tensor_optix import __version__
from tensor_optix.core.storage.atomic_files import make_writable_folder, write_atomically
from tensor_optix.reporting.comparison.figures import Comparison
from tensor_optix.reporting.pages import html_page as html
from tensor_optix.reporting.pages.comparison_tables import group_rows, improvement_rows, run_rows
from tensor_optix.reporting.pictures.compared import compared_curves, interquartile_means, performance_profiles

_METHOD = (
    "A run's score is its confirmed mean: what its champion reached in fresh greedy episodes that chose nothing. The "
    "interquartile mean is that of the middle half of a group's scores; intervals are percentile bootstrap intervals "
    "over runs, stratified by environment. Definitions: Agarwal et al., Deep Reinforcement Learning at the Edge of the "
    "Statistical Precipice (2021). A score is reached where the median of five windows in a row is; steps and time are "
    "medians over the runs that reached it."
)


def write_comparison(comparisons: Sequence[Comparison], path: str | os.PathLike[str]) -> Path:
    """Write what ``compare_runs`` returned as one HTML file that needs no other file and no network.

    Args:
        comparisons: One for each environment.
        path: The file; its folder is made.

    Raises:
        CheckpointError: It cannot be written.
        MissingExtraError: Matplotlib is not installed.
    """
    target = Path(path)
    names = ", ".join(comparison.environment for comparison in comparisons)
    parts = [html.heading(f"Runs compared: {names}")]
    for comparison in comparisons:
        parts += _parts(comparison, is_alone=len(comparisons) == 1)
    parts.append(html.section("How the figures are made", html.paragraph(_METHOD, "note")))
    page = html.page(f"Runs compared: {names}", parts, f"Written by tensor-optix {__version__}.")
    make_writable_folder(target.parent)
    write_atomically(target, page.encode(), flush=False)
    return target


def _parts(comparison: Comparison, *, is_alone: bool) -> list[str]:
    of = "" if is_alone else f", {comparison.environment}"
    notes = html.listing(comparison.notes)
    steps, time = compared_curves(comparison), compared_curves(comparison, over_time=True)
    return [
        html.section(f"What the groups reached{of}", html.table(*group_rows(comparison), numbers=(2, 3, 4, 5)), notes),
        html.section(f"Interquartile means{of}", html.shown(interquartile_means(comparison))),
        html.section(f"Which is better{of}", html.table(*improvement_rows(comparison), numbers=(1, 2))),
        html.section(f"Learning curves{of}", html.shown(steps) or _nothing_drawn(), html.shown(time)),
        html.section(f"Performance profiles{of}", html.shown(performance_profiles(comparison))),
        html.section(f"The runs{of}", html.table(*run_rows(comparison), numbers=(2, 4, 5, 6, 7))),
    ]


def _nothing_drawn() -> str:
    return html.paragraph("There is no history to draw.", "note")
