"""A picture of a run: scores, states, champions and alarms over environment steps."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tensor_optix.core.run_result import RunResult
from tensor_optix.core.storage.history_file import read_history
from tensor_optix.core.storage.run_folder import HISTORY_FILE
from tensor_optix.core.types import LoopState
from tensor_optix.exceptions import CheckpointError, InvalidTypeError, MissingExtraError

SCORE_COLOR = "#2b5c8a"
CHAMPION_COLOR = "#d9730d"
ALARM_COLOR = "#c0392b"
REPORT_COLOR = "#1a1a1a"
MARGIN = 0.03
"""Room to the right of the last window, as a share of all steps."""

STATE_COLORS = {
    LoopState.ACTIVE: "#ffffff",
    LoopState.COOLING: "#dcecf7",
    LoopState.DORMANT: "#cfc6ea",
    LoopState.WATCHDOG: "#f5e3ef",
}


def plot_run(run: RunResult | str | os.PathLike[str], path: str | os.PathLike[str]) -> Path:
    """Draw a run into an image file (PNG, SVG or PDF, by the name's ending) and return its path.

    Args:
        run: What ``RLOptimizer.run`` returned, or the folder of a run.
        path: File to write; its folder is made.

    Raises:
        MissingExtraError: Matplotlib is not installed (``pip install "tensor-optix[plots]"``).
        CheckpointError: The folder holds no history.
    """
    figure_class = _figure_class()
    columns, result = _columns_of(run)
    figure = figure_class(figsize=(9.0, 4.5), layout="constrained")
    axes = figure.subplots()
    _draw_states(axes, columns)
    _draw_scores(axes, columns)
    _draw_champions(axes, columns)
    _draw_alarms(axes, columns)
    if result is not None and result.report is not None:
        _draw_report(axes, columns, result)
    _finish(axes, _title(run, result))
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, dpi=150)
    return target


def _figure_class() -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError('Pictures need Matplotlib: pip install "tensor-optix[plots]".') from error
    return Figure


def _columns_of(run: Any) -> tuple[dict[str, list[Any]], RunResult | None]:
    """Return one list per quantity, and the result where there is one."""
    if isinstance(run, RunResult):
        columns, result = run.history, run
    elif isinstance(run, str | os.PathLike):
        rows = read_history(Path(run) / HISTORY_FILE)
        names = dict.fromkeys(name for row in rows for name in row)
        columns, result = {name: [row.get(name) for row in rows] for name in names}, None
    else:
        raise InvalidTypeError(
            f"`run` must be a RunResult or a folder. Received: {run!r} of type {type(run).__name__}."
        )
    if not columns.get("env_steps"):
        raise CheckpointError(f"There is no history to draw in {run if result is None else 'this result'}.")
    return columns, result


def _draw_states(axes: Any, columns: dict[str, list[Any]]) -> None:
    seen = set()
    last = columns["env_steps"][-1]
    for state, start, end in state_spans(columns["env_steps"], columns["state"]):
        label = state.name if state not in seen and state is not LoopState.ACTIVE else None
        shown_end = last * (1 + MARGIN) if end == last else end  # so that an end in DORMANT can be seen
        axes.axvspan(start, shown_end, color=STATE_COLORS[state], label=label, zorder=0, linewidth=0)
        seen.add(state)
    axes.set_xlim(0, last * (1 + MARGIN))


def _draw_scores(axes: Any, columns: dict[str, list[Any]]) -> None:
    steps, scores = evidence(columns)
    if not len(scores):
        return
    axes.plot(
        steps, scores, ".", color=SCORE_COLOR, alpha=0.45, markersize=4.5, markeredgewidth=0, label="score of a window"
    )
    width = max(1, len(scores) // 40)
    axes.plot(
        steps, smooth(scores, width), color=SCORE_COLOR, linewidth=1.8, label=f"median of {2 * width + 1} windows"
    )


def _draw_champions(axes: Any, columns: dict[str, list[Any]]) -> None:
    crowned = champion_changes(columns["env_steps"], columns["champion"])
    if not crowned:
        return
    steps, scores = zip(*crowned, strict=True)
    axes.step(
        (*steps, columns["env_steps"][-1]), (*scores, scores[-1]), where="post", color=CHAMPION_COLOR, linewidth=1.2,
        label="champion, when crowned",
    )  # fmt: skip
    axes.plot(steps, scores, "o", color=CHAMPION_COLOR, markersize=3.5)


def _draw_alarms(axes: Any, columns: dict[str, list[Any]]) -> None:
    alarms = [step for step, alarm in zip(columns["env_steps"], columns.get("alarm", ()), strict=False) if alarm]
    for i, step in enumerate(alarms):
        axes.axvline(step, color=ALARM_COLOR, linewidth=1.0, linestyle=":", label="degradation" if i == 0 else None)


def _draw_report(axes: Any, columns: dict[str, list[Any]], result: RunResult) -> None:
    report = result.report
    if report is None:
        return
    low, high = report.interval
    axes.errorbar(
        [columns["env_steps"][-1]], [report.mean], [[report.mean - low], [high - report.mean]],
        fmt="D", color=REPORT_COLOR, markersize=5, capsize=4, zorder=5, clip_on=False,
        label=f"champion, {report.num_episodes} fresh greedy episodes",
    )  # fmt: skip


def _finish(axes: Any, title: str) -> None:
    axes.set_xlabel("environment steps while training")
    axes.set_ylabel("score")
    axes.set_title(title, loc="left", fontsize=10)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.figure.legend(frameon=False, fontsize=8, loc="outside lower center", ncols=3)


def _title(run: Any, result: RunResult | None) -> str:
    if result is None:
        return Path(run).name
    if result.report is None:
        return f"{result.reason}: {result.explanation}"
    return f"{result.reason}: mean return {result.report}, fresh and greedy"


# ---------------------------------------------------------------- what the picture shows


def state_spans(steps: list[int], states: list[str]) -> Iterator[tuple[LoopState, int, int]]:
    """Yield (state, first step, last step) of each stretch of windows in one state."""
    start = 0
    for state, group in itertools.groupby(zip(steps, states, strict=True), key=lambda row: row[1]):
        end = list(group)[-1][0]
        yield LoopState(state), start, end
        start = end


def evidence(columns: dict[str, list[Any]]) -> tuple[np.ndarray, np.ndarray]:
    """Return env steps and scores of the windows that gave evidence."""
    pairs = [x for x in zip(columns["env_steps"], columns["score"], strict=True) if x[1] is not None]
    table = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def smooth(values: np.ndarray, half_width: int) -> np.ndarray:
    """Return the median of up to ``2 * half_width + 1`` values around each, fewer at the ends."""
    return np.array([np.median(values[max(0, i - half_width) : i + half_width + 1]) for i in range(len(values))])


def champion_changes(steps: list[int], champions: list[float | None]) -> list[tuple[int, float]]:
    """Return (env steps, score) of each new champion."""
    changes: list[tuple[int, float]] = []
    for step, score in zip(steps, champions, strict=True):
        if score is not None and (not changes or score != changes[-1][1]):
            changes.append((step, score))
    return changes
