"""The bring-your-own-model agent."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tensor_optix.adapters.tensorflow.acting.model_inputs import first_of
from tensor_optix.adapters.tensorflow.acting_agent import ActingAgent
from tensor_optix.adapters.tensorflow.hyperparameters import (
    MOST_REPEATS,
    Setting,
    bounds_of,
    checked,
    discount,
    in_force,
    rate,
    smaller_steps,
    with_value,
)
from tensor_optix.adapters.tensorflow.learning.keras_optimizers import (
    as_given,
    forget_moments,
    rate_now,
    say_which_rate,
    with_rate_of,
)
from tensor_optix.adapters.tensorflow.learning.losses import custom_step
from tensor_optix.adapters.tensorflow.learning.policy_learner import STEP_RULE, PolicyLearner
from tensor_optix.adapters.tensorflow.learning.recent_steps import StepLayout
from tensor_optix.adapters.tensorflow.learning.surrogate_update import StepRule, SurrogateUpdate
from tensor_optix.adapters.tensorflow.learning.value_baseline import ValueBaseline
from tensor_optix.adapters.tensorflow.learning.window_steps import Steps, own_choices, read_steps
from tensor_optix.adapters.tensorflow.models import model_checks
from tensor_optix.adapters.tensorflow.saving import agent_class
from tensor_optix.core.search_space import ParamSpec
from tensor_optix.core.types import AgentState, EpisodeData, HyperparamSet
from tensor_optix.functional.seeding import derive_rng, fresh_seed

SETTINGS: dict[str, Setting] = {
    "learning_rate": rate(3e-4),
    "gamma": discount(0.99),
    "gae_lambda": discount(0.95, 0.8, 0.999),
    "clip_ratio": Setting(0.2, ParamSpec(0.05, 0.4), {"above": 0.0}),
    "entropy_coef": Setting(0.003, None, {"low": 0.0}),
    "kl_target": Setting(0.02, ParamSpec(1e-3, 0.1, scale="log"), {"above": 0.0}),
    "num_epochs": Setting(10, ParamSpec(1, 30, scale="log", integer=True), {"above": 0.0, "high": MOST_REPEATS}),
}

LossFn = Callable[[Any, EpisodeData, np.ndarray], Any]


class TFAgent(ActingAgent):
    """Acts and learns with a Keras model that gives logits, or the means of a Gaussian.

    For a Discrete action space the model gives one logit per action, and actions are drawn from
    their softmax. For a Box it gives one mean per dimension, where -1 and 1 are the bounds of the
    space, as far as there are any; a learned spread belongs to the agent, and actions are clipped to the bounds.

    ``learn`` is a policy gradient on the last 2,048 steps with the clipped surrogate loss
    (Schulman et al., 2017), generalized advantages over a linear value baseline, so that no second
    network is needed, and a learning rate under KL control that fades as advantages vanish, so that a
    policy at the top stays there. Hyperparameters and their defaults:
    ``gamma`` 0.99, ``gae_lambda`` 0.95, ``clip_ratio`` 0.2, ``entropy_coef`` 0.003, ``kl_target``
    0.02 (nats per 2,048 new steps), ``num_epochs`` 10 (passes per new step); all are read at each
    ``learn``, and changing one never retraces. ``learning_rate`` is that of the Keras optimizer; the
    KL control multiplies it by a factor that is part of the state, not of the hyperparameters.

    The model runs at inference (``training=False``) in acting and learning alike: Dropout is off
    and BatchNormalization uses its moving statistics, which do not move. Constraints, regularisers and
    losses that layers add count as in ``keras.Model.fit``: ``docs/keras.md``.

    Subclass and override ``learn`` for another algorithm, with ``self.model``, ``self.optimizer`` and
    ``self._hyperparams.params``; acting follows by itself, and networks, optimizers, variables, seeds
    and NumPy generators among its attributes go with its state.

    Args:
        model: Any Keras 3 model with one output ``[batch, size]``.
        optimizer: A Keras optimizer whose learning rate is a number, not a schedule.
        hyperparams: ``learning_rate`` and ``gamma``, and whatever else a subclass reads.
        compute_loss_fn: ``compute_loss_fn(model, episode_data, returns)`` returns a scalar, which
            one eager gradient step per ``learn`` minimises instead, together with ``model.losses``;
            ``returns`` are discounted, stop at episode ends, bootstrap where the window cut an episode
            off, and have the shape of the rewards. Steps that are not to be learned from are False in
            ``episode_data.valid``, where that is not None. In a Box, call ``agent.log_prob(outputs,
            actions)`` in it, or use ``agent.log_std``: the spread of the actions is learned only where
            the loss depends on it.

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

    _saved_as = "TFAgent"

    _settings: Mapping[str, Setting] = SETTINGS
    """What is read from the hyperparameters."""
    _keeps_other_hyperparams = True
    """Whether others are kept, for subclasses to read."""

    undoes_bad_updates = tells_what_it_used = True
    exploration_hyperparams: Sequence[str] = ("entropy_coef",)

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        hyperparams: HyperparamSet,
        compute_loss_fn: LossFn | None = None,
    ) -> None:
        model_checks.require_tensorflow_backend()
        if self._makes_models:  # what is not given is made
            self._settings = with_rate_of(optimizer, self._settings)
            optimizer = self._usual_optimizer() if optimizer is None else optimizer
            hyperparams = HyperparamSet({}, episode_id=0) if hyperparams is None else hyperparams
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
        self._spaces = (None, None)
        self._sampler = None
        self._has_learned = False
        self._keep_networks()
        self._architecture = None
        say_which_rate(optimizer, hyperparams)
        self.set_hyperparams(hyperparams)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Let acting follow the weights after a subclass's own ``learn``, and its arguments be saved."""
        super().__init_subclass__(**kwargs)
        agent_class.remember_arguments(cls)
        _adopt_learn(cls)

    # Learning

    def learn(self, episode_data: EpisodeData) -> dict[str, Any]:
        """Update from one window; the algorithm's own learner says what it tells.

        Steps of a live feed whose action was not the policy's choice are left out.

        Returns:
            Diagnostics of the learner, for ``TFAgent`` itself ``loss``, ``grad_norm`` and ``entropy`` (means over
            the gradient steps), ``kl`` of this update, ``kl_from_behaviour`` over all recent steps,
            ``num_gradient_steps``, ``kl_factor``, ``signal`` (1, or less where advantages are too small to trust),
            ``explained_variance`` of the baseline on this window; and the ``learning_rate`` in effect.

        Raises:
            NonFiniteError: An observation, reward, loss or gradient is NaN or infinite; weights
                and optimizer are as they were.
            NotBoundError: The agent must know the spaces, and ``bind`` was never called.
        """
        if self._sampler is None:
            self._infer(first_of(episode_data.observations))
        self._follow_flags()
        self._note_masks(episode_data)
        episode_data = own_choices(episode_data)
        steps = read_steps(episode_data, self._inputs, self._sampler, self._part_dtypes)
        diagnostics = self._learned_from(episode_data, steps)
        # Only now: actions are learned from as they were chosen, so that ratios start at 1 in every window.
        if self._normalizer.is_active:
            self._normalizer.observe(steps.valid_observations())
        self._after_learn()
        base_rate = self._base_learning_rate()
        self.used_hyperparams = self._with_rate(base_rate)
        return {
            **diagnostics,
            "learning_rate": base_rate * diagnostics.get("kl_factor", 1.0) * diagnostics.get("signal", 1.0),
        }

    def _learned_from(self, window: EpisodeData, steps: Steps) -> dict[str, float]:
        params = in_force(self._hyperparams.params, self._settings)
        if self._compute_loss_fn is None:
            diagnostics: dict[str, float] = self._learner.learn(steps, params)
            return diagnostics
        returns = self._learner.returns_of(steps, params).astype(np.float32)
        spread = None if self._spread_optimizer is None else (self._spread_optimizer, self._log_std)
        return custom_step(self.model, self.optimizer, self._compute_loss_fn, window, returns, spread)

    def go_back_to(self, state: AgentState) -> None:
        """Become what an earlier state of the same run says; the episodes that are running now are others than then."""
        super().go_back_to(state)
        self._learner.lose_place()

    def on_world_change(self) -> None:
        """Forget moments and what was learned from the old world's steps, let new observations weigh more."""
        if self._sampler is None:
            return
        for optimizer in self._optimizers():
            forget_moments(optimizer)
        self._learner.on_world_change()
        self._normalizer.on_world_change()

    # Hyperparameters

    def get_hyperparams(self) -> HyperparamSet:
        """Return a copy with the optimizer's base learning rate."""
        return self._with_rate(self._base_learning_rate())

    def set_hyperparams(self, hyperparams: HyperparamSet) -> None:
        """Check and use them from the next ``learn`` on; ``learning_rate`` goes to the Keras optimizer."""
        self._hyperparams = self._checked(hyperparams)
        if "learning_rate" in self._hyperparams.params:
            for optimizer in self._rated_optimizers():
                optimizer.learning_rate.assign(self._hyperparams.params["learning_rate"])

    def hyperparam_bounds(self) -> dict[str, ParamSpec]:
        """Return ranges around the usual values of what ``learn`` reads; a loss of your own reads less."""
        bounds = bounds_of(self._settings)
        if self._compute_loss_fn is None:
            return bounds
        return {name: bounds[name] for name in ("learning_rate", "gamma", "gae_lambda")}

    def default_hyperparams(self) -> dict[str, Any]:
        """Return the defaults of what ``learn`` reads."""
        return in_force({}, self._settings)

    def bold_hyperparams(self) -> HyperparamSet:
        """Return smaller, surer steps: a third of the learning rate and of a KL target, no entropy bonus."""
        return smaller_steps(self.get_hyperparams(), self._settings)

    def on_divergence(self) -> None:
        """Halve the base learning rate."""
        softened = self.get_hyperparams()
        softened.params["learning_rate"] /= 2.0
        self.set_hyperparams(softened)

    # What learns

    def _make_learner(self) -> Any:
        sizes = model_checks.discrete_sizes(self._spaces[0], self._inputs)
        baseline = ValueBaseline(derive_rng(self._seed, "baseline"), self._part_shapes, sizes)
        masks = self._sampler.mask_layout
        mask_size = None if masks is None else masks.size
        layout = StepLayout(self._inputs.shapes, self._part_dtypes, self._encoded_action(), mask_size)
        return PolicyLearner(self._make_update(STEP_RULE), derive_rng(self._seed, "learn"), baseline, layout)

    def _make_update(self, rule: StepRule) -> SurrogateUpdate:
        """Return what takes the gradient steps; nothing is traced before its first window."""
        head, shapes = self._sampler, zip(self._inputs.shapes, self._part_dtypes, strict=True)
        groups = [(self.optimizer, self._trained())]
        if self._spread_optimizer is not None:
            groups.append((self._spread_optimizer, [self._log_std]))
        return self._new_update(
            self._network,
            self._normalizer,
            head.density(self._log_std),
            groups,
            [tf.TensorSpec((None, *shape), dtype) for shape, dtype in shapes],
            head.encoded_spec,
            rule,
        )

    def _new_update(self, *parts: Any) -> SurrogateUpdate:
        return SurrogateUpdate(*parts)

    def _follow_bounds(self) -> None:
        self._follow_trained()

    def _follow_trained(self) -> None:
        self._learner.use_update(self._make_update(self._learner.rule))

    def _encoded_action(self) -> np.ndarray:
        """Return one action as it is kept: of whatever shape it is in its space, it is flat."""
        space = self._spaces[1]
        action = 0 if space is None else np.zeros(space.shape or (), space.dtype)
        encoded: np.ndarray = self._sampler.encode(np.asarray(action)[np.newaxis])[0]
        return encoded

    def _after_learn(self) -> None:
        self._has_learned = True
        self.version += 1
        self.refresh()

    def _checked(self, hyperparams: HyperparamSet) -> HyperparamSet:
        return checked(hyperparams, self._settings, type(self).__name__, keeps_others=self._keeps_other_hyperparams)

    def _usual_optimizer(self) -> keras.optimizers.Optimizer:
        """Return what is used where none is given."""
        return keras.optimizers.Adam()

    def _rated_optimizers(self) -> list[Any]:
        """Return the optimizers that ``learning_rate`` is the rate of."""
        return [self.optimizer]

    def _with_rate(self, rate: float) -> HyperparamSet:
        return with_value(self._hyperparams, "learning_rate", rate)

    def _base_learning_rate(self) -> float:
        return as_given(self._hyperparams.params.get("learning_rate"), rate_now(self.optimizer))


def _adopt_learn(cls: Any) -> None:
    """Let acting follow the weights after a class's own ``learn``, and promise only what it promises itself."""
    if "learn" not in vars(cls):
        return
    for promise in ("undoes_bad_updates", "tells_what_it_used"):
        setattr(cls, promise, bool(vars(cls).get(promise, False)))
    cls.learn = _followed_by_refresh(cls.learn)


def _followed_by_refresh(learn: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(learn)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return learn(self, *args, **kwargs)
        finally:
            self._after_learn()

    return wrapped
