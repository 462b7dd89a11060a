"""State that is declared once: a list of attributes, saved and restored by one rule.

Scores and hyperparameters, which the states of many parts hold, have their form here, too.
"""

from __future__ import annotations

import copy
import enum
import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, ClassVar, cast, get_origin, get_type_hints

from tensor_optix.core.storage.agent_files import split_hyperparams
from tensor_optix.core.storage.json_files import field, number_field
from tensor_optix.core.storage.plain_state import as_type, made_of, require_like
from tensor_optix.core.types import EvalMetrics, HyperparamSet


class WithState(ABC):
    """What a checkpoint asks of a part that has a state; a part of the user's needs only the two methods.

    Attributes:
        not_saved: What the latest ``state_dict`` had to leave out, in phrases; None where that is not known.
        not_restored: What the latest ``load_state_dict`` could not give back, in phrases.
        state_of_others: Keys, at any depth of the state, of what users' own objects say of themselves.
        state_may_lack: Keys of the state that runs of before were saved without; what they stand for stays as it is.
    """

    not_saved: Sequence[str] | None = ()
    not_restored: Sequence[str] = ()
    state_of_others: Collection[str] = ()
    state_may_lack: Collection[str] = ()

    @abstractmethod
    def state_dict(self) -> Any:
        """Return a JSON-able copy of the state."""

    @abstractmethod
    def load_state_dict(self, state: Any) -> None:
        """Become what :meth:`state_dict` returned."""


