"""A model meets its first observation: what it makes of it is added up before it is computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tensor_optix.adapters.tensorflow.acting.model_inputs import ModelInputs
from tensor_optix.adapters.tensorflow.saving.demands.call_costs import call, count_call
from tensor_optix.adapters.tensorflow.saving.demands.ledger import Demands, current


def admit(model: Any, inputs: ModelInputs, shapes: Sequence[tuple[int, ...]]) -> None:
    """Hold a model that comes from a file against what loading it may take; any other passes.

    Args:
        model: Is about to be called on one observation.
        inputs: How observations reach it.
        shapes: Of the parts of that observation.

    Raises:
        UnsafeFileError: It asks for more weights than were saved, or for more memory than is allowed.
    """
    demands = current()
    if demands is None:
        return
    tensors = [keras.KerasTensor((1, *shape), dtype.name) for shape, dtype in zip(shapes, inputs.dtypes, strict=True)]
    if model.built:
        count_call(demands, model, tensors)
    else:
        _build(demands, model, inputs.pack(tensors))
    demands.one_example(_traced(model, inputs, shapes), model.name)


def _build(demands: Demands, model: Any, tensors: Any) -> None:
    """Let the model make its weights, counted, on symbolic tensors."""
    call(demands, model, [tensors], {"training": False})
    model._inbound_nodes.clear()


def _traced(model: Any, inputs: ModelInputs, shapes: Sequence[tuple[int, ...]]) -> Any:
    specs = [tf.TensorSpec((1, *shape), dtype) for shape, dtype in zip(shapes, inputs.dtypes, strict=True)]
    run = tf.function(lambda *parts: model(inputs.pack(list(parts)), training=False), autograph=False)
    return run.get_concrete_function(*specs).graph
