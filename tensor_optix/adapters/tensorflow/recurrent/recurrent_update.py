"""The clipped-surrogate update of a policy that remembers: minibatches are whole sequences of steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tensor_optix.adapters.tensorflow.learning.surrogate_update import Rated, SurrogateUpdate
from tensor_optix.adapters.tensorflow.learning.window_steps import Steps
from tensor_optix.adapters.tensorflow.models.memory_models import StateSpec
from tensor_optix.adapters.tensorflow.recurrent.recurrent_network import RecurrentActorCritic
from tensor_optix.exceptions import InvalidArgumentError
from tensor_optix.functional.sequences import in_sequences


class RecurrentUpdate(SurrogateUpdate):
    """Runs through a window once, and learns from it in sequences, each from the states that it began with.

    States are zeros where an episode begins, also inside a sequence. Gradients stop where a sequence begins.

    Args:
        network: Policy and value function with memory.
        args: See :class:`SurrogateUpdate`.
        sequence_length: L, steps of a sequence.
    """

    _network: RecurrentActorCritic

    def __init__(self, network: RecurrentActorCritic, *args: Any, sequence_length: int) -> None:
        super().__init__(network, *args)
        self.rows_per_draw = sequence_length
        self._unroll_compiled = tf.function(network.unroll, autograph=False, jit_compile=self.rule.jit_compile)

    def drawable(self, valid: np.ndarray) -> np.ndarray:
        """Return which sequences hold a step that is valid, ``[S]``."""
        drawable: np.ndarray = np.any(in_sequences(valid, self.rows_per_draw), axis=0)
        return drawable

    def rate(self, steps: Steps) -> Rated:
        """Return what policy and value function say along a window."""
        length = self.rows_per_draw
        actions = tf.constant(steps.actions.reshape(-1, *steps.actions.shape[2:]))
        window = {
            "seen": [tf.constant(part) for part in steps.flat_observations()],
            "first": tf.constant(steps.first),
            "states": [tf.constant(x) for x in initial_states(steps, self._network.states)],
        }
        successors, cut = [tf.constant(x) for x in steps.successors], np.flatnonzero(steps.cut).astype(np.int32)
        masks = self._masks(steps)
        given = (window["seen"], window["first"], window["states"], actions, masks, successors, tf.constant(cut))
        told = self._function("rate", masks)(*given)
        seen, starts, rated, successor_values = told
        log_probs, values = rated.numpy()
        sequences = {
            "seen": [tf.constant(self._laid_out(part.numpy(), steps)) for part in seen],
            "first": tf.constant(in_sequences(np.asarray(steps.first), length)),
            "states": starts,
        }
        laid_out = tf.constant(self._laid_out(actions.numpy(), steps))
        allowed = [tf.constant(self._laid_out(mask.numpy(), steps)) for mask in masks]
        return Rated(steps, sequences, laid_out, log_probs, values, successor_values.numpy(), allowed)

    def _laid_out(self, numbers: np.ndarray, steps: Steps) -> np.ndarray:
        """Return ``[T * N, ...]`` as ``[L * S, ...]``: step by step, at each step all sequences."""
        found = in_sequences(numbers.reshape(*steps.rewards.shape, *numbers.shape[1:]), self.rows_per_draw)
        return found.reshape(-1, *found.shape[2:])

    def _trace_rate(self, mask_specs: Sequence[Any]) -> Any:
        length = self.rows_per_draw

        def rate(seen: Any, first: Any, states: Any, actions: Any, masks: Any, successors: Any, cut: Any) -> Any:
            self.num_traces += 1
            seen = self._normalize(seen)
            outputs, values, after = self._unroll_compiled({"seen": seen, "first": first, "states": states})
            log_probs = self._log_prob(outputs, actions, masks)
            starts = [
                tf.reshape(tf.concat([begin[None], x[length - 1 : -1 : length]], axis=0), (-1, *x.shape[2:]))
                for begin, x in zip(states, after, strict=True)
            ]
            reached = [tf.gather(tf.reshape(x, (-1, *x.shape[2:])), cut) for x in after]
            following = self._network.value_of_step(self._normalize(successors), reached)
            return seen, starts, tf.stack([log_probs, values]), following

        parts, actions = self._specs
        first, cut = tf.TensorSpec((None, None), tf.bool), tf.TensorSpec((None,), tf.int32)
        signature = [parts, first, self._state_specs, actions, mask_specs, parts, cut]
        return tf.function(rate, input_signature=signature, autograph=False).get_concrete_function()

    def _rated_specs(self, mask_specs: Sequence[Any]) -> Any:
        seen = super()._rated_specs(mask_specs)
        first = tf.TensorSpec((self.rows_per_draw, None), tf.bool)
        return {"seen": seen, "first": first, "states": self._state_specs}

    @property
    def _state_specs(self) -> list[tf.TensorSpec]:
        return [tf.TensorSpec((None, *spec.shape), spec.dtype) for spec in self._network.states]

    def _drawn(self, rows: Mapping[str, Any], draws: Any) -> Any:
        parts = rows["parts"]
        first = tf.gather(parts["first"], draws, axis=1)
        num_sequences = tf.shape(parts["first"])[1]
        places = tf.reshape(tf.range(self.rows_per_draw)[:, None] * num_sequences + draws, [-1])
        return {
            "parts": {
                "seen": [tf.gather(x, places) for x in parts["seen"]],
                "first": first,
                "states": [tf.gather(x, draws) for x in parts["states"]],
            },
            "actions": tf.gather(rows["actions"], places),
            "masks": [tf.gather(x, places) for x in rows["masks"]],
            "numbers": tf.gather(rows["numbers"], places),
        }

    def _shares(self, valid: Any) -> Any:
        return valid / tf.reduce_sum(valid)


def initial_states(steps: Steps, specs: Sequence[StateSpec]) -> list[np.ndarray]:
    """Return the states at a window's first step, ``[N, ...]`` each; zeros where the window does not tell them.

    Raises:
        InvalidArgumentError: It tells others than the policy has.
    """
    num_envs = steps.rewards.shape[1]
    if steps.initial_states is None:
        return [spec.zeros(num_envs) for spec in specs]
    told = [np.asarray(x) for x in steps.initial_states]
    if len(told) == len(specs):
        shaped = [x[None] if x.shape == spec.shape else x for x, spec in zip(told, specs, strict=True)]
        if all(x.shape == (num_envs, *spec.shape) for x, spec in zip(shaped, specs, strict=True)):
            return [np.asarray(x, spec.dtype) for x, spec in zip(shaped, specs, strict=True)]
    expected = [(num_envs, *spec.shape) for spec in specs]
    raise InvalidArgumentError(
        f"`initial_states` of a window must be {len(specs)} arrays of the shapes {expected}. "
        f"Received: {[x.shape for x in told]}. What a pipeline records fits; None stands for zeros."
    )
