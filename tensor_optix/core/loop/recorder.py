"""One row a window: in memory, in the run's folder, and in the result."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from tensor_optix.core.checks import fits_float
from tensor_optix.core.run_result import History
from tensor_optix.core.storage.exact_json import to_exact
from tensor_optix.core.storage.history_lines import line_of
from tensor_optix.core.storage.json_files import to_jsonable
from tensor_optix.core.storage.run_folder import RunFolder
from tensor_optix.core.storage.stateful import WithState
from tensor_optix.core.types import EvalMetrics, LoopState, PolicySnapshot
from tensor_optix.exceptions import CheckpointError


class Recorder(WithState):
    """Keeps the history of a run.

    Args:
        run_folder: Where rows are written as well; None: nowhere.

    Attributes:
        diagnostics: What the latest ``learn`` returned.
        history: The rows so far.
        notes: What the user should know of it at the end, in sentences.
        not_saved: What the latest ``state_dict`` had to leave out, in phrases.
    """

    def __init__(self, run_folder: RunFolder | None) -> None:
        self.run_folder = run_folder
        self.history = History()
        self.diagnostics: dict[str, Any] = {}
        self._noted: dict[str, Any] = {}
        self._num_rows = 0
        self._last_window: int | None = None
        self._digest = hashlib.sha256()
        self.notes: list[str] = []
        self.not_saved: list[str] = []

    def note(self, **facts: Any) -> None:
        """Add facts to the row of the current window."""
        self._noted.update(facts)

    def record(
        self, metrics: EvalMetrics, state: LoopState, champion: PolicySnapshot | None, decisions: list[str]
    ) -> Mapping[str, Any]:
        """Add the row of one window, with the numbers among the diagnostics of the latest ``learn``; return it."""
        row: dict[str, Any] = {
            "window": metrics.episode_id,
            "state": state.value,
            "env_steps": metrics.env_steps,
            "score": metrics.primary_score if metrics.is_evidence else None,
            "champion": None if champion is None else champion.eval_metrics.primary_score,
            **self._noted,
            **self._numbers(),
        }
        if decisions:
            row["tuning"] = decisions
        row = to_jsonable(row)  # as it will be read back: a resumed run has the same history
        line = line_of(row)
        self._noted.clear()
        self._last_window = metrics.episode_id
        self._digest.update(line)
        self._num_rows += 1
        self.history.append(row)
        if self.run_folder is not None:
            self.run_folder.history.append_line(line)
        return MappingProxyType(row)

    def settle(self) -> None:
        """End with these rows: older ones that a resumed run did not make again go to a file beside."""
        if self.run_folder is not None:
            self.run_folder.history.settle()

    def flush(self) -> None:
        """Put what was recorded on the disk."""
        if self.run_folder is not None:
            self.run_folder.history.flush()

    def sync(self) -> None:
        """Put those rows on the disk that were recorded so far; may be called from another thread.

        Raises:
            CheckpointError: The system refused.
        """
        if self.run_folder is not None:
            self.run_folder.history.sync()

    @property
    def run_dir(self) -> str | None:
        """Folder of the run."""
        return None if self.run_folder is None else str(self.run_folder.path)

    def state_dict(self) -> dict[str, Any]:
        """Return a JSON-able copy of the counts; the rows themselves are in the run's folder."""
        return {
            "num_rows": self._num_rows,
            "last_window": self._last_window,
            "sha256": self._digest.hexdigest(),
            "diagnostics": self._kept_diagnostics(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to where :meth:`state_dict` was taken."""
        self._num_rows, self.diagnostics = int(state["num_rows"]), dict(state["diagnostics"])
        self._last_window = state["last_window"]
        self.history, self._digest = History(), hashlib.sha256()
        if self.run_folder is None:
            return
        rows = self.run_folder.history.rewind(self._num_rows, self._last_window)
        self._num_rows, self.history, self._digest = rows.num_rows, rows.history, rows.digest
        if self._digest.hexdigest() != state["sha256"]:
            self.notes.append(
                f"the history is not what it was: {rows.num_rows} of {state['num_rows']} rows were read back, "
                "and some were altered or lost"
            )

    def go_on_after_the_last_row(self) -> None:
        """Take the rows in the run's folder for its own: what is recorded next comes after them."""
        if self.run_folder is not None:
            rows = self.run_folder.history.rows()
            self._num_rows, self._last_window = rows.num_rows, rows.last_window
            self.history, self._digest = rows.history, rows.digest

    def _kept_diagnostics(self) -> dict[str, Any]:
        kept, self.not_saved = {}, []
        for name, value in self.diagnostics.items():
            try:
                to_exact({name: value}, "diagnostics")
            except CheckpointError as error:
                self.not_saved.append(f"what learn() returned cannot be saved for the next score ({error})")
            else:
                kept[name] = value
        return kept

    def _numbers(self) -> dict[str, float]:
        numbers = {name: value for name, value in self.diagnostics.items() if isinstance(value, (int, float))}
        return {name: float(value) if fits_float(value) else math.inf for name, value in numbers.items()}
