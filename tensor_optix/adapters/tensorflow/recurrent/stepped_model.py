"""A model with memory, taken apart so that only what needs the step before runs step by step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tensor_optix.adapters.tensorflow.acting.numpy.numpy_graph import graph_of
from tensor_optix.adapters.tensorflow.learning import model_losses
from tensor_optix.adapters.tensorflow.models.memory_models import MemoryModel
from tensor_optix.adapters.tensorflow.recurrent.fused_cells import fused_cell
from tensor_optix.exceptions import IncompatibleModelError

Values = dict[int, Any]
"""Tensors by the id of the symbolic tensor that they stand for."""


class SteppedModel:
    """Runs a model with memory on one step, or through the steps of many environments.

    The nodes of its graph are of three kinds: those *before* depend on the observation alone, those of the *core* lead
    from states to new states, and those *after* use what the core found. Only the core runs once a step; all others
    run on all steps at once.

    Args:
        memory: The model and its states.

    Raises:
        IncompatibleModelError: A layer of the core adds to the loss at each call, which cannot be told from outside.
    """

    def __init__(self, memory: MemoryModel) -> None:
        graph: Any = graph_of(memory.model)
        count = len(memory.inputs.names)
        self._observed, self._states = list(graph.inputs[:count]), list(graph.inputs[count:])
        self._results, self._new_states = graph.outputs[: -len(self._states)], graph.outputs[-len(self._states) :]
        nodes = [n for depth in sorted(graph._nodes_by_depth, reverse=True) for n in graph._nodes_by_depth[depth]]
        self._before, self._core, self._after = self._kinds_of([node for node in nodes if not node.is_input])
        self._check_losses()
        used = {id(x): x for node in self._core for x in node.input_tensors} | {id(x): x for x in self._new_states}
        inside = {id(x) for x in self._states} | {id(x) for node in self._core for x in node.outputs}
        self._features = [x for key, x in used.items() if key not in inside]
        wanted = {id(x): x for node in self._after for x in node.input_tensors} | {id(x): x for x in self._results}
        self._carried = [x for key, x in wanted.items() if key in inside]
        self._fused = fused_cell(self._core, self._states, self._new_states)
        if self._fused is not None and any(x in map(id, self._states) for x in map(id, self._carried)):
            self._fused = None  # what comes after sees the states before the step, which it does not give

    def unroll(self, parts: Sequence[Any], first: Any, states: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """Run through ``L`` steps of ``B`` environments; can be traced and differentiated.

        Args:
            parts: Normalised observations step by step, one tensor ``[L * B, ...]`` for each part.
            first: Where an episode begins, ``[L, B]`` bool: the states are zeros there.
            states: At the first step, ``[B, ...]`` each.

        Returns:
            The model's outputs ``[L * B, ...]``, and its states after each step, ``[L, B, ...]`` each.
        """
        values = self._run(self._before, self._entry(parts))
        length, width = tf.shape(first)[0], tf.shape(first)[1]
        features = [_steps(values[id(x)], length, width, first.shape) for x in self._features]
        carried, after = self._scan(features, first, states)
        values |= {id(x): _rows(found) for x, found in zip(self._carried, carried, strict=True)}
        values = self._run(self._after, values)
        return [values[id(x)] for x in self._results], after

    def step(self, parts: Sequence[Any], states: Sequence[Any]) -> list[Any]:
        """Return the model's outputs on one step each of ``B`` environments, ``[B, ...]``; can be traced."""
        values = self._entry(parts) | {id(x): state for x, state in zip(self._states, states, strict=True)}
        values = self._run([*self._before, *self._core, *self._after], values)
        return [values[id(x)] for x in self._results]

    def added_losses(self) -> list[Any]:
        """Return what layers added to the loss in the latest run."""
        layers = {id(node.operation): node.operation for node in (*self._before, *self._after)}
        return [loss for layer in layers.values() if hasattr(layer, "losses") for loss in model_losses.from_call(layer)]

    def _scan(self, features: Sequence[Any], first: Any, states: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """Return what the core gives at each step, and the states after it, ``[L, B, ...]`` each."""
        if self._fused is not None:
            found = self._fused.scan(features[0], first, states)
            return [found[id(x)] for x in self._carried], [found[id(x)] for x in self._new_states]
        kept = [*self._carried, *self._new_states]
        length = first.shape[0] or tf.shape(first)[0]
        arrays = [tf.TensorArray(x.dtype, length, element_shape=(first.shape[1], *x.shape[1:])) for x in kept]
        columns = [tf.TensorArray(x.dtype, length).unstack(x) for x in (first, *features)]

        def body(t: Any, states: Any, arrays: Any) -> Any:
            begins, *seen = (column.read(t) for column in columns)
            states = [tf.where(_spread(begins, state), tf.zeros_like(state), state) for state in states]
            values = {id(x): value for x, value in zip(self._features, seen, strict=True)}
            values |= {id(x): value for x, value in zip(self._states, states, strict=True)}
            values = self._run(self._core, values)
            written = [array.write(t, values[id(x)]) for array, x in zip(arrays, kept, strict=True)]
            return t + 1, [values[id(x)] for x in self._new_states], written

        loop = (tf.constant(0), list(states), arrays)
        _, _, arrays = tf.while_loop(lambda t, *_: t < length, body, loop, maximum_iterations=length)
        stacked = [array.stack() for array in arrays]
        return stacked[: len(self._carried)], stacked[len(self._carried) :]

    def _entry(self, parts: Sequence[Any]) -> Values:
        return {id(x): tf.cast(part, x.dtype) for x, part in zip(self._observed, parts, strict=True)}

    def _run(self, nodes: Sequence[Any], values: Values) -> Values:
        for node in nodes:
            args, kwargs = node.arguments.fill_in(values)
            if getattr(node.operation, "_call_has_training_arg", False):
                kwargs["training"] = False
            results = keras.tree.flatten(node.operation(*args, **kwargs))
            values |= {id(x): result for x, result in zip(node.outputs, results, strict=True)}
        return values

    def _kinds_of(self, nodes: Sequence[Any]) -> tuple[list[Any], list[Any], list[Any]]:
        """Return the nodes before the core, those of it, and those after it, each in the order of the graph."""
        from_states, to_states = {id(x) for x in self._states}, {id(x) for x in self._new_states}
        for node in nodes:
            if any(id(x) in from_states for x in node.input_tensors):
                from_states |= {id(x) for x in node.outputs}
        for node in reversed(nodes):
            if any(id(x) in to_states for x in node.outputs):
                to_states |= {id(x) for x in node.input_tensors}
        before: list[Any] = []
        core: list[Any] = []
        after: list[Any] = []
        for node in nodes:
            depends = any(id(x) in from_states for x in node.outputs)
            leads = any(id(x) in to_states for x in node.outputs)
            (before if not depends else core if leads else after).append(node)
        return before, core, after

    def _check_losses(self) -> None:
        for node in self._core:
            inner: list[Any] = getattr(node.operation, "_flatten_layers", list)()
            if any(getattr(layer, "activity_regularizer", None) is not None for layer in inner):
                raise IncompatibleModelError(
                    f"Layer '{node.operation.name}' leads from states to new states and has an activity_regularizer, "
                    "which is not known outside of the loop over the steps. Put it on a layer before or after."
                )


def _rows(x: Any) -> Any:
    """Return ``[L, B, ...]`` as ``[L * B, ...]``."""
    shape = tf.shape(x)
    static = None if None in x.shape[:2] else x.shape[0] * x.shape[1]
    return tf.ensure_shape(tf.reshape(x, tf.concat([[-1], shape[2:]], axis=0)), (static, *x.shape[2:]))


def _steps(rows: Any, length: Any, width: Any, sizes: Any) -> Any:
    """Return ``[L * B, ...]`` as ``[L, B, ...]``."""
    shaped = tf.reshape(rows, tf.concat([[length, width], tf.shape(rows)[1:]], axis=0))
    return tf.ensure_shape(shaped, (*sizes, *rows.shape[1:]))


def _spread(flags: Any, x: Any) -> Any:
    """Return flags ``[B]`` in as many axes as ``x`` has."""
    return tf.reshape(flags, (-1, *(1 for _ in x.shape[1:])))
