"""Which reward belongs to which action."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tensor_optix.pipeline.live_actor import Choice
from tensor_optix.pipeline.step_checks import FeedItem
from tensor_optix.pipeline.step_queue import LiveStep


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
        self._return += item.reward
        self._length += 1
        step = LiveStep(
            begun.observation,
            _own(begun.choice.action),
            item.reward,
            item.terminated,
            item.truncated,
            item.info,
            item.observation,
            begun.choice.log_prob,
            begun.choice.policy_version,
            started_at=begun.at,
            arrived_at=now,
        )
        if item.done:
            if self._is_whole:
                step.completed_return, step.completed_length = self._return, self._length
            self.start_episode()
        return step

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


def _own(action: Any) -> Any:
    return action.copy() if isinstance(action, np.ndarray) else action
