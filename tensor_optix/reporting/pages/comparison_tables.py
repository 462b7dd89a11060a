"""The tables of a comparison, as rows of plain text: for pages and for terminals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tensor_optix.reporting.comparison.figures import Comparison, Group
from tensor_optix.reporting.pages.wording import duration, number

Rows = tuple[list[str], list[list[str]]]
"""Headings, and rows."""


def group_rows(comparison: Comparison) -> Rows:
    """Return a row for each group: its mean over seeds, and how soon it had the score asked for."""
    headings = ["Group", "Runs", "Interquartile mean", "95 % interval"]
    rows = [[group.name, _count(group), number(group.mean), _interval(group)] for group in comparison.groups]
    if comparison.score is not None:
        asked = f"{comparison.score:,.6g}"
        headings += [f"Steps to {asked}", f"Time to {asked}"]
        for row, group in zip(rows, comparison.groups, strict=True):
            row += _soon(group)
    return headings, rows


def run_rows(comparison: Comparison) -> Rows:
    """Return a row for each run: what it came to."""
    headings = ["Run", "Group", "Seed", "Verdict", "Confirmed mean", "95 % interval", "Steps of training", "Wall time"]
    rows = []
    for group in comparison.groups:
        for run in group.runs:
            report = None if run.result is None else run.result.report
            between = "-" if report is None else f"{number(report.interval[0])} to {number(report.interval[1])}"
            took = "-" if run.result is None else duration(run.result.seconds)
            seed = "-" if run.seed is None else str(run.seed)
            reached = number(None if report is None else report.mean)
            rows.append([run.path.name, group.name, seed, run.verdict, reached, between, f"{run.env_steps:,}", took])
    return headings, rows


def improvement_rows(comparison: Comparison) -> Rows:
    """Return a row for each pair of groups: how probable it is that a run of the one scores more than of the other."""
    rows = []
    for pair in comparison.improvements:
        between = "-" if pair.interval is None else f"{pair.interval[0]:.2f} to {pair.interval[1]:.2f}"
        rows.append([f"{pair.better} over {pair.other}", f"{pair.probability:.2f}", between])
    return ["Probability of improvement", "P", "95 % interval"], rows


def _count(group: Group) -> str:
    return str(len(group.runs)) if len(group.scores) == len(group.runs) else f"{len(group.scores)} of {len(group.runs)}"


def _interval(group: Group) -> str:
    return "-" if group.interval is None else f"{number(group.interval[0])} to {number(group.interval[1])}"


def _soon(group: Group) -> list[str]:
    """Return the median steps and time of the runs that had the score, and how many these were if not all."""
    steps = [at for at in group.steps_to_score if at is not None]
    seconds = [at for at in group.seconds_to_score if at is not None]
    if not steps:
        return ["never", "-"]
    share = "" if len(steps) == len(group.runs) else f" ({len(steps)} of {len(group.runs)} runs)"
    took = duration(_median(seconds)) if seconds else "-"
    return [f"{_median(steps):,.0f}{share}", took]


def _median(values: Sequence[float]) -> float:
    return float(np.median(values))
