"""State of the user's that no checkpoint holds, found where it changes during a run; and NaN in what one does hold."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from tensor_optix.core.attributes import belongs_to_package, fingerprints, own_attributes
from tensor_optix.core.base_agent import BaseAgent
from tensor_optix.core.protocols import original
from tensor_optix.core.storage.agent_files import has_own_state
from tensor_optix.core.storage.stateful import WithState

NOT_EXACTLY = "the run was resumed, but not exactly: "

_FIRST_WINDOWS = 4
"""After each of so many it is looked whether something changes that is not saved; then at barriers."""

_MOST_NAMED = 6

logger = logging.getLogger(__name__)


class UnsavedState:
    """Watches what users bring into a run, and names what changes there and is not saved.

    A part that has ``state_dict`` of its own (an agent: ``get_state``) is believed to save all of itself.
    One that inherits this package's is watched for what it has besides; this package's own parts are not.

    Args:
        agent: Acts and learns.
        evaluator: Scores windows.
        tuner: The hyperparameter optimizer.
        callbacks: Hooks.
    """

    def __init__(self, agent: BaseAgent, evaluator: Any, tuner: Any, callbacks: Iterable[Any]) -> None:
        roles = [("evaluator", evaluator), ("hyperparameter optimizer", tuner)]
        roles += [("callback", callback) for callback in callbacks]
        self._watched = [_Watched(role, original(part), "state_dict") for role, part in roles]
        if has_own_state(agent):
            self._watched.append(_Watched("agent", original(agent), "get_state"))
        self._agent = agent
        self._randomness: dict[str, str] = {}
        self._drawn: list[str] = []

    def begin(self) -> None:
        """Take what is there now for what a new process would begin with, too."""
        for watched in self._watched:
            watched.begin()
        self._randomness = self._global_randomness()

    def look(self) -> list[str]:
        """Return, in phrases, all that was found so far."""
        for name, state in self._global_randomness().items():
            if name not in self._drawn and self._randomness.get(name, state) != state:
                self._drawn.append(name)
            self._randomness.setdefault(name, state)
        drawn = [
            f"{name} is drawn from, whose state is not saved: after a resume other numbers come. Draw from a "
            "keras.random.SeedGenerator or a NumPy generator that is an attribute of the agent"
            for name in self._drawn
        ]
        return [phrase for watched in self._watched for phrase in watched.look()] + drawn

    def _global_randomness(self) -> dict[str, str]:
        return self._agent.global_randomness()


class Omissions:
    """Names, once each, what a resume would not bring back.

    Args:
        not_saved: Returns, in phrases, what is known so far not to be in a checkpoint.
        unsaved: Watches what has a state and does not save it.
        nan_in_state: Looks for NaN where it is saved.
    """

    def __init__(self, not_saved: Callable[[], list[str]], unsaved: UnsavedState, nan_in_state: NaNInState) -> None:
        self._not_saved = not_saved
        self._unsaved = unsaved
        self._nan_in_state = nan_in_state
        self._told: dict[str, str] = {}
        self._num_windows = 0
        self._is_resumed = False

    def begin(self, *, is_resumed: bool) -> None:
        """Watch from here on."""
        self._unsaved.begin()
        self._num_windows, self._is_resumed = 0, is_resumed

    def after_window(self, *, is_moment: bool) -> None:
        """Look, if this is one of the first windows or a moment from which a run can go on."""
        self._num_windows += 1
        if is_moment or self._num_windows <= _FIRST_WINDOWS:
            self._look()
        if is_moment:
            self._nan_in_state.look()

    def notes(self, *, but: Iterable[str]) -> list[str]:
        """Return everything that was found, in sentences; what was not saved was not brought back either.

        Args:
            but: Sentences that say some of it already.
        """
        self._look()
        self._nan_in_state.look()
        said = {_subject(note) for note in but}
        found = [NOT_EXACTLY + phrase if self._is_resumed else phrase for phrase in self._told.values()]
        return [*(note for note in found if _subject(note) not in said), *self._nan_in_state.notes()]

    def _look(self) -> None:
        for phrase in self._not_saved():
            if _subject(phrase) not in self._told:
                self._told[_subject(phrase)] = phrase
                logger.warning("Not in the run's checkpoints: %s.", phrase)


def _subject(phrase: str) -> str:
    """Return what a phrase is about: the attributes named in it are those that had changed by then."""
    return phrase.partition(" (attributes")[0]


class _Watched:
    """One part, with the names of those of its attributes that are saved anyway."""

    def __init__(self, role: str, part: Any, method: str) -> None:
        self._part = part
        self._name = f"the {role} {type(part).__qualname__}"
        self._counts_attached = method != "get_state"  # what hangs on an agent is saved where it inherits it
        self._before: dict[str, str] | None = None
        self._changed: list[str] = []
        self._saved: frozenset[str] = frozenset()
        self._why = f"but has no {method}"
        kind: Any = type(part)
        definer = next((cls for cls in kind.__mro__ if method in vars(cls)), None)
        inherits = definer is not None and belongs_to_package(definer)
        if inherits:
            self._saved = own_attributes(kind)
            self._why = f"that the inherited {method} does not know"
        self._is_complete = belongs_to_package(kind) or (definer is not None and not inherits)

    def begin(self) -> None:
        if not self._is_complete:
            self._before = self._state()

    def look(self) -> list[str]:
        if self._before is None:
            return []
        for name, state in self._state().items():
            if self._before.get(name) != state and name not in self._changed:
                self._changed.append(name)
        if not self._changed:
            return []
        more = "" if len(self._changed) <= _MOST_NAMED else ", ..."
        named = ", ".join(self._changed[:_MOST_NAMED]) + more
        return [f"{self._name} holds state (attributes: {named}) {self._why}: after a resume it starts anew"]

    def _state(self) -> dict[str, str]:
        return fingerprints(self._part, self._saved, attached=self._counts_attached)


class NaNInState:
    """Looks for NaN in the states of parts that are the user's, and in what parts of this package keep of theirs.

    This package's own agents undo an update that gives NaN; those of a user's own are looked at.

    Args:
        parts: All parts whose states are saved, by name.
        agent: Acts and learns.
    """

    def __init__(self, parts: Mapping[str, WithState | None], agent: BaseAgent) -> None:
        self._parts = {name: part for name, part in parts.items() if part is not None}
        self._agent = agent
        self._found: dict[str, list[str]] = {}

    def look(self) -> None:
        """Look at all of them now; what is found is logged once for each part."""
        found_in = {name: _keys_with_nan(part) for name, part in self._parts.items()}
        found_in[f"the agent {type(self._agent).__qualname__}"] = _arrays_with_nan(self._agent)
        for name, keys in found_in.items():
            for key in keys:
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


def _arrays_with_nan(agent: BaseAgent) -> list[str]:
    definers = [cls for cls in type(original(agent)).__mro__ if "get_state" in vars(cls) and cls is not BaseAgent]
    if not definers or any(map(belongs_to_package, definers)):
        return []
    try:
        arrays = agent.get_state().arrays
    except Exception:  # whoever saves it says so
        return []
    return [name for name, array in arrays.items() if _holds_nan(array)]


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
