"""Callbacks that are asked for by name."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from tensor_optix.core.checks import nearest
from tensor_optix.exceptions import InvalidArgumentError

_HOMES = {
    "progress": "tensor_optix.reporting.progress:Progress",
    "csv": "tensor_optix.reporting.csv_logger:CSVLogger",
    "monitor": "tensor_optix.reporting.monitor:MonitorCallback",
    "evaluation": "tensor_optix.reporting.eval_callback:EvalCallback",
    "video": "tensor_optix.reporting.video_callback:VideoCallback",
    "tensorboard": "tensor_optix.reporting.tensorboard:TensorBoardCallback",
    "mlflow": "tensor_optix.reporting.mlflow:MLflowCallback",
    "wandb": "tensor_optix.reporting.wandb:WandbCallback",
    "trackio": "tensor_optix.reporting.trackio:TrackioCallback",
}

NAMED_CALLBACKS = tuple(_HOMES)
"""What ``RLOptimizer(callbacks=[...])`` and the command know by name: each works without arguments."""


def callback_named(name: str, **arguments: Any) -> Any:
    """Return a new callback.

    Args:
        name: One of :data:`NAMED_CALLBACKS`.
        **arguments: Of its class.

    Raises:
        InvalidArgumentError: There is none of this name.
        MissingExtraError: A package that it needs is not installed.

    Example:
        >>> callbacks = [callback_named("csv", every_seconds=1.0)]
    """
    if name not in _HOMES:
        raise InvalidArgumentError(
            f"There is no callback named {name!r:.200}.{nearest(name, _HOMES)} These are known by name: "
            f"{', '.join(_HOMES)}. Any other is given as an object."
        )
    module, _, class_name = _HOMES[name].partition(":")
    return getattr(importlib.import_module(module), class_name)(**arguments)


def with_named(callbacks: Any) -> Any:
    """Return the callbacks with those made that are only named; what is no list of callbacks is returned as it is."""
    if not isinstance(callbacks, Iterable) or isinstance(callbacks, str | bytes | dict | np.ndarray):
        return callbacks
    return [callback_named(callback) if isinstance(callback, str) else callback for callback in callbacks]
