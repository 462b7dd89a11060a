"""A policy and a value function as one callable: two Keras models, or one with two outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tensor_optix.adapters.tensorflow.acting.model_inputs import ModelInputs
from tensor_optix.adapters.tensorflow.models.model_checks import probe
from tensor_optix.adapters.tensorflow.models.observation_normalizer import ObservationNormalizer
from tensor_optix.exceptions import IncompatibleModelError


class ActorCritic:
    """Gives a policy's outputs and a value for normalised observations.

    Both models run at inference (``training=False``), in acting and in learning: Dropout is off and
    BatchNormalization uses its moving statistics, so that the probability of an action is the same
    where it is taken and where it is learned from.

    Args:
        actor: Gives the policy's outputs ``[B, K]``, or these and values ``[B, 1]``.
        critic: Gives values ``[B, 1]``; None where the actor does.
        example: One observation.
        num_outputs: K.
        outputs_mean: What each output stands for, for error messages.

    Attributes:
        inputs: How observations reach the actor.

    Raises:
        IncompatibleModelError: A model does not take such observations, or its outputs do not fit.
    """

    def __init__(
        self, actor: keras.Model, critic: keras.Model | None, example: Any, num_outputs: int, outputs_mean: str
    ) -> None:
        self.actor = actor
        self.critic = critic
        self.inputs, shapes = probe(actor, example)
        _check_actor(actor, critic, shapes, num_outputs, outputs_mean)
        self._critic_inputs = self.inputs
        if critic is not None:
            self._critic_inputs, shapes = probe(critic, example)
            _check_critic(critic, shapes)
        self._places = _places(self._critic_inputs, self.inputs)

    @property
    def trainable_variables(self) -> list[Any]:
        """All weights that learning moves, each once: the models may share layers."""
        models = [self.actor] if self.critic is None else [self.actor, self.critic]
        return list({id(v): v for model in models for v in model.trainable_variables}.values())

    def __call__(self, parts: Sequence[Any]) -> tuple[Any, Any]:
        """Return outputs ``[B, K]`` and values ``[B]`` in float32; can be traced."""
        results = keras.tree.flatten(self.actor(_packed(self.inputs, parts), training=False))
        values = self.value(parts) if self.critic is not None else tf.cast(results[1][:, 0], tf.float32)
        return tf.cast(results[0], tf.float32), values

    def outputs(self, parts: Sequence[Any]) -> Any:
        """Return outputs ``[B, K]`` in float32; can be traced."""
        results = keras.tree.flatten(self.actor(_packed(self.inputs, parts), training=False))
        return tf.cast(results[0], tf.float32)

    def value(self, parts: Sequence[Any]) -> Any:
        """Return values ``[B]`` in float32; can be traced."""
        if self.critic is None:
            return self(parts)[1]
        own = [parts[place] for place in self._places]
        return tf.cast(self.critic(_packed(self._critic_inputs, own), training=False)[:, 0], tf.float32)

    def acting_model(self, normalizer: ObservationNormalizer) -> keras.Model:
        """Return what acting runs: raw observation in, outputs ``[B, K]`` out, on the same weights."""
        if self.critic is not None and not normalizer.is_active:
            return self.actor
        tensors = self.inputs.tensors()
        outputs = self.actor(self.inputs.pack(normalizer(tensors)), training=False)
        return keras.Model(self.inputs.structured(tensors), keras.tree.flatten(outputs)[0])


def _packed(inputs: ModelInputs, parts: Sequence[Any]) -> Any:
    return inputs.pack([tf.cast(part, dtype) for part, dtype in zip(parts, inputs.dtypes, strict=True)])


def _check_actor(actor: Any, critic: Any, shapes: list[tuple[int, ...]], num_outputs: int, outputs_mean: str) -> None:
    expected = [num_outputs] if critic is not None else [num_outputs, 1]
    if [len(shape) for shape in shapes] != [2] * len(expected) or [shape[1] for shape in shapes] != expected:
        values = "" if critic is not None else " and, as there is no critic, one of shape (batch, 1): the value"
        raise IncompatibleModelError(
            f"Actor '{actor.name}' must give one output of shape (batch, {num_outputs}): {outputs_mean}{values}. "
            f"It gives {len(shapes)} of shapes {shapes}. End it with keras.layers.Dense({num_outputs})."
        )


def _check_critic(critic: Any, shapes: list[tuple[int, ...]]) -> None:
    if len(shapes) != 1 or shapes[0][1:] != (1,):
        raise IncompatibleModelError(
            f"Critic '{critic.name}' must give one output of shape (batch, 1): the value. It gives {len(shapes)} of "
            f"shapes {shapes}. End it with keras.layers.Dense(1)."
        )


def _places(wanted: ModelInputs, given: ModelInputs) -> list[int]:
    """Return which parts the critic takes, in its order; of a Dict it may leave some out."""
    for name, path in zip(wanted.names, wanted.paths, strict=True):
        if path not in given.paths:
            raise IncompatibleModelError(
                f"The critic takes the part {name!r} of an observation, which the actor does not: it takes "
                f"{list(given.names)}. Give the actor an input of that name too; it may leave it unused."
            )
    return [given.paths.index(path) for path in wanted.paths]
