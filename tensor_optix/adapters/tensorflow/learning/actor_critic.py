"""A policy, alone or with a value function, as one callable on Keras models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tensor_optix.adapters.spaces.observation_parts import Path
from tensor_optix.adapters.tensorflow.acting.model_inputs import ModelInputs
from tensor_optix.adapters.tensorflow.learning import model_losses
from tensor_optix.adapters.tensorflow.models.model_checks import probe
from tensor_optix.adapters.tensorflow.models.observation_normalizer import ObservationNormalizer
from tensor_optix.exceptions import IncompatibleModelError


class PolicyNetwork:
    """Gives a policy's outputs for normalised observations.

    Models run at inference (``training=False``), in acting and in learning: Dropout is off and
    BatchNormalization uses its moving statistics, so that the probability of an action is the same
    where it is taken and where it is learned from.

    Args:
        actor: Gives the policy's outputs ``[B, K]``.
        inputs: How observations reach it.
    """

    has_values = False
    """Whether it has a value function."""

    states: tuple[Any, ...] = ()
    """What it remembers from step to step."""

    policy_memory: Any = None
    """What of the actor is memory, a ``MemoryModel``; None for nothing."""

    critic: Any = None
    """The model of values, where it is one of its own."""

    def __init__(self, actor: keras.Model, inputs: ModelInputs) -> None:
        self.actor = actor
        self.inputs = inputs

    @property
    def trainable_variables(self) -> list[Any]:
        """All weights that learning moves, each once: the models may share layers."""
        models = [self.actor] if self.critic is None else [self.actor, self.critic]
        return list({id(v): v for model in models for v in model.trainable_variables}.values())

    def __call__(self, parts: Sequence[Any]) -> tuple[Any, Any]:
        """Return outputs ``[B, K]`` and values ``[B]``, None where nothing gives them, in float32; can be traced."""
        return self.outputs(parts), None

    def trained_on(self, parts: Sequence[Any]) -> tuple[Any, Any, Any]:
        """Return outputs, values, and what the models add to the loss, a scalar, None for nothing; can be traced."""
        outputs = self.outputs(parts)
        return outputs, None, model_losses.total(self.actor.losses)

    def outputs(self, parts: Sequence[Any]) -> Any:
        """Return outputs ``[B, K]`` in float32; can be traced."""
        return tf.cast(self._results(parts)[0], tf.float32)

    def value(self, parts: Sequence[Any]) -> Any:
        """Return values ``[B]`` in float32; can be traced."""
        raise NotImplementedError

    def acting_model(self, normalizer: ObservationNormalizer) -> keras.Model:
        """Return what acting runs: raw observation in, outputs ``[B, K]`` out, on the same weights."""
        if self._gives_outputs_only and not normalizer.is_active:
            return self.actor
        tensors = self.inputs.tensors()
        outputs = self.actor(self.inputs.pack(normalizer(tensors)), training=False)
        return keras.Model(self.inputs.structured(tensors), keras.tree.flatten(outputs)[0])

    _gives_outputs_only = True

    def _results(self, parts: Sequence[Any]) -> list[Any]:
        found: list[Any] = keras.tree.flatten(self.actor(_packed(self.inputs, parts), training=False))
        return found


class ActorCritic(PolicyNetwork):
    """Gives a policy's outputs and a value: two Keras models, or one with two outputs.

    Args:
        actor: Gives the policy's outputs ``[B, K]``, or these and values ``[B, 1]``.
        critic: Gives values ``[B, 1]``; None where the actor does.
        example: One observation.
        num_outputs: K.
        outputs_mean: What each output stands for, for error messages.

    Raises:
        IncompatibleModelError: A model does not take such observations, or its outputs do not fit.
    """

    has_values = True

    def __init__(
        self, actor: keras.Model, critic: keras.Model | None, example: Any, num_outputs: int, outputs_mean: str
    ) -> None:
        inputs, shapes = probe(actor, example)
        check_actor(actor, critic, shapes, num_outputs, outputs_mean)
        super().__init__(actor, inputs)
        self.critic = critic
        self._critic_inputs = self.inputs
        if critic is not None:
            self._critic_inputs, shapes = probe(critic, example)
            check_critic(critic, shapes, "the value")
        self._places = places_of(self._critic_inputs, self.inputs.paths, self.inputs.names)
        self._gives_outputs_only = critic is not None

    def __call__(self, parts: Sequence[Any]) -> tuple[Any, Any]:
        """Return outputs ``[B, K]`` and values ``[B]`` in float32; can be traced."""
        results = self._results(parts)
        values = self.value(parts) if self.critic is not None else tf.cast(results[1][:, 0], tf.float32)
        return tf.cast(results[0], tf.float32), values

    def trained_on(self, parts: Sequence[Any]) -> tuple[Any, Any, Any]:
        """Return outputs, values, and what the models add to the loss, each regulariser once; can be traced."""
        results = self._results(parts)
        added = model_losses.from_call(self.actor)  # before the critic's call, which forgets those of shared layers
        if self.critic is None:
            values = tf.cast(results[1][:, 0], tf.float32)
        else:
            values = self.value(parts)
            added += model_losses.from_call(self.critic)
        added += model_losses.from_weights(self.trainable_variables)
        return tf.cast(results[0], tf.float32), values, model_losses.total(added)

    def value(self, parts: Sequence[Any]) -> Any:
        """Return values ``[B]`` in float32; can be traced."""
        if self.critic is None:
            return self(parts)[1]
        own = [parts[place] for place in self._places]
        return tf.cast(self.critic(_packed(self._critic_inputs, own), training=False)[:, 0], tf.float32)


def _packed(inputs: ModelInputs, parts: Sequence[Any]) -> Any:
    return inputs.pack([tf.cast(part, dtype) for part, dtype in zip(parts, inputs.dtypes, strict=True)])


def check_actor(actor: Any, critic: Any, shapes: list[tuple[int, ...]], num_outputs: int, outputs_mean: str) -> None:
    """Raise unless an actor gives a policy's outputs, and values where no critic does."""
    expected = [num_outputs] if critic is not None else [num_outputs, 1]
    if [len(shape) for shape in shapes] != [2] * len(expected) or [shape[1] for shape in shapes] != expected:
        values = "" if critic is not None else " and, as there is no critic, one of shape (batch, 1): the value"
        raise IncompatibleModelError(
            f"Actor '{actor.name}' must give one output of shape (batch, {num_outputs}): {outputs_mean}{values}. "
            f"It gives {len(shapes)} of shapes {shapes}. End it with keras.layers.Dense({num_outputs})."
        )


def check_critic(critic: Any, shapes: list[tuple[int, ...]], value_of: str) -> None:
    """Raise unless a critic gives one value, ``[batch, 1]``."""
    if len(shapes) != 1 or shapes[0][1:] != (1,):
        raise IncompatibleModelError(
            f"Critic '{critic.name}' must give one output of shape (batch, 1): {value_of}. It gives {len(shapes)} of "
            f"shapes {shapes}. End it with keras.layers.Dense(1)."
        )


def places_of(wanted: ModelInputs, given: Sequence[Path], names: Sequence[str]) -> list[int]:
    """Return which of the given parts a critic takes, in its order; of a Dict it may leave some out.

    Args:
        wanted: What the critic takes.
        given: Where in an observation the parts are that the actor takes.
        names: What the actor calls them.

    Raises:
        IncompatibleModelError: The critic takes a part that the actor does not.
    """
    for name, path in zip(wanted.names, wanted.paths, strict=True):
        if path not in given:
            raise IncompatibleModelError(
                f"The critic takes the part {name!r} of an observation, which the actor does not: it takes "
                f"{list(names)}. Give the actor an input of that name too; it may leave it unused."
            )
    return [given.index(path) for path in wanted.paths]
