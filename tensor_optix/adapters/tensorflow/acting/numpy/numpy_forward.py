"""A forward pass in NumPy: a plan, weights, and the programs bound so far."""

import threading
from typing import Any

import numpy as np

from tensor_optix.adapters.tensorflow.acting.forward import Forward, Outputs, frozen_error
from tensor_optix.adapters.tensorflow.acting.model_inputs import ModelInputs
from tensor_optix.adapters.tensorflow.acting.numpy.numpy_parameters import Parameters
from tensor_optix.adapters.tensorflow.acting.numpy.numpy_program import Plan, Program

MAX_PROGRAMS = 8
"""Batch sizes whose buffers are kept; beyond that the oldest is laid out anew when needed."""


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
            raise frozen_error()
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


def _copied(arrays: list[np.ndarray]) -> Outputs:
    return arrays[0].copy() if len(arrays) == 1 else tuple(x.copy() for x in arrays)
