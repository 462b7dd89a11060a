"""Rows as metrics for MLflow."""

from __future__ import annotations

import time
from typing import Any

from tensor_optix.core.run_result import RunResult
from tensor_optix.core.run_view import RunView
from tensor_optix.reporting.shared.extras import required
from tensor_optix.reporting.shared.row_logger import result_values
from tensor_optix.reporting.shared.settings import run_name, settings_of
from tensor_optix.reporting.shared.tracker import TrackerLogger

_STATUS_OF = {"error": "FAILED", "stopped": "KILLED"}


class MLflowCallback(TrackerLogger):
    """Logs settings as parameters, rows as metrics over env steps, and what the run came to as tags.

    Where a run of MLflow's is active (``with mlflow.start_run():``), it is logged to that one, which stays open.

    Args:
        tracking_uri: Store. Default: MLflow's own, which ``MLFLOW_TRACKING_URI`` or ``mlflow.set_tracking_uri`` say.
        experiment: Its name; made where missing.
        run_name: Default: the name of the run's folder.
        every_seconds: Least time between two rows; 0: every window has one, which takes tens of milliseconds each.

    Raises:
        MissingExtraError: MLflow is not installed (``pip install "tensor-optix[mlflow]"``).
    """

    def __init__(
        self,
        tracking_uri: str | None = None,
        *,
        experiment: str = "tensor-optix",
        run_name: str | None = None,
        every_seconds: float = 10.0,
    ) -> None:
        super().__init__("mlflow", every_seconds)
        self._mlflow = required("mlflow", "mlflow", "MLflowCallback")
        for package in ("sqlalchemy", "alembic"):  # its default store needs them, the small package does not bring them
            required(package, "mlflow", "MLflowCallback")
        self._tracking_uri = tracking_uri
        self._experiment = experiment
        self._run_name = run_name
        self._client: Any = None
        self._is_users_own = False

    def begin(self, run: RunView, identity: str | None) -> str:
        """Begin a run of MLflow's, go on with one, or join the one that is active."""
        self._client = self._mlflow.MlflowClient(self._tracking_uri)
        active = self._mlflow.active_run()
        self._is_users_own = active is not None and identity in (None, active.info.run_id)
        if identity is not None:
            self._client.update_run(identity, "RUNNING")
            return identity
        if active is not None:
            identity = str(active.info.run_id)
        else:
            name = self._run_name or run_name(run)
            identity = str(self._client.create_run(self._experiment_id(), run_name=name).info.run_id)
        params = [self._mlflow.entities.Param(key, str(value)) for key, value in settings_of(run).items()]
        self._client.log_batch(identity, params=params)
        return identity

    def send(self, env_steps: int, values: dict[str, float]) -> None:
        """Log a row in one call."""
        now, metric = int(time.time() * 1000), self._mlflow.entities.Metric
        metrics = [metric(key, value, now, env_steps) for key, value in values.items()]
        self._client.log_batch(self._identity, metrics=metrics)

    def finish(self, result: RunResult) -> None:
        """Log what the run came to, and end MLflow's run, unless it is the user's own."""
        steps = result.env_steps["training"]
        self.send(steps, result_values(result))
        tags = {"reason": result.reason, "explanation": result.explanation, "run_dir": str(result.run_dir)}
        self._client.log_batch(self._identity, tags=[self._mlflow.entities.RunTag(*tag) for tag in tags.items()])
        if not self._is_users_own:
            self._client.set_terminated(self._identity, _STATUS_OF.get(result.reason, "FINISHED"))

    def _experiment_id(self) -> str:
        found = self._client.get_experiment_by_name(self._experiment)
        return str(found.experiment_id if found else self._client.create_experiment(self._experiment))
