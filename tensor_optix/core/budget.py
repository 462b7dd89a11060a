"""What a run has used."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from tensor_optix.core.storage.stateful import Stateful

USES = ("training", "evaluation", "diagnosis", "report")


@dataclass(frozen=True)
class Budget:
    """What one run may use.

    Attributes:
        max_windows: Windows, or None.
        max_env_steps: Environment steps, the report apart, or None.
    """

    max_windows: int | None
    max_env_steps: int | None

    def allows_more_than(self, earlier: Budget, used: Budget) -> bool:
        """Tell whether a run that used up an earlier budget could go on with this one.

        Args:
            earlier: What it had.
            used: What it took of that.
        """
        pairs = ((self.max_windows, earlier.max_windows), (self.max_env_steps, earlier.max_env_steps))
        is_larger = any(then is not None and (now is None or now > then) for now, then in pairs)
        taken = ((self.max_windows, used.max_windows), (self.max_env_steps, used.max_env_steps))
        return is_larger and all(limit is None or (use is not None and limit > use) for limit, use in taken)


class Ledger(Stateful):
    """Counts windows, environment steps by use, and seconds.

    Args:
        max_windows: Windows that one run may take, or None.
        max_env_steps: Environment steps that one run may take, the report apart, or None.

    Attributes:
        latest_window_steps: Env steps of the latest window; 0 before the first.
        has_decided: Whether anything in this run was decided otherwise than it would have been with a larger budget.
    """

    _STATE = (
        *("steps", "windows", "latest_window_steps", "_windows_before", "_steps_before", "has_decided", "seconds"),
        "_trained_at_choice",
    )
    state_may_lack = ("latest_window_steps", "trained_at_choice")

    def __init__(self, max_windows: int | None, max_env_steps: int | None) -> None:
        self.max_windows = max_windows
        self.max_env_steps = max_env_steps
        self.steps = Counter(dict.fromkeys(USES, 0))
        self.windows = 0
        self.latest_window_steps = 0
        self._seconds_before = 0.0
        self.start_run()

    def start_run(self) -> None:
        """Open a new budget; the totals go on."""
        self._started: float | None = time.perf_counter()
        self.has_decided = False
        self._windows_before = self.windows
        self._steps_before = self.budgeted_steps
        self.note_choice()

    def end_run(self) -> None:
        """Add this run's wall time to the total."""
        self.seconds, self._started = self.seconds, None

    @property
    def seconds(self) -> float:
        """Wall time of all runs, the present one's so far included."""
        running = 0.0 if self._started is None else time.perf_counter() - self._started
        return self._seconds_before + running

    @seconds.setter
    def seconds(self, seconds: float) -> None:
        self._seconds_before = seconds

    @property
    def seconds_before(self) -> float:
        """Wall time of all runs before the present one."""
        return self._seconds_before

    def count_window(self, env_steps: int) -> None:
        """Add one window of training."""
        self.windows += 1
        self.steps["training"] += env_steps
        self.latest_window_steps = env_steps

    def note_choice(self) -> None:
        """Take note that a champion is chosen for what may be the last time."""
        self._trained_at_choice = self.steps["training"]

    @property
    def trained_since_choice(self) -> int:
        """Env steps of training since then, or since the run began."""
        return self.steps["training"] - self._trained_at_choice

    @property
    def budgeted_steps(self) -> int:
        """Environment steps that count against the budget: all but the final report's."""
        return sum(steps for use, steps in self.steps.items() if use != "report")

    @property
    def steps_left(self) -> int | None:
        """Environment steps that this run may still take; None where they are not limited."""
        if self.max_env_steps is None:
            return None
        return max(0, self.max_env_steps - (self.budgeted_steps - self._steps_before))

    @property
    def budget(self) -> Budget:
        """What this run may use."""
        return Budget(self.max_windows, self.max_env_steps)

    @property
    def used(self) -> Budget:
        """What this run has used, of windows and of environment steps."""
        return Budget(self.windows - self._windows_before, self.budgeted_steps - self._steps_before)

    def affords(self, env_steps: int) -> bool:
        """Tell whether there is room for so many steps; if not, the budget decides what comes of it."""
        left = self.steps_left
        is_affordable = left is None or left >= env_steps
        self.has_decided |= not is_affordable
        return is_affordable

    def may_end_within(self, env_steps: int) -> bool:
        """Tell whether the budget may be used up before so many more steps were taken."""
        windows_left = None if self.max_windows is None else self.max_windows - (self.windows - self._windows_before)
        if windows_left is not None and windows_left * self.latest_window_steps <= env_steps:
            return True
        left = self.steps_left
        return left is not None and left <= env_steps

    @property
    def windows_are_used(self) -> bool:
        """Whether this run may take no other window."""
        return self.max_windows is not None and self.windows - self._windows_before >= self.max_windows

    def go_on_from(self, steps: Mapping[str, int], windows: int, seconds: float) -> None:
        """Take over the totals of a run that is over."""
        self.steps = Counter({use: int(steps.get(use, 0)) for use in USES})
        self.windows, self.seconds = windows, seconds
