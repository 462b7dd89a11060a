"""Deep Q-learning: double, dueling, n-step and prioritised.

"Human-level Control through Deep Reinforcement Learning" (Mnih et al., 2015), with the double
targets of van Hasselt et al. (2016), the dueling networks of Wang et al. (2016), prioritised replay
(Schaul et al., 2016) and n-step returns, as "Rainbow" (Hessel et al., 2018) joins them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import gymnasium as gym
import keras
import numpy as np
import tensorflow as tf

from tensor_optix.adapters.spaces.observation_parts import without_mask
from tensor_optix.adapters.tensorflow.actions.action_sampler import NEVER, ActionSampler
from tensor_optix.adapters.tensorflow.actions.discrete import EpsilonGreedySampler
from tensor_optix.adapters.tensorflow.hyperparameters import MOST_REPEATS, Setting, count, discount, rate, share
from tensor_optix.adapters.tensorflow.learning.actor_critic import PolicyNetwork
from tensor_optix.adapters.tensorflow.learning.keras_optimizers import apply_gradients
from tensor_optix.adapters.tensorflow.learning.loss_scale import loss_scale, told_norm
from tensor_optix.adapters.tensorflow.learning.losses import dense_gradients
from tensor_optix.algorithms.gradient_loop import GradientLoop
from tensor_optix.algorithms.off_policy import OffPolicyAgent
from tensor_optix.algorithms.q_networks import build_q_network
from tensor_optix.algorithms.shadow_network import ShadowNetwork
from tensor_optix.core.checks import check_flags
from tensor_optix.core.search_space import ParamSpec
from tensor_optix.core.types import AgentState, EpisodeData, HyperparamSet, StateScope
from tensor_optix.exceptions import UnsupportedSpaceError

SETTINGS: dict[str, Setting] = {
    "learning_rate": rate(5e-4),
    "gamma": discount(0.99),
    "tau": Setting(1.0, None, {"above": 0.0, "high": 1.0}),
    "target_update_interval": count(500, ParamSpec(10, 10_000, "log", integer=True)),
    "train_frequency": count(2),
    "gradient_steps": count(1, low=0, high=MOST_REPEATS),
    "epsilon_start": share(1.0),
    "epsilon_end": share(0.05),
    "epsilon_decay_steps": count(10_000, low=0),
    "max_grad_norm": Setting(10.0, None, {"above": 0.0}),
    "priority_exponent": share(0.6),
    "importance_exponent": share(0.4),
}
METRICS = ("loss", "grad_norm", "q_mean", "td_error")


class DQNAgent(OffPolicyAgent):
    """Learns the value of each action, from a replay, with a target network.

    Hyperparameters, read at each ``learn``: ``learning_rate``, ``gamma``; ``gradient_steps`` for every
    ``train_frequency`` env steps; the target moves by ``tau`` (1: is copied) every ``target_update_interval``
    env steps, with or without gradient steps between; exploration falls linearly from ``epsilon_start`` to
    ``epsilon_end`` over ``epsilon_decay_steps`` env steps; ``max_grad_norm`` limits the gradient;
    ``priority_exponent`` and ``importance_exponent`` count where ``prioritised``.

    Networks run at inference (``training=False``) in acting, learning and as targets: Dropout is off.

    Args:
        model: Gives one value per action, ``[batch, n]``; None builds one.
        optimizer: A Keras optimizer, whose learning rate counts where ``hyperparams`` name none; None
            is Adam.
        hyperparams: Defaults stand for what is not given.
        batch_size: Transitions of one gradient step.
        buffer_size: Rows of the replay.
        learning_starts: Env steps before the first gradient step; so many come again
            before the next one where the replay was emptied.
        num_steps: n of the n-step returns.
        double: Whether the online network chooses the action that the target network rates.
        dueling: Whether a network that is built here splits into state value and advantages.
        prioritised: Whether transitions are drawn by their last error.
        normalize_observations: Whether vectors of numbers reach the model at zero mean and unit spread.
        hidden_units: Units of the layers of a network that is built here.
        scale_rewards: Whether values are learned of rewards less the level that all of them share, where no action
            can decide how long that is earned, and in units of their usual size.

    Example:
        >>> agent = DQNAgent()
        >>> RLOptimizer(agent, BatchPipeline(gym.make("CartPole-v1"))).run()  # doctest: +SKIP
    """

    _settings = SETTINGS
    _metrics = METRICS
    _saved_as = "DQNAgent"
    undoes_bad_updates = True
    exploration_hyperparams = ("epsilon_start", "epsilon_end", "epsilon_decay_steps")
    _structure = (*OffPolicyAgent._structure, "double", "dueling", "prioritised", "scale_rewards")

    def __init__(
        self,
        model: keras.Model | None = None,
        optimizer: keras.optimizers.Optimizer | None = None,
        hyperparams: HyperparamSet | None = None,
        *,
        batch_size: int = 64,
        buffer_size: int = 100_000,
        learning_starts: int = 1_000,
        num_steps: int = 3,
        double: bool = True,
        dueling: bool = False,
        prioritised: bool = False,
        normalize_observations: bool = False,
        hidden_units: Sequence[int] = (256, 256),
        scale_rewards: bool = True,
    ) -> None:
        check_flags(double=double, dueling=dueling)
        self.double = bool(double)
        self.dueling = bool(dueling)
        super().__init__(
            model,
            optimizer,
            hyperparams,
            batch_size=batch_size,
            buffer_size=buffer_size,
            learning_starts=learning_starts,
            num_steps=num_steps,
            prioritised=prioritised,
            normalize_observations=normalize_observations,
            hidden_units=hidden_units,
            scale_rewards=scale_rewards,
        )

    def learn(self, episode_data: EpisodeData) -> dict[str, Any]:
        """Store a window and take the gradient steps that so many env steps bring.

        Returns:
            ``loss``, ``grad_norm``, ``q_mean`` and ``td_error`` (mean absolute; both in rewards less their level),
            means over the gradient steps; ``num_gradient_steps``, ``epsilon``, ``learning_rate``, ``replay_size``.
            Where there were none the first four are 0.

        Raises:
            NonFiniteError: An observation, reward, loss or gradient is NaN or infinite; weights
                and optimizer are as they were.
        """
        before = 0 if self._sampler is None else self._learner.env_steps
        num_updates = self._remember(episode_data)
        moves_target = self._target_moves(before, num_updates)
        if not num_updates and moves_target.any() and self._learner.gradient_steps:
            self._move_target(int(moves_target.sum()), self._hyperparams.params["tau"])
        diagnostics = self._learn_in_calls(num_updates, lambda part: self._update(moves_target[part]))
        return {**diagnostics, "epsilon": self._sampler.epsilon}

    def _update(self, moves_target: np.ndarray) -> dict[str, float]:
        """Take one gradient step for each entry of ``moves_target``, in one traced call.

        Args:
            moves_target: How often the target moves after each.
        """
        params, num_batches = self._hyperparams.params, len(moves_target)
        units = self._learner.reward_units(params["gamma"])
        batch = self.replay.sample(
            num_batches * self.batch_size,
            num_steps=self.num_steps,
            gamma=params["gamma"],
            units=units,
            priority_exponent=params["priority_exponent"] if self.prioritised else None,
            importance_exponent=params["importance_exponent"],
        )
        rows = (num_batches, self.batch_size)
        feed = {
            **self._observations_of(batch, num_batches),
            "action": (batch.actions - self._known_start).astype(np.int32).reshape(rows),
            "return": batch.returns.reshape(rows),
            "discount": batch.discounts.reshape(rows),
            "weight": batch.weights.reshape(rows),
            "moves_target": moves_target,
        }
        if batch.next_masks is not None:
            feed["mask"] = batch.next_masks.astype(np.float32).reshape(*rows, -1)
        result = self._loop(feed, params)
        if self.prioritised:
            self.replay.update_priorities(batch.rows, result.errors.reshape(-1))
        return result.metrics | {name: units.size * result.metrics[name] for name in ("q_mean", "td_error")}

    # ---------------------------------------------------------------- one gradient step, traced

    def compute(self, batch: Mapping[str, Any], settings: Mapping[str, Any]) -> tuple[Any, dict[str, Any], Any]:
        """Return gradients, metrics and errors of one batch."""
        o_t, o_tpk = self._prepared(batch, "o_t"), self._prepared(batch, "o_tpk")
        q_target = self._target(o_tpk)
        q_selector = self._outputs(o_tpk) if self.double else q_target
        if "mask" in batch:  # what is not allowed there can be no successor's best
            q_selector = tf.where(batch["mask"] > 0, q_selector, -NEVER)
        target = batch["return"] + batch["discount"] * value_of_best(q_target, q_selector)
        with tf.GradientTape() as tape:
            q_t, _, added = self._network.trained_on(o_t)
            error = target - tf.gather(q_t, batch["action"], batch_dims=1)
            loss = tf.reduce_mean(batch["weight"] * huber(error))
            loss = loss if added is None else loss + added
        gradients = dense_gradients(tape, loss, self.model.trainable_variables, scale=loss_scale(self.optimizer))
        gradients, norm = tf.clip_by_global_norm(gradients, settings["max_grad_norm"])
        metrics = {
            "loss": loss,
            "grad_norm": told_norm(norm, self.optimizer),
            "q_mean": tf.reduce_mean(q_t),
            "td_error": tf.reduce_mean(tf.abs(error)),
        }
        return gradients, metrics, error

    def apply(self, gradients: Any, batch: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
        """Move the network, and where it is time the target."""
        apply_gradients(self.optimizer, gradients, self.model.trainable_variables)
        moves = tf.cast(batch["moves_target"], tf.float32)

        def move() -> Any:
            self._move_target(moves, settings["tau"])
            return tf.constant(0)

        tf.cond(moves > 0, move, lambda: tf.constant(0))

    # ---------------------------------------------------------------- exploration and target, by env steps

    def _follow_progress(self) -> None:
        params = self._hyperparams.params
        start, end, steps = (params[name] for name in ("epsilon_start", "epsilon_end", "epsilon_decay_steps"))
        passed = min(1.0, self._learner.exploration_steps / steps) if steps else 1.0
        self._sampler = self._sampler.with_epsilon((1.0 - passed) * start + passed * end)

    @property
    def explores(self) -> bool:
        """Whether an action may be random, whatever the network says."""
        return self._sampler is None or self._sampler.epsilon > 0.0

    @property
    def is_warming_up(self) -> bool:
        """Whether epsilon has still to fall, or the first gradient step to come."""
        if self._sampler is None or self._learner.env_steps < self.learning_starts:
            return True
        params = self._hyperparams.params
        falls = params["epsilon_end"] < params["epsilon_start"]
        return bool(falls and self._learner.exploration_steps < params["epsilon_decay_steps"])

    def _target_moves(self, env_steps_before: int, num_updates: int) -> np.ndarray:
        """Return how often the target moves after each gradient step, ``[K]``; ``[1]``, in all, where there is none.

        The gradient steps of a window are spread evenly over its env steps.
        """
        taken, num_parts = self._learner.env_steps - env_steps_before, max(1, num_updates)
        at = env_steps_before + taken * np.arange(num_parts + 1) / num_parts
        rounds = np.floor(at / self._hyperparams.params["target_update_interval"])
        moves: np.ndarray = np.diff(rounds).astype(np.int32)
        return moves

    def _move_target(self, times: Any, tau: Any) -> None:
        """Let the target move by ``tau`` so many times, towards the network as it is; can be traced."""
        share = tf.where(times > 1, 1.0 - tf.pow(1.0 - tau, tf.cast(times, tf.float32)), tau)
        self._target.move_towards(self.model.trainable_variables, share)

    def get_state(self, scope: StateScope = "learner") -> AgentState:
        """Return weights, and with the scope what learning and exploring go on from; "all" adds the replay."""
        state = super().get_state(scope)
        if scope != "policy":
            state.meta["epsilon"] = self._sampler.epsilon
        return state

    def set_state(self, state: AgentState) -> None:
        """Become what ``state`` says, all or nothing; acting and learning then go on bit for bit."""
        super().set_state(state)
        if state.scope != "policy" and "epsilon" in state.meta:
            self._sampler = self._sampler.with_epsilon(float(state.meta["epsilon"]))

    def on_world_change(self) -> None:
        """Forget the replay and the optimizer's moments, and explore half as much again; keep the weights."""
        super().on_world_change()
        if self._sampler is not None:
            self._learner.exploration_steps = int(self._hyperparams.params["epsilon_decay_steps"]) // 2
            self._follow_progress()

    # ---------------------------------------------------------------- being made

    def _sampler_for(self, action_space: Any) -> ActionSampler:
        if not isinstance(action_space, gym.spaces.Discrete):
            raise UnsupportedSpaceError(
                f"DQN needs a Discrete action space. Received: {action_space}. "
                "Use SACAgent or PPOAgent for Box actions, PPOAgent for MultiDiscrete or MultiBinary ones."
            )
        return replace(self._sampler_unbound(int(action_space.n)), start=int(action_space.start))

    def _fit_models(
        self, observation_space: Any, action_space: Any, sampler: ActionSampler, example: Any
    ) -> PolicyNetwork:
        self.model = self._given["model"]
        if self.model is None:
            shown = without_mask(observation_space, action_space)
            self.model = build_q_network(
                shown, sampler.num_outputs, self.hidden_units, self._seed, dueling=self.dueling
            )
        return super()._fit_models(observation_space, action_space, sampler, example)

    def _sampler_unbound(self, num_outputs: int) -> EpsilonGreedySampler:
        return EpsilonGreedySampler(num_outputs, 0, float(self._hyperparams.params["epsilon_start"]))

    @property
    def _known_start(self) -> int:
        """Number of the first action in the replay; the environment may call it otherwise by now."""
        return 0 if self._spaces[1] is None else int(self._spaces[1].start)

    def _remember(self, window: EpisodeData) -> int:
        shift = 0 if self._sampler is None else self._known_start - self._sampler.start
        return super()._remember(replace(window, actions=np.asarray(window.actions) + shift) if shift else window)

    def _make_networks(self) -> None:
        self._target = ShadowNetwork(self.model, self._outputs)
        self._make_loop()

    def _make_loop(self) -> None:
        self._loop = GradientLoop(self, METRICS, ("max_grad_norm", "tau"), self._variables)

    def _shadows(self) -> list[ShadowNetwork]:
        return [self._target]

    def _variables(self) -> list[Any]:
        return [*self.model.trainable_variables, *self.optimizer.variables, *self._target.variables]

    def _other_networks(self) -> list[tuple[str, list[Any]]]:
        return [("target", self._target.variables)]

    def _follow_networks(self, taken: Collection[str]) -> None:
        self._target.move_towards(self.model.trainable_variables, 1.0)


def value_of_best(q_values: Any, q_selector: Any) -> Any:
    """Return ``q_values[argmax_a q_selector[a]]``, ``[B]``; van Hasselt et al. (2016), equation 4.

    Args:
        q_values: What the target network gives, ``[B, n]``.
        q_selector: What chooses the action, ``[B, n]``: the online network, or the target itself.
    """
    return tf.gather(q_values, tf.argmax(q_selector, axis=-1), batch_dims=1)


def huber(error: Any) -> Any:
    """Return ``0.5 x^2`` up to an error of 1 and ``|x| - 0.5`` beyond, elementwise."""
    size = tf.abs(error)
    inner = tf.minimum(size, 1.0)
    return inner * (size - 0.5 * inner)
