"""Rows for Trackio, a local tracker with W&B's words."""

from __future__ import annotations

from typing import Any

from tensor_optix.core.run_result import RunResult
from tensor_optix.core.run_view import RunView
from tensor_optix.reporting.shared.extras import required
from tensor_optix.reporting.shared.row_logger import result_values
from tensor_optix.reporting.shared.settings import run_name, settings_of
from tensor_optix.reporting.shared.tracker import TrackerLogger


class TrackioCallback(TrackerLogger):
    """Logs settings as config and rows over env steps to Trackio's local store (``TRACKIO_DIR``).

    Args:
        project: Its name.
        every_seconds: Least time between two rows; 0: every window has one.
        **arguments: More of ``trackio.init``: ``group``, ``space_id``, ...

    Raises:
        MissingExtraError: Trackio is not installed (``pip install "tensor-optix[trackio]"``).
    """

    def __init__(self, project: str = "tensor-optix", *, every_seconds: float = 1.0, **arguments: Any) -> None:
        super().__init__("trackio", every_seconds)
        self._trackio = required("trackio", "trackio", "TrackioCallback")
        self._project = project
        self._arguments = arguments
        self._trackio_run: Any = None

    def begin(self, run: RunView, identity: str | None) -> str:
        """Begin a run of Trackio's, or go on with one; it is known by its name, which is another one each time."""
        name = identity or f"{run_name(run)}-{run.seed}"
        resume = "allow" if identity else "never"
        config = settings_of(run)
        self._trackio_run = self._trackio.init(
            project=self._project, name=name, config=config, resume=resume, **self._arguments
        )
        return str(self._trackio_run.name)

    def send(self, env_steps: int, values: dict[str, float]) -> None:
        """Log a row."""
        self._trackio.log(values, step=env_steps)

    def finish(self, result: RunResult) -> None:
        """Log what the run came to."""
        self._trackio.log(result_values(result), step=result.env_steps["training"])

    def close(self) -> None:
        """End Trackio's run."""
        if self._trackio_run is not None:
            self._trackio.finish()
            self._trackio_run = None
