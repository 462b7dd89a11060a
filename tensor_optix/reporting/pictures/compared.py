"""What shows how groups of runs compare: curves, interquartile means, performance profiles, probabilities."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tensor_optix.reporting.comparison.figures import Comparison, Group
from tensor_optix.reporting.pictures.canvas import (
    DARK,
    SHADES,
    STROKES,
    Picture,
    Size,
    counted,
    drawn,
    legend_below,
    unit_of_time,
    wrapped,
)
from tensor_optix.reporting.report import evenly, evidence, smooth
from tensor_optix.reporting.run import Run

_POINTS = 300
MOST_GROUPS = 12
"""Of a picture of curves: more cannot be told apart."""

Look = dict[str, Any]


def compared_curves(comparison: Comparison, *, over_time: bool = False) -> Picture | None:
    """Return each group's learning curves over env steps, or over time; None where there are none to draw."""
    curves = [
        (group, [curve for curve in (_curve(run, over_time) for run in group.runs) if curve is not None])
        for group in comparison.groups[:MOST_GROUPS]
    ]
    ends = [curve[0][-1] for _, some in curves for curve in some]
    if not ends:
        return None
    unit, label = unit_of_time(max(ends)) if over_time else (1.0, "environment steps of training")

    def draw(figure: Any, size: Size) -> None:
        axes = figure.subplots()
        for i, (group, some) in enumerate(curves):
            if some:
                _draw_group(axes, group.name, some, unit, _look(i))
        if comparison.score is not None:
            axes.axhline(
                comparison.score, color="#555555", linewidth=0.9, linestyle=(0, (1, 3)), label="the score asked for"
            )
        axes.set(xlabel=label, ylabel="score of a window (return), smoothed", xlim=(0, None))
        counted(axes.xaxis, size)
        legend_below(figure, size)

    name = "curves_over_time" if over_time else "curves"
    text = f"Learning curves of each group over {label}."
    return drawn(name, text, draw, height=lambda size: _height(3.4, len(curves), size))


def _curve(run: Run, over_time: bool) -> tuple[np.ndarray, np.ndarray] | None:
    """Return where a run's smoothed scores are drawn, and these."""
    steps, scores = evidence(run.columns)
    at = run.seconds_at(steps) if over_time and len(steps) else steps
    if at is None or not len(at):
        return None
    points = evenly(len(at), _POINTS)
    return at[points], smooth(scores, max(1, len(scores) // 40), points)


def _draw_group(axes: Any, name: str, curves: list[tuple[np.ndarray, np.ndarray]], unit: float, look: Look) -> None:
    """Draw a group's median over runs with their range, as far as all of them go; a single run as it is.

    Before its first score a run counts as being at it.
    """
    if len(curves) == 1:
        (at, scores) = curves[0]
        axes.plot(at / unit, scores, linewidth=1.6, label=f"{name} (one run)", **look)
        return
    grid = np.linspace(min(at[0] for at, _ in curves), min(at[-1] for at, _ in curves), _POINTS)
    for at, scores in curves:
        axes.plot(at / unit, scores, linewidth=0.6, alpha=0.6, color=look["color"])
    on_grid = np.array([np.interp(grid, at, scores) for at, scores in curves])
    axes.fill_between(
        grid / unit, on_grid.min(axis=0), on_grid.max(axis=0), color=look["color"], alpha=0.12, linewidth=0
    )
    label = f"{name}: median and range of {len(curves)} runs"
    axes.plot(grid / unit, np.median(on_grid, axis=0), linewidth=2.0, label=label, **look)


def interquartile_means(comparison: Comparison) -> Picture | None:
    """Return the interquartile mean of each group with its interval, and its runs beside; None without scores."""
    groups = [group for group in comparison.groups if group.mean is not None]
    if not groups:
        return None

    def draw_row(axes: Any, i: int, group: Group) -> None:
        spread = np.linspace(-0.14, 0.14, len(group.scores)) if len(group.scores) > 1 else np.zeros(1)
        axes.plot(group.scores, i + spread, "o", color="#888888", markersize=3.5, label="a run" if i == 0 else None)
        if group.interval is not None:
            label = "95 % interval over seeds"
            axes.plot(group.interval, [i, i], color=DARK, linewidth=5, alpha=0.35, solid_capstyle="butt", label=label)
        axes.plot([group.mean], [i], "D", color=DARK, markersize=5.5, label="interquartile mean" if i == 0 else None)

    return _rows(
        "means", "Interquartile means of each group.", groups, draw_row, "mean return of the champion, confirmed"
    )


def _rows(
    name: str, text: str, groups: list[Group], draw_row: Callable[[Any, int, Group], None], label: str
) -> Picture:
    def draw(figure: Any, size: Size) -> None:
        axes = figure.subplots()
        for i, group in enumerate(groups):
            draw_row(axes, i, group)
        axes.set_yticks(range(len(groups)), [wrapped(group.name, 20 if size.is_narrow else 44) for group in groups])
        axes.set(xlabel=label, ylim=(len(groups) - 0.5, -0.5))
        axes.grid(visible=True, axis="x")
        axes.get_xaxis().get_major_locator().set_params(nbins=4 if size.is_narrow else 8)
        legend_below(figure, size)

    return drawn(name, text, draw, height=lambda size: 1.5 + 0.5 * len(groups))


def performance_profiles(comparison: Comparison) -> Picture | None:
    """Return the share of each group's runs above each score, with its interval; None without scores."""
    groups = [group for group in comparison.groups if group.profile is not None][:MOST_GROUPS]
    if not groups:
        return None

    def draw(figure: Any, size: Size) -> None:
        axes = figure.subplots()
        for i, group in enumerate(groups):
            look = _look(i)
            if group.profile_band is not None:
                axes.fill_between(
                    comparison.thresholds, *group.profile_band, color=look["color"], alpha=0.12, linewidth=0
                )
            axes.plot(comparison.thresholds, group.profile, linewidth=1.8, label=group.name, **look)
        axes.set(xlabel="score (confirmed mean return)", ylabel="share of runs above it", ylim=(-0.02, 1.02))
        axes.get_xaxis().get_major_locator().set_params(nbins=4 if size.is_narrow else 8)
        legend_below(figure, size)

    text = "Share of runs above each score."
    return drawn("profiles", text, draw, height=lambda size: _height(2.8, len(groups), size))


def _height(of_axes: float, num_groups: int, size: Size) -> float:
    """Return how high a picture is, with a legend that has up to two lines for each group on a telephone."""
    return of_axes + (0.33 if size.is_narrow else 0.2) * (num_groups + 1)


def _look(number: int) -> Look:
    return {"color": SHADES[number % len(SHADES)], "linestyle": STROKES[number % len(STROKES)]}
