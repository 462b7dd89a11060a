"""A frozen policy with memory: whoever acts with it keeps the states."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensor_optix.adapters.tensorflow.acting.fast_policy import FrozenPolicy
from tensor_optix.adapters.tensorflow.actions.action_sampler import ActionSampler
from tensor_optix.adapters.tensorflow.recurrent.remembering_forward import RememberingForward, States, num_rows
from tensor_optix.exceptions import InvalidArgumentError


class RememberingPolicy(FrozenPolicy):
    """Acts as the agent did when this was taken; takes states beside an observation and gives those after it.

    Args:
        forward: A snapshot of the agent's forward pass.
        sampler: How outputs become actions.
        rng: Source of exploration; nothing else draws from it.
        version: The agent's version at that moment.

    Example:
        >>> import gymnasium as gym
        >>> from tensor_optix import make_agent
        >>> env = gym.make("CartPole-v1")
        >>> agent = make_agent(env, "ppo", memory="gru", memory_units=4)
        >>> agent.bind(env.observation_space, env.action_space)
        >>> observation, _ = env.reset(seed=0)
        >>> policy = agent.policy()
        >>> states = policy.initial_states(1)
        >>> action, states = policy.act(observation, states=states)
    """

    def __init__(
        self, forward: RememberingForward, sampler: ActionSampler, rng: np.random.Generator, version: int
    ) -> None:
        super().__init__(forward.stateless, sampler, rng, version)
        self._specs = forward.specs

    def initial_states(self, num_envs: int) -> States:
        """Return what episodes begin with, zeros, ``[N, ...]`` each."""
        return [spec.zeros(num_envs) for spec in self._specs]

    def act(self, observation: Any, *, greedy: bool = False, states: Any = None, action_mask: Any = None) -> Any:
        """Return an action for one observation, and the states after it.

        Args:
            observation: What is acted on.
            greedy: Whether it takes the likeliest action.
            states: Those after the observation before, ``[1, ...]`` each; None where an episode begins.
            action_mask: What is allowed, ``[A]``; None: everything.

        Raises:
            InvalidArgumentError: These are other states than it gives.
        """
        outputs, states = self._one(observation, states)
        return self._chosen_one(outputs, greedy, action_mask), states

    def act_with_log_prob(self, observation: Any, *, states: Any = None, action_mask: Any = None) -> Any:
        """Draw an action for one observation; return it, its log-probability, and the states after it."""
        outputs, states = self._one(observation, states)
        return *self._chosen_with_log_prob(outputs, action_mask), states

    def act_batch(
        self, observations: Any, *, greedy: bool = False, states: Any = None, action_masks: Any = None
    ) -> Any:
        """Return actions ``[N, ...]`` for observations ``[N, ...]``, and the states after them, ``[N, ...]`` each."""
        given = self._checked(states, num_rows(observations))
        outputs, *after = self._forward((observations, *given))
        return self._chosen(outputs, greedy, action_masks), after

    def _one(self, observation: Any, states: Any) -> tuple[np.ndarray, States]:
        outputs, *after = self._forward.one((observation, *[state[0] for state in self._checked(states, 1)]))
        return outputs, [state[np.newaxis] for state in after]

    def _checked(self, states: Any, num_envs: int) -> States:
        if states is None:
            return self.initial_states(num_envs)
        shapes = [np.shape(state) for state in states]
        expected = [(num_envs, *spec.shape) for spec in self._specs]
        if shapes != expected:
            raise InvalidArgumentError(
                f"`states` must be {len(expected)} arrays of the shapes {expected}, as initial_states({num_envs}) and "
                f"the call before give them. Received: {shapes}."
            )
        return list(states)
