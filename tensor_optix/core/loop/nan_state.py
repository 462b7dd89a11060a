"""NaN in what users' own parts say of their state: named where it shows itself.

This package's own parts hold NaN on purpose (the score of a window that gave no evidence). In a user's it is most
often an accident; a run that goes on exactly must give it back all the same.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np

from tensor_optix.core.attributes import belongs_to_package
from tensor_optix.core.complete import original
from tensor_optix.core.storage.stateful import WithState

_MOST_NAMED = 6

logger = logging.getLogger(__name__)


class NaNInState:
    """Looks for NaN in the states of parts that are the user's, and in what parts of this package keep of theirs.

    Args:
        parts: All parts whose states are saved, by name.
    """

    def __init__(self, parts: Mapping[str, WithState | None]) -> None:
        self._parts = {name: part for name, part in parts.items() if part is not None}
        self._found: dict[str, list[str]] = {}

    def look(self) -> None:
        """Look at all of them now; what is found is logged once for each part."""
        for name, part in self._parts.items():
            for key in _keys_with_nan(part):
                if name not in self._found:
                    logger.warning("The state of %s holds NaN (under %r): it is saved as such.", name, key)
                found = self._found.setdefault(name, [])
                if key not in found:
                    found.append(key)

    def notes(self) -> list[str]:
        """Return what was found so far, in sentences."""
        return [
            f"the state of {name} holds NaN (under {', '.join(keys[:_MOST_NAMED])}{', ...' * (len(keys) > _MOST_NAMED)}"
            "): it was saved as such, and comes back as such"
            for name, keys in self._found.items()
        ]

    def state_dict(self) -> dict[str, list[str]]:
        """Return what was found so far."""
        return {name: list(keys) for name, keys in self._found.items()}

    def load_state_dict(self, state: Mapping[str, list[str]]) -> None:
        """Go on with what had been found."""
        self._found = {str(name): [str(key) for key in keys] for name, keys in state.items()}


def _keys_with_nan(part: WithState) -> list[str]:
    kind = type(original(part))
    definer = next((cls for cls in kind.__mro__ if "state_dict" in vars(cls)), kind)
    is_ours = belongs_to_package(definer)
    if is_ours and not part.state_of_others:
        return []
    try:
        state = part.state_dict()
    except Exception:  # whoever saves it says so
        return []
    states = _states_of_others(state, part.state_of_others) if is_ours else [state]
    return [str(key) for state in states for key, value in _items(state) if _holds_nan(value)]


def _states_of_others(state: Any, names: Collection[str]) -> Iterator[Any]:
    for key, value in _items(state):
        if key in names:
            yield value
        elif isinstance(value, Mapping):
            yield from _states_of_others(value, names)


def _items(state: Any) -> list[tuple[Any, Any]]:
    return list(state.items()) if isinstance(state, Mapping) else [("state_dict()", state)]


def _holds_nan(value: Any) -> bool:
    if isinstance(value, np.ndarray | np.generic):
        return value.dtype.kind in "fc" and bool(np.isnan(value).any())
    if isinstance(value, float):
        return math.isnan(value)
    if isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, list | tuple):
        return False
    return any(map(_holds_nan, value))
