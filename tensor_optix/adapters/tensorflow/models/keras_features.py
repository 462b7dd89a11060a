"""What of Keras's training features an agent has: those that it cannot have are refused before the first step.

What ``keras.Model.fit`` does and what agents do instead is told in ``docs/keras.md``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras

from tensor_optix.exceptions import IncompatibleModelError, InvalidArgumentError

logger = logging.getLogger(__name__)

_WIDE = ("float32", "float64")
"""What weights and learning rates may be: steps of 1e-4 of a weight are lost in anything narrower."""

_ROUNDED = "in which most steps of learning round to nothing."

_ONLY_IN_TRAINING = (
    keras.layers.Dropout,
    keras.layers.SpatialDropout1D,
    keras.layers.SpatialDropout2D,
    keras.layers.SpatialDropout3D,
    keras.layers.AlphaDropout,
    keras.layers.GaussianDropout,
    keras.layers.GaussianNoise,
    keras.layers.BatchNormalization,
)
"""Layers that do something else while they are trained."""


def check_optimizer(optimizer: Any) -> None:
    """Raise unless a Keras optimizer does at each step all that it does.

    Raises:
        InvalidArgumentError: Its learning rate cannot be set, or it does something at the end of ``fit``.
    """
    moves = getattr(optimizer, "inner_optimizer", optimizer)
    rate = getattr(moves, "_learning_rate", None)
    if isinstance(moves, getattr(keras.optimizers, "MultiOptimizer", ())):
        raise InvalidArgumentError(
            "`optimizer` is a MultiOptimizer, which has no learning rate of its own to control. Pass one optimizer; "
            "layers that shall not learn can be frozen (`layer.trainable = False`)."
        )
    if not isinstance(rate, keras.Variable):
        kind = (
            "a LearningRateSchedule"
            if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule)
            else "a callable"
        )
        raise InvalidArgumentError(
            f"The learning rate of `optimizer` is {kind} ({type(rate).__name__}), which cannot be set from "
            'outside. Pass a float, as in Adam(learning_rate=3e-4), and HyperparamSet({"learning_rate": 3e-4, ...}): '
            "the agent's KL control adapts it while it learns."
        )
    if rate.dtype not in _WIDE:
        raise InvalidArgumentError(
            f"The learning rate of `optimizer` is kept in {rate.dtype}: it was made under keras.config.set_floatx"
            f"({rate.dtype!r}). {_mixed_instead(rate.dtype)}"
        )
    if moves.use_ema and not moves.ema_overwrite_frequency:
        raise InvalidArgumentError(
            "`optimizer` has use_ema=True without ema_overwrite_frequency: Keras would put the averages into the model "
            "when fit() ends, but an agent acts and is judged while it learns, so they would never be used. Pass "
            "ema_overwrite_frequency=100, for example: then the averages replace the weights every 100 gradient steps."
        )


def check_networks(networks: Mapping[str, Any]) -> None:
    """Raise unless networks can learn; name once what they do in ``fit`` alone.

    Args:
        networks: Built Keras models by what the agent calls them.

    Raises:
        IncompatibleModelError: Weights are kept in half precision or less, or are set instead of moved.
    """
    for name, network in networks.items():
        for variable in network.trainable_variables:
            _check_weight(name, network, variable)
        if not network.trainable_variables:
            logger.warning("The %s '%s' has no weights that are trained: it stays as it is.", name, network.name)
    idle = sorted({type(x).__name__ for network in networks.values() for x in _layers(network) if _is_idle(x)})
    if idle:
        logger.warning(
            "%s: while the agent learns they work as they do at inference (training=False), as when it acts.",
            ", ".join(idle),
        )


def check_policy() -> None:
    """Raise unless networks that are made now can learn.

    Raises:
        IncompatibleModelError: Keras's dtype policy keeps weights in half precision.
    """
    policy = keras.config.dtype_policy()
    if policy.variable_dtype not in _WIDE:
        raise IncompatibleModelError(
            f"A network that is made under the dtype policy {policy.name!r} keeps its weights in "
            f"{policy.variable_dtype}, {_ROUNDED} {_mixed_instead(policy.variable_dtype)}"
        )


def warn_of_underflow(optimizer: Any, networks: Mapping[str, Any]) -> None:
    """Name a network that computes in float16 where nothing scales the losses, as ``compile`` would see to."""
    if optimizer.loss_scale_factor or type(optimizer).scale_loss is not keras.optimizers.Optimizer.scale_loss:
        return
    for name, network in networks.items():
        if any(layer.compute_dtype == "float16" and layer.trainable_variables for layer in _layers(network)):
            logger.warning(
                "The %s '%s' computes in float16, where small gradients vanish, and the optimizer does not scale the "
                "loss. Pass keras.optimizers.LossScaleOptimizer(optimizer), as model.compile() does by itself.",
                name,
                network.name,
            )


def built_for_others(optimizer: Any, variables: Sequence[Any]) -> InvalidArgumentError:
    """Return the error for an optimizer that was built for other variables than it shall train."""
    own = getattr(optimizer, "_trainable_variables", [])
    return InvalidArgumentError(
        f"`optimizer` was built for {len(own)} other variables than the {len(variables)} that the model trains: for "
        "another model. Pass a new one: "
        "type(optimizer).from_config(optimizer.get_config())."
    )


def _check_weight(name: str, network: Any, variable: Any) -> None:
    if getattr(variable, "overwrite_with_gradient", False):
        raise IncompatibleModelError(
            f"The {name} '{network.name}' is quantized to float8 ({variable.path}), which agents cannot train. "
            "Train it in float32 or mixed precision, and quantize a copy afterwards."
        )
    if variable.dtype not in _WIDE:
        raise IncompatibleModelError(
            f"The {name} '{network.name}' keeps its weights in {variable.dtype} ({variable.path}), {_ROUNDED} "
            f"{_mixed_instead(variable.dtype)}"
        )


def _mixed_instead(dtype: str) -> str:
    policy = f"mixed_{dtype}"
    return (
        'Call keras.config.set_floatx("float32") and, to compute in half precision on weights in float32, '
        f'keras.config.set_dtype_policy("{policy}") before model and optimizer are made.'
    )


def _layers(network: Any) -> Iterable[Any]:
    return network._flatten_layers()  # type: ignore[no-any-return]


def _is_idle(layer: Any) -> bool:
    return isinstance(layer, _ONLY_IN_TRAINING) and getattr(layer, "rate", 1.0) != 0.0
