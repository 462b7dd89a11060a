"""The whole run, saved beside the loop at barriers, and brought back."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from typing import Any

from tensor_optix.core.agent_state import capture, has_own_state, restore
from tensor_optix.core.base_agent import BaseAgent
from tensor_optix.core.champion import ChampionKeeper
from tensor_optix.core.checkpoint_slots import CheckpointSlots
from tensor_optix.core.types import AgentState
from tensor_optix.exceptions import CheckpointError

logger = logging.getLogger(__name__)

SAVE_INTERVAL_SECONDS = 30.0


class RunCheckpoint:
    """Saves and restores every part that has a state.

    What is saved is taken at once, in memory, and written by a thread; a barrier that comes while
    the thread still writes is passed over. Which barriers are saved is decided by the clock and
    changes nothing of the run.

    Args:
        slots: Where to write.
        agent: Its state, replay included, is part of the run's.
        keeper: The champion is saved along: the registry may have pruned it by then.
        parts: Everything else, by name; a part without ``state_dict`` is left out and named.
        interval_seconds: Time between saves.
    """

    def __init__(
        self,
        slots: CheckpointSlots,
        agent: BaseAgent,
        keeper: ChampionKeeper,
        parts: Mapping[str, Any],
        interval_seconds: float = SAVE_INTERVAL_SECONDS,
    ) -> None:
        self._slots = slots
        self._agent = agent
        self._keeper = keeper
        self._parts = {name: part for name, part in parts.items() if hasattr(part, "state_dict")}
        self._left_out = [name for name, part in parts.items() if not hasattr(part, "state_dict")]
        self._interval_seconds = interval_seconds
        self._last_save = -float("inf")
        self._thread: threading.Thread | None = None
        self.failures: list[str] = []

    @property
    def inexact(self) -> list[str]:
        """What keeps a resumed run from being exactly the uninterrupted one, in sentences."""
        reasons = [f"the {name} has no state_dict, so it starts afresh" for name in self._left_out]
        if not has_own_state(self._agent):
            reasons.append("the agent has no get_state, so its random state and optimizer are not known")
        return reasons

    def save_if_due(self, own: Mapping[str, Any]) -> None:
        """Save, if enough time has passed and nothing is being written.

        Args:
            own: The loop's own numbers.
        """
        is_busy = self._thread is not None and self._thread.is_alive()
        if not is_busy and time.monotonic() - self._last_save >= self._interval_seconds:
            self.save(own)

    def save(self, own: Mapping[str, Any]) -> None:
        """Take the state now and write it beside the loop."""
        self.flush()
        document, states = self._take(own)
        self._last_save = time.monotonic()
        self._thread = threading.Thread(
            target=self._write, args=(document, states), name="tensor-optix-checkpoint", daemon=True
        )
        self._thread.start()

    def flush(self) -> None:
        """Wait until what was taken is written."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def load(self) -> dict[str, Any] | None:
        """Bring every part back and return the loop's own numbers; None if nothing whole was found."""
        found = self._slots.read()
        if found is None:
            return None
        document, states = found
        for name, part in self._parts.items():
            if name in document["parts"]:
                part.load_state_dict(document["parts"][name])
        restore(self._agent, states["agent"])
        self._keeper.load_state_dict(document["keeper"], states.get("champion"))
        own: dict[str, Any] = document["own"]
        return own

    def _take(self, own: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, AgentState]]:
        document = {
            "own": dict(own),
            "parts": {name: part.state_dict() for name, part in self._parts.items()},
            "keeper": self._keeper.state_dict(),
        }
        states = {"agent": capture(self._agent, "all")}
        if self._keeper.state is not None:
            states["champion"] = self._keeper.state
        return document, states

    def _write(self, document: dict[str, Any], states: dict[str, AgentState]) -> None:
        try:
            self._slots.write(document, states)
        except CheckpointError as error:
            self.failures.append(str(error))
            logger.error("The run could not be saved; training goes on in memory. %s", error)
