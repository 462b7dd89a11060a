"""How fast a run was, and what its time went into."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tensor_optix.core.storage.logbook_file import BEGAN
from tensor_optix.reporting.pictures.canvas import DARK, Picture, Size, counted, drawn, unit_of_time
from tensor_optix.reporting.run import Run, number_or_nan

REST = "the loop itself: judging, saving, callbacks"
_LOOKS = (("#1a3a5c", ""), ("#7fa6c9", ""), ("#d9e4ee", "///"), ("#ffffff", "..."))
_MOST_POINTS = 60


def seconds_by_use(run: Run) -> dict[str, float]:
    """Return seconds by what they went into, over all calls of ``run()``; empty where there is no logbook."""
    calls: list[dict[str, float]] = []
    spans: list[list[float]] = []
    for entry in run.logbook:
        if entry["kind"] == BEGAN or not spans:
            calls.append({})
            spans.append([entry["seconds"], entry["seconds"]])
        spans[-1][1] = entry["seconds"]
        spent = entry.get("spent")
        if isinstance(spent, Mapping):
            calls[-1] = {str(what): number_or_nan(seconds) for what, seconds in spent.items()}
    names = dict.fromkeys(name for call in calls for name in call)
    if not names:
        return {}
    told = {name: float(np.nansum([call.get(name, 0.0) for call in calls])) for name in names}
    total = sum(end - begin for begin, end in spans)
    return {**told, REST: max(0.0, total - sum(told.values()))}


def time_spent(run: Run) -> Picture | None:
    """Return speed over time, and shares of the time; None for runs without a logbook."""
    spent, (at, speeds) = seconds_by_use(run), steps_per_second(run)
    if not spent or not sum(spent.values()):
        return None
    unit, label = unit_of_time(float(at[-1]) if len(at) else 1.0)

    def draw(figure: Any, size: Size) -> None:
        shape = (2, 1) if size.is_narrow else (1, 2)
        speed, shares = figure.subplots(*shape)
        speed.plot(at / unit, speeds, color=DARK, linewidth=1.4, drawstyle="steps-pre")
        speed.set(xlabel=label, ylabel="training steps / second", ylim=(0, None), xlim=(0, None))
        counted(speed.xaxis, size)
        counted(speed.yaxis, size)
        _draw_shares(shares, spent)

    text = "Training steps per second over time; what the time went into: " + ", ".join(
        f"{what} {seconds:.1f} s" for what, seconds in spent.items()
    )
    return drawn("time_spent", text + ".", draw, height=lambda size: 4.4 if size.is_narrow else 2.6)


def _draw_shares(axes: Any, spent: Mapping[str, float]) -> None:
    total = sum(spent.values())
    names = [name.partition(":")[0] for name in spent]
    for i, ((colour, hatch), seconds) in enumerate(zip(_LOOKS, spent.values(), strict=False)):
        axes.barh(i, seconds, color=colour, hatch=hatch, edgecolor="#333333", linewidth=0.6)
        axes.annotate(
            f"{seconds:,.1f} s, {seconds / total:.0%}", (seconds, i), (4, 0), textcoords="offset points", va="center"
        )
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set(xlabel="seconds of wall time", xlim=(0, 1.45 * max(spent.values())))
    axes.grid(visible=False)
    axes.get_xaxis().get_major_locator().set_params(nbins=4)


def steps_per_second(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """Return seconds, and env steps of training per second since the point before; greedy episodes are in the time."""
    times = [(entry["seconds"], entry["env_steps"]) for entry in run.logbook if entry["kind"] in ("time", BEGAN)]
    if len(times) < 2:
        return np.zeros(0), np.zeros(0)
    seconds, steps = np.array(times, np.float64).T
    points = np.linspace(seconds[0], seconds[-1], min(_MOST_POINTS, len(times)) + 1)
    passed = np.diff(points)
    speeds = np.diff(np.interp(points, seconds, steps)) / np.where(passed > 0, passed, np.inf)
    return points[1:], speeds
