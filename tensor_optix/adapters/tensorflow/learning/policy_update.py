"""The policy's update: all gradient steps of one ``learn`` as one traced function."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from tensor_optix.adapters.tensorflow.actions.action_sampler import Density
from tensor_optix.adapters.tensorflow.learning.fused_adam import apply_gradients
from tensor_optix.adapters.tensorflow.learning.losses import approximate_kl, clipped_surrogate_with_slopes
from tensor_optix.adapters.tensorflow.saving.agent_arrays import undo_unless

BATCH_SIZE = 256
"""Steps of a minibatch: fixed, so that nothing about shapes is left to be worked out in each step."""

SETTINGS = ("learning_rate_factor", "clip_ratio", "entropy_coef", "kl_limit")


@dataclass(frozen=True)
class UpdateResult:
    """What an update came to.

    Attributes:
        log_probs: Of all actions under the policy before the update, ``[B]``.
        diagnostics: ``loss``, ``grad_norm`` and ``entropy`` are means over the gradient steps taken.
        finite: Whether all losses and gradients were; if not, no variable has changed.
        base_rate: The optimizer's learning rate, as it was before the factor of this update.
    """

    log_probs: np.ndarray
    diagnostics: dict[str, float]
    finite: bool
    base_rate: float


class PolicyUpdate:
    """Minimises the clipped surrogate loss over minibatches, within a KL limit.

    Traced once: minibatches and settings come in as tensors. The model runs at inference
    (``training=False``) as it does when acting, so ratios start at 1 with Dropout and
    BatchNormalization too.

    Args:
        call: The model as a function of a list of observation parts.
        distribution: The policy's density on the model's outputs.
        groups: Pairs of a Keras optimizer and the variables it trains; the first one's learning
            rate holds for all.
        part_specs: Shape and dtype of each observation part, batch first.
        action_spec: Shape and dtype of encoded actions, batch first.
    """

    def __init__(
        self,
        call: Callable[[list[Any]], Any],
        distribution: Density,
        groups: Sequence[tuple[Any, Sequence[Any]]],
        part_specs: Sequence[tf.TensorSpec],
        action_spec: tf.TensorSpec,
    ) -> None:
        self._call = call
        self._distribution = distribution
        self._groups = [(optimizer, list(variables)) for optimizer, variables in groups]
        self.num_traces = 0
        row = tf.TensorSpec((None,), tf.float32)
        signature = [
            list(part_specs),
            action_spec,
            row,
            row,
            tf.TensorSpec((None, BATCH_SIZE), tf.int32),
            tf.TensorSpec((len(SETTINGS),), tf.float32),
        ]
        self._traced = tf.function(self._run, input_signature=signature, autograph=False)

    @functools.cached_property
    def _concrete(self) -> Any:
        return self._traced.get_concrete_function()

    def __call__(
        self,
        parts: Sequence[np.ndarray],
        actions: np.ndarray,
        advantages: np.ndarray,
        log_probs: np.ndarray,
        batches: np.ndarray,
        settings: dict[str, float],
    ) -> UpdateResult:
        """Take the gradient steps.

        Args:
            parts: One array ``[B, ...]`` per part of an observation.
            actions: Encoded actions, ``[B]`` or ``[B, K]``.
            advantages: ``[B]``, of about unit spread.
            log_probs: Of the actions under the policy that took them, ``[B]``; NaN where that is
                the policy as it is now.
            batches: Row numbers, ``[num_steps, BATCH_SIZE]`` int32.
            settings: A value for each name in ``SETTINGS``.
        """
        vector = np.array([settings[name] for name in SETTINGS], np.float32)
        rows = [np.asarray(x, np.float32) for x in (advantages, log_probs)]
        # A concrete function on tensors: finding the trace and converting the rest would cost half a millisecond.
        actions, *rows, batches, vector = (tf.constant(x) for x in (actions, *rows, batches, vector))
        before, numbers = self._concrete([tf.constant(part) for part in parts], actions, *rows, batches, vector)
        loss, grad_norm, entropy, steps, kl, drift, finite, base_rate = numbers.numpy().tolist()
        taken = max(steps, 1.0)
        diagnostics = {
            "loss": loss / taken,
            "grad_norm": grad_norm / taken,
            "entropy": entropy / taken,
            "kl": kl,
            "kl_from_behaviour": drift,
            "num_gradient_steps": steps,
        }
        return UpdateResult(before.numpy(), diagnostics, bool(finite), base_rate)

    def _run(self, parts: Any, actions: Any, advantages: Any, log_probs: Any, batches: Any, settings: Any) -> Any:
        self.num_traces += 1
        factor, clip_ratio, entropy_coef, kl_limit = tf.unstack(settings)
        variables = [v for optimizer, own in self._groups for v in (*optimizer.variables, *own)]
        saved = [tf.identity(v) for v in variables]
        before = self._distribution.log_prob(self._call(parts), actions)
        behaviour = tf.where(tf.math.is_nan(log_probs), before, log_probs)
        base_rate = tf.identity(self._groups[0][0].learning_rate)
        for optimizer, _ in self._groups:
            optimizer.learning_rate.assign(base_rate * factor)

        numbers = tf.stack([advantages, behaviour, before], axis=1)

        def step(i: Any, sums: Any, _going: Any, _finite: Any) -> Any:
            rows = batches[i]
            *seen, taken, known = (tf.gather(x, rows) for x in (*parts, actions, numbers))
            loss, grads, kl, entropy = self._gradients(
                seen, taken, *tf.unstack(known, axis=1), clip_ratio, entropy_coef
            )
            norm = tf.linalg.global_norm([g for group in grads for g in group])
            finite = tf.math.is_finite(loss + norm)
            going = finite & (kl <= kl_limit)
            tf.cond(going, lambda: self._apply(grads), lambda: tf.constant(0))
            counted = tf.where(going, tf.stack([loss, norm, entropy, 1.0]), tf.zeros(4))
            return i + 1, sums + counted, going, finite

        _, sums, _, finite = tf.while_loop(
            lambda i, _sums, going, _finite: (i < tf.shape(batches)[0]) & going,
            step,
            (tf.constant(0), tf.zeros(4), tf.constant(True), tf.constant(True)),
        )
        for optimizer, _ in self._groups:
            optimizer.learning_rate.assign(base_rate)
        after = self._distribution.log_prob(self._call(parts), actions)
        kl, drift = approximate_kl(after - before), approximate_kl(after - behaviour)
        finite = finite & tf.math.is_finite(kl + drift)
        undo_unless(finite, variables, saved)
        told = tf.stack([kl, drift, tf.cast(finite, tf.float32), tf.cast(base_rate, tf.float32)])
        return before, tf.concat([sums, told], axis=0)

    def _gradients(
        self,
        parts: Any,
        actions: Any,
        advantages: Any,
        behaviour: Any,
        before: Any,
        clip_ratio: Any,
        entropy_coef: Any,
    ) -> Any:
        sources = [[getattr(v, "value", v) for v in own] for _, own in self._groups]
        with tf.GradientTape() as tape:
            outputs = self._call(parts)
            log_probs = self._distribution.log_prob(outputs, actions)
            entropies = self._distribution.entropy(outputs)
        surrogate, slopes = clipped_surrogate_with_slopes(log_probs - behaviour, advantages, clip_ratio)
        entropy = tf.reduce_mean(entropies)
        loss = surrogate - entropy_coef * entropy
        entropy_slopes = tf.fill(tf.shape(entropies), -entropy_coef / tf.cast(tf.size(entropies), tf.float32))
        grads = tape.gradient([log_probs, entropies], sources, [slopes, entropy_slopes])
        # Some inputs of the model may not lead to its output: their variables stay as they are.
        dense = [
            [tf.zeros_like(v) if g is None else tf.convert_to_tensor(g) for g, v in zip(group, own, strict=True)]
            for group, own in zip(grads, sources, strict=True)
        ]
        return loss, dense, approximate_kl(log_probs - before), entropy

    def _apply(self, grads: Any) -> Any:
        for (optimizer, variables), group in zip(self._groups, grads, strict=True):
            apply_gradients(optimizer, group, variables)
        return tf.constant(0)
