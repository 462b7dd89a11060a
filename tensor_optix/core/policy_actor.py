"""Acting with a frozen policy, whether it remembers or not."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensor_optix.core.checks import has_method
from tensor_optix.core.mask_layout import takes_masks


class PolicyActor:
    """Acts as a policy does, and carries what it remembers from step to step: one for each place where it acts.

    Args:
        policy: A policy; one with memory has ``initial_states`` and takes and gives states.
        greedy: Whether it takes the best known action.

    Attributes:
        uses_action_masks: Whether masks are handed on to it.
        remembers: Whether there is anything to carry.
        states: What it will act on next, ``[N, ...]`` each; None before the first action, or where it has no memory.
    """

    def __init__(self, policy: Any, *, greedy: bool) -> None:
        self.uses_action_masks = takes_masks(policy)
        self.remembers = has_method(policy, "initial_states")
        self.states: Any = None
        self._policy = policy
        self._greedy = greedy

    def __call__(self, observation: Any, **beside: Any) -> Any:
        """Return an action for one observation."""
        return self._acted(self._policy.act, observation, beside)

    def batch(self, observations: Any, **beside: Any) -> Any:
        """Return actions ``[N, ...]`` for observations ``[N, ...]``."""
        return self._acted(self._policy.act_batch, observations, beside)

    def begin_episodes(self, is_first: Any) -> None:
        """Forget, where an episode begins with the next observation, ``[N]`` bool."""
        if self.remembers:
            self.states = begun(self._policy, self.states, is_first)

    def _acted(self, act: Any, seen: Any, beside: dict[str, Any]) -> Any:
        if not self.remembers:
            return act(seen, greedy=self._greedy, **beside)
        action, self.states = act(seen, greedy=self._greedy, states=self.states, **beside)
        return action


def begun(policy: Any, states: Any, is_first: Any) -> list[np.ndarray]:
    """Return states that are as an episode begins with where one does; of other environments than before, all begin.

    Args:
        policy: A policy with memory.
        states: What it remembers, ``[N, ...]`` each; None for nothing yet.
        is_first: ``[N]`` bool.
    """
    flags = np.asarray(is_first, bool).reshape(-1)
    fresh = [np.asarray(state) for state in policy.initial_states(len(flags))]
    if states is None or len(states[0]) != len(flags):
        return fresh
    spread = [flags.reshape(-1, *(1 for _ in state.shape[1:])) for state in fresh]
    return [np.where(at, new, old) for at, new, old in zip(spread, fresh, states, strict=True)]
