"""One row a window: in memory, in the run's folder, and in the result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tensor_optix.core.run_result import History

if TYPE_CHECKING:
    from tensor_optix.core.run_folder import RunFolder


class Recorder:
    """Keeps the history of a run.

    Args:
        run_folder: Where rows are written as well; None: nowhere.
    """

    def __init__(self, run_folder: RunFolder | None) -> None:
        self.run_folder = run_folder
        self.history = History()

    def record(self, row: dict[str, Any], diagnostics: dict[str, Any], decisions: list[str]) -> None:
        """Add the row of one window; of the diagnostics only numbers are kept."""
        row.update({name: float(value) for name, value in diagnostics.items() if isinstance(value, (int, float))})
        if decisions:
            row["tuning"] = decisions
        self.history.append(row)
        if self.run_folder is not None:
            self.run_folder.append_history(row)

    def rewind(self, num_rows: int) -> None:
        """Go back to the first ``num_rows`` rows of the run's folder."""
        if self.run_folder is not None:
            self.history = History()
            for row in self.run_folder.rewind_history(num_rows):
                self.history.append(row)

    def flush(self) -> None:
        """Put what was recorded on the disk."""
        if self.run_folder is not None:
            self.run_folder.flush()

    @property
    def run_dir(self) -> str | None:
        """Folder of the run."""
        return None if self.run_folder is None else str(self.run_folder.path)
