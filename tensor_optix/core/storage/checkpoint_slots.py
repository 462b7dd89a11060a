"""Two places for the state of a whole run, of which one is always whole."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Mapping
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
SLOTS = ("a", "b")
LOOP_FILE = "loop.json"
STATES = ("agent", "champion")

_FORMAT = "tensor-optix run checkpoint"
_VERSION = 1


class CheckpointSlots:
    """Writes a run's state into the older of two folders; reads the newer one that is whole.

    ``loop.json`` is removed first and written last: a folder without it holds nothing.

    Args:
        root: The run's folder; ``checkpoint/`` is made in it when first written to.
    """

    def __init__(self, root: Path) -> None:
        self.folder = root / CHECKPOINT_FOLDER
        self._root = root
        self._numbers: dict[str, int] | None = None

    def write(self, document: Mapping[str, Any], states: Mapping[str, AgentState]) -> None:
        """Write the loop's document, made by ``to_exact``, and the agents' states.

        Raises:
            CheckpointError: They cannot be written; the other slot is untouched.
        """
        numbers = self._known_numbers()
        slot = min(SLOTS, key=lambda name: numbers[name])
        target = self._emptied(slot)
        for name, state in states.items():
            write_agent_state(target / name, state)
        sync_all(self.folder, self._root)  # else a power cut could take the slot away, whole as it is
        number = max(numbers.values()) + 1
        sealed = {
            "format": _FORMAT,
            "version": _VERSION,
            "number": number,
            "states": sorted(states),
            "loop": dict(document),
        }
        write_sealed_json(target / LOOP_FILE, sealed)
        numbers[slot] = number

    def read(self) -> tuple[dict[str, Any], dict[str, AgentState]] | None:
        """Return the newest state that is whole; what is damaged is reported and skipped.

        A slot that was skipped is the next one to be written to, however new it is.
        """
        self._numbers = None
        numbers = self._known_numbers()
        for slot in sorted(SLOTS, key=lambda name: numbers[name], reverse=True):
            if numbers[slot] < 0:
                continue
            try:
                path = inside(self._root, f"{CHECKPOINT_FOLDER}/{slot}")
                sealed = _read_sealed(path)
                return from_exact(sealed["loop"]), {
                    name: read_agent_state(inside(self._root, f"{CHECKPOINT_FOLDER}/{slot}/{name}"))
                    for name in sealed["states"]
                }
            except CheckpointError as error:
                numbers[slot] = -1
                logger.warning("Checkpoint %s is not whole and is skipped: %s", self.folder / slot, error)
        return None

    def _known_numbers(self) -> dict[str, int]:
        if self._numbers is None:
            self._numbers = {slot: self._number(slot) for slot in SLOTS}
        return self._numbers

    def _number(self, slot: str) -> int:
        """Return how new a slot is; -1 where nothing whole is in it."""
        path = self.folder / slot
        if not os.path.lexists(path / LOOP_FILE):
            return -1
        try:
            return int(_read_sealed(inside(self._root, f"{CHECKPOINT_FOLDER}/{slot}"))["number"])
        except CheckpointError as error:
            logger.warning("Checkpoint %s is not whole and is skipped: %s", path, error)
            return -1

    def _emptied(self, slot: str) -> Path:
        """Return the slot's folder with nothing in it; ``loop.json`` is the first thing to go."""
        self._known_numbers()[slot] = -1
        target = inside(self._root, f"{CHECKPOINT_FOLDER}/{slot}")
        try:
            if target.exists():
                (target / LOOP_FILE).unlink(missing_ok=True)
                sync_all(target)
                shutil.rmtree(target)
            target.mkdir(parents=True)
        except OSError as error:
            raise CheckpointError(f"Could not make the folder {target} anew: {error.strerror or error}.") from error
        return target


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
