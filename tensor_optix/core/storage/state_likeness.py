"""Is a saved state one that this part can have? Asked before the run goes on, not found out in its middle."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from tensor_optix.exceptions import CheckpointError


def require_like(state: Any, own: Any, name: str, *, of_others: Collection[str] = ()) -> None:
    """Raise unless ``state`` is built as ``own``.

    Its own keys must all be there; those of dicts within may be others, such as names of hyperparameters.
    What ``own`` leaves open (None, a key that it has not) may be anything; numbers may be whole or not. A list holds
    things of one kind, unless those of ``own`` are of several.

    Args:
        state: What was saved.
        own: What the part says of itself now.
        name: How to call it in an error.
        of_others: Keys, at any depth, of what users' own parts say of themselves, which may be anything.

    Raises:
        CheckpointError: Something is missing, or of a kind that it cannot be.

    Example:
        >>> require_like({"count": "three"}, {"count": 0}, "detector")
        Traceback (most recent call last):
        ...
        tensor_optix.exceptions.CheckpointError: The saved `detector['count']` is 'three', where a number was expected.
    """
    if isinstance(state, Mapping) and isinstance(own, Mapping) and set(own) - set(state):
        raise CheckpointError(f"The saved `{name}` lacks {', '.join(sorted(map(str, set(own) - set(state))))[:200]}.")
    _require_kind(_without(of_others, state), own, name)


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


def _kind(value: Any) -> str:
    if isinstance(value, (bool, np.bool_)):
        return "flag"
    for kind, types in _KINDS.items():
        if isinstance(value, types):
            return kind
    return "nothing" if value is None else type(value).__name__


_KINDS: dict[str, Any] = {
    "number": (int, float, np.number),
    "text": str,
    "list": (list, tuple),
    "dict": Mapping,
    "array": np.ndarray,
}
