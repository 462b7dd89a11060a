"""What both detectors have in common: a state that says whose it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from tensor_optix.core.storage.stateful import Stateful
from tensor_optix.exceptions import StateMismatchError


class Detector(Stateful):
    """Something that is fed scores. Its state is declared, and names kind and version."""

    _SAVED_AS: ClassVar[tuple[str, int]]
    """Kind and version."""

    def state_dict(self) -> dict[str, Any]:
        """Return the whole state, JSON-able and exact."""
        kind, version = self._SAVED_AS
        return {"kind": kind, "version": version, **super().state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a state that ``state_dict`` returned.

        Raises:
            StateMismatchError: It belongs to another class or version, or is not whole.
            CheckpointError: Something in it is of a kind that it cannot be.
        """
        kind, version = self._SAVED_AS
        if not isinstance(state, Mapping) or state.get("kind") != kind:
            found = state.get("kind") if isinstance(state, Mapping) else type(state).__name__
            raise StateMismatchError(f"Expected the state of a {kind}. Received: {found!r}.")
        if state.get("version") != version:
            raise StateMismatchError(
                f"This {kind} reads states of version {version}. Received: version {state.get('version')!r}. "
                "Load it with the release that saved it, or start with a fresh detector."
            )
        missing = sorted({name.removeprefix("_") for name in self._STATE} - set(state))
        if missing:
            raise StateMismatchError(f"The state of the {kind} is not whole. Missing: {missing}.")
        super().load_state_dict(dict(state))
