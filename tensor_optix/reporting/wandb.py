"""Rows for Weights & Biases."""

from __future__ import annotations

import os
import uuid
from typing import Any

from tensor_optix.core.run_result import RunResult
from tensor_optix.core.run_view import RunView
from tensor_optix.reporting.shared.extras import required
from tensor_optix.reporting.shared.log_keys import STEP_KEY
from tensor_optix.reporting.shared.row_logger import result_values
from tensor_optix.reporting.shared.settings import run_name, settings_of
from tensor_optix.reporting.shared.tracker import TrackerLogger


class WandbCallback(TrackerLogger):
    """Logs settings as config, rows over env steps, and what the run came to as summary.

    Args:
        project: Its name.
        mode: "online", "offline" or "disabled". Default: ``WANDB_MODE``; else "offline" where nobody is logged in, so
            that nothing asks for a key: files lie in the run's folder, and ``wandb sync`` sends them later.
        every_seconds: Least time between two rows; 0: every window has one.
        **arguments: More of ``wandb.init``: ``entity``, ``group``, ``tags``, ...

    Raises:
        MissingExtraError: W&B is not installed (``pip install "tensor-optix[wandb]"``).
    """

    def __init__(
        self, project: str = "tensor-optix", *, mode: str | None = None, every_seconds: float = 1.0, **arguments: Any
    ) -> None:
        super().__init__("wandb", every_seconds)
        self._wandb = required("wandb", "wandb", "WandbCallback")
        self._project = project
        self._mode = mode
        self._arguments = arguments
        self._wandb_run: Any = None

    def begin(self, run: RunView, identity: str | None) -> str:
        """Begin a run of W&B's, or go on with one."""
        identity = identity or uuid.uuid4().hex[:8]
        given = {
            "project": self._project,
            "name": run_name(run),
            "dir": None if run.run_dir is None else str(run.run_dir),
            "config": settings_of(run),
            "mode": self._mode or os.environ.get("WANDB_MODE") or self._mode_without_asking(),
            **self._arguments,
        }
        self._wandb_run = self._wandb.init(id=identity, resume="allow", **given)
        self._wandb_run.define_metric(STEP_KEY)
        self._wandb_run.define_metric("*", step_metric=STEP_KEY)
        return identity

    def send(self, env_steps: int, values: dict[str, float]) -> None:
        """Log a row."""
        self._wandb_run.log({STEP_KEY: env_steps, **values})

    def finish(self, result: RunResult) -> None:
        """Log what the run came to."""
        self._wandb_run.summary.update({**result_values(result), "reason": result.reason})

    def close(self) -> None:
        """End W&B's run."""
        if self._wandb_run is not None:
            self._wandb_run.finish()
            self._wandb_run = None

    def _mode_without_asking(self) -> str:
        return "online" if self._wandb.login(prompt=False) else "offline"
