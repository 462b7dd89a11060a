"""PPO's update: what a window is worth, and all gradient steps of one ``learn`` as one traced function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf

from tensor_optix.adapters.tensorflow.actions.action_sampler import Density
from tensor_optix.adapters.tensorflow.learning.fused_adam import apply_gradients
from tensor_optix.adapters.tensorflow.learning.losses import approximate_kl, clipped_surrogate_loss
from tensor_optix.adapters.tensorflow.learning.window_steps import Steps
from tensor_optix.adapters.tensorflow.saving.agent_arrays import undo_unless
from tensor_optix.algorithms.actor_critic import ActorCritic
from tensor_optix.algorithms.advantages import advantages_and_returns, explained_variance, standardized
from tensor_optix.algorithms.gradient_loop import dense_gradients

SETTINGS = ("learning_rate_factor", "clip_ratio", "entropy_coef", "value_coef", "max_grad_norm", "kl_limit")
"""Those that the gradient steps read."""

COLUMNS = ("advantages", "returns", "behaviour", "before", "valid")
"""Numbers of each step that the gradient steps read: log-probabilities are those of the policy that acted, and of the
one that learns, before it does."""

STEP_MEANS = ("loss", "policy_loss", "value_loss", "entropy", "clip_fraction", "grad_norm")
"""Diagnostics that are means over the gradient steps taken."""

KL_ROWS = 512
"""Over about so many rows the KL divergence is averaged before it may end an update: that of one minibatch is noise."""

_EPSILON = 1e-8


class PPOUpdate:
    """Turns one window into gradient steps.

    Traced once: minibatches, their number and all settings come in as tensors.

    Args:
        network: Policy and value function.
        normalize: Maps observation parts to what the network takes; it must not change meanwhile.
        distribution: The policy's density on the network's outputs.
        optimizer: A Keras optimizer, built for ``variables``.
        variables: What it trains.
        part_specs: Shape and dtype of each observation part, batch first.
        action_spec: Shape and dtype of encoded actions, batch first.
        jit_compile: Whether XLA compiles the gradient steps, anew for each new size of a window. All else has
            sizes that differ from window to window, and would only add to what is compiled.

    Attributes:
        num_traces: How often it was traced.
    """

    def __init__(
        self,
        network: ActorCritic,
        normalize: Callable[[Sequence[Any]], list[Any]],
        distribution: Density,
        optimizer: Any,
        variables: Sequence[Any],
        part_specs: Sequence[tf.TensorSpec],
        action_spec: tf.TensorSpec,
        jit_compile: bool,
    ) -> None:
        self._network = network
        self._normalize = normalize
        self._distribution = distribution
        self._optimizer = optimizer
        self._variables = list(variables)
        self._specs = (list(part_specs), action_spec)
        self.num_traces = 0
        self._take_steps_compiled = tf.function(self._take_steps, autograph=False, jit_compile=jit_compile)

    def __call__(
        self, steps: Steps, rewards: np.ndarray, batches: np.ndarray, num_steps: int, settings: Mapping[str, float]
    ) -> tuple[dict[str, float], bool]:
        """Take ``num_steps`` gradient steps, fewer if the KL limit is reached.

        Args:
            steps: The window.
            rewards: ``[T, N]``, scaled.
            batches: Row numbers, ``[at least num_steps, batch_size]`` int32.
            num_steps: How many of the batches to use.
            settings: A value for each name in ``SETTINGS``, ``gamma`` and ``gae_lambda``.

        Returns:
            Diagnostics, and whether everything was finite; if not, no variable has changed.
        """
        # Concrete functions on tensors: finding a trace and converting arrays would cost a millisecond a call.
        actions = tf.constant(steps.actions.reshape(-1, *steps.actions.shape[2:]))
        observations, successors = ([tf.constant(x) for x in y] for y in (steps.flat_observations(), steps.successors))
        parts, rated, successor_values = self._rate(observations, successors, actions)
        before, values = rated.numpy()
        with np.errstate(all="ignore"):  # what is not finite is told and undone
            advantages, returns = advantages_and_returns(
                steps, rewards, values, successor_values.numpy(), settings["gamma"], settings["gae_lambda"]
            )
            numbers = _numbers_of(steps, before, advantages, returns)
            explained = explained_variance(values, returns, steps.valid.reshape(-1))
        limits = np.array([settings[name] for name in SETTINGS], np.float32)
        drawn = [tf.constant(x) for x in (numbers, batches, np.int32(num_steps), limits)]
        sums = self._learn(parts, actions, *drawn).numpy().tolist()
        *totals, taken, kl, finite = sums
        diagnostics = {name: total / max(taken, 1.0) for name, total in zip(STEP_MEANS, totals, strict=True)}
        diagnostics |= {"kl": kl, "explained_variance": explained, "num_gradient_steps": taken}
        return diagnostics, bool(finite)

    @cached_property
    def _rate(self) -> Any:
        """What the policy and the value function say of a window, before anything is learned."""

        def rate(parts: Any, successors: Any, actions: Any) -> Any:
            self.num_traces += 1
            parts = self._normalize(parts)
            outputs, values = self._network(parts)
            before = self._distribution.log_prob(outputs, actions)
            return parts, tf.stack([before, values]), self._network.value(self._normalize(successors))

        parts, actions = self._specs
        return _traced(rate, [parts, parts, actions])

    @cached_property
    def _learn(self) -> Any:
        """All gradient steps, and what became of the policy: the sums, steps taken, KL divergence, all finite."""

        def learn(parts: Any, actions: Any, numbers: Any, batches: Any, num_steps: Any, settings: Any) -> Any:
            self.num_traces += 1
            settings = dict(zip(SETTINGS, tf.unstack(settings), strict=True))
            variables = [*self._variables, *self._optimizer.variables]
            saved = [tf.identity(v) for v in variables]
            rows = {"parts": parts, "actions": actions, "numbers": numbers}
            sums, finite = self._take_steps_compiled(rows, batches, num_steps, settings)
            before, valid = numbers[:, COLUMNS.index("before")], numbers[:, COLUMNS.index("valid")]
            log_ratio = self._distribution.log_prob(self._network.outputs(parts), actions) - before
            kl = tf.math.divide_no_nan(approximate_kl(log_ratio * valid), tf.reduce_mean(valid))
            finite = finite & tf.math.is_finite(kl)
            undo_unless(finite, variables, saved)
            return tf.concat([sums, tf.stack([kl, tf.cast(finite, tf.float32)])], axis=0)

        _, action_spec = self._specs
        parts = [tf.TensorSpec(part.shape, part.dtype) for part in self._rate.structured_outputs[0]]
        numbers, settings = tf.TensorSpec((None, len(COLUMNS))), tf.TensorSpec((len(SETTINGS),))
        batches, num_steps = tf.TensorSpec((None, None), tf.int32), tf.TensorSpec((), tf.int32)
        signature = [parts, action_spec, numbers, batches, num_steps, settings]
        return _traced(learn, signature)

    def _take_steps(self, rows: dict[str, Any], batches: Any, num_steps: Any, settings: Mapping[str, Any]) -> Any:
        """Return the sums of ``STEP_MEANS`` and the number of steps taken, and whether all was finite."""
        rate = self._optimizer.learning_rate
        base_rate = tf.identity(rate)
        rate.assign(base_rate * settings["learning_rate_factor"])
        weight = tf.minimum(1.0, tf.cast(tf.shape(batches)[1], tf.float32) / KL_ROWS)

        def step(i: Any, sums: Any, mean_kl: Any, _going: Any, _finite: Any) -> Any:
            batch = tf.nest.map_structure(lambda x: tf.gather(x, batches[i]), rows)
            with tf.GradientTape() as tape:
                loss, statistics, kl = self._loss(batch, settings)
            grads = dense_gradients(tape, loss, self._variables)
            norm = tf.norm(tf.concat([tf.reshape(g, [-1]) for g in grads], axis=0))  # compiles faster than global_norm
            shrink = tf.minimum(1.0, settings["max_grad_norm"] / (norm + _EPSILON))
            apply_gradients(self._optimizer, [g * shrink for g in grads], self._variables)
            mean_kl += weight * (kl - mean_kl)
            finite = tf.math.is_finite(loss + norm)
            going = finite & (mean_kl <= settings["kl_limit"])
            return i + 1, sums + tf.stack([loss, *statistics, norm, 1.0]), mean_kl, going, finite

        yes = tf.constant(True)
        _, sums, _, _, finite = tf.while_loop(
            lambda i, _sums, _kl, going, _finite: (i < num_steps) & going,
            step,
            (tf.constant(0), tf.zeros(len(STEP_MEANS) + 1), tf.constant(0.0), yes, yes),
        )
        rate.assign(base_rate)
        return sums, finite

    def _loss(self, batch: dict[str, Any], settings: dict[str, Any]) -> Any:
        """Return PPO's loss on one minibatch, its parts, and the KL divergence from before the update."""
        advantages, returns, behaviour, before, _ = tf.unstack(batch["numbers"], axis=1)
        outputs, values = self._network(batch["parts"])
        log_probs = self._distribution.log_prob(outputs, batch["actions"])
        entropy = tf.reduce_mean(self._distribution.entropy(outputs))
        policy_loss = clipped_surrogate_loss(log_probs - behaviour, advantages, settings["clip_ratio"])
        value_loss = tf.reduce_mean(tf.square(values - returns))
        loss = policy_loss + settings["value_coef"] * value_loss - settings["entropy_coef"] * entropy
        is_clipped = tf.abs(tf.exp(log_probs - behaviour) - 1.0) > settings["clip_ratio"]
        clip_fraction = tf.reduce_mean(tf.cast(is_clipped, tf.float32))
        kl = approximate_kl(log_probs - before)
        return loss, (policy_loss, value_loss, entropy, clip_fraction), kl


def _traced(function: Callable[..., Any], signature: Sequence[Any]) -> Any:
    return tf.function(function, input_signature=signature, autograph=False).get_concrete_function()


def _numbers_of(steps: Steps, before: np.ndarray, advantages: np.ndarray, returns: np.ndarray) -> np.ndarray:
    """Return ``COLUMNS`` side by side, ``[T * N, 5]`` float32."""
    valid, recorded = steps.valid.reshape(-1), steps.log_probs.reshape(-1)
    behaviour = np.where(np.isnan(recorded), before, recorded)
    return np.stack([standardized(advantages, valid), returns, behaviour, before, valid], axis=1).astype(np.float32)
