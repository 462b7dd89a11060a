"""The bring-your-own-model agent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tensor_optix.adapters.tensorflow import binding, hyperparameters, own_learn
from tensor_optix.adapters.tensorflow.acting.fast_policy import compile_forward
from tensor_optix.adapters.tensorflow.acting.frozen_policy import FrozenPolicy
from tensor_optix.adapters.tensorflow.acting.model_inputs import ModelInputs, first_of
from tensor_optix.adapters.tensorflow.acting.noise_stream import NoiseStream
from tensor_optix.adapters.tensorflow.actions import discrete, table
from tensor_optix.adapters.tensorflow.actions.action_sampler import ActionSampler
from tensor_optix.adapters.tensorflow.learning.custom_loss import custom_step
from tensor_optix.adapters.tensorflow.learning.learner_assembly import assemble_learner, assemble_update
from tensor_optix.adapters.tensorflow.learning.window_reading import read_steps
from tensor_optix.adapters.tensorflow.models import model_checks
from tensor_optix.adapters.tensorflow.saving import agent_class, agent_state, forewarning, hidden_randomness
from tensor_optix.adapters.tensorflow.saving.agent_arrays import forget_moments, unused_copy
from tensor_optix.adapters.tensorflow.saving.policy_export import make_policy_model
from tensor_optix.core.base_agent import BaseAgent, Policy
from tensor_optix.core.storage.state_files import read_agent_state, write_agent_state
from tensor_optix.core.types import AgentState, EpisodeData, HyperparamSet, ParamSpec, StateScope
from tensor_optix.functional.seeding import derive_rng, fresh_seed

LossFn = Callable[[Any, EpisodeData, np.ndarray], Any]


class TFAgent(BaseAgent):
    """Acts and learns with a Keras model that gives logits, or the means of a Gaussian.

    For a Discrete action space the model gives one logit per action, and actions are drawn from
    their softmax. For a Box it gives one mean per dimension, where -1 and 1 are the bounds of the
    space; a learned spread belongs to the agent, and actions are clipped to the bounds.

    ``learn`` is a policy gradient on the last 2,048 steps with the clipped surrogate loss
    (Schulman et al., 2017), generalized advantages over a linear value baseline, so that no second
    network is needed, and a learning rate under KL control that fades as advantages vanish, so that a
    policy at the top stays there. Hyperparameters and their defaults:
    ``gamma`` 0.99, ``gae_lambda`` 0.95, ``clip_ratio`` 0.2, ``entropy_coef`` 0.003, ``kl_target``
    0.02 (nats per 2,048 new steps), ``num_epochs`` 10 (passes per new step); all are read at each
    ``learn``, and changing one never retraces. ``learning_rate`` is that of the Keras optimizer; the
    KL control multiplies it by a factor that is part of the state, not of the hyperparameters.

    The model runs at inference (``training=False``) in acting and learning alike: Dropout is off
    and BatchNormalization uses its moving statistics, which do not move.

    Subclass and override ``learn`` for another algorithm, with ``self.model``, ``self.optimizer`` and
    ``self._hyperparams.params``; acting follows by itself, and networks, optimizers, variables, seeds
    and NumPy generators among its attributes go with its state.

    Args:
        model: Any Keras 3 model with one output ``[batch, size]``.
        optimizer: A Keras optimizer whose learning rate is a number, not a schedule.
        hyperparams: ``learning_rate`` and ``gamma``, and whatever else a subclass reads.
        compute_loss_fn: ``compute_loss_fn(model, episode_data, returns)`` returns a scalar, which
            one eager gradient step per ``learn`` minimises instead; ``returns`` are discounted, stop
            at episode ends, bootstrap where the window cut an episode off, and have the shape of
            the rewards.

    Raises:
        BackendError: Keras runs on another backend than TensorFlow, or is the legacy Keras 2.
        InvalidTypeError: An argument is of a type that cannot be used.
        InvalidArgumentError: A hyperparameter is out of range or not finite, or the optimizer's
            learning rate is a schedule.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        >>> params = HyperparamSet({"learning_rate": 3e-4, "gamma": 0.99}, episode_id=0)
        >>> agent = TFAgent(model, keras.optimizers.Adam(), params)
        >>> agent.act(np.zeros(4, np.float32)) in (0, 1)
        True
    """

    _makes_models = False
    """Whether ``bind`` makes a model where none was given."""
    _saved_as = "TFAgent"
    """The class that ``load_agent`` rebuilds."""

    _normalizer: Any = None
    """What raw observations pass before they reach the model."""

    undoes_bad_updates = tells_what_it_used = True

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        hyperparams: HyperparamSet,
        compute_loss_fn: LossFn | None = None,
    ) -> None:
        model_checks.require_tensorflow_backend()
        if model is not None or not self._makes_models:
            model_checks.check_model(model)
        model_checks.check_optimizer(optimizer)
        model_checks.check_loss_fn(compute_loss_fn)
        self.model = model
        self.optimizer = optimizer
        self.version = 0
        self._num_policies = 0
        self._compute_loss_fn = compute_loss_fn
        self._seed = fresh_seed()
        self._spaces: tuple[Any, Any] = (None, None)
        self._sampler: ActionSampler | None = None
        self._has_learned = False
        self._architecture: dict[str, Any] | None = None
        hyperparameters.say_which_rate(optimizer, hyperparams)
        self.set_hyperparams(hyperparams)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Let acting follow the weights after a subclass's own ``learn``, and its arguments be saved."""
        super().__init_subclass__(**kwargs)
        agent_class.remember_arguments(cls)
        own_learn.adopt(cls)

    # Acting

    def bind(self, observation_space: Any, action_space: Any, *, num_envs: int = 1, seed: int | None = None) -> None:
        """Check that model and spaces fit, build model and optimizer, and seed all randomness.

        An agent that has learned, was loaded or was given a state keeps all it has: another seed
        reseeds what is random, and the spaces may differ in bounds and in the width of numbers.

        Raises:
            UnsupportedSpaceError: The agent cannot act in such a space, or has learned in another.
            IncompatibleModelError: The model does not take such observations, or gives another
                number of outputs than the actions need.
        """
        binding.bind(self, (observation_space, action_space), seed, num_envs)

    def acting_copy(self, observation_space: Any, action_space: Any, *, seed: int) -> TFAgent:
        """Return an agent that acts as this one does now; acting with it changes nothing here."""
        twin: TFAgent = binding.acting_copy(self, (observation_space, action_space), seed)
        return twin

    def act(self, observation: Any) -> Any:
        """Draw an action for one observation: an int for a Discrete space, else an array."""
        if self._sampler is None:
            self._infer(observation)
        return self._sampler.sample_one(self._forward.one(observation), self._noise.one())

    def act_batch(self, observations: Any) -> np.ndarray:
        """Draw one action for each observation; the same draws as from as many calls of ``act``."""
        if self._sampler is None:
            self._infer(first_of(observations))
        outputs = self._forward(observations)
        return self._sampler.sample(outputs, self._noise.batch(len(outputs)))

    def act_greedy(self, observation: Any) -> Any:
        """Return the most likely action: the largest logit, or the mean."""
        if self._sampler is None:
            self._infer(observation)
        return self._sampler.greedy_one(self._forward.one(observation))

    def policy(self) -> Policy:
        """Return a frozen copy with noise of its own."""
        self._require_ready()
        self._num_policies += 1
        rng = derive_rng(self._seed, "policy", self.version, self._num_policies)
        return FrozenPolicy(self._forward.snapshot(), self._sampler, rng, self.version)

    def policy_model(self) -> keras.Model:
        """Return a Keras model on a copy of the weights: raw observation in, greedy env-ready action out.

        Plain Keras loads what its ``save`` writes; ``export`` makes a SavedModel, ONNX or TFLite ("litert").

        Raises:
            NotBoundError: The agent has seen neither spaces nor an observation yet.
        """
        self._require_ready()
        return make_policy_model(self.model, self._inputs, self._sampler, self._normalizer and self._normalizer.frozen)

    def refresh(self) -> None:
        """Let acting follow the model's weights, after something else than ``learn`` changed them."""
        if self._sampler is None:
            return
        self._forward.refresh()
        if self._log_std is not None:
            self._sampler = self._sampler.with_log_std(self._log_std.numpy())

    # Learning

    def learn(self, episode_data: EpisodeData) -> dict[str, Any]:
        """Update the policy from one window.

        Returns:
            ``loss``, ``grad_norm`` and ``entropy`` (means over the gradient steps), ``kl`` of this
            update, ``kl_from_behaviour`` over all recent steps, ``num_gradient_steps``, ``kl_factor``,
            ``signal`` (1, or less where advantages are too small to trust) and the ``learning_rate``
            in effect, ``explained_variance`` of the baseline on this window.

        Raises:
            NonFiniteError: An observation, reward, loss or gradient is NaN or infinite; weights
                and optimizer are as they were.
        """
        if self._sampler is None:
            self._infer(first_of(episode_data.observations))
        steps = read_steps(episode_data, self._inputs, self._sampler, self._part_dtypes)
        if self._compute_loss_fn is not None:
            returns = self._learner.returns_of(steps, self._hyperparams.params).astype(np.float32)
            diagnostics = custom_step(self, self._compute_loss_fn, episode_data, returns)
        else:
            diagnostics = self._learner.learn(steps, self._hyperparams.params)
        self._after_learn()
        base_rate = self._base_learning_rate(diagnostics.pop("base_rate", None))
        self.used_hyperparams = self._with_rate(base_rate)
        return {
            **diagnostics,
            "learning_rate": base_rate * diagnostics.get("kl_factor", 1.0) * diagnostics.get("signal", 1.0),
        }

    def on_world_change(self) -> None:
        """Forget the optimizer's moments, the recent steps and the baseline; keep the weights."""
        if self._sampler is None:
            return
        for optimizer in self._optimizers():
            forget_moments(optimizer)
        self._learner.on_world_change()

    # Hyperparameters

    def get_hyperparams(self) -> HyperparamSet:
        """Return a copy with the optimizer's base learning rate."""
        return self._with_rate(self._base_learning_rate())

    def set_hyperparams(self, hyperparams: HyperparamSet) -> None:
        """Check and use them from the next ``learn`` on; ``learning_rate`` goes to the Keras optimizer."""
        hyperparameters.check_hyperparams(hyperparams)
        self._hyperparams = hyperparams.copy()
        if "learning_rate" in hyperparams.params:
            self.optimizer.learning_rate.assign(hyperparams.params["learning_rate"])

    def hyperparam_bounds(self) -> dict[str, ParamSpec]:
        """Return ranges around the usual values of what ``learn`` reads."""
        return dict(hyperparameters.BOUNDS)

    def bold_hyperparams(self) -> HyperparamSet:
        """Return smaller, surer steps: a third of the learning rate and of the KL target, no entropy bonus."""
        return hyperparameters.smaller_steps(self.get_hyperparams())

    describe_platform = staticmethod(agent_state.thread_counts)
    caveats = forewarning.loading_caveats
    structure_differences = agent_state.structure_differences
    global_randomness = staticmethod(hidden_randomness.global_randomness)

    def on_divergence(self) -> None:
        """Halve the base learning rate."""
        softened = self.get_hyperparams()
        softened.params["learning_rate"] /= 2.0
        self.set_hyperparams(softened)

    # State

    def get_state(self, scope: StateScope = "learner") -> AgentState:
        """Return weights, and unless ``scope`` is "policy" all that learning and acting go on from."""
        self._require_ready()
        return agent_state.capture(self, scope)

    def set_state(self, state: AgentState) -> None:
        """Become what ``state`` says, all or nothing; acting and learning then go on bit for bit."""
        self._require_ready()
        agent_state.restore(self, state)
        self._has_learned = True
        self.refresh()

    def save_weights(self, path: str) -> None:
        """Write the state, and what rebuilds model and optimizer, as safetensors and JSON.

        Where nothing was bound yet, that is the weights of the models, which must be built.
        """
        is_ready = self._sampler is not None
        write_agent_state(path, self.get_state("learner") if is_ready else agent_state.capture_models(self))

    def load_weights(self, path: str) -> None:
        """Read what ``save_weights`` wrote; binds to the saved spaces where nothing was bound."""
        agent_state.load(self, read_agent_state(path))

    # Steps that subclasses may override

    def _sampler_for(self, action_space: Any) -> ActionSampler:
        """Return how outputs become actions, or raise ``UnsupportedSpaceError``."""
        return table.head_for(action_space, table.ONE_OUTPUT_EACH)

    def _fit_models(self, observation_space: Any, action_space: Any, sampler: ActionSampler, example: Any) -> Any:
        """Build the models, check that they fit the spaces, and return how observations reach them."""
        inputs, size = model_checks.build_and_probe(self.model, example)
        model_checks.check_output_size(self.model, size, sampler, action_space)
        return inputs

    def _assemble(self, inputs: ModelInputs, sampler: ActionSampler, example: Any) -> None:
        """Make everything that depends on the shapes of observations and actions."""
        self._inputs = inputs
        self._part_dtypes = inputs.kept_dtypes(example)
        self._architecture = None
        self._log_std = None if sampler.log_std is None else keras.Variable(sampler.log_std, name="log_std")
        self._build_optimizers()
        self._acting_model = self._make_acting_model()
        self._forward = compile_forward(self._acting_model, example)
        self._noise = NoiseStream(derive_rng(self._seed, "act"), sampler.draw_noise)
        self._sampler = sampler
        self._learner = self._make_learner()
        self._weights_as_made = binding.weights_digest(self)

    def _keep_networks(self) -> None:
        """Take the networks as they are for the user's own: the next ``bind`` makes none."""

    def _reseed(self, seed: int) -> None:
        """Let everything random follow another seed, and nothing else change."""
        self._seed = seed
        self._noise = NoiseStream(derive_rng(seed, "act"), self._sampler.draw_noise)
        self._learner.reseed(derive_rng(seed, "learn"))

    def _serve(self, sampler: ActionSampler) -> None:
        """Act and learn through another sampler of the same outputs."""
        before, self._sampler = self._sampler, sampler
        if not before.has_density_of(sampler):
            self._follow_bounds()

    def _follow_bounds(self) -> None:
        """Learn with the density of actions within the sampler's bounds."""
        self._learner.use_update(assemble_update(self))

    def _build_optimizers(self) -> None:
        """Make room for the optimizers' moments; the spread has an optimizer of its own."""
        if not self.optimizer.built:
            self.optimizer.build(self.model.trainable_variables)
        spread = self._log_std
        self._spread_optimizer = None if spread is None else unused_copy(self.optimizer, [spread])

    def _make_acting_model(self) -> keras.Model:
        """Return what acting runs: raw observation in, outputs ``[B, K]`` out, on the weights that learn."""
        return self.model

    def _make_learner(self) -> Any:
        """Return what learns, with ``state_dict``, ``load_state_dict`` and ``on_world_change``."""
        return assemble_learner(self)

    def _outputs(self, parts: list[Any]) -> Any:
        """Return the model's outputs ``[B, K]``, as acting sees them."""
        cast = [tf.cast(part, dtype) for part, dtype in zip(parts, self._inputs.dtypes, strict=True)]
        return tf.cast(self.model(self._inputs.pack(cast), training=False), tf.float32)

    def _optimizers(self) -> list[Any]:
        return [self.optimizer] if self._spread_optimizer is None else [self.optimizer, self._spread_optimizer]

    def _policy_variables(self) -> list[tuple[str, list[Any]]]:
        """Return, in named groups, all variables that acting depends on."""
        spread = [] if self._log_std is None else [("log_std", [self._log_std])]
        return [("model", list(self.model.variables)), *spread]

    def _other_networks(self) -> list[tuple[str, list[Any]]]:
        """Return, in named groups, the weights of networks that only learning depends on."""
        return []

    def _learner_variables(self) -> list[tuple[str, list[Any]]]:
        """Return, in named groups, all variables that only learning depends on."""
        moments = [(f"optimizer_{i}", list(optimizer.variables)) for i, optimizer in enumerate(self._optimizers())]
        return [*self._other_networks(), *moments]

    def _follow_networks(self) -> None:
        """Let copies of the networks, as targets are, become what the networks are."""

    def _keras_parts(self) -> dict[str, Any]:
        """Return what is saved by its Keras configuration, by name; None for what there is not."""
        return {"model": self.model, "optimizer": self.optimizer}

    def _describe(self) -> dict[str, Any]:
        """Return, JSON-able, what ``_rebuilt`` makes the agent from beside these."""
        return {}

    @classmethod
    def _rebuilt(cls, saved: dict[str, Any], build: Callable[[str], Any], hyperparams: HyperparamSet) -> TFAgent:
        """Return an agent as described; ``build(name)`` makes a Keras object from its configuration."""
        parts = {"model": build("model"), "optimizer": build("optimizer")}
        return cls(**parts, hyperparams=hyperparams, **saved.get("structure", {}))

    def _after_learn(self) -> None:
        self._has_learned = True
        self.version += 1
        self.refresh()

    def _infer(self, observation: Any) -> None:
        """Take the shapes from one observation, and the outputs for logits: nobody called ``bind``."""
        inputs, size = model_checks.build_and_probe(self.model, observation)
        self._assemble(inputs, discrete.DiscreteSampler(size), observation)

    def _require_ready(self) -> None:
        model_checks.require_ready(self._sampler is not None)

    def _with_rate(self, rate: float) -> HyperparamSet:
        return hyperparameters.with_value(self._hyperparams, "learning_rate", rate)

    def _base_learning_rate(self, current: float | None = None) -> float:
        current = hyperparameters.rate_now(self.optimizer) if current is None else current
        return hyperparameters.as_given(self._hyperparams.params.get("learning_rate"), current)
