"""A model's forward pass, ready for acting: what each offers, the one in NumPy, and the traced one for any model."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tensor_optix.adapters.tensorflow.acting.model_inputs import ModelInputs
from tensor_optix.adapters.tensorflow.acting.numpy.numpy_conversion import Parameters
from tensor_optix.adapters.tensorflow.acting.numpy.numpy_program import Plan, Program
from tensor_optix.exceptions import IncompatibleModelError, NotBoundError

Outputs = np.ndarray | tuple[np.ndarray, ...]
"""One float32 array, or for a model of several outputs one each, in Keras's flat order."""

MAX_PROGRAMS = 8
"""Batch sizes whose buffers are kept; beyond that the oldest is laid out anew when needed."""


class Forward(ABC):
    """A model's forward pass at inference (``training=False``), ready for acting.

    Observations are arrays, or dicts or tuples of arrays for models of several inputs. Results are
    new arrays each time. All methods may be called from any thread.

    Attributes:
        kind: "numpy", or "traced" for one TensorFlow function.
    """

    kind: str

    @abstractmethod
    def __call__(self, observations: Any) -> Outputs:
        """Return the outputs ``[B, K]`` for a batch of observations ``[B, ...]``.

        Raises:
            IncompatibleModelError: The observations do not have the shapes that the model takes.
        """

    @abstractmethod
    def one(self, observation: Any) -> Outputs:
        """Return the outputs ``[K]`` for one observation, with as little overhead as possible.

        Raises:
            IncompatibleModelError: The observation does not have the shape that the model takes.
        """

    @abstractmethod
    def refresh(self) -> None:
        """Take over the model's current weights and statistics: call it after every change of them.

        Raises:
            NotBoundError: This is a snapshot, which never changes.
        """

    @abstractmethod
    def snapshot(self) -> "Forward":
        """Return a frozen copy on weights of its own, for use while the model trains on."""


class NumpyForward(Forward):
    """Runs a plan on copied weights.

    Args:
        plan: The model's steps.
        inputs: How observations reach it.
        weights: The arrays that the steps read.
        parameters: Where the weights come from; None for a frozen copy.
    """

    kind = "numpy"

    def __init__(
        self, plan: Plan, inputs: ModelInputs, weights: list[np.ndarray], parameters: Parameters | None = None
    ) -> None:
        self._plan = plan
        self._inputs = inputs
        self._weights = weights
        self._parameters = parameters
        self._lock = threading.Lock()
        self._programs: dict[int, Program] = {}
        self._single = plan.bind(weights, 1)
        self._single_calls = self._single.calls
        self._rows = [x.reshape(x.shape[1:]) for x in self._single.inputs]
        self._results = [y.reshape(y.shape[1:]) for y in self._single.outputs]
        self._shape = self._rows[0].shape if len(self._rows) == 1 else None

    def __call__(self, observations: Any) -> Outputs:
        """Run the program of this batch size, which is laid out at its first use."""
        plain = type(observations) is np.ndarray and observations.shape[1:] == self._shape and observations.ndim
        arrays = [observations] if plain else self._inputs.flat(observations, batched=True)
        with self._lock:
            program = self._program(len(arrays[0]))
            for buffer, array in zip(program.inputs, arrays, strict=True):
                buffer[...] = array
            program.run()
            return _copied(program.outputs)

    def one(self, observation: Any) -> Outputs:
        """Run the program for a batch of one, whose buffers have no batch dimension to mind."""
        with self._lock:
            if type(observation) is np.ndarray and observation.shape == self._shape:
                self._rows[0][...] = observation
            else:
                for row, array in zip(self._rows, self._inputs.flat(observation, batched=False), strict=True):
                    row[...] = array
            for call in self._single_calls:
                call()
            return _copied(self._results)

    def refresh(self) -> None:
        """Copy the model's variables into the arrays that all programs read."""
        if self._parameters is None:
            raise _frozen_error()
        with self._lock:
            self._parameters.refresh()

    def snapshot(self) -> Forward:
        """Copy the weights and share the plan, which never changes."""
        with self._lock:
            return NumpyForward(self._plan, self._inputs, [x.copy() for x in self._weights])

    def _program(self, batch_size: int) -> Program:
        if batch_size == 1:
            return self._single
        if batch_size not in self._programs:
            if len(self._programs) >= MAX_PROGRAMS:
                del self._programs[next(iter(self._programs))]
            self._programs[batch_size] = self._plan.bind(self._weights, batch_size)
        return self._programs[batch_size]


