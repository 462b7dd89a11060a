"""Saved values held against the types that they must have, so that a wrong one is named when it is read."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Sequence
from typing import Any, TypeVar

from tensor_optix.exceptions import StateMismatchError

T = TypeVar("T")


def made_of(found: type[T], plain: Any) -> T:
    """Return a dataclass made of saved values, once each has the type that its field says.

    Args:
        found: The dataclass; its fields are numbers, strings, flags, None, or lists and tuples of these.
        plain: What ``dataclasses.asdict`` returned, or the values of the first fields in order.

    Raises:
        StateMismatchError: A value is missing, unknown or of another type.

    Example:
        >>> made_of(dataclasses.make_dataclass("Mean", [("value", float), ("weight", float)]), [1.0, "many"])
        Traceback (most recent call last):
        ...
        tensor_optix.exceptions.StateMismatchError: The saved Mean.weight is 'many', not a float.
    """
    fields = [field.name for field in dataclasses.fields(found)]  # type: ignore[arg-type]
    if isinstance(plain, Sequence) and not isinstance(plain, str):
        plain = dict(zip(fields, plain, strict=False)) if len(plain) <= len(fields) else None
    if not isinstance(plain, dict) or set(plain) - set(fields):
        raise StateMismatchError(f"A saved {found.__name__} has the fields {fields}. Received: {plain!r:.200}.")
    hints = typing.get_type_hints(found)
    for name, value in plain.items():
        require_type(value, hints[name], f"{found.__name__}.{name}")
    try:
        return found(**plain)
    except TypeError as error:
        raise StateMismatchError(f"A saved {found.__name__} cannot be made of {plain!r:.200}: {error}.") from error


def require_type(value: Any, hint: Any, name: str) -> None:
    """Raise unless a saved value has the type of an annotation.

    Args:
        value: What was saved.
        hint: ``int``, ``float`` (which a whole number is, too), ``bool``, ``str``, None, a union of these, or a
            list, tuple or dict of them. A dataclass passes if the value is one.
        name: How to call it in an error.

    Raises:
        StateMismatchError: It has another.
    """
    if not _has_type(value, hint):
        wanted = getattr(hint, "__name__", str(hint)) if isinstance(hint, type) else str(hint)
        raise StateMismatchError(f"The saved {name} is {value!r:.80}, not a {wanted}.")


def _has_type(value: Any, hint: Any) -> bool:
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_has_type(value, part) for part in parts)
    if origin in (list, tuple):
        of_each = parts[0] if origin is list or parts[-1] is Ellipsis else None
        if not isinstance(value, (list, tuple)) or (of_each is None and len(value) != len(parts)):
            return False
        hints = parts if of_each is None else [of_each] * len(value)
        return all(_has_type(part, own) for part, own in zip(value, hints, strict=True))
    if origin is dict:
        return isinstance(value, dict) and all(
            _has_type(key, parts[0]) and _has_type(part, parts[1]) for key, part in value.items()
        )
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return value is None if hint in (None, type(None)) else hint is Any or isinstance(value, hint)
