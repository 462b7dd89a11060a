"""What a callback may read of a run, at any time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tensor_optix.core.types import LoopState, PolicySnapshot


@dataclass(frozen=True)
class Looks:
    """How far a run is on its way to an end.

    Attributes:
        without_gain: Looks in a row on a plateau.
        to_cooling: So many of them make COOLING.
        to_dormant: So many make DORMANT, which ends the run.
    """

    without_gain: int
    to_cooling: int
    to_dormant: int


class RunView(Protocol):
    """A run as it is whenever it is looked at; see :meth:`LoopCallback.on_run_start`.

    Nothing that is read here may be changed: a run is the same with and without its callbacks.

    Example:
        >>> from tensor_optix import LoopCallback
        >>> class Speed(LoopCallback):
        ...     def on_run_start(self, run): self.run = run
        ...     def on_run_end(self, result): print(self.run.env_steps["training"] / self.run.seconds)
    """

    @property
    def run_dir(self) -> Path | None:
        """Folder of the run, None where nothing is kept on disk."""
        ...

    @property
    def seed(self) -> int:
        """Source of the run's randomness; of a resumed run from ``on_loop_start`` on."""
        ...

    @property
    def agent(self) -> Any:
        """Who acts and learns, as the user gave it."""
        ...

    @property
    def pipeline(self) -> Any:
        """What yields the windows, as the user gave it."""
        ...

    @property
    def environment(self) -> Mapping[str, Any]:
        """What is known of the environment: ``env_id`` (None where unknown), ``env_kwargs``, ``num_envs``, ...

        It is open from before ``on_loop_start`` until before ``on_run_end``; only then it can be asked.
        """
        ...

    @property
    def environment_state(self) -> Mapping[str, Any]:
        """What the environment's wrappers have gathered."""
        ...

    @property
    def state(self) -> LoopState:
        """What the loop is doing."""
        ...

    @property
    def looks(self) -> Looks:
        """How far the run is on its way to an end."""
        ...

    @property
    def champion(self) -> PolicySnapshot | None:
        """The champion, None before the first."""
        ...

    @property
    def champion_returns(self) -> tuple[float, ...]:
        """What the champion reached in greedy episodes; empty before it played any."""
        ...

    @property
    def cause(self) -> str | None:
        """Cause of the latest alarm: "policy damaged", "world changed", "false alarm"; None: none was found yet."""
        ...

    @property
    def windows(self) -> int:
        """Windows so far, those of before a resume included."""
        ...

    @property
    def env_steps(self) -> Mapping[str, int]:
        """Environment steps so far by use, see ``RunResult``."""
        ...

    @property
    def seconds(self) -> float:
        """Wall time so far, that of before a resume included."""
        ...

    @property
    def seconds_by_use(self) -> Mapping[str, float]:
        """Wall time of this call of ``run`` so far by what it went into, as far as that is timed: acting and stepping,
        learning, greedy episodes. The rest is the loop itself: judging, saving, callbacks.
        """
        ...

    @property
    def seconds_before(self) -> float:
        """Wall time of before this call of ``run``: 0, or what the checkpoint says that a resumed run goes on from."""
        ...

    @property
    def is_resumed(self) -> bool:
        """Whether the run goes on from a checkpoint; known from ``on_loop_start`` on."""
        ...

    @property
    def history(self) -> Mapping[str, list[Any]]:
        """The rows so far, those of before a resume included: one list per quantity. Made anew at every call."""
        ...

    @property
    def share_used(self) -> float | None:
        """Share of the budget that is used, in [0, 1]; None where there is none."""
        ...

    @property
    def budget(self) -> str:
        """The budget in words, "" where there is none."""
        ...

    def publish(self, **values: float) -> None:
        """Let every logger write these numbers beside its next row; a name may hold a ``/``."""
        ...

    def news(self, since: int) -> tuple[int, dict[str, float]]:
        """Return a number to ask with the next time, and what was published since this one; 0 at first."""
        ...

    def note(self, sentence: str) -> None:
        """Add a sentence to the notes of the result."""
        ...
