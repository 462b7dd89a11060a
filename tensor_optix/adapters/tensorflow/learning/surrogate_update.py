"""The clipped-surrogate update: all gradient steps on some steps as one traced call, within a KL limit.

See "Proximal Policy Optimization Algorithms" (Schulman et al., 2017).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from tensor_optix.adapters.tensorflow.actions.action_sampler import Density
from tensor_optix.adapters.tensorflow.learning.actor_critic import PolicyNetwork
from tensor_optix.adapters.tensorflow.learning.keras_optimizers import apply_gradients
from tensor_optix.adapters.tensorflow.learning.loss_scale import loss_scale, told_norm
from tensor_optix.adapters.tensorflow.learning.losses import (
    approximate_kl,
    clipped_surrogate,
    dense_gradients,
    mean_of,
)
from tensor_optix.adapters.tensorflow.learning.window_steps import Steps
from tensor_optix.adapters.tensorflow.saving.agent_arrays import undo_unless
from tensor_optix.exceptions import NonFiniteError

SETTINGS = ("learning_rate_factor", "clip_ratio", "entropy_coef", "value_coef", "max_grad_norm", "kl_limit")
"""Those that the gradient steps read."""

COLUMNS = ("advantages", "returns", "behaviour", "before", "valid")
"""Numbers of each step that the gradient steps read: log-probabilities are those of the policy that acted, and of the
one that learns, before it does."""

STEP_MEANS = ("loss", "policy_loss", "value_loss", "entropy", "clip_fraction", "grad_norm")
"""Diagnostics that are means over the gradient steps taken."""

_EPSILON = 1e-8


@dataclass(frozen=True)
class Rated:
    """What policy and value function say of some steps, before anything is learned from them.

    Attributes:
        steps: The steps, B of them.
        parts: Their observations as the network takes them, one tensor ``[B, ...]`` each; sequences of them, where
            it remembers.
        actions: A tensor of the encoded actions.
        log_probs: Of the actions, ``[B]``.
        values: ``[B]``.
        successor_values: Of ``steps.successors``, ``[C]``. All three are None where the network has no value function.
        masks: A tensor of what was allowed, ``[B, A]``, in a list; an empty one where that was everything.
    """

    steps: Steps
    parts: Any
    actions: Any
    log_probs: Any = None
    values: Any = None
    successor_values: Any = None
    masks: Sequence[Any] = ()


@dataclass(frozen=True)
class StepRule:
    """How the gradient steps of one update follow each other.

    Attributes:
        kl_rows: Over about so many rows the KL divergence is averaged before it may end an update: that of a few
            is noise.
        oversteps: Whether the gradient step that starts beyond the KL limit is the last one, or is left out.
        bounds_norm: Whether the norm of all gradients together is bounded.
        batch_size: Rows of a minibatch, where they are always as many: then no shape is worked out in each step.
        jit_compile: Whether XLA compiles the gradient steps, anew for each new size of a window. All else has
            sizes that differ from window to window, and would only add to what is compiled.
    """

    kl_rows: int
    oversteps: bool
    bounds_norm: bool
    batch_size: int | None = None
    jit_compile: bool = False


class SurrogateUpdate:
    """Turns steps and their advantages into gradient steps.

    Traced once: minibatches, their number and all settings come in as tensors. The network runs at inference, as it
    does when acting, so ratios start at 1 with Dropout and BatchNormalization too.

    Args:
        network: Policy, and value function where it has one.
        normalize: Maps observation parts to what the network takes; it must not change meanwhile.
        density: How likely actions are under the network's outputs.
        groups: Pairs of a built Keras optimizer and the variables it trains; the first one's learning rate
            holds for all.
        part_specs: Shape and dtype of each observation part, batch first.
        action_spec: Shape and dtype of encoded actions, batch first.
        rule: How the gradient steps follow each other.

    Attributes:
        num_traces: How often it was traced.
        rows_per_draw: Rows that are drawn for a minibatch at once.
    """

    rows_per_draw = 1

    def __init__(
        self,
        network: PolicyNetwork,
        normalize: Callable[[Sequence[Any]], list[Any]],
        density: Density,
        groups: Sequence[tuple[Any, Sequence[Any]]],
        part_specs: Sequence[tf.TensorSpec],
        action_spec: tf.TensorSpec,
        rule: StepRule,
    ) -> None:
        self._network = network
        self._normalize = normalize
        self._density = density
        self._groups = [(optimizer, list(variables)) for optimizer, variables in groups]
        self._variables = [variable for _, variables in self._groups for variable in variables]
        self._specs = (list(part_specs), action_spec)
        self.rule = rule
        self.num_traces = 0
        self._functions: dict[tuple[Any, ...], Any] = {}
        self._take_steps_compiled = tf.function(self._take_steps, autograph=False, jit_compile=rule.jit_compile)

    def drawable(self, valid: np.ndarray) -> np.ndarray:
        """Return which draws for a minibatch have something to learn from, of steps that are ``valid``, ``[T, N]``."""
        return valid.reshape(-1)

    def rate(self, steps: Steps) -> Rated:
        """Return what policy and value function say of some steps."""
        # Concrete functions on tensors: finding a trace and converting arrays would cost a millisecond a call.
        actions = tf.constant(steps.actions.reshape(-1, *steps.actions.shape[2:]))
        observations = [tf.constant(part) for part in steps.flat_observations()]
        masks = self._masks(steps)
        if not self._network.has_values:  # then nothing needs the policy's word before the gradient steps
            return Rated(steps, observations, actions, masks=masks)
        successors = [tf.constant(x) for x in steps.successors]
        parts, rated, successor_values = self._function("rate", masks)(observations, actions, masks, successors)
        log_probs, values = rated.numpy()
        return Rated(steps, parts, actions, log_probs, values, successor_values.numpy(), masks)

    def __call__(
        self,
        rated: Rated,
        advantages: np.ndarray,
        returns: np.ndarray,
        batches: np.ndarray,
        num_steps: int,
        settings: Mapping[str, float],
    ) -> tuple[dict[str, float], np.ndarray]:
        """Take ``num_steps`` gradient steps, fewer if the KL limit is reached.

        Args:
            rated: From :meth:`rate`.
            advantages: ``[B]``, of about unit spread.
            returns: What values should be, ``[B]``.
            batches: Row numbers, ``[at least num_steps, batch_size]`` int32.
            num_steps: How many of the batches to use.
            settings: A value for each name in ``SETTINGS``.

        Returns:
            Diagnostics, and the log-probabilities ``[B]`` of all actions under the policy before the update.

        Raises:
            NonFiniteError: A loss or gradient is NaN or infinite; no variable has changed.
        """
        before = np.full(len(advantages), np.nan) if rated.log_probs is None else rated.log_probs
        behaviour = rated.steps.behaviour_log_probs(before)
        columns = (advantages, returns, behaviour, before, rated.steps.valid.reshape(-1))
        with np.errstate(all="ignore"):  # what is not finite is told and undone
            numbers = self._laid_out(np.stack(columns, axis=1).astype(np.float32), rated.steps)
        limits = np.array([settings[name] for name in SETTINGS], np.float32)
        drawn = [tf.constant(x) for x in (numbers, batches, np.int32(num_steps), limits)]
        told, before = self._function("learn", rated.masks)(rated.parts, rated.actions, rated.masks, *drawn)
        *totals, taken, kl, drift, finite = told.numpy().tolist()
        if not finite:
            raise NonFiniteError(
                "A loss or gradient became NaN or infinite; weights and optimizer are as they were before this window. "
                "Lower the learning rate, or bound the scale of observations and rewards."
            )
        means = {name: total / max(taken, 1.0) for name, total in zip(STEP_MEANS, totals, strict=True)}
        return {**means, "kl": kl, "kl_from_behaviour": drift, "num_gradient_steps": taken}, before.numpy()

    def _masks(self, steps: Steps) -> list[Any]:
        """Return a tensor of what was allowed, ``[T * N, A]``; nothing where that was everything."""
        return [] if steps.masks is None else [tf.constant(steps.masks.reshape(-1, steps.masks.shape[-1]))]

    def _laid_out(self, numbers: np.ndarray, steps: Steps) -> np.ndarray:
        """Return numbers ``[T * N, ...]`` of each step in the order of the rows that gradient steps read."""
        return numbers

    def _function(self, name: str, masks: Sequence[Any]) -> Any:
        """Return the concrete function "rate" or "learn", for masks of this size or none: traced at its first use."""
        specs = [tf.TensorSpec((None, mask.shape[-1]), tf.bool) for mask in masks]
        key = (name, *(spec.shape[-1] for spec in specs))
        if key not in self._functions:
            self._functions[key] = self._trace_rate(specs) if name == "rate" else self._trace_learn(specs)
        return self._functions[key]

    def _log_prob(self, outputs: Any, actions: Any, masks: Sequence[Any]) -> Any:
        return self._density.log_prob(self._allowed(outputs, masks), actions)

    def _allowed(self, outputs: Any, masks: Sequence[Any]) -> Any:
        """Return outputs under which what is not allowed has no probability; traced."""
        return self._density.masked(outputs, masks[0]) if masks else outputs

    def _trace_rate(self, mask_specs: Sequence[Any]) -> Any:
        def rate(parts: Any, actions: Any, masks: Any, successors: Any) -> Any:
            self.num_traces += 1
            parts = self._normalize(parts)
            outputs, values = self._network(parts)
            log_probs = self._log_prob(outputs, actions, masks)
            return parts, tf.stack([log_probs, values]), self._network.value(self._normalize(successors))

        parts, actions = self._specs
        return _traced(rate, [parts, actions, mask_specs, parts])

    def _trace_learn(self, mask_specs: Sequence[Any]) -> Any:
        """All gradient steps: what they came to (sums, steps taken, KL divergences, all finite), and what was."""

        def learn(
            parts: Any, actions: Any, masks: Any, numbers: Any, batches: Any, num_steps: Any, settings: Any
        ) -> Any:
            self.num_traces += 1
            settings = dict(zip(SETTINGS, tf.unstack(settings), strict=True))
            variables = [*self._variables, *(v for optimizer, _ in self._groups for v in optimizer.variables)]
            saved = [tf.identity(v) for v in variables]
            if not self._network.has_values:
                parts, numbers = self._rated_now(parts, actions, masks, numbers)
            rows = {"parts": parts, "actions": actions, "masks": masks, "numbers": numbers}
            sums, finite = self._take_steps_compiled(rows, batches, num_steps, settings)
            after = self._log_prob(self._network.outputs(parts), actions, masks)
            behaviour, before, valid = (numbers[:, COLUMNS.index(name)] for name in ("behaviour", "before", "valid"))
            share = tf.reduce_mean(valid)
            kl, drift = (
                tf.math.divide_no_nan(approximate_kl((after - earlier) * valid), share)
                for earlier in (before, behaviour)
            )
            finite = finite & tf.math.is_finite(kl + drift)
            undo_unless(finite, variables, saved)
            return tf.concat([sums, tf.stack([kl, drift, tf.cast(finite, tf.float32)])], axis=0), before

        parts, action_spec = self._specs
        if self._network.has_values:
            parts = self._rated_specs(mask_specs)
        numbers, settings = tf.TensorSpec((None, len(COLUMNS))), tf.TensorSpec((len(SETTINGS),))
        batches, num_steps = tf.TensorSpec((None, self.rule.batch_size), tf.int32), tf.TensorSpec((), tf.int32)
        return _traced(learn, [parts, action_spec, mask_specs, numbers, batches, num_steps, settings])

    def _rated_specs(self, mask_specs: Sequence[Any]) -> Any:
        """Return what ``Rated.parts`` are."""
        rating = self._functions[("rate", *(spec.shape[-1] for spec in mask_specs))]
        return [tf.TensorSpec(part.shape, part.dtype) for part in rating.structured_outputs[0]]

    def _drawn(self, rows: Mapping[str, Any], draws: Any) -> Any:
        """Return a minibatch."""
        return tf.nest.map_structure(lambda x: tf.gather(x, draws), rows)

    def _shares(self, valid: Any) -> Any:
        """Return how much each row of a minibatch counts, of sum 1; None: all alike, as only valid ones are drawn."""
        return None

    def _rated_now(self, parts: Any, actions: Any, masks: Any, numbers: Any) -> tuple[Any, Any]:
        """Return parts as the network takes them, and ``COLUMNS`` filled in where only the policy now can tell."""
        parts = self._normalize(parts)
        advantages, returns, behaviour, _, valid = tf.unstack(numbers, axis=1)
        before = self._log_prob(self._network.outputs(parts), actions, masks)
        behaviour = tf.where(tf.math.is_nan(behaviour), before, behaviour)
        return parts, tf.stack([advantages, returns, behaviour, before, valid], axis=1)

    def _take_steps(self, rows: dict[str, Any], batches: Any, num_steps: Any, settings: Mapping[str, Any]) -> Any:
        """Return the sums of ``STEP_MEANS`` and the number of steps taken, and whether all was finite."""
        rates = [optimizer.learning_rate for optimizer, _ in self._groups]
        base_rate = tf.identity(rates[0])
        for rate in rates:
            rate.assign(base_rate * tf.cast(settings["learning_rate_factor"], base_rate.dtype))
        num_rows = tf.cast(tf.shape(batches)[1] * self.rows_per_draw, tf.float32)
        weight = tf.minimum(1.0, num_rows / self.rule.kl_rows)

        def step(i: Any, sums: Any, mean_kl: Any, _going: Any, _finite: Any) -> Any:
            loss, statistics, kl, grads = self._loss(self._drawn(rows, batches[i]), settings)
            norm = tf.linalg.global_norm(grads)
            if self.rule.bounds_norm:
                norm = tf.norm(tf.concat([tf.reshape(g, [-1]) for g in grads], axis=0))  # compiles faster
                shrink = tf.minimum(1.0, settings["max_grad_norm"] / (norm + _EPSILON))
                grads = [g * shrink for g in grads]
            norm = told_norm(norm, *(optimizer for optimizer, _ in self._groups))
            told = tf.stack([loss, *statistics, norm, 1.0])
            mean_kl += weight * (kl - mean_kl)
            finite = tf.math.is_finite(loss + norm)
            going = finite & (mean_kl <= settings["kl_limit"])
            if self.rule.oversteps:
                self._apply(grads)
            else:
                tf.cond(going, lambda: self._apply(grads), lambda: tf.constant(0))
                told = tf.where(going, told, tf.zeros_like(told))
            return i + 1, sums + told, mean_kl, going, finite

        yes = tf.constant(True)
        _, sums, _, _, finite = tf.while_loop(
            lambda i, _sums, _kl, going, _finite: (i < num_steps) & going,
            step,
            (tf.constant(0), tf.zeros(len(STEP_MEANS) + 1), tf.constant(0.0), yes, yes),
        )
        for rate in rates:
            rate.assign(base_rate)
        return sums, finite

    def _loss(self, batch: Mapping[str, Any], settings: Mapping[str, Any]) -> Any:
        """Return PPO's loss on one minibatch, its parts, the KL divergence from before the update, and its gradients.

        ``L = L_clip + value_coef * mean (v_t - G_t)^2 - entropy_coef * mean H``: equation 9 of the paper, turned
        round. Its derivatives by log-probabilities, entropies and values are written out. What the models add to a
        loss is added.
        """
        advantages, returns, behaviour, before, valid = tf.unstack(batch["numbers"], axis=1)
        shares = self._shares(valid)
        share = 1.0 / tf.cast(tf.size(advantages), tf.float32) if shares is None else shares
        with tf.GradientTape() as tape:
            outputs, values, added = self._network.trained_on(batch["parts"])
            outputs = self._allowed(outputs, batch["masks"])
            log_probs = self._density.log_prob(outputs, batch["actions"])
            entropies = self._density.entropy(outputs)
        policy_loss, slopes = clipped_surrogate(log_probs - behaviour, advantages, settings["clip_ratio"], shares)
        entropy, value_loss = mean_of(entropies, shares), 0.0
        loss, targets = policy_loss, [log_probs, entropies]
        slopes = [slopes, tf.broadcast_to(-settings["entropy_coef"] * share, tf.shape(entropies))]
        if values is not None:
            value_loss = mean_of(tf.square(values - returns), shares)
            loss += settings["value_coef"] * value_loss
            targets.append(values)
            slopes.append(settings["value_coef"] * share * (2.0 * (values - returns)))
        if added is not None:
            loss += added
            targets.append(added)
            slopes.append(tf.constant(1.0))
        loss -= settings["entropy_coef"] * entropy
        is_clipped = tf.abs(tf.exp(log_probs - behaviour) - 1.0) > settings["clip_ratio"]
        clip_fraction = mean_of(tf.cast(is_clipped, tf.float32), shares)
        gradients = dense_gradients(tape, targets, self._variables, slopes, loss_scale(self._groups[0][0]))
        kl = approximate_kl(log_probs - before, shares)
        return loss, (policy_loss, value_loss, entropy, clip_fraction), kl, gradients

    def _apply(self, gradients: Sequence[Any]) -> Any:
        remaining = iter(gradients)
        for optimizer, variables in self._groups:
            apply_gradients(optimizer, [next(remaining) for _ in variables], variables)
        return tf.constant(0)


def _traced(function: Callable[..., Any], signature: Sequence[Any]) -> Any:
    return tf.function(function, input_signature=signature, autograph=False).get_concrete_function()
