"""Proximal policy optimization. See "Proximal Policy Optimization Algorithms" (Schulman et al., 2017)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import keras
import numpy as np

from tensor_optix.adapters.spaces.image_layout import is_image
from tensor_optix.adapters.spaces.observation_parts import restricted, without_mask
from tensor_optix.adapters.tensorflow.acting.model_inputs import inputs_of
from tensor_optix.adapters.tensorflow.actions.action_sampler import ActionSampler
from tensor_optix.adapters.tensorflow.actions.table import KINDS
from tensor_optix.adapters.tensorflow.hyperparameters import MOST_REPEATS, Setting, discount, rate
from tensor_optix.adapters.tensorflow.learning.actor_critic import ActorCritic, PolicyNetwork
from tensor_optix.adapters.tensorflow.learning.on_policy_learner import (
    KLControl,
    OnPolicyLearner,
    RewardScaler,
    advantages_and_returns,
    draw_minibatches,
    explained_variance,
    standardized,
)
from tensor_optix.adapters.tensorflow.learning.reward_units import RewardLevel
from tensor_optix.adapters.tensorflow.learning.surrogate_update import StepRule, SurrogateUpdate
from tensor_optix.adapters.tensorflow.learning.window_steps import Steps
from tensor_optix.adapters.tensorflow.models.default_networks import CELLS, Memory, build_model
from tensor_optix.adapters.tensorflow.models.memory_models import memory_of
from tensor_optix.adapters.tensorflow.models.model_checks import check_model, probe
from tensor_optix.adapters.tensorflow.recurrent.recurrent_network import RecurrentActorCritic, runner_of
from tensor_optix.adapters.tensorflow.recurrent.recurrent_update import RecurrentUpdate
from tensor_optix.adapters.tensorflow.tf_agent import TFAgent
from tensor_optix.core.checks import check_choice, check_flags, check_int, check_ints
from tensor_optix.core.search_space import ParamSpec
from tensor_optix.core.types import HyperparamSet
from tensor_optix.exceptions import InvalidArgumentError, NonFiniteError
from tensor_optix.functional.seeding import derive_rng, derive_seed

SETTINGS = {
    "learning_rate": rate(3e-4),
    "gamma": discount(0.995),
    "gae_lambda": discount(0.95, 0.8, 0.999),
    "clip_ratio": Setting(0.2, ParamSpec(0.05, 0.4), {"above": 0.0}),
    "entropy_coef": Setting(0.0, None, {"low": 0.0}),
    "value_coef": Setting(0.5, ParamSpec(0.1, 2.0, scale="log"), {"low": 0.0}),
    "kl_target": Setting(0.02, ParamSpec(1e-3, 0.1, scale="log"), {"low": 0.0}, can_be_off=True),
    "max_grad_norm": Setting(0.5, ParamSpec(0.1, 10.0, scale="log"), {"low": 0.0}, can_be_off=True),
    "num_epochs": Setting(10, ParamSpec(1, 30, scale="log", integer=True), {"above": 0.0, "high": MOST_REPEATS}),
}


KL_ROWS = 512
"""Over about so many rows the KL divergence is averaged before it may end an update."""

DIAGNOSTICS = ("loss", "policy_loss", "value_loss", "entropy", "clip_fraction", "grad_norm", "kl")

MIN_SEQUENCES = 8
"""Of a minibatch at least, where there is memory: two of 32 steps take three times as long an update as eight."""

MAX_WORK = 50_000_000
"""Largest number of weights times rows of a minibatch that is compiled."""


class PPOAgent(TFAgent):
    """Learns a policy and a value function from each window, in several epochs of minibatches.

    Acts in Discrete, MultiDiscrete, MultiBinary and float Box spaces. For a Box the actor gives
    means, where -1 and 1 are the bounds, as far as there are any; a learned spread that does not depend
    on the observation belongs to the agent, and actions are clipped to the bounds.

    Hyperparameters (``HyperparamSet.params``), read at each ``learn``; changing one never retraces:
    ``learning_rate`` 3e-4, ``gamma`` 0.995, ``gae_lambda`` 0.95, ``clip_ratio`` 0.2, ``entropy_coef``
    0, ``value_coef`` 0.5 (of the mean squared error), ``kl_target`` 0.02, ``max_grad_norm`` 0.5,
    ``num_epochs`` 10. The learning rate is multiplied by a factor that holds the KL divergence of
    one update near ``kl_target``, and an update ends early at twice that; None or 0 for neither.

    Args:
        actor: Your Keras model from observations to one logit per action (per option of a
            MultiDiscrete, log-odds per bit of a MultiBinary, mean per dimension of a Box); or one
            model with two outputs, the second being the value ``[batch, 1]``. None builds one.
        critic: Your Keras model from observations to the value ``[batch, 1]``; None builds one.
        optimizer: Keras optimizer for both; its learning rate counts where ``hyperparams`` name none.
            Default: Adam with epsilon 1e-5.
        hyperparams: What differs from the defaults.
        batch_size: Steps of a minibatch.
        normalize_observations: Whether vectors of numbers reach the models at zero mean and unit
            spread, by the moments of all windows before; images and integers always pass as they are.
        scale_rewards: Whether rewards are learned from less the level that all of them share, where no action can
            decide how long that is earned, and in units of the running spread of returns.
        hidden_units: Of the networks built here; 64 and 64 with tanh.
        memory: What the network built here remembers by, ``"gru"`` or ``"lstm"``; None for nothing. Models of yours
            remember where they are of the form ``[observation, *states] -> [output(s), *new states]``.
        memory_units: Of that.
        sequence_length: Steps that gradients go back through a memory; minibatches are ``batch_size`` steps in whole
            sequences, 8 at least.
        jit_compile: Whether XLA compiles the update: True, False, or "auto" to decide by the amount
            of work, see :func:`pays_to_compile`.

    Raises:
        InvalidTypeError: An argument is of a type that cannot be used.
        InvalidArgumentError: A hyperparameter is unknown or out of range.

    Example:
        >>> import gymnasium as gym
        >>> agent = PPOAgent(hyperparams=HyperparamSet({"gamma": 0.98}, episode_id=0))
        >>> env = gym.make("CartPole-v1")
        >>> agent.bind(env.observation_space, env.action_space, seed=0)
        >>> agent.act(env.observation_space.sample()) in (0, 1)
        True
    """

    _makes_models = True
    _acts_unbound = False
    _kinds_of_actions = KINDS
    _saved_as = "PPOAgent"
    _model_arguments: ClassVar[Mapping[str, str]] = {"actor": "model", "critic": "critic"}
    _structure = ("batch_size", "normalize_observations", "scale_rewards", "jit_compile", "sequence_length")
    _settings: Mapping[str, Setting] = SETTINGS
    _keeps_other_hyperparams = False

    def __init__(
        self,
        actor: keras.Model | None = None,
        critic: keras.Model | None = None,
        optimizer: keras.optimizers.Optimizer | None = None,
        hyperparams: HyperparamSet | None = None,
        *,
        batch_size: int = 64,
        normalize_observations: bool = True,
        scale_rewards: bool = True,
        hidden_units: Sequence[int] = (64, 64),
        jit_compile: bool | Literal["auto"] = "auto",
        memory: Literal["gru", "lstm"] | None = None,
        memory_units: int = 64,
        sequence_length: int = 32,
    ) -> None:
        check_int("batch_size", batch_size, at_least=1)
        check_int("memory_units", memory_units, at_least=1)
        check_int("sequence_length", sequence_length, at_least=1)
        check_choice("memory", memory, (None, *CELLS))
        if memory is not None and actor is not None:
            raise InvalidArgumentError(
                f"memory={memory!r} is for the networks that are built here, but an actor was given. Let it remember "
                "by itself: [observation, *states] -> [output(s), *new states], for example by keras.layers.GRUCell."
            )
        check_ints("hidden_units", hidden_units, at_least=1)
        check_flags(normalize_observations=normalize_observations, scale_rewards=scale_rewards)
        check_choice("jit_compile", jit_compile, (True, False, "auto"))
        if critic is not None:
            check_model(critic)
        self.critic = critic
        self.batch_size = int(batch_size)
        self.normalize_observations = bool(normalize_observations)
        self.scale_rewards = bool(scale_rewards)
        self.hidden_units = tuple(int(units) for units in hidden_units)
        self.jit_compile = jit_compile
        self.memory = memory
        self.memory_units = int(memory_units)
        self.sequence_length = int(sequence_length)
        super().__init__(actor, optimizer, hyperparams)  # type: ignore[arg-type]  # None: the defaults

    def _usual_optimizer(self) -> keras.optimizers.Optimizer:
        return keras.optimizers.Adam(epsilon=1e-5)

    # How the parts are made, at bind()

    def _fit_models(
        self, observation_space: Any, action_space: Any, sampler: ActionSampler, example: Any
    ) -> PolicyNetwork:
        actor, critic = self._given["model"], self._given["critic"]
        shown = without_mask(observation_space, action_space)
        if self.memory is not None or any(model and memory_of(model, example) for model in (actor, critic)):
            return self._fit_remembering(shown, sampler, example)
        has_value = actor is not None and len(probe(actor, example)[1]) == 2
        if actor is None and critic is None and is_image(observation_space):
            actor, has_value = self._default(shown, (sampler.num_outputs, 1), (0.01, 1.0), "actor"), True
        if actor is None:
            actor = self._default(shown, sampler.num_outputs, 0.01, "actor")
        if critic is None and not has_value:
            seen = restricted(observation_space, inputs_of(actor, example).paths)
            critic = self._default(seen, 1, 1.0, "critic")
        self.model, self.critic = actor, critic
        return ActorCritic(actor, critic, example, sampler.num_outputs, sampler.outputs_mean)

    def _fit_remembering(self, observation_space: Any, sampler: ActionSampler, example: Any) -> RecurrentActorCritic:
        actor, critic = self._given["model"], self._given["critic"]
        memory = Memory(self.memory or "gru", self.memory_units)
        if actor is None:
            sizes, gains = ((sampler.num_outputs, 1), (0.01, 1.0)) if critic is None else (sampler.num_outputs, 0.01)
            actor = self._default(observation_space, sizes, gains, "actor", memory)
        elif critic is None and len((given := runner_of(actor, example)).output_shapes) == 1:
            critic = self._default(restricted(observation_space, given.inputs.paths), 1, 1.0, "critic", memory)
        self.model, self.critic = actor, critic
        return RecurrentActorCritic(actor, critic, example, sampler.num_outputs, sampler.outputs_mean)

    def _default(
        self, observation_space: Any, num_outputs: Any, final_gains: Any, name: str, memory: Memory | None = None
    ) -> keras.Model:
        return build_model(
            observation_space,
            num_outputs,
            self.hidden_units,
            derive_seed(self._seed, name),
            activation="tanh",
            gain=math.sqrt(2.0),
            final_gains=final_gains,
            memory=memory,
        )

    def _trained(self) -> list[Any]:
        """One optimizer moves everything, so that the norm of all gradients is bounded together."""
        return [*self._network.trainable_variables, *([] if self._log_std is None else [self._log_std])]

    def _make_learner(self) -> PPOLearner:
        compiles = self.jit_compile
        if compiles == "auto":
            compiles = pays_to_compile(self._trained(), self.batch_size)
        update = self._make_update(StepRule(KL_ROWS, oversteps=True, bounds_norm=True, jit_compile=compiles))
        remembers = update.rows_per_draw > 1
        batch_size = max(MIN_SEQUENCES if remembers else 1, self.batch_size // update.rows_per_draw)
        return PPOLearner(update, derive_rng(self._seed, "learn"), batch_size, self.scale_rewards)

    def _new_update(self, *parts: Any) -> SurrogateUpdate:
        if not self._network.states:
            return super()._new_update(*parts)
        return RecurrentUpdate(*parts, sequence_length=self.sequence_length)


class PPOLearner(OnPolicyLearner):
    """PPO on one window after another: advantages, minibatches, the clipped surrogate loss, the KL control.

    Args:
        update: Takes the gradient steps, on policy and value function.
        rng: Draws the minibatches.
        batch_size: Draws of a minibatch: steps, or whole sequences of them.
        scales_rewards: Whether rewards are told less their level, in units of the running spread of returns.
    """

    control = KLControl(step=1.3, low=0.03, high=5.0, min_share_taken=0.3)

    def __init__(
        self, update: SurrogateUpdate, rng: np.random.Generator, batch_size: int, scales_rewards: bool
    ) -> None:
        super().__init__(update, rng)
        self._batch_size = batch_size
        self._scales_rewards = scales_rewards
        self._reward_level = RewardLevel()
        self._reward_scaler = RewardScaler()

    def learn(self, steps: Steps, params: Mapping[str, Any]) -> dict[str, float]:
        """Update policy and value function from one window; where that fails, be as before.

        Returns:
            ``loss``, ``policy_loss``, ``value_loss``, ``entropy``, ``clip_fraction`` and ``grad_norm``
            (means over the gradient steps), ``num_gradient_steps``, ``kl`` of this update,
            ``explained_variance`` of the values, and the ``kl_factor`` in effect.
        """
        before = self.state_dict()
        try:
            return self._learned(steps, params)
        except NonFiniteError:
            self.load_state_dict(*before)
            raise

    def _learned(self, steps: Steps, params: Mapping[str, Any]) -> dict[str, float]:
        gamma, valid = params["gamma"], steps.valid.reshape(-1)
        rewards = self._scaled_rewards(steps, gamma) if self._scales_rewards else steps.rewards
        rated = self._update.rate(steps)
        with np.errstate(all="ignore"):  # what is not finite is told and undone
            advantages, returns = advantages_and_returns(
                steps, rewards, rated.values, rated.successor_values, gamma, params["gae_lambda"]
            )
            explained = explained_variance(rated.values, returns, valid)
            advantages = standardized(advantages, valid)

        batches, num_steps = self._minibatches(self._update.drawable(steps.valid), params["num_epochs"])
        kl_target, max_norm = params["kl_target"] or math.inf, params["max_grad_norm"] or math.inf
        factor = self.kl_factor if math.isfinite(kl_target) else 1.0
        settings = {**params, "learning_rate_factor": factor, "kl_limit": 2 * kl_target, "max_grad_norm": max_norm}
        found, _ = self._update(rated, advantages, returns, batches, num_steps, settings)

        taken = found["num_gradient_steps"]
        if math.isfinite(kl_target) and num_steps:
            share_taken = taken / num_steps
            self.kl_factor = self.control.next_factor(self.kl_factor, found["kl"], kl_target, share_taken)
        told = {"explained_variance": explained, "num_gradient_steps": taken, "kl_factor": factor}
        return {name: found[name] for name in DIAGNOSTICS} | told

    def _scaled_rewards(self, steps: Steps, gamma: float) -> np.ndarray:
        if self._reward_level.observe(steps.rewards, steps.terminated, steps.ended, steps.valid, steps.fresh_start):
            self._reward_scaler = RewardScaler()
        units = self._reward_level.units(gamma)
        rewards = np.where(steps.valid, steps.rewards - units.level, 0.0)
        scaled = self._reward_scaler.scale(rewards, steps.ended, steps.valid, gamma)
        at_ends = (units.last_level - units.level) / self._reward_scaler.spread
        return scaled - at_ends * steps.terminated if at_ends else scaled

    def _minibatches(self, valid: np.ndarray, num_epochs: float) -> tuple[np.ndarray, int]:
        """Return minibatches of what is ``valid``, and how many of them count.

        Their first axis is the same for any number of valid rows and for up to twice as many epochs: a compiled
        update need not be compiled again.
        """
        num_rows, batch_size = int(valid.sum()), min(self._batch_size, len(valid))
        num_steps = max(1, round(num_epochs * num_rows / batch_size)) if num_rows else 0
        capacity = -(-next_power_of_two(num_epochs) * len(valid) // batch_size)
        return draw_minibatches(self._rng, valid, num_steps, batch_size, capacity), num_steps

    def on_world_change(self) -> None:
        """Forget the scale of the old world's rewards, and how far a step may go."""
        super().on_world_change()
        self._reward_scaler.on_world_change()

    def lose_place(self) -> None:
        """Forget how far the running episodes are."""
        self._reward_level.lose_place()

    def _parts(self) -> dict[str, Any]:
        return {"rewards": self._reward_scaler, "level": self._reward_level}


def next_power_of_two(number: float) -> int:
    """Return the smallest power of two that is not below ``number``."""
    return int(2 ** np.ceil(np.log2(max(number, 1.0))))


def pays_to_compile(variables: Sequence[Any], batch_size: int) -> bool:
    """Tell whether XLA pays on a CPU: whether an update of these weights is bound by the overhead of its operations.

    XLA fuses them, which wins where each operation is small. Large products of matrices and
    convolutions take longer in its code than in TensorFlow's own.

    Args:
        variables: What the update trains.
        batch_size: Rows of a minibatch.
    """
    has_convolutions = any(len(v.shape) > 2 for v in variables)
    work = batch_size * sum(int(np.prod(v.shape)) for v in variables)
    return not has_convolutions and work <= MAX_WORK
