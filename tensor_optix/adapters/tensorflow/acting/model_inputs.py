"""How observations reach a model: their structure, shapes and dtypes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from tensor_optix.adapters.tensorflow.acting.numpy.numpy_graph import graph_of
from tensor_optix.exceptions import IncompatibleModelError, NotBoundError

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class ModelInputs:
    """The inputs of a model, flat, and the way back to the structure it is called with.

    Args:
        names: What each input is called, which is also its key in an observation that is a dict.
        shapes: One per input, without the batch dimension; None where a size is free.
        dtypes: The dtype each input is cast to, as Keras casts it.
        pack: From the flat list of tensors to what the model is called with.
    """

    names: tuple[str, ...]
    shapes: tuple[Shape, ...]
    dtypes: tuple[np.dtype, ...]
    pack: Callable[[list[Any]], Any]

    def flat(self, observations: Any, *, batched: bool) -> list[np.ndarray]:
        """Return the observations as one array per input, each of the shape that input takes.

        As in Keras, dicts are looked up by name, and a last dimension of one may be missing or left
        over: discrete observations ``[B]`` fit an input ``[B, 1]``.

        Raises:
            IncompatibleModelError: A part is missing, or has a shape the model does not take.
        """
        if isinstance(observations, Mapping):
            if not set(self.names) <= set(observations):
                raise self._wrong_parts(f"the keys {sorted(observations)}")
            parts = [observations[name] for name in self.names]
        elif len(self.names) == 1:
            parts = [observations]
        elif isinstance(observations, list | tuple) and len(observations) == len(self.names):
            parts = list(observations)
        else:
            raise self._wrong_parts(f"an object of type {type(observations).__name__}")
        arrays = [
            _fit(part, shape, batched, name) for part, shape, name in zip(parts, self.shapes, self.names, strict=True)
        ]
        if batched and len({len(x) for x in arrays}) > 1:
            raise IncompatibleModelError(
                f"The parts {list(self.names)} of a batch of observations hold {[len(x) for x in arrays]} rows, "
                "but should hold the same number. Stack one row per observation in each."
            )
        return arrays

    def structured(self, parts: list[np.ndarray]) -> Any:
        """Return flat parts as an observation: the array itself, or a dict for several inputs."""
        return parts[0] if len(parts) == 1 else dict(zip(self.names, parts, strict=True))

    def _wrong_parts(self, got: str) -> IncompatibleModelError:
        return IncompatibleModelError(
            f"The model takes observations with the parts {list(self.names)}, but received {got}. "
            "Give the model one keras.Input per part of the observation space, named as in the space."
        )


def inputs_of(model: keras.Model, sample: Any = None) -> ModelInputs:
    """Work out the inputs of a model from its graph, or else from one sample observation.

    Raises:
        NotBoundError: The model has no graph that names its inputs, and no sample was given.
    """
    graph = graph_of(model)
    if graph is not None:
        return _from_graph(graph)
    if sample is None:
        raise NotBoundError(
            f"Cannot tell what '{model.name}' ({type(model).__name__}) takes: it is subclassed or not built. "
            "Give it a keras.Input, or pass one observation as sample=."
        )
    return _from_sample(sample)


def _from_graph(graph: Any) -> ModelInputs:
    structure = graph.input
    names = tuple(x.name for x in graph.inputs)
    if isinstance(structure, Mapping):
        place_of = keras.tree.pack_sequence_as(structure, list(range(len(names))))
        names = tuple(sorted(place_of, key=place_of.__getitem__))
    return ModelInputs(
        names=names,
        shapes=tuple(tuple(x.shape)[1:] for x in graph.inputs),
        dtypes=tuple(np.dtype(keras.backend.standardize_dtype(x.dtype)) for x in graph.inputs),
        pack=lambda tensors: keras.tree.pack_sequence_as(structure, tensors),
    )


def _from_sample(sample: Any) -> ModelInputs:
    if isinstance(sample, Mapping):
        names, parts = tuple(sample), list(sample.values())
    elif isinstance(sample, tuple):
        names, parts = tuple(str(i) for i in range(len(sample))), list(sample)
    else:
        names, parts = ("observation",), [sample]

    def pack(tensors: list[Any]) -> Any:
        if isinstance(sample, Mapping):
            return dict(zip(names, tensors, strict=True))
        return tuple(tensors) if isinstance(sample, tuple) else tensors[0]

    arrays = [np.asarray(part) for part in parts]
    dtypes = tuple(np.dtype(np.float32) if x.dtype.kind == "f" else x.dtype for x in arrays)
    return ModelInputs(names, tuple(x.shape for x in arrays), dtypes, pack)


def _fit(value: Any, shape: Shape, batched: bool, name: str) -> np.ndarray:
    array = np.asarray(value)
    name = f"observation '{name}'"
    got = array.shape[1:] if batched else array.shape
    if not batched or array.ndim:
        if _matches(got, shape):
            return array
        if shape[-1:] == (1,) and _matches(got, shape[:-1]):
            return array[..., None]
        if got[-1:] == (1,) and _matches(got[:-1], shape):
            return array[..., 0]
    expected = ("batch", *shape) if batched else shape
    raise IncompatibleModelError(
        f"The model takes {name} in the shape {expected}, but received {array.shape}. "
        "Build the model with keras.Input(shape=observation_space.shape), or reshape the observations."
    )


def _matches(got: tuple[int, ...], shape: Shape) -> bool:
    return len(got) == len(shape) and all(want in (None, size) for size, want in zip(got, shape, strict=True))


def first_of(observations: Any) -> Any:
    """Return the first of a batch of observations, in whatever dicts and tuples they come."""
    if isinstance(observations, dict):
        return {key: first_of(value) for key, value in observations.items()}
    if isinstance(observations, tuple):
        return tuple(first_of(value) for value in observations)
    return np.asarray(observations)[0]
