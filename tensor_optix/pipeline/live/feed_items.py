"""What a live feed may send: checked as it arrives, before anyone acts on it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tensor_optix.core.rewards import as_reward
from tensor_optix.exceptions import StreamError

_SHOWN_CHARACTERS = 120


@dataclass(slots=True)
class FeedItem:
    """One usable item of a feed.

    Attributes:
        observation: An own copy, ``[...]``, or a dict of such, nested as the space is.
        reward: What followed the action taken on the previous item's observation.
        terminated: The task ended here; ``observation`` is the last of its episode.
        truncated: The episode was cut here; ``observation`` is the last of its episode.
        info: Whatever else the feed tells.
        applied_action: What the world did instead of the action it was asked for, in the type of that action;
            None where the feed does not tell.
        action_mask: What is allowed on ``observation``, ``[A]``; None where no masks are handed on.
    """

    observation: Any
    reward: float
    terminated: bool
    truncated: bool
    info: dict[str, Any]
    applied_action: Any = None
    action_mask: Any = None

    @property
    def done(self) -> bool:
        """Whether the episode ended with this item."""
        return self.terminated or self.truncated


class StepChecker:
    """Turns what a feed sends into :class:`FeedItem`, or says what is wrong with it.

    Observations must keep the shape (and keys) of the observation space, where one is known, and
    otherwise of the first usable item.

    Args:
        observation_space: Space of the feed's observations, or None.
        action_space: Space of what ``info["applied_action"]`` tells, or None.
    """

    def __init__(self, observation_space: Any = None, action_space: Any = None) -> None:
        self._action_space = action_space
        self._layout: Any = None if observation_space is None else _layout_of_space(observation_space)

    def check(self, raw: Any, number: int, chosen_action: Any = None) -> FeedItem:
        """Return ``raw`` as an item with an observation of its own.

        Args:
            raw: What the feed sent.
            number: Its number, counted from 0 over the whole run.
            chosen_action: The action whose outcome it tells; None where it begins an episode.

        Raises:
            StreamError: It is not five values, its reward or observation is not finite, its
                observation has another shape than expected, or its ``applied_action`` is no action.
        """
        try:
            item = self._parse(raw)
            if chosen_action is not None:
                item.applied_action = applied_action(item.info, chosen_action, self._action_space)
            return item
        except _UnusableError as fault:
            raise StreamError(
                f"Step {number} of the feed (counted from 0) cannot be used: {fault}. Received: {_shorten(raw)}. "
                'Mend the source, or pass on_bad_step="skip" to leave such steps out.'
            ) from None

    def _parse(self, raw: Any) -> FeedItem:
        if not isinstance(raw, (tuple, list)):
            raise _UnusableError(
                f"expected a tuple (observation, reward, terminated, truncated, info), got {type(raw).__name__}"
            )
        if len(raw) != 5:
            raise _UnusableError(
                f"expected the 5 values (observation, reward, terminated, truncated, info), got {len(raw)}"
            )
        observation, reward, terminated, truncated, info = raw
        return FeedItem(
            self._parse_observation(observation),
            _parse_reward(reward),
            _parse_flag(terminated, "terminated"),
            _parse_flag(truncated, "truncated"),
            _parse_info(info),
        )

    def _parse_observation(self, observation: Any) -> Any:
        if self._layout is None:
            parsed = _copy_observation(observation, None)
            self._layout = _layout_of(parsed)
            return parsed
        return _copy_observation(observation, self._layout)


class _UnusableError(Exception):
    """What is wrong with one item."""


def applied_action(info: Mapping[str, Any], chosen: Any, space: Any) -> Any:
    """Return ``info["applied_action"]`` in the type of the action that was chosen; None where it is not told."""
    given = info.get("applied_action")
    if given is None:
        return None
    name, like = "info['applied_action']", np.asarray(chosen)
    if like.dtype.kind not in "biuf":  # an action of several parts
        return given
    array = _copy_array(given, (like.shape, None), name)
    cast = _cast(array, like.dtype, name)
    if like.dtype.kind in "biu" and not np.array_equal(cast, array):
        raise _UnusableError(f"{name} must hold whole numbers, as the agent's actions do, not {_shorten(given)}")
    low, high = getattr(space, "low", None), getattr(space, "high", None)
    if low is not None and cast.shape == low.shape:  # rounding on the way is no fault
        cast = np.where(np.isclose(cast, np.clip(cast, low, high), rtol=1e-5), np.clip(cast, low, high), cast)
        cast = cast.astype(like.dtype)
    action = cast if isinstance(chosen, np.ndarray) else cast[()].item()
    if space is not None and not space.contains(action):
        raise _UnusableError(f"{name} is {_shorten(given)}, which is not in {space}")
    return action


def _copy_observation(observation: Any, layout: Any, name: str = "the observation") -> Any:
    """Return a copy, of which every array is checked; nested as the layout is, or as it comes where there is none."""
    what, is_dict = name.removeprefix("the "), isinstance(observation, Mapping)
    if layout is not None and isinstance(layout, dict) != is_dict:
        expected = "a dict" if isinstance(layout, dict) else "an array"
        raise _UnusableError(f"expected {expected} as {what}, got {type(observation).__name__}")
    if not is_dict:
        return _copy_array(observation, layout, name)
    if layout is not None and set(layout) != set(observation):
        raise _UnusableError(f"expected an {what} with the keys {sorted(layout)}, got {sorted(observation)}")
    layouts = dict.fromkeys(observation) if layout is None else layout
    return {key: _copy_observation(value, layouts[key], f"{name}'s {key!r}") for key, value in observation.items()}


def _copy_array(value: Any, layout: Any, name: str) -> np.ndarray:
    shape, dtype = (None, None) if layout is None else layout
    try:
        # A copy: sources may well refill one array.
        array = np.array(value)
    except (TypeError, ValueError) as error:
        raise _UnusableError(f"{name} is not an array of numbers ({error})") from None
    if array.dtype.kind not in "biuf":
        raise _UnusableError(f"{name} is not an array of numbers but has dtype {array.dtype}")
    if shape is not None and array.shape != shape:
        raise _UnusableError(f"expected {name} to have shape {shape}, got {array.shape}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise _UnusableError(f"{name} holds NaN or infinity")
    return array if dtype is None or dtype == array.dtype else _cast(array, dtype, name)


def _cast(array: np.ndarray, dtype: Any, name: str) -> np.ndarray:
    with np.errstate(over="ignore"):
        cast = array.astype(dtype)
    if cast.dtype.kind == "f" and not np.isfinite(cast).all():
        raise _UnusableError(f"{name} is out of the range of {cast.dtype}")
    return cast


def _layout_of(observation: Any) -> Any:
    if isinstance(observation, dict):
        return {key: _layout_of(value) for key, value in observation.items()}
    return observation.shape, None


def _layout_of_space(space: Any) -> Any:
    members = getattr(space, "spaces", None)
    if isinstance(members, Mapping):
        return {key: _layout_of_space(member) for key, member in members.items()}
    shape = getattr(space, "shape", None)
    return None if shape is None else (tuple(shape), getattr(space, "dtype", None))


def _parse_reward(reward: Any) -> float:
    try:
        number = as_reward(reward)
    except (TypeError, OverflowError):
        raise _UnusableError(f"the reward is not one number but {_shorten(reward)}") from None
    if not math.isfinite(number):
        raise _UnusableError(f"the reward is {number}")
    return number


def _parse_flag(flag: Any, name: str) -> bool:
    if isinstance(flag, (bool, np.bool_)) or (isinstance(flag, (int, np.integer)) and flag in (0, 1)):
        return bool(flag)
    raise _UnusableError(f"`{name}` is not a bool but {_shorten(flag)}")


def _parse_info(info: Any) -> dict[str, Any]:
    if info is None:
        return {}
    if not isinstance(info, Mapping):
        raise _UnusableError(f"`info` is not a dict but {_shorten(info)}")
    return dict(info)


def _shorten(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "..."
