"""The score that a user asked for, and whether fresh episodes reach it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tensor_optix.core.budget import Ledger
from tensor_optix.core.judgement.arena import Arena
from tensor_optix.core.judgement.challenges import Challenges
from tensor_optix.core.judgement.judge import Judge
from tensor_optix.core.judgement.succession import Succession
from tensor_optix.core.storage.stateful import Stateful
from tensor_optix.core.types import EvalMetrics

TARGET_EPISODES = 20


@dataclass(eq=False)
class Target(Stateful):
    """Lets the agent play for the target where its training scores make that worth while.

    Args:
        score: What the lower end of an interval is to reach; None: nothing.
        ask: Asks for a free environment, by the name of what it is for.
        arena: Gives seeds.
        challenges: Plays.
        succession: Crowns who reached it.
        judge: Knows the level of the training scores.
        ledger: Counts windows: after each failure twice as many pass before the next attempt.
    """

    _STATE = ("_backoff_windows", "_next_window")

    score: float | None
    ask: Callable[[str], bool]
    arena: Arena
    challenges: Challenges
    succession: Succession
    judge: Judge
    ledger: Ledger
    _backoff_windows: int = field(default=1, init=False)
    _next_window: int = field(default=0, init=False)
    is_reached: bool = field(default=False, init=False)

    def ask_if_near(self) -> None:
        """Ask to play for it where the training scores are there."""
        if self.score is None or self.ledger.windows < self._next_window:
            return
        if self.judge.level >= self.score:
            self.ask("target")

    def play(self, metrics: EvalMetrics) -> None:
        """Play the agent as it is; crown it if it reaches the target."""
        result = self.challenges.play(TARGET_EPISODES, self.arena.next_seed("target"), "evaluation")
        if result is not None and self.score is not None and result.interval[0] >= self.score:
            self.succession.crown(self.succession.evidence_for(metrics))
            self.is_reached = True
            return
        self._backoff_windows *= 2
        self._next_window = self.ledger.windows + self._backoff_windows
