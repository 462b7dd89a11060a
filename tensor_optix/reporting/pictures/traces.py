"""Small pictures side by side: what changed of the hyperparameters, and what learning told of itself."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from tensor_optix.reporting.pictures.canvas import DARK, Picture, Size, counted, drawn
from tensor_optix.reporting.report import evenly
from tensor_optix.reporting.run import Run, number_or_nan

MOST_POINTS, MOST_PANELS = 800, 12

_OF_THE_LOOP = {"window", "state", "env_steps", "score", "champion", "alarm", "tuning", "num_gradient_steps"}
_CONTROLLED = ("learning_rate", "kl_factor", "epsilon", "alpha", "epsilon_end", "entropy_coef")
"""What the agent itself steers while it learns, among its diagnostics."""

Series = tuple[np.ndarray, np.ndarray]


def hyperparameter_series(run: Run, history: Mapping[str, list[Any]]) -> dict[str, Series]:
    """Return env steps and values of each hyperparameter that changed, or that learning steered.

    Args:
        run: The run.
        history: Of it, thinned or not.
    """
    named = run.described("agent").get("hyperparams")
    at_start = named if isinstance(named, Mapping) else {}
    of_learning = _columns(history, lambda name: name in _CONTROLLED or name in at_start)
    changes = _changes(run, at_start)
    both = {**changes, **of_learning}
    return {name: series for name, series in both.items() if np.ptp(series[1]) > 1e-9 * np.abs(series[1]).max()}


def diagnostic_series(run: Run, history: Mapping[str, list[Any]]) -> dict[str, Series]:
    """Return env steps and values of what ``learn`` told beside, losses first.

    Args:
        run: The run.
        history: Of it, thinned or not.
    """
    named = run.described("agent").get("hyperparams")
    known = {*_OF_THE_LOOP, *_CONTROLLED, *(named if isinstance(named, Mapping) else {})}
    found = _columns(history, lambda name: name not in known)
    return dict(sorted(found.items(), key=lambda item: "loss" not in item[0])[:MOST_PANELS])


def traces(name: str, text: str, series: Mapping[str, Series]) -> Picture | None:
    """Return one small picture for each series, over env steps; None where there are none.

    Args:
        name: Of the picture's file.
        text: What it shows.
        series: By name, see above.
    """
    if not series:
        return None

    def columns_of(size: Size) -> int:
        return 1 if size.is_narrow else min(3, len(series))

    def draw(figure: Any, size: Size) -> None:
        num_columns = columns_of(size)
        grid = figure.subplots(-(-len(series) // num_columns), num_columns, squeeze=False, sharex=True)
        for axes in grid.ravel()[len(series) :]:
            axes.set_visible(False)
        for axes, (title, (steps, values)) in zip(grid.ravel(), series.items(), strict=False):
            axes.plot(steps, values, color=DARK, linewidth=1.1)
            axes.set_title(title, loc="left")
            axes.get_yaxis().get_major_locator().set_params(nbins=4)
            axes.set_xlim(0, None)
            axes.xaxis.set_tick_params(labelbottom=True)
            counted(axes.xaxis, size)
            if not size.is_narrow:
                axes.get_xaxis().get_major_locator().set_params(nbins=9 // num_columns)
        figure.supxlabel("environment steps of training", fontsize="medium")

    return drawn(name, text, draw, height=lambda size: 0.4 + 1.5 * -(-len(series) // columns_of(size)))


def _columns(history: Mapping[str, list[Any]], is_wanted: Any) -> dict[str, Series]:
    steps = np.array([number_or_nan(value) for value in history.get("env_steps", ())])
    found = {}
    for name, column in history.items():
        if not is_wanted(name):
            continue
        values = np.array([number_or_nan(value) for value in column])
        is_told = np.isfinite(values) & np.isfinite(steps)
        if is_told.sum() >= 2:
            at, told = steps[is_told], values[is_told]
            chosen = evenly(len(at), MOST_POINTS)
            found[name] = (at[chosen], told[chosen])
    return found


def _changes(run: Run, at_start: Mapping[str, Any]) -> dict[str, Series]:
    """Return steps of the hyperparameters that the loop changed, from the logbook."""
    last = float(run.env_steps)
    points: dict[str, list[tuple[float, float]]] = {}
    for entry in run.logbook:
        values = entry.get("values") if entry["kind"] == "hyperparameters" else None
        for name, value in (values if isinstance(values, Mapping) else {}).items():
            now, before = number_or_nan(value), number_or_nan(at_start.get(name))
            if math.isfinite(now):
                told = points.setdefault(name, [] if math.isnan(before) else [(0.0, before)])
                if told:
                    told.append((float(entry["env_steps"]), told[-1][1]))
                told.append((float(entry["env_steps"]), now))
    series = {name: np.array([*told, (last, told[-1][1])]).T for name, told in points.items()}
    return {name: (steps, values) for name, (steps, values) in series.items()}
