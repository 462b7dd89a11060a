"""Rows as scalars for TensorBoard, written by TensorBoard's own package."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from tensor_optix.core.checks import check_int
from tensor_optix.core.run_result import RunResult
from tensor_optix.core.run_view import RunView
from tensor_optix.core.storage.agent_files import capture
from tensor_optix.reporting.shared.extras import required
from tensor_optix.reporting.shared.log_keys import WINDOW_KEY
from tensor_optix.reporting.shared.row_logger import RowLogger, result_values
from tensor_optix.reporting.shared.run_files import checked_place, place_of
from tensor_optix.reporting.shared.settings import settings_of

TENSORBOARD_FOLDER = "tensorboard"
"""Its name in the run's folder: ``tensorboard --logdir tensor_optix_checkpoints`` finds those of all runs."""


class TensorBoardCallback(RowLogger):
    """Writes scalars under Stable-Baselines3's keys over env steps, the settings as hyperparameters, and histograms.

    Where a resumed run goes back to its last checkpoint, TensorBoard is told to forget what came after it.

    Args:
        folder: Where to write event files. Default: ``tensorboard`` in the run's folder.
        histogram_windows: Windows between two histograms of all that the policy is made of; None: no histograms.
        every_seconds: Least time between two rows; 0: every window has one.

    Raises:
        MissingExtraError: TensorBoard is not installed (``pip install "tensor-optix[tensorboard]"``).
        InvalidTypeError: An argument is of the wrong type.
        InvalidArgumentError: ``histogram_windows`` is below 1.
        CheckpointError: The folder cannot be written to.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] | None = None,
        *,
        histogram_windows: int | None = None,
        every_seconds: float = 0.0,
    ) -> None:
        super().__init__(every_seconds)
        check_int("histogram_windows", histogram_windows, at_least=1, optional=True)
        self._given = checked_place(folder)
        self._histogram_windows = histogram_windows
        self._events: Any = required("tensorboard.compat.proto.event_pb2", "tensorboard", "TensorBoardCallback")
        self._summaries: Any = required("tensorboard.compat.proto.summary_pb2", "tensorboard", "TensorBoardCallback")
        self._writer: Any = None
        self._agent: Any = None

    def open(self, run: RunView) -> None:
        """Begin a file; of a run that goes on, say from which step."""
        writers = required("tensorboard.summary.writer.event_file_writer", "tensorboard", "TensorBoardCallback")
        folder: Path = place_of(self._given, run, TENSORBOARD_FOLDER)
        self._writer, self._agent = writers.EventFileWriter(str(folder)), run.agent
        steps = run.env_steps["training"]
        if run.windows:
            start = self._events.SessionLog(status=self._events.SessionLog.START)
            self._add(steps + 1, session_log=start)
        else:
            hparams = required("tensorboard.plugins.hparams.summary_v2", "tensorboard", "TensorBoardCallback")
            self._add(0, summary=hparams.hparams_pb(settings_of(run)))

    def write(self, env_steps: int, values: dict[str, float]) -> None:
        """Add one event with all numbers, and the histograms, where it is time for them."""
        self._add_scalars(env_steps, values)
        every = self._histogram_windows
        if every is not None and values.get(WINDOW_KEY, 1.0) % every == 0:
            self._add_histograms(env_steps)

    def finish(self, result: RunResult) -> None:
        """Write what the run came to over all its training steps."""
        self._add_scalars(result.env_steps["training"], result_values(result))

    def close(self) -> None:
        """Write all that waits, and close the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _add_scalars(self, env_steps: int, values: dict[str, float]) -> None:
        value = self._summaries.Summary.Value
        summary = self._summaries.Summary(value=[value(tag=key, simple_value=number) for key, number in values.items()])
        self._add(env_steps, summary=summary)

    def _add_histograms(self, env_steps: int) -> None:
        histograms = required("tensorboard.plugins.histogram.summary_v2", "tensorboard", "TensorBoardCallback")
        for name, array in capture(self._agent, "policy").arrays.items():
            if np.issubdtype(array.dtype, np.floating):
                self._add(env_steps, summary=histograms.histogram_pb(f"policy/{name}", array))

    def _add(self, env_steps: int, **what: Any) -> None:
        if self._writer is not None:
            self._writer.add_event(self._events.Event(wall_time=time.time(), step=env_steps, **what))
