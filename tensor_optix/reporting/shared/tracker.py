"""What loggers share that hand rows on to a tracker with a store of its own."""

from __future__ import annotations

import json
from abc import abstractmethod
from pathlib import Path
from typing import Any

from tensor_optix.core.run_view import RunView
from tensor_optix.core.storage.atomic_files import read_bounded, write_atomically
from tensor_optix.exceptions import CheckpointError
from tensor_optix.reporting.shared.row_logger import RowLogger

_MAX_BOOKMARK_BYTES = 10_000


class TrackerLogger(RowLogger):
    """Logs to one run of a tracker, also when it is resumed.

    Which run that is, and up to which step it has rows, is kept beside the run as ``<tracker>.json``. A resumed run
    makes the windows after its last checkpoint once more; those that the tracker has already are not sent again.

    Args:
        tracker: Its name.
        every_seconds: Least time between two rows; 0: every window has one.
    """

    def __init__(self, tracker: str, every_seconds: float) -> None:
        super().__init__(every_seconds)
        self._tracker = tracker
        self._bookmark: Path | None = None
        self._identity: str | None = None
        self._sent_steps = -1

    @abstractmethod
    def begin(self, run: RunView, identity: str | None) -> str:
        """Begin a run of the tracker, or go on with the one of this identity; return its identity."""

    @abstractmethod
    def send(self, env_steps: int, values: dict[str, float]) -> None:
        """Hand on a row."""

    def open(self, run: RunView) -> None:
        """Find out which run of the tracker it is, and begin or go on with it."""
        self._bookmark = None if run.run_dir is None else run.run_dir / f"{self._tracker}.json"
        if run.windows:
            self._read_bookmark()
        else:
            self._identity, self._sent_steps = None, -1
        self._identity = self.begin(run, self._identity)
        self._keep_bookmark()

    def write(self, env_steps: int, values: dict[str, float]) -> None:
        """Hand on the row, unless the tracker has it; noted first, so that a crash may lose one but doubles none."""
        if env_steps > self._sent_steps:
            self._sent_steps = env_steps
            self._keep_bookmark()
            self.send(env_steps, values)

    def _read_bookmark(self) -> None:
        if self._bookmark is None or not self._bookmark.is_file() or self._bookmark.is_symlink():
            return
        try:
            kept: Any = json.loads(read_bounded(self._bookmark, _MAX_BOOKMARK_BYTES))
            self._identity, self._sent_steps = str(kept["identity"]), int(kept["env_steps"])
        except (ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"{self._bookmark} is damaged ({error}). Remove it to begin a new run.") from error

    def _keep_bookmark(self) -> None:
        if self._bookmark is not None:
            kept = {"identity": self._identity, "env_steps": self._sent_steps}
            write_atomically(self._bookmark, json.dumps(kept).encode(), flush=False)
