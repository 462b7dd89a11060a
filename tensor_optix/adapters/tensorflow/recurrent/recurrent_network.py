"""A policy with a value function, of which at least one remembers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from tensor_optix.adapters.tensorflow.acting.model_inputs import ModelInputs
from tensor_optix.adapters.tensorflow.learning import model_losses
from tensor_optix.adapters.tensorflow.learning.actor_critic import PolicyNetwork, check_actor, check_critic, places_of
from tensor_optix.adapters.tensorflow.models.memory_models import MemoryModel, StateSpec, memory_of
from tensor_optix.adapters.tensorflow.models.model_checks import probe
from tensor_optix.adapters.tensorflow.models.observation_normalizer import ObservationNormalizer
from tensor_optix.adapters.tensorflow.recurrent.stepped_model import SteppedModel


class RecurrentActorCritic(PolicyNetwork):
    """Gives a policy's outputs and values along sequences: two Keras models, or one that gives both.

    Where others take the parts of ``B`` observations, it takes ``sequences``: ``seen``, one tensor ``[L * B, ...]``
    for each part of an observation, step by step; ``first``, ``[L, B]`` bool, where an episode begins; and ``states``
    at the first step, ``[B, ...]`` each. What it gives is of ``L * B`` rows.

    Args:
        actor: Gives the policy's outputs ``[B, K]``, or these and values ``[B, 1]``.
        critic: Gives values ``[B, 1]``; None where the actor does.
        example: One observation.
        num_outputs: K.
        outputs_mean: What each output stands for, for error messages.

    Attributes:
        states: All that is remembered from step to step: the actor's, then the critic's.

    Raises:
        IncompatibleModelError: A model does not take such observations, or outputs or states do not fit.
    """

    has_values = True

    def __init__(self, actor: Any, critic: Any, example: Any, num_outputs: int, outputs_mean: str) -> None:
        self._policy = runner_of(actor, example)
        check_actor(actor, critic, self._policy.output_shapes, num_outputs, outputs_mean)
        super().__init__(actor, self._policy.inputs)
        self.policy_memory = self._policy.memory
        self.critic = critic
        self._valuing: _Plain | _Remembering | None = None
        self.states: tuple[StateSpec, ...] = self._policy.states
        if critic is not None:
            self._valuing = runner_of(critic, example)
            check_critic(critic, self._valuing.output_shapes, "the value")
            self._places = places_of(self._valuing.inputs, self.inputs.paths, self.inputs.names)
            self.states += self._valuing.states

    def unroll(self, sequences: Mapping[str, Any]) -> tuple[Any, Any, list[Any]]:
        """Return outputs ``[L * B, K]``, values ``[L * B]``, and states after each step, ``[L, B, ...]`` each."""
        (outputs, *more), after = self._run(self._policy, sequences)
        if self._valuing is not None:
            more, after_critic = self._run(self._valuing, sequences)
            after = [*after, *after_critic]
        return tf.cast(outputs, tf.float32), tf.cast(more[0][:, 0], tf.float32), after

    def trained_on(self, sequences: Any) -> tuple[Any, Any, Any]:
        """Return outputs, values, and what the models add to the loss, each regulariser once; can be traced."""
        (outputs, *more), _ = self._run(self._policy, sequences)
        added = self._policy.added_losses()
        if self._valuing is not None:
            more, _ = self._run(self._valuing, sequences)
            added += self._valuing.added_losses()
        added += model_losses.from_weights(self.trainable_variables)
        return tf.cast(outputs, tf.float32), tf.cast(more[0][:, 0], tf.float32), model_losses.total(added)

    def outputs(self, sequences: Any) -> Any:
        """Return outputs ``[L * B, K]`` in float32; can be traced."""
        return tf.cast(self._run(self._policy, sequences)[0][0], tf.float32)

    def value_of_step(self, parts: Sequence[Any], states: Sequence[Any]) -> Any:
        """Return the values ``[B]`` of observations that follow on these states, in float32; can be traced."""
        if self._valuing is None:
            values = self._policy.step(parts, states[: len(self._policy.states)])[1]
        else:
            values = self._valuing.step([parts[i] for i in self._places], states[len(self._policy.states) :])[0]
        return tf.cast(values[:, 0], tf.float32)

    def acting_model(self, normalizer: ObservationNormalizer) -> keras.Model:
        """Return what acting runs: ``[raw observation, *states]`` in, ``[outputs, *new states]`` out."""
        tensors = self.inputs.tensors()
        states = [keras.Input(x.shape, dtype=x.dtype.name, name=f"state_{i}") for i, x in enumerate(self.states)]
        seen, count = normalizer(tensors), len(self._policy.states)
        results, after = self._policy.called(seen, states[:count])
        if self._valuing is not None and self._valuing.states:
            after = after + self._valuing.called([seen[i] for i in self._places], states[count:])[1]
        return keras.Model([self.inputs.structured(tensors), *states], [results[0], *after])

    def _run(self, runner: _Plain | _Remembering, sequences: Mapping[str, Any]) -> tuple[list[Any], list[Any]]:
        seen, states, count = sequences["seen"], sequences["states"], len(self._policy.states)
        if runner is self._policy:
            return runner.unroll(seen, sequences["first"], states[:count])
        return runner.unroll([seen[i] for i in self._places], sequences["first"], states[count:])


class _Plain:
    """A model without memory, run as one with none of it."""

    states: tuple[StateSpec, ...] = ()
    memory: MemoryModel | None = None

    def __init__(self, model: Any, inputs: ModelInputs, output_shapes: list[tuple[int, ...]]) -> None:
        self._model, self.inputs, self.output_shapes = model, inputs, output_shapes

    def unroll(self, seen: Sequence[Any], first: Any, states: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        return self.step(seen, states), []

    def step(self, parts: Sequence[Any], states: Sequence[Any]) -> list[Any]:
        return self.called([tf.cast(x, d) for x, d in zip(parts, self.inputs.dtypes, strict=True)], states)[0]

    def called(self, parts: Sequence[Any], states: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        return keras.tree.flatten(self._model(self.inputs.pack(list(parts)), training=False)), []

    def added_losses(self) -> list[Any]:
        return model_losses.from_call(self._model)


class _Remembering:
    """A model with memory."""

    def __init__(self, memory: MemoryModel) -> None:
        memory.check()
        self.inputs, self.states, self.output_shapes = memory.inputs, memory.states, memory.output_shapes
        self.memory: MemoryModel | None = memory
        self._pack, self._call, self._stepped = memory.pack, memory.model, SteppedModel(memory)

    def unroll(self, seen: Sequence[Any], first: Any, states: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        return self._stepped.unroll(seen, first, states)

    def step(self, parts: Sequence[Any], states: Sequence[Any]) -> list[Any]:
        return self._stepped.step(parts, states)

    def called(self, parts: Sequence[Any], states: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        found = keras.tree.flatten(self._call(self._pack(parts, states), training=False))
        return found[: -len(self.states)], found[-len(self.states) :]

    def added_losses(self) -> list[Any]:
        return self._stepped.added_losses()


def runner_of(model: Any, example: Any) -> _Plain | _Remembering:
    """Return what runs a model along sequences, whether it remembers or not.

    Raises:
        IncompatibleModelError: It does not take such an observation, or its states do not come back as they went in.
    """
    memory = memory_of(model, example)
    return _Plain(model, *probe(model, example)) if memory is None else _Remembering(memory)
