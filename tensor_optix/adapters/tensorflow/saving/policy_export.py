"""A policy as a plain Keras model: raw observation in, env-ready greedy action out."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tensor_optix.adapters.tensorflow.acting.model_inputs import ModelInputs
from tensor_optix.adapters.tensorflow.actions.action_sampling import ActionSampler, DiscreteSampler
from tensor_optix.adapters.tensorflow.actions.multi_action_export import GreedyMultiBinary, GreedyMultiDiscrete
from tensor_optix.adapters.tensorflow.actions.multi_action_sampling import MultiBinarySampler, MultiDiscreteSampler


@keras.saving.register_keras_serializable(package="tensor_optix")
class GreedyDiscrete(keras.layers.Layer):
    """The action of the largest logit, ``start`` included: ``[B, K]`` to int64 ``[B]``."""

    def __init__(self, start: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.start = start

    def call(self, inputs: Any) -> Any:
        """Return the actions."""
        return keras.ops.cast(keras.ops.argmax(inputs, axis=-1), "int64") + self.start

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the layer."""
        return {**super().get_config(), "start": self.start}


@keras.saving.register_keras_serializable(package="tensor_optix")
class GreedyBox(keras.layers.Layer):
    """Rescales outputs ``[B, K]`` to a Box and clips them to it, ``[B, *shape]``.

    Args:
        low: Lower bounds, flat ``[K]``; None where there is none.
        high: Upper bounds.
        centre: The action of output 0.
        half_range: How far the action moves per unit of output.
        shape: Shape of one action.
        **kwargs: Of ``keras.layers.Layer``.
    """

    def __init__(
        self, low: list[Any], high: list[Any], centre: list[float], half_range: list[float], shape: Any, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.low, self.high, self.centre, self.half_range = list(low), list(high), list(centre), list(half_range)
        self.shape_of_action = tuple(shape)

    def call(self, inputs: Any) -> Any:
        """Return the actions."""
        low = np.array([-np.inf if x is None else x for x in self.low], np.float32)
        high = np.array([np.inf if x is None else x for x in self.high], np.float32)
        actions = inputs * np.array(self.half_range, np.float32) + np.array(self.centre, np.float32)
        return keras.ops.reshape(keras.ops.clip(actions, low, high), (-1, *self.shape_of_action))

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the layer."""
        own = {"low": self.low, "high": self.high, "centre": self.centre, "half_range": self.half_range}
        return {**super().get_config(), **own, "shape": list(self.shape_of_action)}


def make_policy_model(model: Any, inputs: ModelInputs, sampler: ActionSampler) -> keras.Model:
    """Return a model on a copy of the weights that gives the greedy action for raw observations.

    A subclassed model that cannot be rebuilt from its ``get_config`` is shared instead of copied.
    """
    tensors = [
        keras.Input(shape, dtype=dtype.name, name=_input_name(inputs, i))
        for i, (shape, dtype) in enumerate(zip(inputs.shapes, inputs.dtypes, strict=True))
    ]
    copied = _copy_of(model)
    outputs = copied(inputs.pack(tensors), training=False)
    if copied is not model:
        copied.set_weights(model.get_weights())
    actions = _greedy_layer(sampler)(keras.ops.cast(outputs, "float32"))
    entry: Any = tensors[0] if len(tensors) == 1 else dict(zip([t.name for t in tensors], tensors, strict=True))
    return keras.Model(entry, actions, name=f"{model.name}_policy")


def _greedy_layer(sampler: Any) -> keras.layers.Layer:
    if isinstance(sampler, DiscreteSampler):
        return GreedyDiscrete(sampler.start)
    if isinstance(sampler, MultiDiscreteSampler):
        return GreedyMultiDiscrete(sampler.sizes, sampler.start.tolist(), sampler.shape)
    if isinstance(sampler, MultiBinarySampler):
        return GreedyMultiBinary(sampler.shape)
    low, high = ([float(x) if np.isfinite(x) else None for x in bound] for bound in (sampler.low, sampler.high))
    return GreedyBox(low, high, sampler.centre.tolist(), sampler.half_range.tolist(), sampler.shape)


def _input_name(inputs: ModelInputs, index: int) -> str:
    return "observation" if len(inputs.names) == 1 else inputs.names[index]


def _copy_of(model: Any) -> Any:
    try:
        return type(model).from_config(model.get_config())
    except (NotImplementedError, TypeError, ValueError):
        return model
