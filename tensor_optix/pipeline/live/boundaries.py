"""Where a window of a live feed ends.

A boundary is any ``(step_count, elapsed_seconds, last_observation) -> bool``. One that should also
end a window where the feed ends an episode carries a true attribute ``ends_on_done``.
"""

from __future__ import annotations

from typing import Any

from tensor_optix.core.base_pipeline import EpisodeBoundaryFn
from tensor_optix.core.checks import check_callable, check_int, check_number
from tensor_optix.exceptions import InvalidArgumentError


class EveryNSteps:
    """Ends a window after ``num_steps`` steps, whatever the episodes do."""

    def __init__(self, num_steps: int) -> None:
        check_int("n", num_steps, at_least=1)
        self.num_steps = int(num_steps)

    def __call__(self, step_count: int, elapsed_seconds: float, last_observation: Any) -> bool:
        """Tell whether the window is long enough."""
        return step_count >= self.num_steps


class EveryNSeconds:
    """Ends a window with the first step that arrives ``seconds`` after the window began.

    Time is the feed's own (when steps arrived), so a learner that lags behind gets the same windows
    as one that keeps up.
    """

    def __init__(self, seconds: float) -> None:
        check_number("s", seconds, above=0.0)
        self.seconds = float(seconds)

    def __call__(self, step_count: int, elapsed_seconds: float, last_observation: Any) -> bool:
        """Tell whether the window has lasted long enough."""
        return elapsed_seconds >= self.seconds


class OnDoneSignal:
    """Ends a window where the feed ends an episode, and nowhere else."""

    ends_on_done = True

    def __call__(self, step_count: int, elapsed_seconds: float, last_observation: Any) -> bool:
        """Leave the end to ``ends_on_done``."""
        return False


def check_boundary(boundary: Any, max_window_steps: int) -> EpisodeBoundaryFn:
    """Return ``boundary`` (None: :class:`OnDoneSignal`), or raise if no window could end by it."""
    if boundary is None:
        return OnDoneSignal()
    check_callable("episode_boundary_fn", boundary, takes="(step_count, elapsed_seconds, last_observation) -> bool")
    if isinstance(boundary, EveryNSteps) and boundary.num_steps > max_window_steps:
        raise InvalidArgumentError(
            f"every_n_steps({boundary.num_steps}) asks for longer windows than max_window_steps={max_window_steps} "
            "allows. Raise max_window_steps."
        )
    return boundary  # type: ignore[no-any-return]
