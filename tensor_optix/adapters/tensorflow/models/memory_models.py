"""Models with memory: ``[observation, *states] -> [output(s), *new states]``, recognised and checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from tensor_optix.adapters.tensorflow.acting.model_inputs import ModelInputs, inputs_of, paths_in
from tensor_optix.adapters.tensorflow.acting.numpy.numpy_graph import graph_of
from tensor_optix.exceptions import IncompatibleModelError

_NUMBERS = ["float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool"]


@dataclass(frozen=True)
class StateSpec:
    """One of a model's states, of one environment.

    Attributes:
        name: What the model calls it.
        shape: Without a batch dimension.
        dtype: Of its numbers.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype

    def zeros(self, num_envs: int) -> np.ndarray:
        """Return what an episode begins with, ``[N, ...]``."""
        return np.zeros((num_envs, *self.shape), self.dtype)


@dataclass(frozen=True)
class MemoryModel:
    """A model that is given what it gave at the step before.

    Attributes:
        model: A functional Keras model.
        inputs: How observations reach it.
        states: What it is given beside the observation, zeros at the beginning of an episode.
    """

    model: Any
    inputs: ModelInputs
    states: tuple[StateSpec, ...]

    def symbolic_states(self) -> dict[str, Any]:
        """Return a symbolic input for each state, ``state_0`` and so on."""
        named = {f"state_{i}": spec for i, spec in enumerate(self.states)}
        return {name: keras.Input(spec.shape, dtype=spec.dtype.name, name=name) for name, spec in named.items()}

    def pack(self, parts: Sequence[Any], states: Sequence[Any]) -> Any:
        """Return what the model is called with."""
        return keras.tree.pack_sequence_as(self._graph.input, [*parts, *states])

    @property
    def output_shapes(self) -> list[tuple[int, ...]]:
        """Shapes of what it gives before its new states, batch first."""
        return [tuple(x.shape) for x in self._graph.outputs[: -len(self.states)]]

    @property
    def gives_enough(self) -> bool:
        """Whether there may be new states behind an output of its own."""
        return len(self._graph.outputs) > len(self.states)

    def check(self) -> None:
        """Raise unless the states come back as they went in.

        Raises:
            IncompatibleModelError: One has no fixed size, is of numbers that cannot be kept, or comes back otherwise.
        """
        name, specs, found = self.model.name, self.states, self._graph.outputs
        for spec in specs:
            if None in spec.shape or spec.dtype.name not in _NUMBERS:
                raise IncompatibleModelError(
                    f"State '{spec.name}' of model '{name}' must have a fixed shape and one of the dtypes "
                    f"{', '.join(_NUMBERS)}. Received: shape {spec.shape}, dtype {spec.dtype.name}."
                )
        if not self.gives_enough:
            raise IncompatibleModelError(
                f"Model '{name}' takes {len(specs)} inputs beside the observation, and gives {len(found)} outputs. "
                "Where they are states of a memory, it must give them back after its own outputs: "
                "[observation, *states] -> [output(s), *new states]. Where they are parts of an observation, " + _PARTS
            )
        for spec, after in zip(specs, found[-len(specs) :], strict=True):
            shape, dtype = tuple(after.shape)[1:], keras.backend.standardize_dtype(after.dtype)
            if (shape, dtype) != (spec.shape, spec.dtype.name):
                raise IncompatibleModelError(
                    f"State '{spec.name}' of model '{name}' goes in with shape {spec.shape} and dtype "
                    f"{spec.dtype.name}, and comes back with shape {shape} and dtype {dtype}. New states are the last "
                    f"{len(specs)} outputs, in the order of the inputs, and each must be as it went in."
                )

    @property
    def _graph(self) -> Any:
        return graph_of(self.model)


_PARTS = "name its inputs as the space names its parts."


def memory_of(model: Any, example: Any) -> MemoryModel | None:
    """Return what of a model is memory; None where it takes nothing but an observation.

    Its inputs are a list whose first element takes the whole observation, nested as it is where it has parts.

    Args:
        model: A Keras model.
        example: One observation.
    """
    graph = graph_of(model)
    structure = None if graph is None else graph.input
    if not isinstance(structure, list | tuple) or len(structure) < 2:
        return None
    whole = inputs_of(model)
    if paths_in(example, whole.names, whole.paths) is not None:  # all of them are parts of an observation
        return None
    inputs = _of_observation(whole, structure[0], example)
    flat = keras.tree.flatten(structure)[len(inputs.names) :]
    if len(flat) != len(structure) - 1 or not _takes(inputs, example):
        return None
    states = (StateSpec(x.name, tuple(x.shape)[1:], np.dtype(keras.backend.standardize_dtype(x.dtype))) for x in flat)
    return MemoryModel(model, inputs, tuple(states))


def refuse_memory(model: Any, example: Any) -> None:
    """Raise where a model has memory, which the agent that asks cannot carry.

    Raises:
        IncompatibleModelError: It has.
    """
    memory = memory_of(model, example)
    if memory is not None and memory.gives_enough:
        names = [spec.name for spec in memory.states]
        raise IncompatibleModelError(
            f"Model '{model.name}' takes {names} beside the observation. Where they are states of a memory, give it to "
            "PPOAgent(actor=model), the one agent that carries states from step to step. Where they are parts of an "
            f"observation, {_PARTS}"
        )


def refuse_stateful(model: Any) -> None:
    """Raise where a layer keeps states of its own between calls, which belong to no environment and are never reset.

    Raises:
        IncompatibleModelError: One does.
    """
    layers = model._flatten_layers() if isinstance(model, keras.Model) else []
    found = [layer.name for layer in layers if getattr(layer, "stateful", False) is True]
    if found:
        raise IncompatibleModelError(
            f"Layer '{found[0]}' of model '{model.name}' has stateful=True: it would carry one state through the steps "
            "of all environments, and through learning. Give the model its states as inputs and outputs, "
            "[observation, *states] -> [output(s), *new states], with keras.layers.GRUCell or LSTMCell, or "
            'make_agent(env, "ppo", memory="gru").'
        )


def _of_observation(whole: ModelInputs, entry: Any, example: Any) -> ModelInputs:
    """Return the inputs that take the observation: those of the first element of what a model is called with."""
    count = len(keras.tree.flatten(entry))
    names, paths = whole.names[:count], tuple(path[1:] for path in whole.paths[:count])
    found = paths_in(example, names, paths)
    return ModelInputs(
        names=names,
        shapes=whole.shapes[:count],
        dtypes=whole.dtypes[:count],
        pack=lambda tensors: keras.tree.pack_sequence_as(entry, tensors),
        paths=paths if found is None else found,
    )


def _takes(inputs: ModelInputs, example: Any) -> bool:
    try:
        inputs.flat(example, batched=False)
    except (IncompatibleModelError, ValueError, TypeError):  # other parts, or several where one is wanted
        return False
    return True
