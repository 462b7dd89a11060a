"""Places for the state of a whole run, of which one is always whole."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from tensor_optix.core.storage.atomic_files import inside, regular_file, sync_all
from tensor_optix.core.storage.exact_json import from_exact
from tensor_optix.core.storage.json_files import read_sealed_json, write_sealed_json
from tensor_optix.core.storage.state_files import read_agent_state, write_agent_state
from tensor_optix.core.types import AgentState
from tensor_optix.exceptions import CheckpointError

logger = logging.getLogger(__name__)

CHECKPOINT_FOLDER = "checkpoint"
SLOTS = ("a", "b", "c")
LOOP_FILE = "loop.json"
STATES = ("agent", "champion")

_FORMAT = "tensor-optix run checkpoint"
_VERSION = 1


class CheckpointSlots:
    """Writes a run's state into the older of two folders; reads the newer one that is whole.

    ``loop.json`` is removed first and written last: a folder without it holds nothing.

    A state is *open* if a run with a larger budget would have come to it just so. The newest open one stays
    where later ones are not, beside the newest of all; only then is there a third folder.

    Args:
        root: The run's folder; ``checkpoint/`` is made in it when first written to.

    Attributes:
        is_wanted: Asked of a loop's document: whether to go on from there rather than from an older place.
    """

    def __init__(self, root: Path) -> None:
        self.folder = root / CHECKPOINT_FOLDER
        self._root = root
        self._numbers: dict[str, int] | None = None
        self._open_slots: set[str] = set()
        self.is_wanted: Callable[[dict[str, Any]], bool] = lambda document: True

    def write(self, document: Mapping[str, Any], states: Mapping[str, AgentState], is_open: bool = True) -> None:
        """Write the loop's document, made by ``to_exact``, and the agents' states.

        Args:
            document: What the loop is.
            states: Of the agent, and of its champion.
            is_open: Whether a run with a larger budget would have come to this, too.

        Raises:
            CheckpointError: They cannot be written; the other slots are untouched.
        """
        numbers = self._known_numbers()
        slot = self._next_slot()
        target = self._emptied(slot)
        for name, state in states.items():
            write_agent_state(target / name, state)
        sync_all(self.folder, self._root)  # else a power cut could take the slot away, whole as it is
        number = max(numbers.values()) + 1
        sealed = {
            "format": _FORMAT,
            "version": _VERSION,
            "number": number,
            "is_open": is_open,
            "states": sorted(states),
            "loop": dict(document),
        }
        write_sealed_json(target / LOOP_FILE, sealed)
        numbers[slot] = number
        if is_open:
            self._open_slots.add(slot)

    def newest_document(self) -> dict[str, Any] | None:
        """Return the loop's document of the newest state, without the agents'; None where there is none."""
        for slot in self._newest_first():
            try:
                document: dict[str, Any] = from_exact(_read_sealed(self._path_of(slot))["loop"])
            except CheckpointError:
                continue
            return document
        return None

    def read(self) -> tuple[dict[str, Any], dict[str, AgentState]] | None:
        """Return the newest state that is whole and wanted, or else whole; what is damaged is reported and skipped.

        A slot that was skipped for damage is the next one to be written to, however new it is.
        """
        slots = self._newest_first()
        unwanted = [slot for slot in slots if not self._is_wanted_in(slot)]
        for slot in sorted(slots, key=lambda name: name in unwanted):
            try:
                sealed = _read_sealed(self._path_of(slot))
                return from_exact(sealed["loop"]), {
                    name: read_agent_state(inside(self._path_of(slot), name)) for name in sealed["states"]
                }
            except CheckpointError as error:
                self._known_numbers()[slot] = -1
                logger.warning("Checkpoint %s is not whole and is skipped: %s", self.folder / slot, error)
        return None

    def _is_wanted_in(self, slot: str) -> bool:
        """Tell whether to go on from a slot; one that is damaged is tried, so that it is reported."""
        try:
            return self.is_wanted(from_exact(_read_sealed(self._path_of(slot))["loop"]))
        except CheckpointError:
            return True

    def _newest_first(self) -> list[str]:
        """Return those slots that are not known to be empty or damaged, as they are on the disk now."""
        self._numbers = None
        numbers = self._known_numbers()
        return sorted((slot for slot in SLOTS if numbers[slot] >= 0), key=lambda name: numbers[name], reverse=True)

    def _next_slot(self) -> str:
        """Return the slot that is oldest, or empty, among those that may go; the third only if there is no other."""
        numbers = self._known_numbers()

        def newest(slots: Iterable[str]) -> str | None:
            return max(slots, key=lambda name: numbers[name], default=None)

        whole = [slot for slot in SLOTS if numbers[slot] >= 0]
        kept = {newest(whole), newest(slot for slot in whole if slot in self._open_slots)}
        free = [slot for slot in SLOTS if slot not in kept]
        return min([slot for slot in free if slot in SLOTS[:2]] or free, key=lambda name: numbers[name])

    def _path_of(self, slot: str) -> Path:
        return inside(self._root, f"{CHECKPOINT_FOLDER}/{slot}")

    def _known_numbers(self) -> dict[str, int]:
        if self._numbers is None:
            self._open_slots = set()
            self._numbers = {slot: self._number(slot) for slot in SLOTS}
        return self._numbers

    def _number(self, slot: str) -> int:
        """Return how new a slot is; -1 where nothing whole is in it."""
        path = self.folder / slot
        if not os.path.lexists(path / LOOP_FILE):
            return -1
        try:
            sealed = _read_sealed(self._path_of(slot))
        except CheckpointError as error:
            logger.warning("Checkpoint %s is not whole and is skipped: %s", path, error)
            return -1
        if _is_open(sealed):
            self._open_slots.add(slot)
        return int(sealed["number"])

    def _emptied(self, slot: str) -> Path:
        """Return the slot's folder with nothing in it; ``loop.json`` is the first thing to go."""
        self._known_numbers()[slot] = -1
        self._open_slots.discard(slot)
        target = self._path_of(slot)
        try:
            if target.exists():
                (target / LOOP_FILE).unlink(missing_ok=True)
                sync_all(target)
                shutil.rmtree(target)
            target.mkdir(parents=True)
        except OSError as error:
            raise CheckpointError(f"Could not make the folder {target} anew: {error.strerror or error}.") from error
        return target


def _is_open(sealed: Mapping[str, Any]) -> bool:
    """Tell whether a run with a larger budget would have come to this; older files do not say."""
    return sealed.get("is_open") is not False


def _read_sealed(path: Path) -> dict[str, Any]:
    file = regular_file(path, LOOP_FILE)
    sealed = read_sealed_json(file)
    if sealed.get("format") != _FORMAT or sealed.get("version") != _VERSION:
        raise CheckpointError(
            f"{file} is no checkpoint of this version. Received: format={sealed.get('format')!r:.80}, "
            f"version={sealed.get('version')!r:.80}; expected {_FORMAT!r}, {_VERSION}."
        )
    states, number = sealed.get("states"), sealed.get("number")
    if not isinstance(states, list) or "agent" not in states or any(name not in STATES for name in states):
        raise CheckpointError(f"{file} names states that no run has: {states!r:.200}.")
    if not isinstance(number, int) or number < 0 or not isinstance(sealed.get("loop"), dict):
        raise CheckpointError(f"{file} is no checkpoint: its number is {number!r:.80}.")
    return sealed
