"""Whole steps of a feed: which reward belongs to which action."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from tensor_optix.pipeline.live.feed_items import FeedItem
from tensor_optix.pipeline.live.live_actor import Choice


@dataclass(slots=True)
class LiveStep:
    """One whole step of a feed: an observation, the action on it, and what followed.

    Attributes:
        observation: What was acted on.
        action: What was done.
        reward: What followed.
        terminated: The task ended with this step.
        truncated: The episode was cut with this step.
        info: What the feed told with the step's outcome.
        next_observation: The true successor.
        log_prob: Log-probability of the action under the acting policy, where it tells.
        policy_version: Version of the acting policy, where it tells.
        started_at: When ``observation`` arrived, in seconds of a monotonic clock.
        arrived_at: When ``next_observation`` arrived.
        completed_return: Return of the whole episode that ended here; None elsewhere.
        completed_length: Its length in steps; None elsewhere.
    """

    observation: Any
    action: Any
    reward: float
    terminated: bool
    truncated: bool
    info: dict[str, Any]
    next_observation: Any
    log_prob: float | None
    policy_version: int | None
    started_at: float
    arrived_at: float
    completed_return: float | None = None
    completed_length: int | None = None


@dataclass(slots=True)
class _Begun:
    observation: Any
    choice: Choice
    at: float


class StepPairing:
    """Makes whole steps of a feed's items: item k's reward belongs to the action on item k - 1.

    An item begins an episode when it is the first of its stream or follows one that ended an
    episode. Such an item is what ``reset`` is to an environment: its reward belongs to no action and
    is left out. An item that ends an episode carries the final observation; nobody acts on it.

    Where the item's info has ``applied_action``, the world did something else than it was asked to
    (the answer came late, a limiter or a person stepped in): that action is what is recorded, and
    its log-probability is NaN, for not known.

    Also counts the return of each episode, whole, whatever happens to its steps later on.
    """

    def __init__(self) -> None:
        self._begun: _Begun | None = None
        self._return = 0.0
        self._length = 0
        self._is_whole = True

    def complete(self, item: FeedItem, now: float) -> LiveStep | None:
        """Return the step that ``item`` ends; None where it only begins an episode."""
        begun, self._begun = self._begun, None
        if begun is None:
            if item.done:
                self.start_episode()
            return None
        action, log_prob = _applied(begun.choice, item.applied_action)
        self._return += item.reward
        self._length += 1
        step = LiveStep(
            begun.observation,
            action,
            item.reward,
            item.terminated,
            item.truncated,
            item.info,
            item.observation,
            log_prob,
            begun.choice.policy_version,
            started_at=begun.at,
            arrived_at=now,
        )
        if item.done:
            if self._is_whole:
                step.completed_return, step.completed_length = self._return, self._length
            self.start_episode()
        return step

    @property
    def chosen_action(self) -> Any:
        """The action whose outcome the next item tells; None where it begins an episode."""
        return None if self._begun is None else self._begun.choice.action

    def begin(self, observation: Any, choice: Choice, now: float) -> None:
        """Note what was done on ``observation``; the next item tells what followed."""
        self._begun = _Begun(observation, choice, now)

    def start_episode(self) -> None:
        """Forget what was begun: the next item is the first of its episode."""
        self._begun = None
        self._return, self._length, self._is_whole = 0.0, 0, True

    def lose_step(self) -> None:
        """Forget what was begun, within an episode: its return can no longer be told."""
        self._begun = None
        self._is_whole = False


def _applied(choice: Choice, applied: Any) -> tuple[Any, float | None]:
    """Return the action to record and its log-probability, NaN where the action was another's."""
    chosen = choice.action.copy() if isinstance(choice.action, np.ndarray) else choice.action
    if applied is None or np.array_equal(applied, chosen):
        return chosen, choice.log_prob
    return applied, None if choice.log_prob is None else math.nan
