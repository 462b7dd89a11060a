"""Soft actor-critic: twin critics, a squashed Gaussian actor, and a temperature that finds itself.

"Soft Actor-Critic Algorithms and Applications" (Haarnoja et al., 2018).
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf

from tensor_optix.adapters.tensorflow.actions.action_sampler import ActionSampler
from tensor_optix.adapters.tensorflow.actions.box import has_bounds, is_box_of_floats
from tensor_optix.adapters.tensorflow.actions.squashed_gaussian import (
    SquashedSampler,
    sample_and_log_prob,
)
from tensor_optix.adapters.tensorflow.hyperparameters import MOST_REPEATS, Setting, count, discount, rate
from tensor_optix.adapters.tensorflow.learning.actor_critic import PolicyNetwork
from tensor_optix.adapters.tensorflow.learning.keras_optimizers import (
    apply_gradients,
    decays,
    exempt_from_decay,
    fresh,
)
from tensor_optix.adapters.tensorflow.learning.loss_scale import loss_scale, told_norm
from tensor_optix.adapters.tensorflow.learning.losses import dense_gradients
from tensor_optix.adapters.tensorflow.learning.trained_variables import moved_to
from tensor_optix.adapters.tensorflow.models import model_checks
from tensor_optix.adapters.tensorflow.models.default_networks import build_model
from tensor_optix.algorithms.gradient_loop import GradientLoop
from tensor_optix.algorithms.off_policy import OffPolicyAgent
from tensor_optix.algorithms.q_networks import ActionCritic, build_critic
from tensor_optix.algorithms.shadow_network import ShadowNetwork, drawn_again, reshuffled
from tensor_optix.core.search_space import ParamSpec
from tensor_optix.core.types import EpisodeData, HyperparamSet
from tensor_optix.exceptions import UnsupportedSpaceError
from tensor_optix.functional.seeding import derive_rng, derive_seed

logger = logging.getLogger(__name__)

SETTINGS: dict[str, Setting] = {
    "learning_rate": rate(1e-3),
    "gamma": discount(0.99),
    "tau": Setting(0.005, ParamSpec(0.001, 0.05, scale="log"), {"above": 0.0, "high": 1.0}),
    "train_frequency": count(1),
    "gradient_steps": count(1, low=0, high=MOST_REPEATS),
    "alpha": Setting(None, None, {"above": 0.0}),
    "target_entropy": Setting(None),
    "initial_alpha": Setting(1.0, None, {"above": 0.0}),
}
METRICS = ("loss", "actor_loss", "grad_norm", "q_mean", "entropy", "alpha")


class SACAgent(OffPolicyAgent):
    """Learns a stochastic policy that earns much and stays as random as that allows.

    Hyperparameters, read at each ``learn``: ``learning_rate`` (of actor, critics and temperature),
    ``gamma``, ``tau`` (how fast the target critics follow), ``gradient_steps`` for every
    ``train_frequency`` env steps, ``target_entropy`` (nats of the unit action; left out: minus the
    number of action dimensions that have a width), ``alpha`` (the temperature, in rewards per nat; left out: found so
    that the entropy meets its target, from ``initial_alpha`` times the usual size of rewards on).

    Networks run at inference (``training=False``) in acting, learning and as targets: Dropout is off.

    Args:
        actor: Gives ``[batch, 2 * K]`` for K action dimensions: means and logs of the spread; None
            builds one.
        critic: Takes ``[observation, action]`` and gives ``[batch, 1]``, see ``ActionCritic``; None
            builds one. Its twin has the same layers on weights of its own: drawn anew by the layers'
            initializers where the critic's are still as these drew them, copies of what it has learned.
        optimizer: A Keras optimizer, whose learning rate counts where ``hyperparams`` name none; None
            is Adam. The critics and the temperature get their own, made from its configuration.
        hyperparams: Defaults stand for what is not given.
        batch_size: Transitions of one gradient step.
        buffer_size: Rows of the replay.
        learning_starts: Env steps of evenly distributed actions before the first gradient step; so many come
            again, of the policy's actions, before the next one where the replay was emptied.
        num_steps: n of the n-step returns.
        normalize_observations: Whether vectors of numbers reach the models at zero mean and unit spread.
        hidden_units: Units of the layers of networks that are built here.
        scale_rewards: Whether values are learned of rewards less the level that all of them share, where no action
            can decide how long that is earned, and in units of their usual size.

    Example:
        >>> agent = SACAgent()
        >>> RLOptimizer(agent, BatchPipeline(gym.make("Pendulum-v1"), window_size=8)).run()  # doctest: +SKIP
    """

    _acts_unbound = False
    _settings = SETTINGS
    _metrics = METRICS
    _saved_as = "SACAgent"
    _structure = (*OffPolicyAgent._structure, "scale_rewards")
    _model_arguments: ClassVar[Mapping[str, str]] = {"actor": "model", "critic": "critic"}
    barrier_interval_steps = 4_000  # a gradient step for each env step: 20,000 of them take minutes
    undoes_bad_updates = True
    exploration_hyperparams = ("alpha", "target_entropy", "initial_alpha")

    def __init__(
        self,
        actor: keras.Model | None = None,
        critic: keras.Model | None = None,
        optimizer: keras.optimizers.Optimizer | None = None,
        hyperparams: HyperparamSet | None = None,
        *,
        batch_size: int = 256,
        buffer_size: int = 1_000_000,
        learning_starts: int = 500,
        num_steps: int = 1,
        normalize_observations: bool = False,
        hidden_units: Sequence[int] = (256, 256),
        scale_rewards: bool = True,
    ) -> None:
        if critic is not None:
            model_checks.check_model(critic)
        self.critic = critic
        self._critic_optimizer: Any = None
        self._alpha_optimizer: Any = None
        super().__init__(
            actor,
            optimizer,
            hyperparams,
            batch_size=batch_size,
            buffer_size=buffer_size,
            learning_starts=learning_starts,
            num_steps=num_steps,
            normalize_observations=normalize_observations,
            hidden_units=hidden_units,
            scale_rewards=scale_rewards,
        )

    def learn(self, episode_data: EpisodeData) -> dict[str, Any]:
        """Store a window and take the gradient steps that so many env steps bring.

        Returns:
            ``loss`` (of the critics), ``actor_loss``, ``grad_norm``, ``q_mean`` (in rewards less their level),
            ``entropy`` (nats of the unit action), ``alpha``, means over the gradient steps;
            ``num_gradient_steps``, ``learning_rate``, ``replay_size``. Where there were none the first six are 0.

        Raises:
            NonFiniteError: An observation, reward, loss or gradient is NaN or infinite; weights
                and optimizers are as they were.
        """
        num_updates = self._remember(episode_data)
        return self._learn_in_calls(num_updates, lambda part: self._update(part.stop - part.start))

    def _update(self, num_batches: int) -> dict[str, float]:
        """Take gradient steps in one traced call."""
        params = self._hyperparams.params
        size, num_actions = num_batches * self.batch_size, self._sampler.num_actions
        units = self._learner.reward_units(params["gamma"])
        batch = self.replay.sample(size, num_steps=self.num_steps, gamma=params["gamma"], units=units)
        rows = (num_batches, self.batch_size)
        feed = {
            **self._observations_of(batch, num_batches),
            "action": self._sampler.encode(batch.actions).reshape(*rows, num_actions),
            "return": batch.returns.reshape(rows),
            "discount": batch.discounts.reshape(rows),
            "noise": self._learner.rng.standard_normal((*rows, 2 * num_actions), np.float32),
        }
        target_entropy = params.get("target_entropy")
        settings = {
            "tau": params["tau"],
            "fixed_alpha": (params.get("alpha") or 0.0) / units.size,
            "target_entropy": -float(self._sampler.is_free.sum()) if target_entropy is None else target_entropy,
        }
        metrics = self._loop(feed, settings).metrics
        return metrics | {name: units.size * metrics[name] for name in ("q_mean", "alpha")}

    # ---------------------------------------------------------------- one gradient step, traced

    def compute(self, batch: Mapping[str, Any], settings: Mapping[str, Any]) -> tuple[Any, dict[str, Any], Any]:
        """Return gradients, metrics and errors of one batch; all gradients are taken at the same weights."""
        o_t, o_tpk = self._prepared(batch, "o_t"), self._prepared(batch, "o_tpk")
        noise_t, noise_tpk = tf.split(batch["noise"], 2, axis=-1)
        alpha = tf.where(settings["fixed_alpha"] > 0, settings["fixed_alpha"], tf.exp(self._log_alpha.value))

        a_tpk, log_prob_tpk = sample_and_log_prob(self._outputs(o_tpk), noise_tpk, self._sampler.is_free)
        q_tpk = tf.minimum(*(target(o_tpk, a_tpk) for target in self._targets))
        target = batch["return"] + batch["discount"] * (q_tpk - alpha * log_prob_tpk)
        with tf.GradientTape() as tape:
            q_t, added = zip(*(critic.trained_on(o_t, batch["action"]) for critic in self._critics), strict=True)
            losses = [0.5 * tf.reduce_mean(tf.square(q - target)) for q in q_t]
            critic_loss = tf.add_n([*losses, *(x for x in added if x is not None)])
        scale = loss_scale(self._critic_optimizer)
        critic_gradients = dense_gradients(tape, critic_loss, self._critic_variables(), scale=scale)

        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([v.value for v in self.model.trainable_variables])
            outputs, _, added_by_actor = self._network.trained_on(o_t)
            a_t, log_prob_t = sample_and_log_prob(outputs, noise_t, self._sampler.is_free)
            q_of_policy = tf.minimum(*(critic(o_t, a_t) for critic in self._critics))
            actor_loss = tf.reduce_mean(alpha * log_prob_t - q_of_policy)
            actor_loss = actor_loss if added_by_actor is None else actor_loss + added_by_actor
        scale = loss_scale(self.optimizer)
        actor_gradients = dense_gradients(tape, actor_loss, self.model.trainable_variables, scale=scale)

        # Of -log_alpha * (log_prob + target_entropy): more random than the target cools it down.
        alpha_gradient = -tf.reduce_mean(log_prob_t) - settings["target_entropy"]
        metrics = {
            "loss": critic_loss,
            "actor_loss": actor_loss,
            "grad_norm": told_norm(
                tf.linalg.global_norm([*critic_gradients, *actor_gradients]), self._critic_optimizer, self.optimizer
            ),
            "q_mean": tf.reduce_mean(q_t[0]),
            "entropy": -tf.reduce_mean(log_prob_t),
            "alpha": alpha,
        }
        return (critic_gradients, actor_gradients, [alpha_gradient]), metrics, q_t[0] - target

    def apply(self, gradients: Any, batch: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
        """Move critics, actor and temperature, and let the targets follow."""
        critic_gradients, actor_gradients, alpha_gradients = gradients
        apply_gradients(self._critic_optimizer, critic_gradients, self._critic_variables())
        apply_gradients(self.optimizer, actor_gradients, self.model.trainable_variables)

        def adapt() -> Any:
            apply_gradients(self._alpha_optimizer, alpha_gradients, [self._log_alpha])
            return tf.constant(0)

        tf.cond(settings["fixed_alpha"] > 0, lambda: tf.constant(0), adapt)
        for target, variables in zip(self._targets, self._twin_variables(), strict=True):
            target.move_towards(variables, settings["tau"])

    # ---------------------------------------------------------------- exploration

    @property
    def explores(self) -> bool:
        """Whether actions are still drawn evenly, whatever the actor says."""
        return self._sampler is None or self._sampler.uniform

    @property
    def is_warming_up(self) -> bool:
        """Whether actions are still drawn evenly, and nothing is learned."""
        return self.explores

    def _follow_progress(self) -> None:
        self._sampler = self._sampler.with_uniform(self._learner.env_steps < self.learning_starts)

    # ---------------------------------------------------------------- being made

    def _sampler_for(self, action_space: Any) -> ActionSampler:
        if not is_box_of_floats(action_space) or not np.all(has_bounds(action_space)):
            raise UnsupportedSpaceError(
                f"SAC needs a Box action space of floats with finite bounds (below 1e9). Received: {action_space}. "
                "Use DQNAgent or PPOAgent for Discrete actions, PPOAgent for MultiDiscrete, MultiBinary or unbounded "
                "ones; or bound it with gymnasium.wrappers.TransformAction(env, lambda action: action, Box(low, high))."
            )
        return SquashedSampler.for_space(action_space, uniform=self.learning_starts > 0)

    def _fit_models(self, observation_space: Any, action_space: Any, sampler: Any, example: Any) -> PolicyNetwork:
        self.model, self.critic = self._given["model"], self._given["critic"]
        if self.model is None:
            self.model = build_model(observation_space, sampler.num_outputs, self.hidden_units, self._seed)
        inputs, size = model_checks.build_and_probe(self.model, example)
        if self.critic is None:
            seed = derive_seed(self._seed, "critic")
            self.critic = build_critic(observation_space, sampler.num_actions, self.hidden_units, seed, inputs.paths)
        model_checks.check_output_size(self.model, size, sampler, action_space)
        self._action_critic = ActionCritic(self.critic, example, sampler.num_actions, inputs)
        return PolicyNetwork(self.model, inputs)

    def _build_optimizers(self) -> None:
        super()._build_optimizers()
        self._critic_optimizer, self._alpha_optimizer = fresh(self.optimizer), fresh(self.optimizer)

    def _make_networks(self) -> None:
        critic: Any = self.critic
        self._twin = ShadowNetwork(critic, self._action_critic, self._twin_values())
        self._critics = (self._action_critic, self._twin)
        self._targets = tuple(
            ShadowNetwork(critic, self._action_critic, [v.numpy() for v in variables])
            for variables in self._twin_variables()
        )
        log_alpha = np.log(self._hyperparams.params["initial_alpha"])
        self._log_alpha = keras.Variable(log_alpha, dtype="float32", name="log_alpha")
        self._critic_optimizer.build(self._critic_variables())
        self._alpha_optimizer.build([self._log_alpha])
        exempt_from_decay(self._alpha_optimizer, [self._log_alpha])
        self._exempt_twin()
        self._make_loop()

    def _exempt_twin(self) -> None:
        """Let weight decay leave those of the twin's weights alone whose originals it does."""
        first, second = self._twin_variables()
        undecayed = [twin for v, twin in zip(first, second, strict=True) if not decays(self._critic_optimizer, v)]
        exempt_from_decay(self._critic_optimizer, undecayed)

    def _make_loop(self) -> None:
        self._loop = GradientLoop(self, METRICS, ("tau", "fixed_alpha", "target_entropy"), self._variables)

    def _shadows(self) -> list[ShadowNetwork]:
        return [self._twin, *self._targets]

    def _follow_trained(self) -> None:
        super()._follow_trained()
        self._critic_optimizer = moved_to(self._critic_optimizer, self._critic_variables())
        self._exempt_twin()

    def _twin_values(self) -> list[np.ndarray]:
        """Return what the twin begins with: another draw, but for what a critic of the user's already knows."""
        critic: Any = self.critic
        if self._given["critic"] is None:
            return reshuffled(derive_rng(self._seed, "twin"), critic.trainable_variables)
        values = drawn_again(derive_seed(self._seed, "twin"), critic)
        if all(np.array_equal(v.numpy(), value) for v, value in zip(critic.trainable_variables, values, strict=True)):
            logger.info(
                "The critic '%s' holds weights that are trained, or not known to be new: its twin begins as a copy.",
                critic.name,
            )
        return values

    def _optimizers(self) -> list[Any]:
        return [self.optimizer, self._critic_optimizer, self._alpha_optimizer]

    def _rated_optimizers(self) -> list[Any]:
        return [optimizer for optimizer in self._optimizers() if optimizer is not None]

    def _twin_variables(self) -> tuple[list[Any], list[Any]]:
        return self.critic.trainable_variables, self._twin.variables  # type: ignore[union-attr]

    def _critic_variables(self) -> list[Any]:
        first, second = self._twin_variables()
        return [*first, *second]

    def _variables(self) -> list[Any]:
        learned = [*self.model.trainable_variables, *self._critic_variables(), self._log_alpha]
        slots = [v for optimizer in self._optimizers() for v in optimizer.variables]
        return [*learned, *slots, *(v for target in self._targets for v in target.variables)]

    def _other_networks(self) -> list[tuple[str, list[Any]]]:
        return [
            *super()._other_networks(),
            ("twin", self._twin.variables),
            ("target", self._targets[0].variables),
            ("twin_target", self._targets[1].variables),
        ]

    def _learner_variables(self) -> list[tuple[str, list[Any]]]:
        return [*super()._learner_variables(), ("log_alpha", [self._log_alpha])]

    def _follow_networks(self, taken: Collection[str]) -> None:
        if "critic" in taken:
            self._twin.move_towards(self._twin_variables()[0], 1.0)
        for target, variables in zip(self._targets, self._twin_variables(), strict=True):
            target.move_towards(variables, 1.0)
