"""A policy as a plain Keras model: raw observation in, env-ready action out."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import keras

from tensor_optix.adapters.spaces.observation_parts import MASK_KEY
from tensor_optix.adapters.tensorflow.acting.model_inputs import ModelInputs
from tensor_optix.adapters.tensorflow.acting.numpy.numpy_graph import graph_of
from tensor_optix.adapters.tensorflow.models.memory_models import MemoryModel

_CANNOT_BE_REBUILT = (NotImplementedError, TypeError, ValueError)


def make_policy_model(
    model: Any,
    inputs: ModelInputs,
    act: Callable[..., Any],
    normalize: Callable[[list[Any]], list[Any]] | None = None,
    mask_size: int | None = None,
    memory: MemoryModel | None = None,
) -> keras.Model:
    """Return a model on a copy of the weights that gives the action for raw observations.

    Around the copy there are only Keras's own operations: what is saved of it is read by Keras alone
    and, where the model itself is made of them, by ONNX and TFLite. A subclassed model that cannot
    be rebuilt from its ``get_config`` is shared instead of copied.

    Args:
        model: Gives the policy's outputs ``[B, K]``, alone or before others, for normalised observations.
        inputs: How observations reach the model.
        act: From symbolic outputs ``[B, K]`` in float32 to symbolic actions, for example a sampler's ``greedy_layer``.
        normalize: From symbolic parts of a raw observation to normalised ones; None where they are as they come.
        mask_size: A, where the model also takes what is allowed, as the input ``action_mask`` ``[B, A]``, bool, and
            hands it to ``act`` behind the outputs; None where it does not.
        memory: What of the model is memory; then it takes the states ``state_0``, ... beside the observation, and gives
            ``{"action": ..., "new_state_0": ..., ...}`` (ONNX takes no name twice). None for nothing.
    """
    parts = [
        keras.Input(shape, dtype=dtype.name, name=name)
        for shape, dtype, name in zip(
            inputs.shapes, inputs.dtypes, _input_names(inputs, mask_size is not None), strict=True
        )
    ]
    seen = parts if normalize is None else normalize(parts)
    states = {} if memory is None else memory.symbolic_states()
    called = inputs.pack(seen) if memory is None else memory.pack(seen, list(states.values()))
    results = keras.tree.flatten(_on_a_copy(model, called))
    outputs = keras.ops.cast(results[0], "float32")
    entry = inputs.structured(parts)
    if states and not isinstance(entry, dict):
        entry = {"observation": entry}
    if mask_size is None:
        actions = act(outputs)
    else:
        mask, entry = _with_mask(entry, mask_size)
        actions = act(outputs, keras.ops.cast(mask, "float32"))
    if states:
        entry = {**entry, **states}
        new_states = zip(states, results[-len(states) :], strict=True)
        actions = {"action": actions, **{f"new_{name}": state for name, state in new_states}}
    made = keras.Model(entry, actions, name=f"{model.name}_policy")
    made(keras.tree.map_structure(one_row_of_zeros, entry), training=False)  # or Keras refuses to export it to ONNX
    return made


def _with_mask(entry: Any, mask_size: int) -> tuple[Any, Any]:
    """Return a symbolic mask, and what the model is called with: the parts of an observation, and the mask."""
    if isinstance(entry, dict) and MASK_KEY in entry:  # the network sees it, too
        return entry[MASK_KEY], entry
    mask = keras.Input((mask_size,), dtype="bool", name=MASK_KEY)
    if isinstance(entry, tuple):
        return mask, (*entry, mask)
    return mask, {**(entry if isinstance(entry, dict) else {"observation": entry}), MASK_KEY: mask}


def one_row_of_zeros(part: Any) -> Any:
    """Return what a symbolic input takes, of size 1 where a size is free."""
    return keras.ops.zeros([1 if size is None else size for size in part.shape], part.dtype)


def _input_names(inputs: ModelInputs, has_mask: bool) -> list[str]:
    """Return names that Keras, ONNX and TFLite take; where two keys would give the same one, numbered."""
    if len(inputs.names) == 1 and not (has_mask and inputs.paths[0]):  # beside a mask, parts are told by their keys
        return ["observation"]
    names = [re.sub(r"\W", "_", name, flags=re.ASCII) for name in inputs.names]
    return names if len(set(names)) == len(names) else [f"{name}_{i}" for i, name in enumerate(names)]


def _on_a_copy(model: Any, entry: Any) -> Any:
    """Return the outputs of the same model on weights of its own that have the same values, or of itself."""
    values = model.get_weights()
    try:
        if graph_of(model) is None:
            copied = type(model).from_config(model.get_config())
        else:  # a clone keeps which of its parts are one
            copied = keras.models.clone_model(model, clone_function=_copy_of_layer, recursive=True)
        outputs = copied(entry, training=False)
        copied.set_weights(values)
    except _CANNOT_BE_REBUILT:
        return model(entry, training=False)
    return outputs


def _copy_of_layer(layer: Any) -> Any:
    try:
        return type(layer).from_config(layer.get_config())
    except _CANNOT_BE_REBUILT:
        if layer.variables:
            raise
        return layer  # nothing of it can change
