"""What a run came to."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tensor_optix.core.checks import check_choice, check_fields
from tensor_optix.core.short_html import html_table
from tensor_optix.core.storage.json_files import parse_json
from tensor_optix.core.types import EvaluationResult, LoopState, PolicySnapshot
from tensor_optix.exceptions import CheckpointError

_WATCHED = f'"state": "{LoopState.WATCHDOG.value}"'.encode()
REASONS = ("trained", "stalled", "target", "budget", "stopped", "error")


class History:
    """One row a window, bounded in memory.

    A watch may last for months: of each stretch of windows in WATCHDOG the latest rows are kept only.
    (The run's folder has them all.)

    Args:
        max_rows: How many of the latest rows are kept.
        max_watched_rows: How many of the latest rows of one watch.
    """

    def __init__(self, max_rows: int = 20_000, max_watched_rows: int = 500) -> None:
        self._rows: deque[dict[str, Any] | bytes] = deque(maxlen=max_rows)
        self._max_watched_rows = max_watched_rows
        self._watched_rows = 0

    def append(self, row: dict[str, Any]) -> None:
        """Add the row of one window."""
        self._add(row, row.get("state") == LoopState.WATCHDOG.value)

    def append_line(self, line: bytes) -> None:
        """Add the row of one window as a line of JSON, which is parsed once it is asked for."""
        self._add(line, _WATCHED in line)

    def _add(self, row: dict[str, Any] | bytes, is_watched: bool) -> None:
        self._watched_rows = self._watched_rows + 1 if is_watched else 0
        if self._watched_rows > self._max_watched_rows:
            del self._rows[-self._max_watched_rows]
            self._watched_rows -= 1
        self._rows.append(row)

    def columns(self) -> dict[str, list[Any]]:
        """Return one list per name, all of the same length; None where a row lacks it."""
        rows = [row for row in map(_parsed, self._rows) if row is not None]
        names = dict.fromkeys(name for row in rows for name in row)
        return {name: [row.get(name) for row in rows] for name in names}


def _parsed(row: dict[str, Any] | bytes) -> dict[str, Any] | None:
    """Return a row that may be a line of JSON, None where that is damaged."""
    if isinstance(row, dict):
        return row
    try:
        parsed = parse_json(row, "a row of the history")
    except CheckpointError:
        return None
    return parsed if isinstance(parsed, dict) else None


@dataclass(frozen=True)
class RunResult:
    """What :meth:`tensor_optix.RLOptimizer.run` returns.

    Attributes:
        reason: ``"trained"``, ``"stalled"``, ``"target"``, ``"budget"``, ``"stopped"`` or
            ``"error"``.
        explanation: The same in a sentence.
        state: State of the loop at the end.
        champion: The best confirmed snapshot, which the agent now holds; None if no window was
            scored.
        report: What the champion reached in fresh greedy episodes that chose nothing; None where
            the pipeline cannot play episodes.
        env_steps: Environment steps by use: ``training``, ``evaluation`` (to choose the champion; at most a tenth of
            training, a first round apart), ``diagnosis`` (to find the cause of a drop; the same, ten first pairs of
            episodes apart) and ``report`` (of the champion, and to find out whether ``target_score`` is reached).
        windows: Windows yielded.
        seconds: Wall time.
        run_dir: Folder of the run.
        history: One list per quantity, one entry per window, as Keras's ``History.history``.
        notes: What else should be known, for example what kept a resumed run from being exact.
        is_interrupted: Whether Ctrl-C came: the report is at most 10 episodes then.
        training_mean: Mean return of the latest training windows, as the agent acts there, where it differs from the
            report beyond noise: it may explore, and what samples well may do less when it takes its likeliest action.
    """

    reason: str
    explanation: str
    state: LoopState
    champion: PolicySnapshot | None
    report: EvaluationResult | None
    env_steps: Mapping[str, int]
    windows: int
    seconds: float
    run_dir: str | None
    history: dict[str, list[Any]]
    notes: tuple[str, ...] = ()
    is_interrupted: bool = False
    training_mean: float | None = None

    def __post_init__(self) -> None:
        check_choice("reason", self.reason, REASONS)
        check_fields(
            self, explanation=str, state=LoopState, champion=(PolicySnapshot, None), windows=int, seconds=float
        )
        check_fields(self, report=(EvaluationResult, None), run_dir=(str, None), env_steps=Mapping, history=Mapping)
        check_fields(self, notes=tuple, is_interrupted=bool, training_mean=(float, None))

    @property
    def confirmed_mean(self) -> float | None:
        """Mean return of the champion in the report's episodes."""
        return None if self.report is None else self.report.mean

    @property
    def confirmed_interval(self) -> tuple[float, float] | None:
        """95 % interval of :attr:`confirmed_mean`."""
        return None if self.report is None else self.report.interval

    def __repr__(self) -> str:
        return f"RunResult(reason={self.reason!r}, confirmed_mean={self.confirmed_mean!r}, windows={self.windows})"

    def _repr_html_(self) -> str:
        return html_table(
            f"Run: {self.reason}",
            {
                "Why": self.explanation,
                "Champion, fresh greedy episodes": self.report,
                "Latest training windows": None if self.training_mean is None else f"{self.training_mean:.2f}",
                "Env steps": ", ".join(f"{count:,} {use}" for use, count in self.env_steps.items() if count),
                "Windows": f"{self.windows:,} in {self.seconds:.1f} seconds",
                "Folder": self.run_dir,
                "Notes": " ".join(self.notes),
            },
        )

    def __str__(self) -> str:
        steps = ", ".join(f"{count:,} {use}" for use, count in self.env_steps.items() if count)
        lines = [f"{self.reason}: {self.explanation}"]
        if self.report is not None:
            lines.append(f"Champion, fresh greedy episodes: {self.report}")
            if self.training_mean is not None:
                lines.append(f"Latest training windows, as the agent acts there: {self.training_mean:.2f}")
        elif self.champion is not None:
            lines.append(f"Champion's score while training: {self.champion.eval_metrics.primary_score:.4g}")
        lines.append(f"Windows: {self.windows:,}; env steps: {steps or 0}; seconds: {self.seconds:.1f}")
        if self.champion is not None:
            lines.append(f"Champion saved in: {self.champion.weights_path}")
        lines += [f"Note: {note}" for note in self.notes]
        return "\n".join(lines)
