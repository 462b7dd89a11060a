"""The part of a Keras agent that acts, and that is taken away: as a frozen policy, a Keras model, or a file."""

from __future__ import annotations

import os
from typing import Any

import keras
import numpy as np

from tensor_optix.adapters.tensorflow.acting.fast_policy import FrozenPolicy, masks_of
from tensor_optix.adapters.tensorflow.acting.model_inputs import first_of
from tensor_optix.adapters.tensorflow.bound_agent import BoundAgent
from tensor_optix.adapters.tensorflow.exporting.exported_policy import Exported, PolicyParts, export_policy
from tensor_optix.adapters.tensorflow.recurrent.remembering_forward import RememberingForward
from tensor_optix.adapters.tensorflow.recurrent.remembering_policy import RememberingPolicy
from tensor_optix.core.base_agent import Policy
from tensor_optix.core.types import AgentState, EpisodeData, StateScope
from tensor_optix.functional.seeding import derive_rng

_MASKED = "action_masks"


class ActingAgent(BoundAgent):
    """Draws actions from what the networks give, among those that a mask allows where one is told."""

    _num_policies: int
    _is_masked: bool = False
    """Whether masks were told so far: what is taken away then takes them, too."""

    def act(self, observation: Any, *, action_mask: Any = None) -> Any:
        """Draw an action for one observation: an int for a Discrete space, else an array.

        Args:
            observation: What is acted on.
            action_mask: What is allowed, ``[A]``, True where an option is; None: everything. How options lie in it:
                ``BatchPipeline``.

        Raises:
            InvalidArgumentError: The mask has another size, holds other numbers than 0 and 1, or allows nothing.
            InvalidTypeError: It is no array of flags, or there are no masks for such actions.
        """
        if self._sampler is None:
            self._infer(observation)
        if action_mask is None:
            return self._sampler.sample_one(self._forward.one(observation), self._noise.one())
        mask = self._checked_mask(action_mask)
        return self._sampler.sample_one(self._forward.one(observation), self._noise.one(), mask)

    def act_batch(self, observations: Any, *, action_masks: Any = None) -> np.ndarray:
        """Draw one action for each observation; the same draws as from as many calls of ``act``.

        Args:
            observations: What is acted on, ``[N, ...]``.
            action_masks: What is allowed on each, ``[N, A]``; see :meth:`act`.
        """
        if self._sampler is None:
            self._infer(first_of(observations))
        outputs = self._forward(observations)
        allowed = () if action_masks is None else (self._checked_masks(action_masks, len(outputs)),)
        actions: np.ndarray = self._sampler.sample(outputs, self._noise.batch(len(outputs)), *allowed)
        return actions

    def act_greedy(self, observation: Any, *, action_mask: Any = None) -> Any:
        """Return the most likely action: the largest logit, or the mean; of those that a mask allows."""
        if self._sampler is None:
            self._infer(observation)
        if action_mask is None:
            return self._sampler.greedy_one(self._forward.one(observation))
        mask = self._checked_mask(action_mask)
        return self._sampler.greedy_one(self._forward.one(observation), mask)

    @property
    def uses_action_masks(self) -> bool:  # type: ignore[override]
        """Whether there are masks for the actions it takes: not in a Box."""
        return self._sampler is None or self._sampler.mask_layout is not None

    def _count_on(self, state: AgentState) -> None:
        super()._count_on(state)
        self._is_masked = self._is_masked or bool(state.meta.get(_MASKED))

    def _note_masks(self, window: EpisodeData) -> None:
        if window.action_masks is not None:
            self._is_masked = True

    def _checked_mask(self, mask: Any) -> np.ndarray:
        self._is_masked = True
        return masks_of(self._sampler).checked(mask)

    def _checked_masks(self, masks: Any, count: int) -> np.ndarray:
        self._is_masked = True
        return masks_of(self._sampler).checked_rows(masks, count)

    # What is remembered

    def begin_episodes(self, is_first: Any) -> None:
        """Forget, where an episode begins with the next observation."""
        if self._remembering is not None:
            self._remembering.begin_episodes(is_first)

    def memory_states(self, num_envs: int) -> list[np.ndarray] | None:
        """Return a copy of the states of so many environments that step together; None: the policy has no memory."""
        held = self._remembering
        return None if held is None else [state.copy() for state in held.states_of(num_envs)]

    @property
    def remembers(self) -> bool:  # type: ignore[override]
        """Whether the policy has memory, so that it must be told where episodes begin."""
        return self._remembering is not None

    @property
    def _remembering(self) -> RememberingForward | None:
        """What carries the states; None where nothing is remembered."""
        forward = None if self._sampler is None else self._forward
        return forward if isinstance(forward, RememberingForward) else None

    def get_state(self, scope: StateScope = "learner") -> AgentState:
        """Return what ``BoundAgent`` tells, whether masks were told, and what is remembered of the running episodes."""
        state = super().get_state(scope)
        state.meta |= {_MASKED: True} if self._is_masked else {}
        if scope != "policy" and self._remembering is not None:
            state.arrays |= self._remembering.state_dict()
        return state

    def set_state(self, state: AgentState) -> None:
        """Become what ``state`` says, all or nothing; acting and learning then go on bit for bit, in mid-episode."""
        held = self._remembering
        remembered = None if held is None else held.checked(state.arrays)
        super().set_state(state)
        if held is not None and remembered is not None:
            held.states = remembered

    def go_back_to(self, state: AgentState) -> None:
        """Become what an earlier state of the same run says; what is remembered is of the episodes that run now."""
        remembered = {} if self._remembering is None else self._remembering.states
        super().go_back_to(state)
        if self._remembering is not None:
            self._remembering.states = remembered

    # What is taken away

    def policy(self) -> Policy:
        """Return a frozen copy with noise of its own; where there is memory, it takes states and gives them."""
        self._require_ready()
        self._num_policies += 1
        rng = derive_rng(self._seed, "policy", self.version, self._num_policies)
        forward = self._forward.snapshot()
        if isinstance(forward, RememberingForward):
            return RememberingPolicy(forward, self._sampler, rng, self.version)
        return FrozenPolicy(forward, self._sampler, rng, self.version)

    def policy_model(self) -> keras.Model:
        """Return a Keras model on a copy of the weights: raw observation in, greedy env-ready action out.

        Plain Keras loads what its ``save`` writes. :meth:`export` makes files for other runtimes, and checks them.
        One of an agent that was told masks has another input, ``action_mask`` ``[B, A]`` of bool: it is called with
        ``{"observation": ..., "action_mask": ...}``, or with the parts of a Dict and the mask. One that remembers is
        called with its states, too, and gives ``{"action": ..., "new_state_0": ..., ...}``; zeros begin an episode.

        Raises:
            NotBoundError: The agent has seen neither spaces nor an observation yet.
        """
        self._require_ready()
        return self._policy_parts().as_model(self._sampler.greedy_layer)

    def export(
        self, path: str | os.PathLike[str], format: str = "saved_model", *, deterministic: bool = True
    ) -> Exported:
        """Write the policy for another runtime: raw observation in, env-ready action out, batch first.

        The policy of an agent that was told masks has another input, ``action_mask`` ``[B, A]`` of bool, and takes what
        it allows. It is read back by that runtime and held against the agent on 1,000 observations before it is put in
        its place: what stands before the choice of an action may differ by 1e-4 (as a share, where it is beyond 1), and
        actions only between options that are as near as that. What was found is printed.

        Args:
            path: Where to. A folder for ``"saved_model"``; else it ends in ``.onnx``, ``.tflite`` or ``.keras``.
            format: ``"saved_model"``, ``"onnx"``, ``"tflite"`` or ``"keras"``.
            deterministic: Whether it takes the greedy action; else it draws one at each call, which ``"keras"`` cannot.

        Returns:
            Where it is, and how far it is from the agent.

        Raises:
            NotBoundError: The agent has seen neither spaces nor an observation yet.
            InvalidArgumentError: There is no such format, or the path does not fit it.
            MissingExtraError: The packages of the extra ``export`` are not installed.
            ExportError: The format cannot hold the model (it says which layer), or what it holds acts otherwise.
        """
        self._require_ready()
        exported = export_policy(self._policy_parts(), path, format, deterministic)
        print(exported)
        return exported

    def _policy_parts(self) -> PolicyParts:
        forward = self._forward if self._remembering is None else self._forward.snapshot()
        shown = (self.model, self._inputs, self._sampler, self._normalizer, forward, self._spaces[0])
        masks = self._sampler.mask_layout if self._is_masked else None
        return PolicyParts(*shown, masks=masks, memory=self._network.policy_memory)
