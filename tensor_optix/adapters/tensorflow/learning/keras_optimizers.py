"""Keras optimizers: how they are applied fast, what their rate is, and for which variables they were built.

Keras spells Adam out in about ten small operations per variable, which on a small network cost as
much as the network itself. TensorFlow has the same formula as one kernel; it works on the Keras
optimizer's own slots, so the optimizer stays the user's and is saved as it was.
"""

from __future__ import annotations

import copy
import inspect
import logging
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tensor_optix.adapters.tensorflow.hyperparameters import Setting
from tensor_optix.adapters.tensorflow.learning.loss_scale import loss_scale, multiplied
from tensor_optix.adapters.tensorflow.models.model_checks import check_optimizer
from tensor_optix.exceptions import StateMismatchError

logger = logging.getLogger(__name__)

_EXTRAS = (
    *("weight_decay", "clipnorm", "global_clipnorm", "clipvalue", "use_ema", "gradient_accumulation_steps"),
    *("loss_scale_factor", "amsgrad"),
)
_EXCLUDED = ("_exclude_from_weight_decay", "_exclude_from_weight_decay_pattern")


def apply_gradients(optimizer: Any, gradients: Sequence[Any], variables: Sequence[Any]) -> None:
    """Do what ``optimizer.apply(gradients, variables)`` does; can be traced.

    Args:
        optimizer: A built Keras optimizer. A plain ``Adam`` is run by the fused kernel, any other
            (weight decay, clipping, averaging, ...) by Keras, as are variables that it must constrain.
        gradients: One tensor per variable, of the loss as it is: where the optimizer scales losses, that is seen to.
        variables: All the variables that the optimizer was built for, in that order.
    """
    if not is_plain_adam(optimizer) or any(variable.constraint is not None for variable in variables):
        apply_by_keras(optimizer, gradients, variables)
        return
    step = tf.cast(optimizer.iterations.value, tf.float32) + 1.0
    beta_1, beta_2 = tf.constant(optimizer.beta_1, tf.float32), tf.constant(optimizer.beta_2, tf.float32)
    beta_1_power, beta_2_power = tf.pow(beta_1, step), tf.pow(beta_2, step)
    rate = tf.cast(optimizer.learning_rate.value, tf.float32)
    slots = zip(variables, optimizer._momentums, optimizer._velocities, gradients, strict=True)
    for variable, momentum, velocity, gradient in slots:
        tf.raw_ops.ResourceApplyAdam(
            var=variable.value.handle,
            m=momentum.value.handle,
            v=velocity.value.handle,
            beta1_power=beta_1_power,
            beta2_power=beta_2_power,
            lr=rate,
            beta1=beta_1,
            beta2=beta_2,
            epsilon=tf.constant(optimizer.epsilon, tf.float32),
            grad=gradient,
        )
    optimizer.iterations.assign_add(1)


def apply_by_keras(optimizer: Any, gradients: Sequence[Any], variables: Sequence[Any]) -> None:
    """Move variables down float32 gradients of a loss that was not scaled, as Keras does; can be traced."""
    scaled = multiplied(gradients, loss_scale(optimizer))
    optimizer.apply([tf.cast(g, v.dtype) for g, v in zip(scaled, variables, strict=True)], variables)


def is_plain_adam(optimizer: Any) -> bool:
    """Tell whether the optimizer is Keras's ``Adam`` in float32 with none of its extras."""
    if type(optimizer) is not keras.optimizers.Adam or any(getattr(optimizer, name, None) for name in _EXTRAS):
        return False
    return all(v.dtype == "float32" for v in (*optimizer._momentums, *optimizer._velocities))


def fresh(optimizer: Any) -> Any:
    """Return a Keras optimizer of the same configuration that trains nothing yet.

    What its configuration does not tell goes along: what the user excluded from weight decay.
    """
    copied = type(optimizer).from_config(optimizer.get_config())
    own, new = _inner(optimizer), _inner(copied)
    for name in _EXCLUDED:
        if hasattr(own, name):
            setattr(new, name, copy.copy(getattr(own, name)))
    return copied


