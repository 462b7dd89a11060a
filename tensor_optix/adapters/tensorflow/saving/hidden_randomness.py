"""Random numbers whose state belongs to nobody: drawn by TensorFlow itself, or from Keras's global seed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from tensor_optix.adapters.tensorflow.acting.model_inputs import ModelInputs

_STATEFUL = ("RandomStandardNormal", "RandomUniform", "RandomUniformInt", "TruncatedNormal", "RandomShuffle")
_STATEFUL += ("Multinomial", "ParameterizedTruncatedNormal", "RandomGamma", "RandomPoissonV2")


def generators_of_the_process() -> dict[str, str]:
    """Return, by name, where the generators stand that Keras and TensorFlow have for the whole process."""
    from keras.src.backend.common import global_state
    from tensorflow.python.eager import context

    found = {}
    seeds = global_state.get_global_attribute("global_seed_generator")
    found["keras.random without a seed"] = "" if seeds is None else repr(seeds.state.numpy().tolist())
    generator = getattr(context.context(), "_rng", None)
    found["tf.random"] = "" if generator is None else repr(generator.getstate())
    return found


def draws_of_tensorflow(model: Any, inputs: ModelInputs) -> list[str]:
    """Return, in a phrase, which operations of an agent's model draw from a state inside TensorFlow.

    Only layers that are not Keras's own can have such: a model without any is not looked through.
    """
    if not any(type(layer).__module__.split(".")[0] != "keras" for layer in _layers_of(model)):
        return []
    specs = [tf.TensorSpec([2, *shape], dtype) for shape, dtype in zip(inputs.shapes, inputs.dtypes, strict=True)]
    traced = tf.function(lambda *parts: model(inputs.pack(list(parts)), training=True))
    try:
        kinds = sorted({kind for kind in _operations(traced.get_concrete_function(*specs).graph) if kind in _STATEFUL})
    except Exception:  # a model that cannot be traced draws nothing that could be found
        return []
    if not kinds:
        return []
    return [
        f"the agent's model draws random numbers from a state inside TensorFlow ({', '.join(kinds)}), which cannot be "
        "saved: after a resume other numbers come. Draw them with keras.random and a SeedGenerator of the layer"
    ]


def _layers_of(model: Any) -> list[Any]:
    return list(model._flatten_layers())


def _operations(graph: Any) -> Iterator[str]:
    definition = graph.as_graph_def()
    yield from (node.op for node in definition.node)
    yield from (node.op for function in definition.library.function for node in function.node_def)
