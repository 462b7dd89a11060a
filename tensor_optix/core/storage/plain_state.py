"""Saved values held against what they must be, a type or a state as it is now: a wrong one is named when it is read."""

from __future__ import annotations

import dataclasses
import sys
import types
import typing
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from tensor_optix.exceptions import CheckpointError, StateMismatchError

T = TypeVar("T")


def made_of(found: type[T], plain: Any) -> T:
    """Return a dataclass made of saved values, once each has the type that its field says.

    Args:
        found: The dataclass; its fields are numbers, strings, flags, None, dataclasses, or lists, tuples and dicts of
            these.
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
    values = {name: as_type(value, hints[name], f"{found.__name__}.{name}") for name, value in plain.items()}
    try:
        return found(**values)
    except TypeError as error:
        raise StateMismatchError(f"A saved {found.__name__} cannot be made of {plain!r:.200}: {error}.") from error


def as_type(plain: Any, hint: Any, name: str) -> Any:
    """Return a saved value as an annotation has it: dataclasses made of theirs, lists and tuples told apart.

    Args:
        plain: What was saved.
        hint: ``int``, ``float`` (which a whole number is, too), ``bool``, ``str``, a ``Literal``, a dataclass,
            any of these or None, or a list, tuple or dict of them.
        name: How to call it in an error.

    Raises:
        StateMismatchError: It has another type.
    """
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        (part,) = [part for part in parts if part is not type(None)]
        return None if plain is None else as_type(plain, part, name)
    if dataclasses.is_dataclass(hint):
        return plain if isinstance(plain, hint) else made_of(hint, plain)  # type: ignore[arg-type]
    if origin is dict and isinstance(plain, dict):
        return {
            as_type(key, parts[0], name): as_type(value, parts[1], f"{name}[{key!r}]") for key, value in plain.items()
        }
    if origin in (list, tuple) and isinstance(plain, (list, tuple)):
        hints = parts if origin is tuple and parts[-1] is not Ellipsis else parts[:1] * len(plain)
        if len(hints) == len(plain):
            return origin(as_type(plain[i], part, f"{name}[{i}]") for i, part in enumerate(hints))
    if origin is typing.Literal and plain in parts:
        return plain
    if origin is not None or not (hint is Any or isinstance(plain, _CLASSES.get(hint, hint))) or _is_odd(plain, hint):
        wanted = hint.__name__ if origin is None and isinstance(hint, type) else str(hint)
        raise StateMismatchError(f"The saved {name} is {plain!r:.80}, not a {wanted}.")
    return plain


def require_finite(value: Any, name: str) -> None:
    """Raise if a saved number, or one in lists of them, is NaN or infinite.

    Raises:
        StateMismatchError: It is.
    """
    if isinstance(value, (list, tuple)):
        for part in value:
            require_finite(part, name)
    elif isinstance(value, (int, float)) and not abs(value) <= sys.float_info.max:
        raise StateMismatchError(f"The saved {name} holds {value!r:.80}, where a finite number was expected.")


_CLASSES: dict[Any, Any] = {float: (int, float)}


def _is_odd(plain: Any, hint: Any) -> bool:
    """Tell whether a flag stands where a number should."""
    return isinstance(plain, bool) and hint in (int, float)


def require_like(
    state: Any,
    own: Any,
    name: str,
    *,
    of_others: Collection[str] = (),
    may_lack: Collection[str] = (),
    is_fixed: bool = False,
) -> None:
    """Raise unless ``state`` is built as ``own``.

    Its own keys must all be there; those of dicts within may be others, such as names of hyperparameters, unless the
    form is fixed.
    What ``own`` leaves open (None, a key that it has not) may be anything; where it counts in whole numbers, so does
    ``state``. A list holds things of one kind, unless those of ``own`` are of several.

    Args:
        state: What was saved.
        own: What the part says of itself now.
        name: How to call it in an error.
        of_others: Keys, at any depth, of what users' own parts say of themselves, which may be anything.
        may_lack: Keys of its own that states of before do not have.
        is_fixed: Whether the form never changes: dicts within must hold all of their own keys, too, and nothing is
            None that is not so here.

    Raises:
        CheckpointError: Something is missing, or of a kind that it cannot be.

    Example:
        >>> require_like({"count": "three"}, {"count": 0}, "detector")
        Traceback (most recent call last):
        ...
        tensor_optix.exceptions.CheckpointError: The saved `detector['count']` is 'three', where a number was expected.
    """
    missing = set(own) - set(state) - set(may_lack) if isinstance(state, Mapping) and isinstance(own, Mapping) else ()
    if missing:
        raise CheckpointError(f"The saved `{name}` lacks {', '.join(sorted(map(str, missing)))[:200]}.")
    if is_fixed:
        _require_filled(state, own, name, may_lack)
    _require_kind(_without(of_others, state), own, name)


def _require_filled(state: Any, own: Any, name: str, may_lack: Collection[str] = ()) -> None:
    if state is None and own is not None:
        raise CheckpointError(f"The saved `{name}` is None, where a {_kind(own)} was expected.")
    if not isinstance(state, Mapping) or not isinstance(own, Mapping):
        return
    for key in own:
        if key in state:
            _require_filled(state[key], own[key], f"{name}[{key!r:.40}]")
        elif key not in may_lack:
            raise CheckpointError(f"The saved `{name}` lacks {key!s:.200}.")


def _without(names: Collection[str], state: Any) -> Any:
    if not names or not isinstance(state, Mapping):
        return state
    return {key: _without(names, value) for key, value in state.items() if key not in names}


def _require_kind(state: Any, own: Any, name: str) -> None:
    if own is None:
        return
    expected, found = _kind(own), _kind(state)
    may_be_missing = state is None and not isinstance(own, (bool, int))  # what is not known yet, or not now
    if found != expected and not may_be_missing:
        raise CheckpointError(f"The saved `{name}` is {state!r:.80}, where a {expected} was expected.")
    if isinstance(own, (int, np.integer)) and isinstance(state, (float, np.floating)) and not _is_whole(state):
        raise CheckpointError(f"The saved `{name}` is {state!r:.80}, where a whole number was expected.")
    if isinstance(state, Mapping):
        _check_items(state, own if isinstance(own, Mapping) else {}, name)
    elif isinstance(state, (list, tuple)):
        _check_elements(state, own if isinstance(own, (list, tuple)) else (), name)
    elif isinstance(state, np.ndarray) and isinstance(own, np.ndarray):
        _check_array(state, own, name)


def _check_array(state: Any, own: Any, name: str) -> None:
    if (state.dtype.kind, state.ndim) != (own.dtype.kind, own.ndim):
        raise CheckpointError(
            f"The saved `{name}` is an array of {state.dtype} with {state.ndim} axes, where one of {own.dtype} with "
            f"{own.ndim} was expected."
        )


def _check_items(state: Mapping[Any, Any], own: Mapping[Any, Any], name: str) -> None:
    for key, value in state.items():
        _require_kind(value, own.get(key), f"{name}[{key!r:.40}]")


def _check_elements(state: Any, own: Any, name: str) -> None:
    kinds = {_kind(value) for value in state}
    if len(kinds) > 1 and len({_kind(value) for value in own}) < 2:
        raise CheckpointError(f"The saved `{name}` holds things of several kinds: {', '.join(sorted(kinds))}.")
    for place, value in enumerate(state):
        same = own[place] if len(own) == len(state) else (own[0] if len(own) else None)
        _require_kind(value, same, f"{name}[{place}]")


def _is_whole(value: Any) -> bool:
    return bool(abs(value) <= _LARGEST_EXACT and float(value).is_integer())


def _kind(value: Any) -> str:
    if isinstance(value, (bool, np.bool_)):
        return "flag"
    for kind, classes in _KINDS.items():
        if isinstance(value, classes):
            return kind
    return "nothing" if value is None else type(value).__name__


_LARGEST_EXACT = 2**53
"""Beyond it floats leave whole numbers out."""

_KINDS: dict[str, Any] = {
    "number": (int, float, np.number),
    "text": str,
    "list": (list, tuple),
    "dict": Mapping,
    "array": np.ndarray,
}