class Stateful(WithState):
    """Saves and restores the attributes that its class lists in ``_STATE``.

    The JSON-able copy holds each under its name without a leading underscore. Numbers, strings, None
    and nests of lists and dicts are kept as they are, NaN and infinity among them (what writes files
    knows how); an enum by its value; a deque as a list; a dataclass as a dict of its fields; a part with
    a state by that. What comes back is of the kind that the attribute has, or that its class names in
    ``_STATE_KINDS``; nothing is changed unless all of it is there and of a kind that can be.

    Example:
        >>> class Count(Stateful):
        ...     _STATE = ("_num_seen",)
        ...     _num_seen = 0
        >>> count = Count()
        >>> count.load_state_dict({"num_seen": 3})
        >>> count.state_dict()
        {'num_seen': 3}
    """

    _STATE: ClassVar[tuple[str, ...]] = ()
    """Names of the attributes."""

    _STATE_KINDS: ClassVar[Mapping[str, Any]] = {}
    """Kinds of attributes that do not tell it themselves, because they may be None or hold nothing yet: a dataclass,
    enum, ``EvalMetrics`` or ``HyperparamSet``, of a list or deque that of its items; or an annotation, such as ``int``
    or ``dict[str, float]``, which what comes back is held against."""

    def state_dict(self) -> dict[str, Any]:
        """Return a JSON-able copy."""
        return {name.removeprefix("_"): to_plain(getattr(self, name)) for name in self._STATE}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Become what :meth:`state_dict` returned.

        Raises:
            CheckpointError: Something is missing, or of a kind that it cannot be.
        """
        kinds = self._STATE_KINDS
        own = {name: None if name in kinds else to_plain(getattr(self, name)) for name in self._STATE}
        expected = {name.removeprefix("_"): value for name, value in own.items()}
        require_like(state, expected, type(self).__name__, may_lack=self.state_may_lack)
        for name in self._STATE:
            if name.removeprefix("_") in state:
                plain = state[name.removeprefix("_")]
                setattr(self, name, from_plain(plain, getattr(self, name), kinds.get(name), name))


def to_plain(value: Any) -> Any:
    """Return a value as numbers, strings, None, lists and dicts, independent of it."""
    if isinstance(value, WithState):
        return value.state_dict()
    if isinstance(value, EvalMetrics):
        return encode_metrics(value)
    if isinstance(value, HyperparamSet):
        return encode_hyperparams(value)
    if isinstance(value, enum.Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: to_plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, (list, tuple, deque)):
        return [to_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: to_plain(item) for key, item in value.items()}
    return value


def from_plain(plain: Any, now: Any, kind: Any = None, name: str = "value") -> Any:
    """Return what :func:`to_plain` was given; None where NaN is in place is NaN, as it was written before.

    Args:
        plain: What it returned.
        now: The value in place, which tells what is to come back; a part with a state takes it.
        kind: Class of the value, or of each item of a list, where ``now`` does not tell; or an annotation.
        name: How to call it in an error.
    """
    if kind in (int, float, bool, str) or get_origin(kind) is not None:
        made = as_type(plain, kind, name)
        return deque(made, maxlen=now.maxlen) if isinstance(now, deque) else made
    if plain is None:
        return now if isinstance(now, float) and math.isnan(now) else None
    if isinstance(now, WithState):
        now.load_state_dict(plain)
        return now
    if isinstance(now, (deque, tuple, list)) and isinstance(plain, list):
        items = [_made_of(item, kind) for item in plain]
        return deque(items, maxlen=now.maxlen) if isinstance(now, deque) else type(now)(items)
    return _made_of(plain, kind or type(now))


def _made_of(plain: Any, kind: Any) -> Any:
    if kind in _READERS:
        return _READERS[kind](plain)
    if is_dataclass(kind):
        hints, make = get_type_hints(kind), cast(type[Any], kind)
        return made_of(make, {name: _made_of(value, hints.get(name)) for name, value in plain.items()})
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return kind[plain] if plain in kind.__members__ else kind(plain)  # by name in states of before
    if isinstance(kind, type) and issubclass(kind, dict):
        return kind(copy.deepcopy(plain))
    return copy.deepcopy(plain)


def encode_metrics(metrics: EvalMetrics) -> dict[str, Any]:
    """Return a score as a plain dict; ``decode_metrics`` inverts it."""
    return {
        "primary_score": float(metrics.primary_score),
        "metrics": metrics.metrics,
        "episode_id": int(metrics.episode_id),
        "timestamp": float(metrics.timestamp),
        "hyperparams": encode_hyperparams(metrics.hyperparams) if metrics.hyperparams else None,
        "env_steps": None if metrics.env_steps is None else int(metrics.env_steps),
        "num_episodes": None if metrics.num_episodes is None else int(metrics.num_episodes),
    }


def decode_metrics(plain: dict[str, Any], source: object = "metrics") -> EvalMetrics:
    """Return the score that was encoded.

    Raises:
        CheckpointError: A field is missing or of a kind it cannot be; ``source`` is named.
    """
    hyperparams = field(plain, "hyperparams", (dict, type(None)), source)
    return EvalMetrics(
        math.nan if plain.get("primary_score") is None else number_field(plain, "primary_score", source),
        field(plain, "metrics", dict, source),
        field(plain, "episode_id", int, source),
        number_field(plain, "timestamp", source),
        hyperparams=None if hyperparams is None else decode_hyperparams(hyperparams, source),
        env_steps=field(plain, "env_steps", (int, type(None)), source),
        num_episodes=field(plain, "num_episodes", (int, type(None)), source),
    )


def encode_hyperparams(hyperparams: HyperparamSet) -> dict[str, Any]:
    """Return hyperparameters as a plain dict; values that ``to_exact`` refuses are named in ``left_out``."""
    params, left_out = split_hyperparams(hyperparams.params)
    plain = {
        "params": params,
        "episode_id": int(hyperparams.episode_id),
        "timestamp": float(hyperparams.timestamp),
    }
    return {**plain, "left_out": left_out} if left_out else plain


def decode_hyperparams(plain: dict[str, Any], source: object = "hyperparameters") -> HyperparamSet:
    """Return the hyperparameters that were encoded.

    Raises:
        CheckpointError: A field is missing or of a kind it cannot be; ``source`` is named.
    """
    return HyperparamSet(
        field(plain, "params", dict, source),
        field(plain, "episode_id", int, source),
        number_field(plain, "timestamp", source),
    )


_READERS: dict[Any, Callable[[Any], Any]] = {EvalMetrics: decode_metrics, HyperparamSet: decode_hyperparams}