def exempt_from_decay(optimizer: Any, variables: Sequence[Any]) -> None:
    """Let weight decay leave some variables alone, beside those that the user excluded; built or not."""
    inner = _inner(optimizer)
    keys = {inner._var_key(variable) for variable in variables}
    inner._exclude_from_weight_decay = {*getattr(inner, "_exclude_from_weight_decay", ()), *keys}
    inner._exclude_from_weight_decay_cache = {}


def undecayed(optimizers: Sequence[Any]) -> list[list[int]]:
    """Return, for each optimizer that decays weights, which of its variables it leaves alone; empty if it is none."""
    found = [
        [i for i, variable in enumerate(one._trainable_variables) if not decays(one, variable)]
        if any(getattr(_inner(one), name, None) for name in ("weight_decay", "adam_weight_decay"))
        else []
        for one in optimizers
    ]
    return found if any(found) else []


def exempt_as_saved(optimizers: Sequence[Any], saved: Any) -> None:
    """Leave those variables alone that :func:`undecayed` told.

    Raises:
        StateMismatchError: The optimizers have no such variables.
    """
    sizes = [len(optimizer._trainable_variables) for optimizer in optimizers]
    fits = isinstance(saved, list) and len(saved) == len(sizes)
    fits = fits and all(
        isinstance(places, list) and all(type(i) is int and 0 <= i < size for i in places)
        for places, size in zip(saved, sizes, strict=True)
    )
    if not fits:
        raise StateMismatchError(
            f"The saved optimizers leave the variables {saved!r:.80} alone in weight decay; here they have {sizes}. "
            "The file was altered; an earlier one may be whole."
        )
    for optimizer, positions in zip(optimizers, saved, strict=True):
        exempt_from_decay(optimizer, [optimizer._trainable_variables[i] for i in positions])


def decays(optimizer: Any, variable: Any) -> bool:
    """Tell whether weight decay, where the optimizer has any, reaches a variable."""
    return bool(_inner(optimizer)._use_weight_decay(variable.value))


def _inner(optimizer: Any) -> Any:
    """Return the optimizer that moves variables, which a ``LossScaleOptimizer`` has inside."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def is_built_for(optimizer: Any, variables: Sequence[Any]) -> bool:
    """Tell whether a built Keras optimizer holds moments for just these variables, in this order."""
    own = getattr(optimizer, "_trainable_variables", [])
    return len(own) == len(variables) and all(a is b for a, b in zip(own, variables, strict=True))


def unused_copy(optimizer: Any, variables: Sequence[Any]) -> Any:
    """Return a Keras optimizer of the same configuration for other variables, that has moved nothing yet."""
    copied = fresh(optimizer)
    copied.build(variables)
    return copied


def forget_moments(optimizer: Any) -> None:
    """Let a Keras optimizer begin anew, at the learning rate and the scale of losses that it has.

    Not all begin at zero: accumulators of Adagrad do not, nor what ScheduleFreeAdamW averages.
    """
    kept = {id(optimizer._learning_rate), id(optimizer.learning_rate), id(getattr(optimizer, "dynamic_scale", None))}
    for variable, value in zip(optimizer.variables, _beginning(optimizer), strict=True):
        if id(variable) not in kept:
            variable.assign(value)


def _beginning(optimizer: Any) -> list[Any]:
    """Return what a built optimizer's variables are before its first step."""
    try:
        return [variable.value for variable in unused_copy(optimizer, list(optimizer._trainable_variables)).variables]
    except (TypeError, ValueError, NotImplementedError) as error:
        logger.warning(
            "%s cannot be made anew from its get_config (%s): everything it remembers begins at zero.",
            type(optimizer).__name__,
            error,
        )
        return [np.zeros(variable.shape, variable.dtype) for variable in optimizer.variables]


def rate_of(optimizer: Any) -> float:
    """Return an optimizer's learning rate as it was written: 0.007, not the float32 nearest to it."""
    return float(str(np.float32(optimizer.learning_rate.numpy())))


def rate_now(optimizer: Any) -> float:
    """Return an optimizer's learning rate."""
    rate = optimizer.learning_rate.value  # read like this: a tenth of the time of numpy()
    return float(tf.raw_ops.ReadVariableOp(resource=rate.handle, dtype=rate.dtype))


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
