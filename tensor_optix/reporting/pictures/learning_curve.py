"""The learning curve of a run: scores with their noise, states, champions, alarms, and what the report confirmed."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensor_optix.core.types import LoopState
from tensor_optix.reporting.pictures.canvas import (
    DARK,
    LIGHT,
    MIDDLE,
    RED,
    WARM,
    Picture,
    Size,
    counted,
    drawn,
    legend_below,
    unit_of_time,
)
from tensor_optix.reporting.report import champion_changes, evenly, evidence, few_spans
from tensor_optix.reporting.run import Run

MOST_DOTS, MOST_POINTS, MOST_MARKS = 3000, 400, 200
"""What a picture can show: of a longer run so many windows are drawn, evenly spaced."""

NOISE = (10.0, 90.0)
"""Percentiles of the scores around each window: the band holds 8 of 10."""

STATE_LOOKS: dict[LoopState, dict[str, Any]] = {
    LoopState.COOLING: {"facecolor": "#efefef"},
    LoopState.DORMANT: {"facecolor": "#dcdcdc", "hatch": "///"},
    LoopState.WATCHDOG: {"facecolor": "#e6e6e6", "hatch": "..."},
}


def learning_curve(run: Run, *, over_time: bool = False) -> Picture | None:
    """Return a run's learning curve over env steps, or over time; None where there is nothing to draw it from.

    Args:
        run: It.
        over_time: Over wall time, which only runs with a logbook tell.
    """
    steps, scores = evidence(run.columns)
    if not len(scores):
        return None
    seconds = run.seconds_at(steps) if over_time else steps
    if seconds is None:
        return None
    unit, label = unit_of_time(float(seconds[-1])) if over_time else (1.0, "environment steps of training")
    place = _Place(run, over_time, unit)

    def draw(figure: Any, size: Size) -> None:
        axes = figure.subplots()
        _draw_states(axes, run, place)
        _draw_scores(axes, place(steps), scores)
        _draw_champions(axes, run, place)
        _draw_alarms(axes, run, place)
        _draw_report(axes, run, place)
        axes.set_xlabel(label)
        axes.set_ylabel("score of a window (return)")
        counted(axes.xaxis, size)
        legend_below(figure, size)

    name = "learning_curve_over_time" if over_time else "learning_curve"
    text = f"Scores of {len(scores):,} windows over {label}, from {scores[0]:.4g} to {scores[-1]:.4g}."
    return drawn(name, text, draw, height=lambda size: 4.2 if size.is_narrow else 3.9)


class _Place:
    """Maps counts of env steps to where they are drawn."""

    def __init__(self, run: Run, over_time: bool, unit: float) -> None:
        self._run, self._over_time, self._unit = run, over_time, unit
        self.last = float(self(run.columns["env_steps"][-1:])[0])

    def __call__(self, steps: Any) -> np.ndarray:
        at = self._run.seconds_at(steps) if self._over_time else np.asarray(steps, np.float64)
        return np.asarray(at) / self._unit


def _draw_states(axes: Any, run: Run, place: _Place) -> None:
    columns = run.columns
    seen: set[LoopState] = set()
    for state, start, end in few_spans(columns["env_steps"], columns["state"]):
        if state is LoopState.ACTIVE:
            continue
        begin, until = place([start, end])
        shown_until = place.last * 1.02 if end == columns["env_steps"][-1] else until
        label = None if state in seen else f"state {state.name}"
        axes.axvspan(begin, shown_until, zorder=0, linewidth=0, label=label, **STATE_LOOKS[state])
        seen.add(state)
    axes.set_xlim(0, max(place.last * 1.02, 1e-9))


def _draw_scores(axes: Any, at: np.ndarray, scores: np.ndarray) -> None:
    every = -(-len(scores) // MOST_DOTS)
    dots = "score of a window" if every == 1 else f"score of a window, one in {every:,}"
    axes.plot(
        at[::every],
        scores[::every],
        "o",
        color=MIDDLE,
        alpha=0.7,
        markersize=2.2,
        markeredgewidth=0,
        zorder=3,
        label=dots,
    )
    width = max(1, len(scores) // 40)
    points = evenly(len(scores), MOST_POINTS)
    low, middle, high = noise_band(scores, width, points)
    axes.fill_between(at[points], low, high, color=LIGHT, alpha=0.6, linewidth=0, label="8 of 10 windows around")
    label = f"median of {2 * width + 1:,} windows"
    axes.plot(at[points], middle, color=DARK, linewidth=1.6, label=label)


def noise_band(scores: np.ndarray, half_width: int, at: np.ndarray) -> np.ndarray:
    """Return lower percentile, median and upper percentile of up to ``2 * half_width + 1`` scores around some windows.

    Args:
        scores: ``[windows]``.
        half_width: Windows on either side.
        at: Indices of windows, ``[points]``.

    Returns:
        ``[3, points]``.
    """
    around = [scores[max(0, i - half_width) : i + half_width + 1] for i in at]
    return np.array([np.percentile(some, [NOISE[0], 50.0, NOISE[1]]) for some in around]).T


def _draw_champions(axes: Any, run: Run, place: _Place) -> None:
    crowned = champion_changes(run.columns["env_steps"], run.columns["champion"])
    if not crowned:
        return
    steps, scores = (np.array(values)[evenly(len(crowned), MOST_MARKS)] for values in zip(*crowned, strict=True))
    at = place(steps)
    axes.step(
        (*at, place.last), (*scores, scores[-1]), where="post", color=WARM, linewidth=1.1, linestyle="--", marker="o",
        markersize=3, label="champion: its training score when crowned",
    )  # fmt: skip
    played = [entry for entry in run.logbook if entry["kind"] == "champion" and "greedy_mean" in entry]
    if played:
        axes.plot(
            place([entry["env_steps"] for entry in played]), [entry["greedy_mean"] for entry in played], "^",
            color=WARM, markersize=5, markerfacecolor="white", label="champion: its greedy episodes when crowned",
        )  # fmt: skip


def _draw_alarms(axes: Any, run: Run, place: _Place) -> None:
    alarms = run.columns["env_steps"][run.columns["alarm"]]
    for i, at in enumerate(place(alarms[evenly(len(alarms), MOST_MARKS)])):
        axes.axvline(at, color=RED, linewidth=1.0, linestyle=":", label="alarm: scores fell" if i == 0 else None)


def _draw_report(axes: Any, run: Run, place: _Place) -> None:
    report = None if run.result is None else run.result.report
    if report is None:
        return
    low, high = report.interval
    reach = [[report.mean - low], [high - report.mean]] if np.isfinite([low, high]).all() else None
    axes.errorbar(
        [place.last], [report.mean], reach, fmt="D", color="black", markersize=4.5, capsize=4, zorder=5, clip_on=False,
        label=f"report: {report.num_episodes} fresh greedy episodes, 95 % interval",
    )  # fmt: skip
    if report.against is not None:
        label = "baseline, same episodes"
        axes.axhline(report.against.mean, color="#555555", linewidth=1.0, linestyle="-.", label=label)
