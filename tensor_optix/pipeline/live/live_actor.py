"""Acting beside learning: which copy of the policy answers the feed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

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

    def __init__(self, agent: Any) -> None:
        self._agent = agent
        self._policy: Any = None
        self._lent = False
        self._acting = False
        self._released = False
        self._turn = threading.Condition()
        self.refresh()

    @property
    def is_isolated(self) -> bool:
        """Whether a frozen copy acts, and not the agent that learns."""
        return self._policy is not None

    def refresh(self) -> None:
        """Take the agent's policy as it is now. Called in the loop's thread."""
        take_policy = getattr(self._agent, "policy", None)
        if take_policy is None:
            return
        try:
            self._policy = take_policy()
        except (NotImplementedError, NotBoundError):
            self._policy = None

    def act(self, observation: Any) -> Choice | None:
        """Return an action on ``observation``, or None when released in the meantime.

        Raises:
            NonFiniteError: The policy chose NaN or infinity.
        """
        policy = self._policy
        if policy is None:
            choice = self._act_in_turn(observation)
            if choice is None:
                return None
        else:
            choice = _act_with(policy, observation)
        if isinstance(choice.action, (np.ndarray, float)) and not np.isfinite(choice.action).all():
            raise NonFiniteError(
                f"The policy chose the action {choice.action!r}, which is not finite, on the observation "
                f"{observation!r}. Look for a diverged update: lower the learning rate or clip gradients."
            )
        return choice

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

    def _act_in_turn(self, observation: Any) -> Choice | None:
        with self._turn:
            self._turn.wait_for(lambda: self._released or not self._lent)
            if self._released:
                return None
            self._acting = True
        try:
            return Choice(self._agent.act(observation))
        finally:
            with self._turn:
                self._acting = False
                self._turn.notify_all()


def _act_with(policy: Any, observation: Any) -> Choice:
    version = getattr(policy, "version", None)
    act_with_log_prob: Callable[[Any], tuple[Any, Any]] | None = getattr(policy, "act_with_log_prob", None)
    if act_with_log_prob is None:
        return Choice(policy.act(observation), None, version)
    action, log_prob = act_with_log_prob(observation)
    return Choice(action, float(log_prob), version)
