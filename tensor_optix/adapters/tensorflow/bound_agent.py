"""What ``bind`` makes of an agent: a fresh one, or what it was, in a new environment with another seed.

A fresh agent is made anew for each seed, so that a run depends on its seed alone. One that has
learned, was loaded or was given a state is never made anew: it is only reseeded. Where the user put
weights of their own into a fresh one, its networks stay and the rest is made around them.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from typing import Any, ClassVar

import gymnasium as gym
import keras
import numpy as np
import tensorflow as tf

from tensor_optix.adapters.tensorflow.acting.fast_policy import masks_of
from tensor_optix.adapters.tensorflow.acting.forward import Forward
from tensor_optix.adapters.tensorflow.acting.noise_stream import NoiseStream
from tensor_optix.adapters.tensorflow.actions import table
from tensor_optix.adapters.tensorflow.actions.action_sampler import ActionSampler, PolicyHead
from tensor_optix.adapters.tensorflow.actions.discrete import DiscreteSampler
from tensor_optix.adapters.tensorflow.learning.actor_critic import PolicyNetwork
from tensor_optix.adapters.tensorflow.learning.keras_optimizers import (
    exempt_as_saved,
    exempt_from_decay,
    fresh,
    is_built_for,
    undecayed,
    unused_copy,
)
from tensor_optix.adapters.tensorflow.learning.trained_variables import TrainableFlags, knows_some, moved_to
from tensor_optix.adapters.tensorflow.models import keras_features, model_checks
from tensor_optix.adapters.tensorflow.models.model_checks import Spaces, bounds_differ, require_served
from tensor_optix.adapters.tensorflow.models.observation_normalizer import ObservationNormalizer
from tensor_optix.adapters.tensorflow.recurrent.remembering_forward import forward_of
from tensor_optix.adapters.tensorflow.saving.agent_arrays import digest
from tensor_optix.adapters.tensorflow.saving.attached_state import attached_copies
from tensor_optix.adapters.tensorflow.saving.saved_agent import SavedAgent
from tensor_optix.core.checks import check_instance, check_int, check_seed
from tensor_optix.core.types import AgentState, StateScope
from tensor_optix.exceptions import InvalidTypeError, NotBoundError, UnsupportedSpaceError
from tensor_optix.functional.seeding import derive_rng

logger = logging.getLogger(__name__)


class BoundAgent(SavedAgent):
    """Makes everything that depends on spaces and seed: networks, optimizers' moments, acting, learner.

    An algorithm overrides the steps: how outputs become actions, what fits, what learns.
    """

    _makes_models = False
    """Whether ``bind`` makes networks where none were given, and optimizers anew where the networks are others."""

    _acts_unbound = True
    """Whether a model's outputs tell the actions, where nobody called ``bind``."""

    _kinds_of_actions: ClassVar[Sequence[type[PolicyHead]]] = table.ONE_OUTPUT_EACH
    """Those it can act in, where they are drawn from a policy that is learned."""

    _forward: Forward
    _network: PolicyNetwork
    _flags: TrainableFlags

    def bind(self, observation_space: Any, action_space: Any, *, num_envs: int = 1, seed: int | None = None) -> None:
        """Check that model and spaces fit, build model and optimizer, and seed all randomness.

        An agent that has learned, was loaded or was given a state keeps all it has: another seed
        reseeds what is random, and the spaces may differ in bounds and in the width of numbers.

        Raises:
            UnsupportedSpaceError: The agent cannot act in such a space, or has learned in another.
            IncompatibleModelError: The model does not take such observations, or gives another
                number of outputs than the actions need.
        """
        spaces = (observation_space, action_space)
        for name, space in zip(("observation_space", "action_space"), spaces, strict=True):
            check_instance(name, space, gym.spaces.Space)
        check_int("num_envs", num_envs, at_least=1)
        check_seed("seed", seed)
        seed = None if seed is None else int(seed)
        if self._sampler is None:
            self._make(spaces, seed)
        elif self._has_learned:
            self._go_on(spaces, seed)
        elif self._weights_as_made != self._weights_digest():  # someone else changed the networks since
            self._keep_networks()
            self._make(spaces, seed)
            if self._normalizes:
                logger.warning(
                    "The networks hold weights of your own, and %s will normalise observations once it has seen a "
                    "window of them. If they were trained on observations as they are, make the agent with "
                    "normalize_observations=False.",
                    type(self).__name__,
                )
        elif self._spaces != spaces or seed not in (None, self._seed):
            self._make(spaces, seed)

    def acting_copy(self, observation_space: Any, action_space: Any, *, seed: int) -> BoundAgent:
        """Return an agent that acts as this one does now; acting with it changes nothing here.

        Raises:
            UnsupportedSpaceError: The agent cannot act there.
            IncompatibleModelError: The user's model does not fit.
        """
        spaces, twin = (observation_space, action_space), copy.copy(self)
        vars(twin).update(attached_copies(self, self._networks().values()))
        if self._sampler is None:
            twin.optimizer = type(self.optimizer).from_config(self.optimizer.get_config())
            twin.bind(*spaces, seed=self._seed)
        else:
            known = self._known_spaces(spaces)
            require_served(known, spaces, self._sampler)
            self.refresh()  # weights that were set from outside count, too
            twin._sampler = self._sampler.in_space(known[1], spaces[1])
            twin._forward = self._forward.snapshot()
        twin._noise = NoiseStream(derive_rng(seed, "explore"), twin._sampler.draw_noise)
        return twin

    @property
    def log_std(self) -> keras.Variable | None:
        """Log of the learned spread of a Box's actions, in units of the model's output, ``[K]``; None elsewhere."""
        return self._log_std if self._sampler is not None else None

    def log_prob(self, outputs: Any, actions: Any, action_masks: Any = None) -> Any:
        """Return how likely actions are, for a loss of your own: gradients reach outputs and spread.

        Args:
            outputs: What the model gives for the observations acted on, ``[B, K]``.
            actions: The environment's actions, ``[B, ...]``, or ``[T, N, ...]`` with ``T * N = B``.
            action_masks: What was allowed, ``[B, A]`` or ``[T, N, A]``; None: everything.

        Returns:
            Log-probabilities, nats, float32 ``[B]``; of a Box the log-density, at a bound the log of the mass beyond.

        Raises:
            NotBoundError: The agent has seen neither spaces nor an observation yet.
            InvalidTypeError: It does not draw its actions from a policy that gradients can reach.

        Example:
            >>> def loss(model, episode_data, returns):
            ...     log_probs = agent.log_prob(model(episode_data.observations), episode_data.actions)
            ...     return -tf.reduce_mean(log_probs * returns)
        """
        self._require_ready()
        if not isinstance(self._sampler, PolicyHead):
            raise InvalidTypeError(
                f"{type(self).__name__} learns by a loss of its own: TFAgent and PPOAgent tell this."
            )
        encoded = tf.convert_to_tensor(self._sampler.encode(np.asarray(actions)))
        density, outputs = self._sampler.density(self._log_std), tf.cast(outputs, tf.float32)
        if action_masks is not None:
            masks = np.asarray(action_masks)
            rows = masks_of(self._sampler).read(masks.reshape(-1, masks.shape[-1]), (len(encoded),))
            outputs = density.masked(outputs, tf.constant(rows))
        return density.log_prob(outputs, encoded)

    def refresh(self) -> None:
        """Let acting follow networks and normaliser, after something else than ``learn`` changed them."""
        if self._sampler is None:
            return
        self._normalizer.refresh()
        self._forward.refresh()
        if self._log_std is not None:
            self._sampler = self._sampler.with_log_std(self._log_std.numpy())

    def _make(self, spaces: Spaces, seed: int | None) -> None:
        """Make everything anew, but models that the user gave."""
        sampler = self._sampler_for(spaces[1])
        example = model_checks.example_of(spaces[0])
        earlier_seed = self._seed
        self._seed = earlier_seed if seed is None else seed
        try:
            network = self._fit_models(*spaces, sampler, example)
        except Exception:
            self._seed = earlier_seed
            raise
        self._spaces = spaces
        self._assemble(network, sampler, example)

    def _go_on(self, spaces: Spaces, seed: int | None) -> None:
        """Keep all that was learned; what is random follows the new seed."""
        known = self._known_spaces(spaces)
        require_served(known, spaces, self._sampler)
        if bounds_differ(known[1], spaces[1]):
            logger.warning(
                "The agent learned to act in %s; here actions are in %s. They keep their scale, and stay inside both.",
                known[1],
                spaces[1],
            )
        if self._spaces != known:
            self._spaces, self._architecture = known, None
        self._serve(self._sampler.in_space(known[1], spaces[1]))
        self.refresh()
        self._follow_flags()
        if seed is not None and seed != self._seed:
            self._reseed(seed)

    def _known_spaces(self, spaces: Spaces) -> Spaces:
        """Return the spaces that the networks were made for, as far as is known where nobody ever called ``bind``.

        Raises:
            IncompatibleModelError: The model takes no such observations.
            UnsupportedSpaceError: The actions are other ones than it took so far.
        """
        if self._spaces[1] is not None:
            return self._spaces
        self._inputs.flat(model_checks.example_of(spaces[0]), batched=False)
        size = self._sampler.num_outputs
        if not isinstance(spaces[1], gym.spaces.Discrete) or spaces[1].n != size:
            raise UnsupportedSpaceError(
                f"Without bind() the agent took its {size} outputs for the logits of {size} actions; this "
                f"environment's actions are in {spaces[1]}. Call bind(observation_space, action_space) before it acts "
                "or learns."
            )
        return spaces[0], gym.spaces.Discrete(size)

    def _weights_digest(self) -> str:
        """Return a checksum of all weights of the agent's networks."""
        groups = self._all_variables()
        return digest([v for name, variables in groups if not name.startswith("optimizer") for v in variables])

    # Steps that an algorithm may override

    def _sampler_for(self, action_space: Any) -> ActionSampler:
        """Return how outputs become actions, or raise ``UnsupportedSpaceError``."""
        return table.head_for(action_space, self._kinds_of_actions)

    def _fit_models(
        self, observation_space: Any, action_space: Any, sampler: ActionSampler, example: Any
    ) -> PolicyNetwork:
        """Build the models, check that they fit the spaces, and return what acts."""
        inputs, size = model_checks.build_and_probe(self.model, example)
        model_checks.check_output_size(self.model, size, sampler, action_space)
        return PolicyNetwork(self.model, inputs)

    def _bind_as_saved(self, state: AgentState, max_bytes: int) -> None:
        super()._bind_as_saved(state, max_bytes)
        if "undecayed" in state.meta:
            exempt_as_saved(self._optimizers(), state.meta["undecayed"])

    def _infer(self, observation: Any) -> None:
        """Take the shapes from one observation, and the actions from the outputs: nobody called ``bind``.

        Raises:
            NotBoundError: They do not tell.
        """
        if self.model is None or observation is None or not self._acts_unbound:
            raise NotBoundError(
                f"{type(self).__name__} must know the spaces of its environment before it acts or learns. "
                "Call bind(observation_space, action_space) first; RLOptimizer does."
            )
        inputs, size = model_checks.build_and_probe(self.model, observation)
        self._assemble(PolicyNetwork(self.model, inputs), self._sampler_unbound(size), observation)

    def _sampler_unbound(self, num_outputs: int) -> ActionSampler:
        """Return how so many outputs become actions, counted from 0."""
        return DiscreteSampler(num_outputs)

    def _assemble(self, network: PolicyNetwork, sampler: ActionSampler, example: Any) -> None:
        """Make everything that depends on the shapes of observations and actions."""
        self._network, self._inputs = network, network.inputs
        self._part_dtypes = self._inputs.kept_dtypes(example)
        self._part_shapes = [part.shape for part in self._inputs.flat(example, batched=False)]
        self._architecture = None
        self._log_std = (
            None if sampler.log_std is None else keras.Variable(sampler.log_std, dtype="float32", name="log_std")
        )
        self._normalizer = ObservationNormalizer(self._inputs, self._normalizes)
        keras_features.check_networks(self._networks())
        keras_features.warn_of_underflow(self.optimizer, self._networks())
        self._build_optimizers()
        self._acting_model = network.acting_model(self._normalizer)
        self._forward = forward_of(self._acting_model, network, example)
        self._noise = NoiseStream(derive_rng(self._seed, "act"), sampler.draw_noise)
        self._sampler = sampler
        self._flags = TrainableFlags([v for part in self._networks().values() for v in part.variables])
        self._learner = self._make_learner()
        self._weights_as_made = self._weights_digest()

    def _keep_networks(self) -> None:
        """Take the networks as they are for the user's own: the next ``bind`` makes none."""
        self._given = {name: getattr(self, name) for name in self._model_arguments.values()}

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

    def _follow_flags(self) -> None:
        """Train what is trainable now, where layers were frozen or let go since; what is known of the others stays."""
        if self._flags.have_changed():
            self.optimizer = moved_to(self.optimizer, self._trained())
            self._architecture = None
            self._follow_trained()

    def _follow_trained(self) -> None:
        """Learn with the variables that are trained now."""

    def get_state(self, scope: StateScope = "learner") -> AgentState:
        """Return what ``SavedAgent`` tells, which weights are trained, and which of them the user keeps from decay."""
        self._require_ready()
        self._follow_flags()
        state = super().get_state(scope)
        if scope != "policy":
            state.meta["trainable"] = self._flags.told()
            told = undecayed(self._optimizers())
            state.meta |= {"undecayed": told} if told else {}
        return state

    def set_state(self, state: AgentState) -> None:
        """Become what ``state`` says, all or nothing; acting and learning then go on bit for bit.

        Which layers are trained stays as it is here; what the state knows of those goes on.
        """
        self._require_ready()
        check_instance("state", state, AgentState)
        self._follow_flags()
        now = self._flags.told()
        saved: Any = state.meta.get("trainable")
        if saved == now or not self._flags.fit(saved):
            super().set_state(state)
            return
        own: AgentState | None = super().get_state()
        try:
            self._flags.set(saved)
            self._follow_flags()
            super().set_state(state)
            own = None
        finally:
            self._flags.set(now)
            self._follow_flags()
            if own is not None:
                self._take(own)

    def _trained(self) -> list[Any]:
        """Return what the optimizer trains."""
        return list(self._network.trainable_variables)

    def _build_optimizers(self) -> None:
        """Make room for the optimizers' moments; a spread that the optimizer does not train has one of its own."""
        variables, spread = self._trained(), self._log_std
        if self.optimizer.built and not is_built_for(self.optimizer, variables):
            if knows_some(self.optimizer, variables):  # of this model, before layers were frozen or let go
                self.optimizer = moved_to(self.optimizer, variables)
            elif self._makes_models:
                self.optimizer = fresh(self.optimizer)  # bound once more: the networks are others now
            else:
                raise keras_features.built_for_others(self.optimizer, variables)
        if not self.optimizer.built:
            self.optimizer.build(variables)
        is_apart = spread is not None and all(variable is not spread for variable in variables)
        self._spread_optimizer = unused_copy(self.optimizer, [spread]) if is_apart else None
        if spread is not None:  # decay would pull it to a width of 1, whatever is learned
            exempt_from_decay(self._spread_optimizer if is_apart else self.optimizer, [spread])

    @property
    def _normalizes(self) -> bool:
        """Whether observations are normalised: an argument of those that have it."""
        return "normalize_observations" in self._structure and bool(getattr(self, "normalize_observations", False))

    def _make_learner(self) -> Any:
        """Return what is carried from window to window, with a state, ``reseed`` and ``on_world_change``."""
        raise NotImplementedError

    def _optimizers(self) -> list[Any]:
        return [self.optimizer] if self._spread_optimizer is None else [self.optimizer, self._spread_optimizer]
