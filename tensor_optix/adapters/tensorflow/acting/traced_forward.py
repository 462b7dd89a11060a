"""A forward pass of any Keras model as one traced TensorFlow function on the whole batch."""

import threading
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tensor_optix.adapters.tensorflow.acting.forward import Forward, Outputs, frozen_error
from tensor_optix.adapters.tensorflow.acting.model_inputs import ModelInputs
from tensor_optix.exceptions import IncompatibleModelError


class TracedForward(Forward):
    """Runs the model itself, traced once for all batch sizes; always reads its current weights.

    Args:
        model: A built model.
        inputs: How observations reach it.

    Raises:
        IncompatibleModelError: The model cannot be traced on such inputs.
    """

    kind = "traced"

    def __init__(self, model: keras.Model, inputs: ModelInputs) -> None:
        self._model = model
        self._inputs = inputs
        self._specs = [tf.TensorSpec((None, *s), d) for s, d in zip(inputs.shapes, inputs.dtypes, strict=True)]
        try:
            self._function = tf.function(self._run, input_signature=self._specs).get_concrete_function()
        except Exception as error:
            raise IncompatibleModelError(
                f"Model '{model.name}' cannot run on a batch of observations with shapes {list(inputs.shapes)} "
                f"and dtypes {[d.name for d in inputs.dtypes]}: {error}"
            ) from error
        self._frozen_function: Any = None
        self._drawn: list[int] = []

    def __call__(self, observations: Any) -> Outputs:
        """Run the traced function."""
        return _unpack([y.numpy() for y in self._function(*self._tensors(observations, batched=True))])

    def one(self, observation: Any) -> Outputs:
        """Run the traced function on a batch of one."""
        return _unpack([y.numpy()[0] for y in self._function(*self._tensors(observation, batched=False))])

    def refresh(self) -> None:
        """Do nothing: the traced function reads the model's own variables."""

    def snapshot(self) -> Forward:
        """Copy the variables' values; the function that takes them is traced at the first snapshot."""
        if self._frozen_function is None:
            self._frozen_function = self._trace_frozen()
        return _TracedSnapshot(self, [tf.constant(v.numpy()) for v in self._model.variables])

    def _tensors(self, observations: Any, *, batched: bool) -> list[tf.Tensor]:
        arrays = self._inputs.flat(observations, batched=batched)
        casts = (np.asarray(x, d) for x, d in zip(arrays, self._inputs.dtypes, strict=True))
        return [tf.convert_to_tensor(x if batched else x[None]) for x in casts]

    def _run(self, *tensors: tf.Tensor) -> list[tf.Tensor]:
        outputs = self._model(self._inputs.pack(list(tensors)), training=False)
        flat: list[tf.Tensor] = keras.tree.flatten(outputs)
        return [tf.cast(y, tf.float32) for y in flat]

    def _trace_frozen(self) -> Any:
        """Trace the model as a function of its variables too, so that it can run on other values."""
        variables = list(self._model.variables)

        def run(values: Sequence[tf.Tensor], *tensors: tf.Tensor) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
            with keras.StatelessScope(state_mapping=zip(variables, values, strict=True)) as scope:
                outputs = self._run(*tensors)
            after = [scope.get_current_value(v) for v in variables]
            self._drawn = [i for i, (old, new) in enumerate(zip(values, after, strict=True)) if new is not old]
            return outputs, [after[i] for i in self._drawn]

        specs = [tf.TensorSpec(v.shape, v.dtype) for v in variables]
        return tf.function(run).get_concrete_function(specs, *self._specs)


class _TracedSnapshot(Forward):
    """The traced function on weights of its own; seed states move on in it, apart from the model's."""

    kind = "traced"

    def __init__(self, parent: TracedForward, values: list[tf.Tensor]) -> None:
        self._parent = parent
        self._values = values
        self._lock = threading.Lock()

    def __call__(self, observations: Any) -> Outputs:
        return _unpack([y.numpy() for y in self._run(self._parent._tensors(observations, batched=True))])

    def one(self, observation: Any) -> Outputs:
        return _unpack([y.numpy()[0] for y in self._run(self._parent._tensors(observation, batched=False))])

    def refresh(self) -> None:
        raise frozen_error()

    def snapshot(self) -> Forward:
        return _TracedSnapshot(self._parent, list(self._values))

    def _run(self, tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        with self._lock:
            outputs: list[tf.Tensor]
            outputs, drawn = self._parent._frozen_function(self._values, *tensors)
            for index, value in zip(self._parent._drawn, drawn, strict=True):
                self._values[index] = value
            return outputs


def _unpack(arrays: list[np.ndarray]) -> Outputs:
    return arrays[0] if len(arrays) == 1 else tuple(arrays)
