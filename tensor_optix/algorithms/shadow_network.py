"""A network on weights of its own that shares another one's layers: target networks and twins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tensor_optix.functional.seeding import derive_seed


class ShadowNetwork:
    """Runs a Keras model on a second set of trainable weights.

    The model is never copied, so this works for any: Sequential, functional or subclassed.

    Args:
        model: A built model.
        call: How the model is run on prepared inputs.
        values: The first values, one per trainable variable of the model; None for the model's own.

    Attributes:
        variables: The weights, in the order of ``model.trainable_variables``, under the same constraints.
    """

    def __init__(
        self, model: keras.Model, call: Callable[..., Any], values: Sequence[np.ndarray] | None = None
    ) -> None:
        self._model = model
        self._call = call
        self._originals = list(model.trainable_variables)
        first = [v.numpy() for v in self._originals] if values is None else values
        self._others = list(model.non_trainable_variables)
        self.variables = [_own(original, value) for original, value in zip(self._originals, first, strict=True)]

    def __call__(self, *inputs: Any) -> Any:
        """Return the outputs on these weights; can be traced, and gradients reach the weights."""
        return self._run(self._call, *inputs)

    def trained_on(self, *inputs: Any) -> Any:
        """Return what the same method of ``call`` gives on these weights."""
        return self._run(self._call.trained_on, *inputs)  # type: ignore[attr-defined]

    def _run(self, call: Callable[..., Any], *inputs: Any) -> Any:
        """Return what a call of the model gives on these weights; what else it moves (seeds) moves in the model."""
        mapping = [(own, tf.convert_to_tensor(v.value)) for own, v in zip(self._originals, self.variables, strict=True)]
        with keras.StatelessScope(state_mapping=mapping, collect_losses=True) as scope:
            results = call(*inputs)
        for variable in self._others:
            moved = scope.get_current_value(variable)
            if moved is not None:
                variable.assign(moved)
        return results

    def follow_trained(self) -> None:
        """Hold weights for what the model trains now: those it holds, and copies of the model's where that is new."""
        held = {id(original): own for original, own in zip(self._originals, self.variables, strict=True)}
        self._originals = list(self._model.trainable_variables)
        self._others = list(self._model.non_trainable_variables)
        self.variables = [held[id(v)] if id(v) in held else _own(v, v.numpy()) for v in self._originals]

    def move_towards(self, variables: Sequence[Any], tau: Any) -> None:
        """Let ``w <- (1 - tau) w + tau w'`` for the weights ``w'`` in ``variables``; 1 copies them. Can be traced."""
        for own, other in zip(self.variables, variables, strict=True):
            share = tf.cast(tau, own.value.dtype)
            own.value.assign((1.0 - share) * own.value + share * other.value)


def _own(original: Any, value: Any) -> Any:
    own = keras.Variable(value, dtype=original.dtype, name=original.name)
    own.constraint = original.constraint
    return own


def reshuffled(rng: np.random.Generator, variables: Sequence[Any]) -> list[np.ndarray]:
    """Return the values of ``variables`` with the entries of every kernel in a new random order.

    Freshly initialised entries are exchangeable, so this is another draw from the same initializer,
    whichever that is. Vectors (biases, scales) stay as they are.
    """
    values = [v.numpy() for v in variables]
    return [rng.permutation(x.reshape(-1)).reshape(x.shape) if x.ndim > 1 else x for x in values]


def drawn_again(seed: int, model: keras.Model) -> list[np.ndarray]:
    """Return values for the trainable variables of a model: new draws where nothing was learned yet, else copies.

    What is still as the layer's own initializer drew it is drawn by that initializer again, from another seed. All
    else (trained, loaded, set by hand, or of a layer that does not keep its initializer) holds what is known.

    Args:
        seed: Source of the new draws.
        model: A built model.
    """
    layers = model._flatten_layers()
    makers = {id(v): getattr(layer, f"{v.name}_initializer", None) for layer in layers for v in layer.weights}
    return [_drawn_again(derive_seed(seed, i), v, makers.get(id(v))) for i, v in enumerate(model.trainable_variables)]


def _drawn_again(seed: int, variable: Any, initializer: Any) -> np.ndarray:
    value: np.ndarray = variable.numpy()
    if not isinstance(getattr(initializer, "seed", None), int):
        return value
    as_drawn = initializer(variable.shape, dtype=variable.dtype)
    if not np.array_equal(value, np.asarray(as_drawn)):
        return value
    other = type(initializer).from_config({**initializer.get_config(), "seed": seed})
    return np.asarray(other(variable.shape, dtype=variable.dtype))
