"""Acting beside learning: which copy of the policy answers the feed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from tensor_optix.core.base_agent import BaseAgent
from tensor_optix.core.checks import has_method
from tensor_optix.exceptions import NonFiniteError, NotBoundError


@dataclass(slots=True)
class Choice:
    """An action, and what the policy that chose it told.

    Attributes:
        action: What the environment takes.
        log_prob: Its log-probability, from a policy that has ``act_with_log_prob``.
        policy_version: The policy's version.
    """

    action: Any
    log_prob: float | None = None
    policy_version: int | None = None


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
        self._act_frozen: Callable[..., Choice] | None = None
        self._lent = False
        self._acting = False
        self._released = False
        self._turn = threading.Condition()
        self.refresh()

    def refresh(self) -> None:
        """Take the agent's policy as it is now. Called in the loop's thread."""
        try:
            self._act_frozen = _acting_of(self._agent.policy())
        except (NotImplementedError, NotBoundError):
            self._act_frozen = None

    def act(self, observation: Any, beside: Mapping[str, Any]) -> Choice | None:
        """Return an action on ``observation``, or None when released in the meantime.

        Args:
            observation: What is acted on.
            beside: What is handed to the policy beside it, by the name of the argument.

        Raises:
            NonFiniteError: The policy chose NaN or infinity.
        """
        act_frozen = self._act_frozen
        choice = self._act_in_turn(observation, beside) if act_frozen is None else act_frozen(observation, **beside)
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

    def _act_in_turn(self, observation: Any, beside: Mapping[str, Any]) -> Choice | None:
        with self._turn:
            self._turn.wait_for(lambda: self._released or not self._lent)
            if self._released:
                return None
            self._acting = True
        try:
            return Choice(self._agent.act(observation, **beside))
        finally:
            with self._turn:
                self._acting = False
                self._turn.notify_all()


def _acting_of(policy: Any) -> Callable[..., Choice]:
    """Return how a policy acts, which may tell its version, and the log-probability of what it chose."""
    version = getattr(policy, "version", None)
    if not has_method(policy, "act_with_log_prob"):
        return lambda observation, **beside: Choice(policy.act(observation, **beside), None, version)

    def act_with_log_prob(observation: Any, **beside: Any) -> Choice:
        action, log_prob = policy.act_with_log_prob(observation, **beside)
        return Choice(action, float(log_prob), version)

    return act_with_log_prob


def _check_finite(action: Any, observation: Any) -> None:
    if not np.isfinite(action).all():
        raise NonFiniteError(
            f"The policy chose the action {action!r}, which is not finite, on the observation "
            f"{observation!r}. Look for a diverged update: lower the learning rate or clip gradients."
        )
