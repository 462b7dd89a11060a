"""Whole steps of a live feed: which reward belongs to which action; one window of them, and where it ends.

A boundary is any ``(step_count, elapsed_seconds, last_observation) -> bool``. One that should also
end a window where the feed ends an episode carries a true attribute ``ends_on_done``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from tensor_optix.core.base_pipeline import EpisodeBoundaryFn
from tensor_optix.core.checks import check_callable, check_int, check_number
from tensor_optix.core.types import EpisodeData
from tensor_optix.exceptions import InvalidArgumentError
from tensor_optix.pipeline.live.feed_items import FeedItem
from tensor_optix.pipeline.live.live_actor import Choice
from tensor_optix.pipeline.stepping.space_layout import stack


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
        is_own: Whether the action is the one that was chosen here.
        started_at: When ``observation`` arrived, in seconds of a monotonic clock.
        arrived_at: When ``next_observation`` arrived.
        completed_return: Return of the whole episode that ended here; None elsewhere.
        completed_length: Its length in steps; None elsewhere.
        action_mask: What was allowed on ``observation``, ``[A]``; None where no masks were handed on.
        next_action_mask: The same of ``next_observation``.
        states: What a policy with memory acted on, ``[1, ...]`` each; None elsewhere.
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
    is_own: bool
    started_at: float
    arrived_at: float
    completed_return: float | None = None
    completed_length: int | None = None
    action_mask: Any = None
    next_action_mask: Any = None
    states: Any = None


@dataclass(slots=True)
class _Begun:
    observation: Any
    choice: Choice
    at: float
    action_mask: Any = None


class StepPairing:
    """Makes whole steps of a feed's items: item k's reward belongs to the action on item k - 1.

    An item begins an episode when it is the first of its stream or follows one that ended an
    episode. Such an item is what ``reset`` is to an environment: its reward belongs to no action and
    is left out. An item that ends an episode carries the final observation; nobody acts on it.

    Where the item's info has ``applied_action``, the world did something else than it was asked to
    (the answer came late, a limiter or a person stepped in): that action is what is recorded, and
    its log-probability is NaN, for not known. Learners tell by that whose choice it was; where the
    acting policy tells no log-probabilities, such a step is not ``valid``.

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
        action, log_prob, is_own = _applied(begun.choice, item.applied_action)
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
            is_own,
            started_at=begun.at,
            arrived_at=now,
            action_mask=begun.action_mask,
            next_action_mask=item.action_mask,
            states=begun.choice.states,
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

    def begin(self, item: FeedItem, choice: Choice, now: float) -> None:
        """Note what was done on an item's observation; the next item tells what followed."""
        self._begun = _Begun(item.observation, choice, now, item.action_mask)

    def start_episode(self) -> None:
        """Forget what was begun: the next item is the first of its episode."""
        self._begun = None
        self._return, self._length, self._is_whole = 0.0, 0, True

    def lose_step(self) -> None:
        """Forget what was begun, within an episode: its return can no longer be told."""
        self._begun = None
        self._is_whole = False


def _applied(choice: Choice, applied: Any) -> tuple[Any, float | None, bool]:
    """Return the action to record, its log-probability, NaN where the action was another's, and whether it was not."""
    chosen = choice.action.copy() if isinstance(choice.action, np.ndarray) else choice.action
    if applied is None or np.array_equal(applied, chosen):
        return chosen, choice.log_prob, True
    return applied, None if choice.log_prob is None else math.nan, False


