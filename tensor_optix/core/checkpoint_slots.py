"""Two places for the state of a whole run, of which one is always whole."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensor_optix.core.json_files import read_sealed_json, to_jsonable, write_sealed_json
from tensor_optix.core.state_files import read_agent_state, write_agent_state
from tensor_optix.core.types import AgentState
from tensor_optix.exceptions import CheckpointError

logger = logging.getLogger(__name__)

_SLOTS = ("a", "b")
_LOOP_FILE = "loop.json"
_FORMAT = "tensor-optix run checkpoint"
_VERSION = 1


class CheckpointSlots:
    """Writes a run's state into the older of two folders; reads the newer one that is whole.

    ``loop.json`` is removed first and written last: a folder without it holds nothing.

    Args:
        folder: Where the two are; made when first written to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, document: Mapping[str, Any], states: Mapping[str, AgentState]) -> None:
        """Write the loop's document and the agents' states.

        Raises:
            CheckpointError: They cannot be written; the other slot is untouched.
        """
        numbers = {slot: self._number(slot) for slot in _SLOTS}
        slot = min(_SLOTS, key=lambda name: numbers[name])
        target = self.folder / slot
        try:
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir(parents=True)
        except OSError as error:
            raise CheckpointError(f"Could not make the folder {target}: {error.strerror or error}.") from error
        for name, state in states.items():
            write_agent_state(target / name, state)
        sealed = {
            "format": _FORMAT,
            "version": _VERSION,
            "number": max(numbers.values()) + 1,
            "states": sorted(states),
            "loop": to_jsonable(dict(document)),
        }
        write_sealed_json(target / _LOOP_FILE, sealed)

    def read(self) -> tuple[dict[str, Any], dict[str, AgentState]] | None:
        """Return the newest state that is whole; what is damaged is reported and skipped."""
        for slot in sorted(_SLOTS, key=self._number, reverse=True):
            path = self.folder / slot
            if not (path / _LOOP_FILE).exists():
                continue
            try:
                sealed = self._read_sealed(path)
                return sealed["loop"], {name: read_agent_state(path / name) for name in sealed["states"]}
            except (CheckpointError, KeyError, TypeError) as error:
                logger.warning("Checkpoint %s is not whole and is skipped: %s", path, error)
        return None

    def _number(self, slot: str) -> int:
        try:
            return int(self._read_sealed(self.folder / slot)["number"])
        except (CheckpointError, KeyError, TypeError, ValueError):
            return -1

    @staticmethod
    def _read_sealed(path: Path) -> dict[str, Any]:
        sealed = read_sealed_json(path / _LOOP_FILE)
        if sealed.get("format") != _FORMAT or sealed.get("version") != _VERSION:
            raise CheckpointError(
                f"{path / _LOOP_FILE} is no checkpoint of this version. Received: "
                f"format={sealed.get('format')!r}, version={sealed.get('version')!r}; expected {_FORMAT!r}, {_VERSION}."
            )
        if any(name not in ("agent", "champion") for name in sealed["states"]):
            raise CheckpointError(f"{path / _LOOP_FILE} names states that no run has: {sealed['states']!r:.200}.")
        return sealed
