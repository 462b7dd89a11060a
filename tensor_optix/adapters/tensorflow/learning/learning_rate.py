"""The learning rate of a Keras optimizer: what was given, what it is now, and which of two counts."""

from __future__ import annotations

import inspect
import logging
import numbers
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf

from tensor_optix.adapters.tensorflow.hyperparameters import Setting
from tensor_optix.adapters.tensorflow.models.model_checks import check_optimizer

logger = logging.getLogger(__name__)


def rate_of(optimizer: Any) -> float:
    """Return an optimizer's learning rate as it was written: 0.007, not the float32 nearest to it."""
    return float(str(np.float32(optimizer.learning_rate.numpy())))


def rate_now(optimizer: Any) -> float:
    """Return an optimizer's learning rate."""
    handle = optimizer.learning_rate.value.handle  # read like this: a tenth of the time of numpy()
    return float(tf.raw_ops.ReadVariableOp(resource=handle, dtype=tf.float32))


def as_given(given: float | None, current: float) -> float:
    """Return the rate that was given where rounding to float32 is all that differs from the current one."""
    return float(given) if given is not None and np.float32(given) == np.float32(current) else current


def with_rate_of(optimizer: Any, known: Mapping[str, Setting]) -> Mapping[str, Setting]:
    """Return the settings with the learning rate of the user's optimizer, where there is one, as the default.

    Raises:
        InvalidTypeError: It is no Keras optimizer.
        InvalidArgumentError: Its learning rate is a schedule.
    """
    if optimizer is None:
        return known
    check_optimizer(optimizer)
    return {**known, "learning_rate": replace(known["learning_rate"], default=rate_of(optimizer))}


def say_which_rate(optimizer: Any, hyperparams: Any) -> None:
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