class LiveWindow:
    """The steps of a window that is not finished yet.

    Attributes:
        follows_gap: Whether steps are missing between the window before and this one.
    """

    def __init__(self) -> None:
        self.follows_gap = False
        self._steps: list[LiveStep] = []

    def __len__(self) -> int:
        return len(self._steps)

    @property
    def elapsed_seconds(self) -> float:
        """Time from the first step's observation to the last step's successor, by the feed's clock."""
        return self._steps[-1].arrived_at - self._steps[0].started_at if self._steps else 0.0

    @property
    def last_observation(self) -> Any:
        """What the feed showed last."""
        return self._steps[-1].next_observation

    @property
    def ends_episode(self) -> bool:
        """Whether the last step ended an episode, or was cut off by a gap."""
        return bool(self._steps) and (self._steps[-1].terminated or self._steps[-1].truncated)

    def append(self, step: LiveStep) -> None:
        """Add the next step."""
        self._steps.append(step)

    def cut(self) -> None:
        """Note that steps are missing from here on: to a learner, the episode was truncated here."""
        if not self._steps:
            self.follows_gap = True
        elif not self.ends_episode:
            self._steps[-1].truncated = True

    def build(self, episode_id: int, metadata: dict[str, Any]) -> EpisodeData:
        """Return the window as arrays, ``[T, ...]`` each."""
        steps = self._steps
        ended = [step for step in steps if step.completed_return is not None]
        log_probs = _numbers([step.log_prob for step in steps], np.float64)
        is_own = np.array([step.is_own for step in steps], dtype=bool)
        return EpisodeData(
            observations=stack([step.observation for step in steps]),
            actions=np.asarray([step.action for step in steps]),
            rewards=np.array([step.reward for step in steps], dtype=np.float64),
            terminated=np.array([step.terminated for step in steps], dtype=bool),
            truncated=np.array([step.truncated for step in steps], dtype=bool),
            infos=[step.info for step in steps],
            episode_id=episode_id,
            metadata=metadata,
            next_observations=stack([step.next_observation for step in steps]),
            completed_returns=np.array([step.completed_return for step in ended], dtype=np.float64),
            completed_lengths=np.array([step.completed_length for step in ended], dtype=np.int64),
            valid=is_own if log_probs is None and not is_own.all() else None,
            action_log_probs=log_probs,
            policy_version=_numbers([step.policy_version for step in steps], np.int64),
            action_masks=_stacked([step.action_mask for step in steps]),
            initial_states=steps[0].states,
            next_action_masks=_stacked([step.next_action_mask for step in steps]),
        )


def _stacked(masks: list[Any]) -> np.ndarray | None:
    return None if any(mask is None for mask in masks) else np.stack(masks)


def _numbers(values: list[Any], dtype: type) -> np.ndarray | None:
    return None if any(value is None for value in values) else np.array(values, dtype=dtype)


class EveryNSteps:
    """Ends a window after ``num_steps`` steps, whatever the episodes do."""

    def __init__(self, num_steps: int) -> None:
        check_int("n", num_steps, at_least=1)
        self.num_steps = int(num_steps)

    def __call__(self, step_count: int, elapsed_seconds: float, last_observation: Any) -> bool:
        """Tell whether the window is long enough."""
        return step_count >= self.num_steps


class EveryNSeconds:
    """Ends a window with the first step that arrives ``seconds`` after the window began.

    Time is the feed's own (when steps arrived), so a learner that lags behind gets the same windows
    as one that keeps up.
    """

    def __init__(self, seconds: float) -> None:
        check_number("s", seconds, above=0.0)
        self.seconds = float(seconds)

    def __call__(self, step_count: int, elapsed_seconds: float, last_observation: Any) -> bool:
        """Tell whether the window has lasted long enough."""
        return elapsed_seconds >= self.seconds


class OnDoneSignal:
    """Ends a window where the feed ends an episode, and nowhere else."""

    ends_on_done = True

    def __call__(self, step_count: int, elapsed_seconds: float, last_observation: Any) -> bool:
        """Leave the end to ``ends_on_done``."""
        return False


class WindowEnds:
    """Tells whether a window ends with its newest step, and why.

    Args:
        boundary: See above; None: :class:`OnDoneSignal`.
        max_window_steps: Ends a window that nothing else ended.

    Raises:
        InvalidTypeError: The boundary cannot be called.
        InvalidArgumentError: No window could end by it.
    """

    def __init__(self, boundary: EpisodeBoundaryFn | None, max_window_steps: int) -> None:
        check_int("max_window_steps", max_window_steps, at_least=1)
        check_callable("episode_boundary_fn", boundary, takes="(step_count, elapsed_seconds, last_observation) -> bool")
        if isinstance(boundary, EveryNSteps) and boundary.num_steps > max_window_steps:
            raise InvalidArgumentError(
                f"every_n_steps({boundary.num_steps}) asks for longer windows than max_window_steps={max_window_steps} "
                "allows. Raise max_window_steps."
            )
        self._boundary = OnDoneSignal() if boundary is None else boundary
        self._ends_on_done = bool(getattr(self._boundary, "ends_on_done", False))
        self._max_window_steps = max_window_steps
        self._next_steps = max_window_steps

    def limit_next(self, steps: int | None) -> None:
        """Let the next window have no more steps than these; None: no fewer than any other."""
        self._next_steps = self._max_window_steps if steps is None else min(steps, self._max_window_steps)

    def after_step(self, window: LiveWindow) -> str | None:
        """Return what ends the window with its newest step: "done", "boundary" or "cap"; None if nothing does."""
        if self._ends_on_done and window.ends_episode:
            return "done"
        if self._boundary(len(window), window.elapsed_seconds, window.last_observation):
            return "boundary"
        return "cap" if len(window) >= self._next_steps else None

    def after_gap(self, window: LiveWindow) -> str | None:
        """Return "gap" where missing steps end the window, as they end its episode; None elsewhere."""
        return "gap" if window and self._ends_on_done else None
