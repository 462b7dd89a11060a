"""How observations reach a model: their structure, shapes and dtypes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from tensor_optix.adapters.spaces.observation_parts import MASK_KEY, Path, name_of, nested_from, part_at, parts_of
from tensor_optix.adapters.tensorflow.acting.numpy.numpy_graph import graph_of
from tensor_optix.exceptions import IncompatibleModelError, NotBoundError

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class ModelInputs:
    """The inputs of a model, flat, and the way back to the structure it is called with.

    Args:
        names: What each input is called, which is also its key in an observation that is a dict.
        shapes: One per input, without the batch dimension; None where a size is free.
        dtypes: The dtype each input is cast to, as Keras casts it, but not below float32: observations are normalised
            in it.
        pack: From the flat list of tensors to what the model is called with.
        paths: Where in an observation each input's part is. Default: one input takes the whole of it,
            several take the parts of their names.
    """

    names: tuple[str, ...]
    shapes: tuple[Shape, ...]
    dtypes: tuple[np.dtype, ...]
    pack: Callable[[list[Any]], Any]
    paths: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        """Fill in the paths."""
        if not self.paths:
            paths = ((),) if len(self.names) == 1 else tuple((name,) for name in self.names)
            object.__setattr__(self, "paths", paths)

    def flat(self, observations: Any, *, batched: bool) -> list[np.ndarray]:
        """Return the observations as one array per input, each of the shape that input takes.

        As in Keras, dicts are looked up by name, and a last dimension of one may be missing or left
        over: discrete observations ``[B]`` fit an input ``[B, 1]``.

        Raises:
            IncompatibleModelError: A part is missing, or has a shape the model does not take.
        """
        parts = _parts_at(observations, self.paths)
        if parts is None:
            parts = _parts_at(observations, paths_in(observations, self.names, self.paths))
        if parts is None:
            raise self._wrong_parts(_described(observations))
        arrays = [
            _fit(part, shape, batched, name) for part, shape, name in zip(parts, self.shapes, self.names, strict=True)
        ]
        if batched and len({len(x) for x in arrays}) > 1:
            raise IncompatibleModelError(
                f"The parts {list(self.names)} of a batch of observations hold {[len(x) for x in arrays]} rows, "
                "but should hold the same number. Stack one row per observation in each."
            )
        return arrays

    def kept_dtypes(self, example: Any) -> list[np.dtype]:
        """Return the dtypes in which observations are kept: images stay bytes until they reach the graph."""
        parts = self.flat(example, batched=False)
        return [part.dtype if part.dtype == np.uint8 else dtype for part, dtype in zip(parts, self.dtypes, strict=True)]

    def structured(self, parts: Sequence[Any]) -> Any:
        """Return flat parts as an observation, which holds no other parts than these."""
        return nested_from(dict(zip(self.paths, parts, strict=True)))

    def tensors(self) -> list[Any]:
        """Return one symbolic input for each, named by its place in an observation."""
        names = [path[0] if len(path) == 1 else name_of(path) or None for path in self.paths]
        return named_inputs(names, self.shapes, [dtype.name for dtype in self.dtypes])

    def _wrong_parts(self, got: str) -> IncompatibleModelError:
        return IncompatibleModelError(
            f"The model takes observations with the parts {list(self.names)}, but received {got}. "
            "Give the model one keras.Input per part of the observation space, named as in the space."
        )


def inputs_of(model: keras.Model, sample: Any = None) -> ModelInputs:
    """Work out the inputs of a model from its graph, or else from one sample observation.

    Args:
        model: The model.
        sample: One observation. A graph's inputs are looked for in it: where they are nested as it is,
            else by their names, which are the keys on the way joined by dots, with dots for slashes.

    Raises:
        NotBoundError: The model has no graph that names its inputs, and no sample was given.
    """
    graph = graph_of(model)
    if graph is not None:
        inputs = _from_graph(graph)
        paths = None if sample is None else paths_in(sample, inputs.names, inputs.paths)
        return inputs if paths is None else replace(inputs, paths=paths)
    if sample is None:
        raise NotBoundError(
            f"Cannot tell what '{model.name}' ({type(model).__name__}) takes: it is subclassed or not built. "
            "Give it a keras.Input, or pass one observation as sample=."
        )
    return _from_sample(sample)


def named_inputs(names: Sequence[Any], shapes: Sequence[Any], dtypes: Sequence[str]) -> list[Any]:
    """Return symbolic inputs whose tensors have any names at all, which are keys of a dict; None for no name."""
    tensors, taken = [], set()
    for name, shape, dtype in zip(names, shapes, dtypes, strict=True):
        layer_name = None if name is None else name_of((name,)) or "part"
        while layer_name in taken:
            layer_name = f"{layer_name}_"
        tensor = keras.Input(shape, dtype=dtype, name=layer_name)
        if name is not None:
            taken.add(layer_name)
            tensor.name = name  # Keras warns where it is not the key; only a layer's name may hold no slash
        tensors.append(tensor)
    return tensors


def paths_in(observation: Any, names: tuple[str, ...], paths: tuple[Path, ...]) -> tuple[Path, ...] | None:
    """Return where in an observation the inputs of these names and paths find their parts; None if they do not."""
    if isinstance(observation, list) and len(names) > 1:
        observation = tuple(observation)
    if not isinstance(observation, Mapping) and (
        not isinstance(observation, tuple) or len(names) == 1 != len(observation)
    ):
        return ((),) if len(names) == 1 else None  # a tuple of numbers for one input is a vector
    known = [path for path, _ in parts_of(observation)]
    if set(paths) <= set(known) and (isinstance(observation, Mapping) or len(known) == len(paths)):
        return paths
    path_named = {name_of(path): path for path in known}
    wanted = [name.replace("/", ".") for name in names]
    if set(wanted) <= set(path_named):
        return tuple(path_named[name] for name in wanted)
    keys = [key for path in (*paths, *known) for key in path]
    in_order = len(known) == 1 or all(isinstance(key, int) for key in keys)
    if in_order and len(known) == len(names):
        return tuple(known)
    others = [path for path in known if path != (MASK_KEY,)]  # one input takes what there is beside a mask
    return tuple(others) if len(others) == len(names) == 1 else None


def example_for(model: keras.Model | None) -> Any:
    """Return an observation of zeros that a model takes, of size 1 where a size is free.

    Raises:
        NotBoundError: There is no model, or it has no graph that names its inputs.
    """
    if model is None:
        raise NotBoundError("There is no model yet. Call bind(observation_space, action_space) first.")
    inputs = inputs_of(model)
    parts = zip(inputs.shapes, inputs.dtypes, strict=True)
    return inputs.structured([np.zeros([size or 1 for size in shape], dtype) for shape, dtype in parts])


def _from_graph(graph: Any) -> ModelInputs:
    structure = graph.input
    names = tuple(x.name for x in graph.inputs)
    places = keras.tree.pack_sequence_as(structure, list(range(len(names))))
    paths: list[Path] = [()] * len(names)
    for path, place in parts_of(keras.tree.lists_to_tuples(places)):
        paths[place] = path
    if isinstance(structure, Mapping):
        names = tuple(".".join(str(key) for key in path) for path in paths)
    return ModelInputs(
        names=names,
        shapes=tuple(tuple(x.shape)[1:] for x in graph.inputs),
        dtypes=tuple(_fed(keras.backend.standardize_dtype(x.dtype)) for x in graph.inputs),
        pack=lambda tensors: keras.tree.pack_sequence_as(structure, tensors),
        paths=tuple(paths),
    )


def _fed(dtype: str) -> np.dtype:
    """Return in which dtype an input is given to a model: what is narrower than float32 is cast by the model itself."""
    return np.dtype(np.float32 if dtype in ("float16", "bfloat16") else dtype)


def _from_sample(sample: Any) -> ModelInputs:
    found = dict(parts_of(sample))
    paths = tuple(found)
    arrays = [np.asarray(part) for part in found.values()]
    return ModelInputs(
        names=tuple(name_of(path) or "observation" for path in paths),
        shapes=tuple(x.shape for x in arrays),
        dtypes=tuple(np.dtype(np.float32) if x.dtype.kind == "f" else x.dtype for x in arrays),
        pack=lambda tensors: nested_from(dict(zip(paths, tensors, strict=True))),
        paths=paths,
    )


def _parts_at(observations: Any, paths: tuple[Path, ...] | None) -> list[Any] | None:
    """Return the parts at these paths; None where an observation is nested otherwise."""
    if paths is None:
        return None
    if paths == ((),):
        is_one = not isinstance(observations, Mapping | tuple) or (
            isinstance(observations, tuple) and len(observations) != 1
        )
        return [observations] if is_one else None
    if isinstance(observations, tuple | list) and len(observations) != len({path[0] for path in paths}):
        return None
    try:
        parts = [part_at(observations, path) for path in paths]
    except (LookupError, TypeError):
        return None
    return None if any(isinstance(part, Mapping) for part in parts) else parts


def _described(observations: Any) -> str:
    if isinstance(observations, Mapping):
        return f"the keys {sorted(map(str, observations))}"
    if isinstance(observations, tuple):
        return f"a tuple with the parts {[name_of(path) for path, _ in parts_of(observations)]}"
    return f"an object of type {type(observations).__name__}"


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
