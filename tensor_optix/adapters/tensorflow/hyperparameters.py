"""What ``TFAgent`` reads from ``HyperparamSet.params``, with defaults, and how it is checked."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from typing import Any

from tensor_optix.core.checks import check_number
from tensor_optix.core.types import HyperparamSet, ParamSpec
from tensor_optix.exceptions import InvalidTypeError

DEFAULTS: dict[str, float] = {
    "gamma": 0.99,
    "gae_lambda": 0.95,
    "clip_ratio": 0.2,
    "entropy_coef": 0.003,
    "kl_target": 0.02,
    "num_epochs": 10.0,
}

BOUNDS: dict[str, ParamSpec] = {
    "learning_rate": ParamSpec(1e-5, 1e-2, scale="log"),
    "gamma": ParamSpec(0.9, 0.9999, scale="one_minus_log"),
    "gae_lambda": ParamSpec(0.8, 0.999, scale="one_minus_log"),
    "clip_ratio": ParamSpec(0.05, 0.4),
    "entropy_coef": ParamSpec(1e-4, 0.1, scale="log"),
    "kl_target": ParamSpec(1e-3, 0.1, scale="log"),
    "num_epochs": ParamSpec(1, 30, scale="log", integer=True),
}

_RANGES: dict[str, dict[str, float]] = {
    "learning_rate": {"above": 0.0},
    "gamma": {"low": 0.0, "high": 1.0},
    "gae_lambda": {"low": 0.0, "high": 1.0},
    "clip_ratio": {"above": 0.0},
    "entropy_coef": {"low": 0.0},
    "kl_target": {"above": 0.0},
    "num_epochs": {"above": 0.0},
}


def check_hyperparams(hyperparams: Any) -> None:
    """Raise unless every value that the agent reads can be used; other keys may hold anything finite.

    Raises:
        InvalidTypeError: Not a ``HyperparamSet``, or a value of the wrong type.
        InvalidArgumentError: A value out of range, NaN or infinite.
    """
    if not isinstance(hyperparams, HyperparamSet):
        raise InvalidTypeError(
            f"`hyperparams` must be a HyperparamSet. Received: {type(hyperparams).__name__}. "
            'Write HyperparamSet(params={"learning_rate": 3e-4, "gamma": 0.99}, episode_id=0).'
        )
    if not isinstance(hyperparams.params, Mapping):
        raise InvalidTypeError(f"`hyperparams.params` must be a dict. Received: {type(hyperparams.params).__name__}.")
    for name, value in hyperparams.params.items():
        if name in _RANGES:
            check_number(f"hyperparams.params[{name!r}]", value, **_RANGES[name])
        elif isinstance(value, numbers.Real) and not math.isfinite(value):
            check_number(f"hyperparams.params[{name!r}]", value)


def read(params: Mapping[str, Any], name: str) -> float:
    """Return the value in force: what was given, else the default."""
    return float(params.get(name, DEFAULTS[name]))
