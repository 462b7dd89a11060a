"""Which actions are allowed: where an environment tells it, and what is handed to whoever acts beside observations."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import gymnasium as gym
import numpy as np

from tensor_optix.core.mask_layout import MaskLayout, Masks, takes_masks
from tensor_optix.exceptions import (
    EnvironmentFailureError,
    InvalidArgumentError,
    InvalidTypeError,
    UnsupportedSpaceError,
)
from tensor_optix.pipeline.stepping.space_layout import reader

logger = logging.getLogger(__name__)

KEY = "action_mask"
"""Of an info, or of an observation that is a dict."""

METHOD = "action_masks"

MaskFn = Callable[[Any, Any], Any]
"""``(observation, info) -> mask``, of one environment."""

AskedMasks = MaskFn | Literal["auto"] | None


def mask_layout(action_space: Any) -> MaskLayout | None:
    """Return how masks are laid out for actions of a space; None where there are none."""
    if isinstance(action_space, gym.spaces.Discrete):
        return MaskLayout((int(action_space.n),))
    if isinstance(action_space, gym.spaces.MultiDiscrete):
        return MaskLayout(tuple(int(n) for n in action_space.nvec.reshape(-1)))
    if isinstance(action_space, gym.spaces.MultiBinary):
        return MaskLayout((2,) * int(np.prod(action_space.shape)))
    return None


def options_taken(action_space: Any, action: Any) -> Any:
    """Return which option each choice of an action takes, counted from 0."""
    return np.asarray(action).reshape(-1) - np.asarray(getattr(action_space, "start", 0)).reshape(-1)


def check_asked(asked: Any, action_space: Any) -> None:
    """Raise unless masks can be read as they were asked for.

    Raises:
        InvalidTypeError: That is neither "auto" nor a callable nor None.
        UnsupportedSpaceError: A callable was given, and there are no masks for such actions.
    """
    if asked is None or (isinstance(asked, str) and asked == "auto"):
        return
    if not callable(asked):
        raise InvalidTypeError(
            '`action_mask` must be "auto", a callable (observation, info) -> mask, or None. '
            f"Received: {asked!r} of type {type(asked).__name__}."
        )
    if action_space is not None and mask_layout(action_space) is None:
        raise UnsupportedSpaceError(
            f"`action_mask` was given, but there are no masks for actions of {action_space}. "
            "Discrete, MultiDiscrete and MultiBinary spaces have some."
        )


def check_asked_of(asked: Any, agent: Any) -> None:
    """Raise ``InvalidArgumentError`` where masks were asked for and an agent, which is bound, takes none."""
    if callable(asked) and not takes_masks(agent):
        raise InvalidArgumentError(
            f"`action_mask` was given, but {type(agent).__name__} takes no masks: an agent that does says "
            "uses_action_masks = True, and its methods take action_mask= and action_masks=. "
            "Take PPOAgent, DQNAgent or TFAgent, or pass action_mask=None."
        )


class MaskSource(ABC):
    """Where masks are told.

    Attributes:
        name: Of it, for messages.
    """

    name: ClassVar[str]

    @abstractmethod
    def one(self, observation: Any, info: Any) -> Any:
        """Return what is told of one environment; None for nothing."""

    def many(self, observations: Any, infos: Any, asked: Any) -> Any:
        """Return what is told of several, ``[N, A]``, or a list with one for each.

        Args:
            observations: ``[N, ...]``.
            infos: As a vector environment tells them.
            asked: ``[N]`` bool; of others anything may be returned.
        """
        row = reader(observations)
        return [self.one(row(n), info_of(infos, n)) if is_asked else None for n, is_asked in enumerate(asked)]


class _Info(MaskSource):
    name = f"info[{KEY!r}]"

    def one(self, observation: Any, info: Any) -> Any:
        return info.get(KEY)

    def many(self, observations: Any, infos: Any, asked: Any) -> Any:
        if not isinstance(infos, Mapping):
            return [info.get(KEY) for info in infos]
        masks, told = infos.get(KEY), infos.get(f"_{KEY}")
        if masks is None:
            return [None] * len(asked)
        if told is None or np.all(told):
            return masks if masks.dtype != object else list(masks)
        return [mask if is_told else None for mask, is_told in zip(masks, told, strict=True)]


class _Method(MaskSource):
    name = f"{METHOD}()"

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call = call

    def one(self, observation: Any, info: Any) -> Any:
        return _asked(self.name, self._call)

    def many(self, observations: Any, infos: Any, asked: Any) -> Any:
        masks = _asked(self.name, self._call)
        return list(masks) if isinstance(masks, tuple) else masks


class _Part(MaskSource):
    name = f"the observation's {KEY!r}"

    def one(self, observation: Any, info: Any) -> Any:
        return observation.get(KEY)

    def many(self, observations: Any, infos: Any, asked: Any) -> Any:
        return observations[KEY]


class _Function(MaskSource):
    name = "the callable given as `action_mask`"

    def __init__(self, function: MaskFn) -> None:
        self._function = function

    def one(self, observation: Any, info: Any) -> Any:
        return _asked(self.name, self._function, observation, info)


def _asked(name: str, function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except Exception as error:
        raise EnvironmentFailureError(
            f"{name[:1].upper() + name[1:]}, asked for an action mask, raised {type(error).__name__}: {error}"
        ) from error


class ActionMasks:
    """The masks of one environment.

    Args:
        guard: The environment.
        asked: "auto": they are looked for after the first reset; a callable that gives them; or None for none.

    Attributes:
        layout: How they are laid out; None where there are none for such actions.
        beside: What whoever acts is handed beside an observation, by the name of the argument: always the same dict,
            which holds the mask of the observation that is acted on next.
    """

    keyword: ClassVar[str] = "action_mask"

    def __init__(self, guard: Any, asked: AskedMasks) -> None:
        self._guard = guard
        self._asked = asked
        self.layout: Any = mask_layout(guard.space("action"))
        self._source: MaskSource | None = None
        self._has_looked = self._has_warned = False
        self.beside: dict[str, Any] = {}

    @property
    def now(self) -> Masks:
        """The mask of the observation that is acted on next, ``[A]``; of several environments ``[N, A]``."""
        return self.beside[self.keyword]  # type: ignore[no-any-return]

    def serve(self, act: Any, observation: Any, info: Any, *, over: Any = False, warns: bool = False) -> Any:
        """Return this, with the mask of what is acted on first, where whoever acts is to be handed masks; else None.

        Args:
            act: Who acts.
            observation: What is acted on first.
            info: What was told with it; None where :meth:`follow` has taken its mask already.
            over: Whether it is the last of its episode, on which nobody acts.
            warns: Whether it is said, once, that there are masks which are not used.

        Raises:
            EnvironmentFailureError: The mask cannot be used.
        """
        if self._asked is None:
            return None
        if not self._has_looked:
            self._source, self._has_looked = self._found(observation, info), True
        if self._source is None:
            return None
        if self.layout is None and self._guard.space("action") is None:  # of a feed that does not say
            told = self._source.one(observation, info)
            self.layout = None if told is None else MaskLayout((int(np.size(told)),))
        if self.layout is None or not takes_masks(act):
            if warns and not self._has_warned:
                self._warn()
            self._has_warned |= warns
            return None
        if info is not None:
            self.follow(observation, info, over)
        return self

    def follow(self, observation: Any, info: Any, terminated: Any = False, truncated: Any = False) -> None:
        """Take the mask of the newest observation.

        Args:
            observation: What is acted on next.
            info: What was told with it.
            terminated: Whether the task ended with it: then nobody is asked, and everything counts as allowed.
            truncated: Whether the episode was cut with it: its mask may be missing, or allow nothing, with the same
                effect; else it tells what could have been done.

        Raises:
            EnvironmentFailureError: The mask cannot be used; names the step and what is wrong.
        """
        if self._source is not None:
            told = None if terminated else self._source.one(observation, info)
            self.beside[self.keyword] = self._checked(told, bool(terminated or truncated))

    def final(self, observation: Any, info: Any) -> Masks:
        """Return the mask ``[A]`` of a truncated episode's last observation, all True where that is not told."""
        is_told = self._source is not None and not isinstance(self._source, _Method)
        told = self._source.one(observation, info) if is_told else None  # type: ignore[union-attr]
        return self._checked(told, True)

    @property
    def everything(self) -> Masks:
        """The mask ``[A]`` that allows all."""
        return np.full(self.layout.size, True)

    def _checked(self, told: Any, over: bool, where: str = "") -> Masks:
        if told is None:
            if over:
                return self.everything
            raise self._unusable(
                f"{self._name} tells no mask, as it did before. Tell one with every observation", where
            )
        try:
            mask: Masks = self.layout.read(told, ())
        except (InvalidTypeError, InvalidArgumentError) as error:
            raise self._unusable(f"{self._name} cannot be used: {error} Mend it", where) from error
        if not self.layout.leaves_options(mask):
            if over:
                return self.everything
            raise self._unusable(
                f"{self._name}: {self.layout.nothing_left(mask)} End the episode where nothing can be done", where
            )
        return mask

    @property
    def _name(self) -> str:
        return "" if self._source is None else self._source.name

    def _unusable(self, fault: str, where: str) -> EnvironmentFailureError:
        return EnvironmentFailureError(
            f"Environment {self._guard.name}, after {self._guard.steps_taken} steps{where}: {fault}, or pass "
            "action_mask=None, and masks are left unread."
        )

    def _warn(self) -> None:
        if self.layout is None:
            reason = f"there are no masks for actions of {self._guard.space('action')}"
        else:
            reason = "the agent takes none (uses_action_masks)"
        logger.warning(
            "Environment %s tells which actions are allowed (%s), but %s: any action may be taken. "
            "Pass action_mask=None to the pipeline, and this is not said.",
            self._guard.name,
            self._name,
            reason,
        )

    def _found(self, observation: Any, info: Any) -> MaskSource | None:
        """Return where masks are told, as the first observation and info show it."""
        if callable(self._asked):
            return _Function(self._asked)
        if self._tells(info):
            return _Info()
        call = self._method()
        if call is not None:
            return _Method(call)
        return _Part() if isinstance(observation, Mapping) and KEY in observation else None

    def _tells(self, info: Any) -> bool:
        return isinstance(info, Mapping) and info.get(KEY) is not None

    def _method(self) -> Callable[[], Any] | None:
        """Return the environment's ``action_masks``, of whichever layer it is; None where it has none."""
        try:
            method = self._guard.env.get_wrapper_attr(METHOD)
        except AttributeError:  # none, or no environment of Gymnasium's
            method = getattr(self._guard.env, METHOD, None)
        return method if callable(method) else None


