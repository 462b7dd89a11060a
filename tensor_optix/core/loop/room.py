"""How much of a budget the next window may take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tensor_optix.core.base_pipeline import BasePipeline
from tensor_optix.core.budget import Ledger
from tensor_optix.core.protocols import original

UNUSED_SHARE = 0.02
"""Share of a budget, if it is more than one window, that is not worth another round of training."""


@dataclass(eq=False)
class Room:
    """Sees to it that no window takes more than the budget has left for training.

    Args:
        pipeline: Cuts its windows, if it can.
        ledger: Knows the budget, and is told that it has decided something.
        reserved_steps: Tells how many env steps the last choice of a champion will need.
    """

    pipeline: BasePipeline
    ledger: Ledger
    reserved_steps: Callable[[], int]

    def limit_window(self) -> bool:
        """Let the next window take no more than there is room for; return whether there is room for one."""
        return self.exhausted() is None

    def exhausted(self) -> str | None:
        """Return which budget has no room for another window, as a phrase; None if there is, which is its limit then.

        A window that will be shorter than it would have been is a decision of the budget's.
        """
        if self.ledger.windows_are_used:
            return f"max_episodes={self.ledger.max_windows} windows were used"
        left = self.ledger.steps_left
        if left is None:
            return None
        reserved = self.reserved_steps()
        room, usual = left - reserved, self._usual_window_steps
        self.ledger.has_decided |= room < usual
        least = max(self.pipeline.num_envs, 1)
        if room >= least and (self.pipeline.limit_window(room) or room >= usual):
            return None
        details = f"{left:,} steps are left"
        if left:
            details += f", one of every environment takes {least:,}" if room < least else f", a window takes {usual:,}"
        if reserved:
            details += f", and {reserved:,} are kept for the last choice of a champion"
        return f"max_env_steps={self.ledger.max_env_steps:,} leaves no room for another window ({details})"

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know at the end, in sentences: steps beyond the budget."""
        limit, used = self.ledger.max_env_steps, self.ledger.used.max_env_steps
        if limit is None or used is None or used <= limit:
            return ()
        kind = type(original(self.pipeline)).__name__
        return (
            f"max_env_steps={limit:,} was exceeded by {used - limit:,}: {kind} does not tell how long its windows are, "
            "and cannot cut them. Give it a window_size, or a method limit_window(env_steps).",
        )

    @property
    def is_limited(self) -> bool:
        """Whether env steps are counted against a budget."""
        return self.ledger.max_env_steps is not None

    @property
    def is_worth_while(self) -> bool:
        """Whether what is left of a budget is more than one window, and more than a fiftieth of it."""
        left, limit = self.ledger.steps_left, self.ledger.max_env_steps
        return left is None or limit is None or left > max(UNUSED_SHARE * limit, self._usual_window_steps)

    @property
    def _usual_window_steps(self) -> int:
        """Env steps of a window that nothing cuts, as far as that is known."""
        size = self.pipeline.window_size
        return self.ledger.latest_window_steps if size is None else size * max(self.pipeline.num_envs, 1)
