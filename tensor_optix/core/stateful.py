"""State that is declared once: a list of attributes, saved and restored by one rule."""

from __future__ import annotations

import copy
import enum
import typing
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, ClassVar

from tensor_optix.core.plain_state import as_type


class WithState(ABC):
    """What a checkpoint asks of a part that has a state; a part of the user's needs only the two methods.

    Attributes:
        not_saved: What the latest ``state_dict`` had to leave out, in phrases; None where that is not known.
        not_restored: What the latest ``load_state_dict`` could not give back, in phrases.
        state_of_others: Keys, at any depth of the state, of what users' own objects say of themselves.
    """

    not_saved: Sequence[str] | None = ()
    not_restored: Sequence[str] = ()
    state_of_others: Collection[str] = ()

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
    knows how); an enum by its value; a deque as a list; a dataclass as a dict of its fields; anything
    with a ``state_dict`` by that. What comes back is of the kind that the attribute has, or that its
    class names in ``_STATE_KINDS``.

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
    """Dataclasses and enums of attributes that may be None, or are lists of them; or annotations, such as
    ``int`` or ``dict[str, float]``, which what comes back is held against."""

    def state_dict(self) -> dict[str, Any]:
        """Return a JSON-able copy."""
        return {name.removeprefix("_"): to_plain(getattr(self, name)) for name in self._STATE}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Become what :meth:`state_dict` returned."""
        for name in self._STATE:
            plain = state[name.removeprefix("_")]
            setattr(self, name, from_plain(plain, getattr(self, name), self._STATE_KINDS.get(name), name))


def to_plain(value: Any) -> Any:
    """Return a value as numbers, strings, None, lists and dicts, independent of it."""
    if hasattr(value, "state_dict"):
        return value.state_dict()
    if isinstance(value, enum.Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, (list, tuple, deque)):
        return [to_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: to_plain(item) for key, item in value.items()}
    return value


def from_plain(plain: Any, now: Any, kind: Any = None, name: str = "value") -> Any:
    """Return what :func:`to_plain` was given.

    Args:
        plain: What it returned.
        now: The value in place, which tells what is to come back; a part with a state takes it.
        kind: Dataclass or enum of the value, or of each item of a list, where ``now`` does not tell; or an annotation.
        name: How to call it in an error.
    """
    if kind in (int, float, bool, str) or typing.get_origin(kind) is not None:
        made = as_type(plain, kind, name)
        return deque(made, maxlen=now.maxlen) if isinstance(now, deque) else made
    if plain is None:
        return None
    if hasattr(now, "load_state_dict"):
        now.load_state_dict(plain)
        return now
    if isinstance(now, (deque, tuple, list)) and isinstance(plain, list):
        items = [from_plain(item, None, kind) for item in plain]
        return deque(items, maxlen=now.maxlen) if isinstance(now, deque) else type(now)(items)
    maker: Any = kind or (type(now) if isinstance(now, enum.Enum) or is_dataclass(now) else copy.deepcopy)
    has_fields: bool = is_dataclass(maker)
    return maker(**plain) if has_fields else maker(plain)
