"""Acting beside learning: which copy of the policy answers the feed."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from tensor_optix.core.base_agent import BaseAgent
from tensor_optix.core.checks import has_method
from tensor_optix.core.policy_actor import begun
from tensor_optix.exceptions import NonFiniteError, NotBoundError


@dataclass(slots=True)
class Choice:
    """An action, and what the policy that chose it told.

    Attributes:
        action: What the environment takes.
        log_prob: Its log-probability, from a policy that has ``act_with_log_prob``.
        policy_version: The policy's version.
        states: What a policy with memory acted on, ``[1, ...]`` each; None elsewhere.
    """

    action: Any
    log_prob: float | None = None
    policy_version: int | None = None
    states: Any = None


class LiveActor:
    """Answers observations in the feed's thread while the loop's thread learns.

    An agent with ``policy()`` acts through a frozen copy: ``refresh`` takes a new one and swaps it
    in between two steps, so learning neither delays an action nor is ever seen half done.

    An agent with the six methods only has no copy to give, nor has one that must see an observation
    first. It acts itself, and never while the loop has it (``lent_to_loop``): its actions wait for
    its updates.

    Args:
        agent: The agent that acts and learns.
    """

    def __init__(self, agent: BaseAgent) -> None:
        self._agent = agent
        self._frozen: _FrozenActing | None = None
        self._states: Any = None
        self._lent = False
        self._acting = False
        self._released = False
        self._turn = threading.Condition()
        self.refresh()

    def refresh(self) -> None:
        """Take the agent's policy as it is now. Called in the loop's thread."""
        try:
            self._frozen = _FrozenActing(self._agent.policy())
        except (NotImplementedError, NotBoundError):
            self._frozen = None

    def act(self, observation: Any, beside: Mapping[str, Any], begins: bool = False) -> Choice | None:
        """Return an action on ``observation``, or None when released in the meantime.

        Args:
            observation: What is acted on.
            beside: What is handed to the policy beside it, by the name of the argument.
            begins: Whether an episode begins with it, so that what was remembered is forgotten. What is not goes on
                from policy to policy, here in the feed's thread.

        Raises:
            NonFiniteError: The policy chose NaN or infinity.
        """
        frozen = self._frozen
        if frozen is None:
            choice = self._act_in_turn(observation, beside, begins)
        else:
            states = frozen.begun(self._states) if begins else self._states
            choice, self._states = frozen(observation, states, beside)
        if choice is not None and isinstance(choice.action, (np.ndarray, float)):
            _check_finite(choice.action, observation)
        return choice

    @property
    def agent(self) -> BaseAgent:
        """The agent whose policy acts."""
        return self._agent

    @contextmanager
    def lent_to_loop(self) -> Iterator[None]:
        """Keep a non-isolated agent from acting while the loop judges and learns with it."""
        with self._turn:
            self._lent = True
            self._turn.wait_for(lambda: not self._acting)
        try:
            yield
        finally:
            with self._turn:
                self._lent = False
                self._turn.notify_all()

    def release(self) -> None:
        """Let a waiting ``act`` go, for good."""
        with self._turn:
            self._released = True
            self._turn.notify_all()

    def _act_in_turn(self, observation: Any, beside: Mapping[str, Any], begins: bool) -> Choice | None:
        with self._turn:
            self._turn.wait_for(lambda: self._released or not self._lent)
            if self._released:
                return None
            self._acting = True
        try:
            if begins:
                self._agent.begin_episodes(np.ones(1, np.bool_))
            return Choice(self._agent.act(observation, **beside))
        finally:
            with self._turn:
                self._acting = False
                self._turn.notify_all()


class _FrozenActing:
    """Acts as a policy does, which may tell its version, and the log-probability of what it chose.

    Args:
        policy: It; the states of one with memory are given and taken.
    """

    def __init__(self, policy: Any) -> None:
        self._policy = policy
        self._version = getattr(policy, "version", None)
        self._tells_log_prob = has_method(policy, "act_with_log_prob")
        self._remembers = has_method(policy, "initial_states")

    def __call__(self, observation: Any, states: Any, beside: Mapping[str, Any]) -> tuple[Choice, Any]:
        """Return what it chose, and the states after it."""
        act = self._policy.act_with_log_prob if self._tells_log_prob else self._policy.act
        if self._remembers:
            states = self._policy.initial_states(1) if states is None else states
            beside = {**beside, "states": states}
        found = act(observation, **beside)
        action, *more = found if self._remembers or self._tells_log_prob else (found,)
        after = more.pop() if self._remembers else None
        return Choice(action, float(more[0]) if more else None, self._version, states), after

    def begun(self, states: Any) -> Any:
        """Return the states with which an episode begins."""
        return begun(self._policy, states, np.ones(1, np.bool_)) if self._remembers else None


def _check_finite(action: Any, observation: Any) -> None:
    if not np.isfinite(action).all():
        raise NonFiniteError(
            f"The policy chose the action {action!r}, which is not finite, on the observation "
            f"{observation!r}. Look for a diverged update: lower the learning rate or clip gradients."
        )
