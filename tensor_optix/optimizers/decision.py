"""What a hyperparameter optimizer did to one parameter, and why."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Decision:
    """One decision about one parameter.

    Attributes:
        episode_id: The newest window that was known when it was taken.
        param: Name of the parameter; empty where the decision is about all of them.
        old: Value in force before; None where nothing changed hands.
        new: Value suggested from now on; None where nothing changed hands.
        reason: Why, in words.
        is_move: Whether the parameter's centre moved. False for probes, returns and skips.
    """

    episode_id: int
    param: str
    old: float | None
    new: float | None
    reason: str
    is_move: bool = False

    def __str__(self) -> str:
        if not self.param:
            return self.reason
        return f"{self.param} {self.old:.6g} -> {self.new:.6g}: {self.reason}"

    def as_dict(self) -> dict[str, Any]:
        """Return a JSON-able copy."""
        return asdict(self)
