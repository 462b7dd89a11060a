"""A picture of a run: scores, states, champions and alarms over environment steps."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tensor_optix.core.run_result import RunResult
from tensor_optix.core.storage.atomic_files import regular_file
from tensor_optix.core.storage.history_lines import read_columns
from tensor_optix.core.storage.run_folder import HISTORY_FILE, existing_run
from tensor_optix.core.types import LoopState
from tensor_optix.exceptions import CheckpointError, InvalidArgumentError, InvalidTypeError, MissingExtraError

SCORE_COLOR = "#2b5c8a"
CHAMPION_COLOR = "#d9730d"
ALARM_COLOR = "#c0392b"
REPORT_COLOR = "#1a1a1a"
MARGIN = 0.03
"""Room to the right of the last window, as a share of all steps."""

FORMATS = ("png", "svg", "pdf", "jpg", "jpeg", "webp", "eps")
MAX_DOTS = 4000
MAX_MEDIANS = 500
MAX_SPANS = 1000
MAX_MARKS = 500
"""What a picture can show: a longer run is drawn from so many of its windows, evenly spaced."""

MAX_DRAWN = {"env_steps": 1e18, "score": 1e100, "champion": 1e100}
"""Numbers from here on are left out of a picture: no run has as many steps, and no axis has room for their digits."""

STATE_COLORS = {
    LoopState.ACTIVE: "#ffffff",
    LoopState.COOLING: "#dcecf7",
    LoopState.DORMANT: "#cfc6ea",
    LoopState.WATCHDOG: "#f5e3ef",
}


def plot_run(run: RunResult | str | os.PathLike[str], path: str | os.PathLike[str]) -> Path:
    """Draw a run into an image file (PNG, SVG, PDF, ..., by the name's ending) and return its path.

    Of a long run every tenth, hundredth, ... window is drawn; champions and alarms only where there are hundreds.

    Args:
        run: What ``RLOptimizer.run`` returned, or the folder of a run.
        path: File to write; its folder is made.

    Raises:
        InvalidTypeError: ``run`` or ``path`` is of another type.
        InvalidArgumentError: The name's ending is none of a picture, or the name is a folder's.
        MissingExtraError: Matplotlib is not installed (``pip install "tensor-optix[plots]"``).
        CheckpointError: The folder holds no history, or the picture cannot be written.
        UnsafeFileError: The history is a link that leads out of the folder.
    """
    target = _checked_target(path)
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
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(target, dpi=150)
    except OSError as error:
        raise CheckpointError(f"Could not write {target}: {error.strerror or error}.") from error
    return target


def _checked_target(path: Any) -> Path:
    if not isinstance(path, str | os.PathLike):
        raise InvalidTypeError(f"`path` must be a file's name. Received: {path!r} of type {type(path).__name__}.")
    target = Path(path)
    if target.suffix.lower().removeprefix(".") not in FORMATS:
        endings = ", ".join(f".{ending}" for ending in FORMATS)
        raise InvalidArgumentError(f"A picture's name must end in one of {endings}. Received: {str(path)!r}.")
    if os.path.isdir(target):
        raise InvalidArgumentError(f"{target} is a folder; name a file to draw into.")
    return target


def _figure_class() -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError(
            "Pictures need Matplotlib, the extra tensor-optix[plots]: pip install matplotlib."
        ) from error
    return Figure


def _columns_of(run: Any) -> tuple[dict[str, np.ndarray], RunResult | None]:
    """Return one array per quantity, and the result where there is one."""
    result = run if isinstance(run, RunResult) else None
    if result is not None:
        columns = _arrays_of(result.history)
    elif isinstance(run, str | os.PathLike):
        is_there = os.path.lexists(existing_run(run) / HISTORY_FILE)
        columns = read_columns(regular_file(Path(run), HISTORY_FILE)) if is_there else _arrays_of({})
    else:
        raise InvalidTypeError(
            f"`run` must be a RunResult or a folder. Received: {run!r} of type {type(run).__name__}."
        )
    columns = drawable(columns)
    if not len(columns["env_steps"]):
        raise CheckpointError(f"There is no history to draw in {'this result' if result else run}.")
    return columns, result


def drawable(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the columns without numbers that no axis can hold."""
    is_drawable = np.abs(columns["env_steps"]) < MAX_DRAWN["env_steps"]
    shown = {name: column[is_drawable] for name, column in columns.items()}
    for name in ("score", "champion"):
        shown[name] = np.where(np.abs(shown[name]) < MAX_DRAWN[name], shown[name], math.nan)
    return shown


def _arrays_of(history: Mapping[str, list[Any]]) -> dict[str, np.ndarray]:
    """Return the columns of a result as ``read_columns`` gives those of a folder."""
    size = len(history.get("env_steps", ()))
    numbers = ("env_steps", "score", "champion")
    columns = {name: np.array(history.get(name, [None] * size), dtype=np.float64) for name in numbers}
    columns["state"] = np.array(history.get("state", [LoopState.ACTIVE.value] * size))
    columns["alarm"] = np.array([bool(alarm) for alarm in history.get("alarm", [False] * size)], dtype=bool)
    is_known = np.isfinite(columns["env_steps"])
    return {name: column[is_known] for name, column in columns.items()}


def _draw_states(axes: Any, columns: dict[str, np.ndarray]) -> None:
    seen = set()
    last = columns["env_steps"][-1]
    for state, start, end in few_spans(columns["env_steps"], columns["state"]):
        label = state.name if state not in seen and state is not LoopState.ACTIVE else None
        shown_end = last * (1 + MARGIN) if end == last else end  # so that an end in DORMANT can be seen
        axes.axvspan(start, shown_end, color=STATE_COLORS[state], label=label, zorder=0, linewidth=0)
        seen.add(state)
    axes.set_xlim(0, max(last * (1 + MARGIN), 1))


def few_spans(steps: np.ndarray, states: np.ndarray) -> list[tuple[LoopState, float, float]]:
    """Return what :func:`state_spans` yields; of very many the state that is commonest in each stretch of windows."""
    spans = list(state_spans(steps, states))
    if len(spans) <= MAX_SPANS:
        return spans
    ends = evenly(len(steps), MAX_SPANS + 1)
    usual = [_commonest(states[start:end]) for start, end in itertools.pairwise(ends)]
    return list(state_spans(steps[ends[1:]], usual))


def _commonest(states: np.ndarray) -> str:
    kinds, counts = np.unique(states, return_counts=True)
    return str(kinds[counts.argmax()])


def _draw_scores(axes: Any, columns: dict[str, np.ndarray]) -> None:
    steps, scores = evidence(columns)
    if not len(scores):
        return
    every = math.ceil(len(scores) / MAX_DOTS)
    axes.plot(
        steps[::every], scores[::every], ".", color=SCORE_COLOR, alpha=0.45, markersize=4.5, markeredgewidth=0,
        label="score of a window" if every == 1 else f"score of a window, one in {every:,}",
    )  # fmt: skip
    width = max(1, len(scores) // 40)
    at = evenly(len(scores), MAX_MEDIANS)
    label = f"median of {2 * width + 1:,} windows"
    axes.plot(steps[at], smooth(scores, width, at), color=SCORE_COLOR, linewidth=1.8, label=label)


def _draw_champions(axes: Any, columns: dict[str, np.ndarray]) -> None:
    crowned = champion_changes(columns["env_steps"], columns["champion"])
    if not crowned:
        return
    steps, scores = (np.array(values)[evenly(len(crowned), MAX_MARKS)] for values in zip(*crowned, strict=True))
    axes.step(
        (*steps, columns["env_steps"][-1]), (*scores, scores[-1]), where="post", color=CHAMPION_COLOR, linewidth=1.2,
        label="champion, when crowned",
    )  # fmt: skip
    axes.plot(steps, scores, "o", color=CHAMPION_COLOR, markersize=3.5)


def _draw_alarms(axes: Any, columns: dict[str, np.ndarray]) -> None:
    alarms = columns["env_steps"][columns["alarm"]]
    for i, step in enumerate(alarms[evenly(len(alarms), MAX_MARKS)]):
        axes.axvline(step, color=ALARM_COLOR, linewidth=1.0, linestyle=":", label="degradation" if i == 0 else None)


def _draw_report(axes: Any, columns: dict[str, np.ndarray], result: RunResult) -> None:
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
    axes.locator_params(axis="x", nbins=7)
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.figure.legend(frameon=False, fontsize=8, loc="outside lower center", ncols=3)


def _title(run: Any, result: RunResult | None) -> str:
    if result is None:
        return Path(run).resolve().name
    if result.report is None:
        return f"{result.reason}: {result.explanation}"
    return f"{result.reason}: mean return {result.report}, fresh and greedy"


# ---------------------------------------------------------------- what the picture shows


def evenly(size: int, at_most: int) -> np.ndarray:
    """Return up to ``at_most`` indices below ``size``, evenly spaced, with the first and the last among them."""
    if size <= at_most:
        return np.arange(size)
    return np.linspace(0, size - 1, at_most).round().astype(np.int64)


def state_spans(steps: ArrayLike, states: ArrayLike) -> Iterator[tuple[LoopState, float, float]]:
    """Yield (state, first step, last step) of each stretch of windows in one state."""
    step, state = np.asarray(steps), np.asarray(states)
    last = np.append(np.flatnonzero(state[1:] != state[:-1]), len(state) - 1)
    start = 0
    for i in last:
        yield LoopState(state[i]), start, step[i]
        start = step[i]


def evidence(columns: Mapping[str, ArrayLike]) -> tuple[np.ndarray, np.ndarray]:
    """Return env steps and scores of the windows that gave evidence."""
    steps, scores = (np.array(columns[name], dtype=np.float64) for name in ("env_steps", "score"))
    is_evidence = ~np.isnan(scores)
    return steps[is_evidence], scores[is_evidence]


def smooth(values: np.ndarray, half_width: int, at: np.ndarray | None = None) -> np.ndarray:
    """Return the median of up to ``2 * half_width + 1`` values around each, or around those ``at`` some indices."""
    indices = range(len(values)) if at is None else at
    return np.array([np.median(values[max(0, i - half_width) : i + half_width + 1]) for i in indices])


def champion_changes(steps: ArrayLike, champions: ArrayLike) -> list[tuple[float, float]]:
    """Return (env steps, score) of each new champion."""
    step, score = np.asarray(steps), np.array(champions, dtype=np.float64)
    step, score = step[~np.isnan(score)], score[~np.isnan(score)]
    is_new = np.append(True, score[1:] != score[:-1])[: len(score)]
    return list(zip(step[is_new].tolist(), score[is_new].tolist(), strict=True))