class _Traced(Forward):
    """What runs a traced function on batches."""

    kind = "traced"
    _inputs: ModelInputs

    def __call__(self, observations: Any) -> Outputs:
        return _as_outputs([y.numpy() for y in self._run(self._tensors(observations, batched=True))])

    def one(self, observation: Any) -> Outputs:
        return _as_outputs([y.numpy()[0] for y in self._run(self._tensors(observation, batched=False))])

    @abstractmethod
    def _run(self, tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        """Return the outputs for inputs with a batch dimension."""

    def _tensors(self, observations: Any, *, batched: bool) -> list[tf.Tensor]:
        arrays = self._inputs.flat(observations, batched=batched)
        casts = (np.asarray(x, d) for x, d in zip(arrays, self._inputs.dtypes, strict=True))
        return [tf.convert_to_tensor(x if batched else x[None]) for x in casts]


class TracedForward(_Traced):
    """Runs the model itself, traced once for all batch sizes; always reads its current weights.

    Args:
        model: A built model.
        inputs: How observations reach it.

    Raises:
        IncompatibleModelError: The model cannot be traced on such inputs.
    """

    def __init__(self, model: keras.Model, inputs: ModelInputs) -> None:
        self._model = model
        self._inputs = inputs
        self._specs = [tf.TensorSpec((None, *s), d) for s, d in zip(inputs.shapes, inputs.dtypes, strict=True)]
        try:
            self._function = tf.function(self._call, input_signature=self._specs).get_concrete_function()
        except Exception as error:
            raise IncompatibleModelError(
                f"Model '{model.name}' cannot run on a batch of observations with shapes {list(inputs.shapes)} "
                f"and dtypes {[d.name for d in inputs.dtypes]}: {error}"
            ) from error
        self._frozen_function: Any = None
        self._drawn: list[int] = []

    def refresh(self) -> None:
        """Do nothing: the traced function reads the model's own variables."""

    def snapshot(self) -> Forward:
        """Copy the variables' values; the function that takes them is traced at the first snapshot."""
        if self._frozen_function is None:
            self._frozen_function = self._trace_frozen()
        return _TracedSnapshot(self, [tf.constant(v.numpy()) for v in self._model.variables])

    def _run(self, tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        outputs: list[tf.Tensor] = self._function(*tensors)
        return outputs

    def _call(self, *tensors: tf.Tensor) -> list[tf.Tensor]:
        outputs = self._model(self._inputs.pack(list(tensors)), training=False)
        flat: list[tf.Tensor] = keras.tree.flatten(outputs)
        return [tf.cast(y, tf.float32) for y in flat]

    def _trace_frozen(self) -> Any:
        """Trace the model as a function of its variables too, so that it can run on other values."""
        variables = list(self._model.variables)

        def run(values: Sequence[tf.Tensor], *tensors: tf.Tensor) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
            with keras.StatelessScope(state_mapping=zip(variables, values, strict=True)) as scope:
                outputs = self._call(*tensors)
            after = [scope.get_current_value(v) for v in variables]
            self._drawn = [i for i, (old, new) in enumerate(zip(values, after, strict=True)) if new is not old]
            return outputs, [after[i] for i in self._drawn]

        specs = [tf.TensorSpec(v.shape, v.dtype) for v in variables]
        return tf.function(run).get_concrete_function(specs, *self._specs)


class _TracedSnapshot(_Traced):
    """The traced function on weights of its own; seed states move on in it, apart from the model's."""

    def __init__(self, parent: TracedForward, values: list[tf.Tensor]) -> None:
        self._parent = parent
        self._inputs = parent._inputs
        self._values = values
        self._lock = threading.Lock()

    def refresh(self) -> None:
        raise _frozen_error()

    def snapshot(self) -> Forward:
        return _TracedSnapshot(self._parent, list(self._values))

    def _run(self, tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        with self._lock:
            outputs: list[tf.Tensor]
            outputs, drawn = self._parent._frozen_function(self._values, *tensors)
            for index, value in zip(self._parent._drawn, drawn, strict=True):
                self._values[index] = value
            return outputs


def _copied(arrays: list[np.ndarray]) -> Outputs:  # on the way of every action: a list first would cost 5 % of it
    return arrays[0].copy() if len(arrays) == 1 else tuple(x.copy() for x in arrays)


def _as_outputs(arrays: list[np.ndarray]) -> Outputs:
    return arrays[0] if len(arrays) == 1 else tuple(arrays)


def _frozen_error() -> NotBoundError:
    """Return the error for a snapshot that is asked to refresh."""
    return NotBoundError(
        "A snapshot of a forward pass is frozen and has no model to refresh from. "
        "Refresh the forward pass it was taken from, and take a new snapshot."
    )
