"""What ``TFAgent`` reads from ``HyperparamSet.params``, with defaults, and how it is checked."""

from __future__ import annotations

import inspect
import logging
import math
import numbers
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tensor_optix.core.checks import check_number
from tensor_optix.core.types import HyperparamSet, ParamSpec
from tensor_optix.exceptions import InvalidTypeError

logger = logging.getLogger(__name__)

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


def rate_of(optimizer: Any) -> float:
    """Return an optimizer's learning rate as it was written: 0.007, not the float32 nearest to it."""
    return float(str(np.float32(optimizer.learning_rate.numpy())))


def with_value(hyperparams: HyperparamSet, name: str, value: float) -> HyperparamSet:
    """Return a copy in which one value is another."""
    copied = hyperparams.copy()
    copied.params[name] = value
    return copied


def smaller_steps(hyperparams: HyperparamSet) -> HyperparamSet:
    """Return a copy with a third of the learning rate and of the KL target, and no entropy bonus."""
    trial = with_value(hyperparams, "entropy_coef", 0.0)
    trial.params["learning_rate"] /= 3.0
    trial.params["kl_target"] = read(trial.params, "kl_target") / 3.0
    return trial


def rate_now(optimizer: Any) -> float:
    """Return an optimizer's learning rate."""
    handle = optimizer.learning_rate.value.handle  # read like this: a tenth of the time of numpy()
    return float(tf.raw_ops.ReadVariableOp(resource=handle, dtype=tf.float32))


def as_given(given: float | None, current: float) -> float:
    """Return the rate that was given where rounding to float32 is all that differs from the current one."""
    return float(given) if given is not None and np.float32(given) == np.float32(current) else current


def say_which_rate(optimizer: Any, hyperparams: HyperparamSet) -> None:
    """Warn where the optimizer was given one learning rate, and the hyperparameters another."""
    params = getattr(hyperparams, "params", None)
    given = params.get("learning_rate") if isinstance(params, Mapping) else None
    own = rate_of(optimizer)
    usual = inspect.signature(type(optimizer).__init__).parameters.get("learning_rate")
    is_usual = usual is not None and usual.default == own
    if isinstance(given, numbers.Real) and not is_usual and np.float32(given) != np.float32(own):
        logger.warning(
            "Two learning rates were given: %s(learning_rate=%g), and %g among the hyperparameters, which is used. "
            "Give one of them.",
            type(optimizer).__name__,
            own,
            given,
        )


def read(params: Mapping[str, Any], name: str) -> float:
    """Return the value in force: what was given, else the default."""
    return float(params.get(name, DEFAULTS[name]))