class VectorMasks(ActionMasks):
    """The masks of environments that step together, ``[N, A]``."""

    keyword = "action_masks"

    def follow(self, observation: Any, info: Any, terminated: Any = False, truncated: Any = False) -> None:
        """Take the masks of the newest observations; the flags are ``[N]``."""
        source, count = self._source, self._guard.num_envs
        if source is None:
            return
        asked = ~np.broadcast_to(terminated, count)
        told = source.many(observation, info, asked)
        if isinstance(told, np.ndarray) and told.shape == (count, self.layout.size):
            try:
                masks = self.layout.read(told, (count,))
            except InvalidArgumentError:
                masks = None  # one of them is to blame, which is told below
            if masks is not None and self.layout.leaves_options(masks).all():
                self.beside[self.keyword] = masks
                return
        if len(told) != count:
            raise self._unusable(f"{self._name} tells {len(told)} masks of {count} environments. Tell one of each", "")
        over = ~asked | truncated
        rows = [
            self._checked(told[n] if asked[n] else None, bool(over[n]), f", environment {n} of {count}")
            for n in range(count)
        ]
        self.beside[self.keyword] = np.stack(rows)

    def follow_reset(self, observation: Any, info: Any, rows: Sequence[int]) -> None:
        """Take the masks of those environments that were reset; the others' stay."""
        before, goes_on = self.now, np.ones(self._guard.num_envs, np.bool_)
        goes_on[rows] = False  # of these a reset need not tell anything
        self.follow(observation, info, goes_on)
        self.beside[self.keyword] = np.where(goes_on[:, np.newaxis], before, self.now)

    def _tells(self, info: Any) -> bool:
        if isinstance(info, list):
            return any(one.get(KEY) is not None for one in info)
        return super()._tells(info)

    def _method(self) -> Callable[[], Any] | None:
        vector = getattr(self._guard.env, "unwrapped", self._guard.env)
        own = getattr(vector, METHOD, None)
        if callable(own):
            return own  # type: ignore[no-any-return]
        call = getattr(vector, "call", None)
        if not callable(call):
            return None
        try:
            # Asked for what every environment can answer: a worker that is asked for what it lacks ends.
            has_it = all(call("has_wrapper_attr", METHOD))
        except (AttributeError, NotImplementedError):
            return None
        return (lambda: call(METHOD)) if has_it else None


def info_of(infos: Any, n: int) -> Any:
    """Return the info of one of several environments, from what a vector environment tells."""
    if not isinstance(infos, Mapping):
        return infos[n]
    told = {}
    for key, values in infos.items():
        is_told = infos.get(f"_{key}")
        is_flags = isinstance(key, str) and key.startswith("_") and key[1:] in infos
        if is_flags or (is_told is not None and not is_told[n]):
            continue
        told[key] = info_of(values, n) if isinstance(values, Mapping) else values[n]
    return told
