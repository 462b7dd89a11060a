"""Fresh greedy episodes decide who is champion; others, played afterwards, report on it."""

from __future__ import annotations

import logging
from typing import Any

from tensor_optix.core.arena import Arena, is_better_paired
from tensor_optix.core.base_pipeline import BasePipeline
from tensor_optix.core.champion import ChampionKeeper
from tensor_optix.core.ledger import Ledger
from tensor_optix.core.types import EpisodeData, EvaluationResult

logger = logging.getLogger(__name__)

FINAL_EPISODES = 20
TARGET_EPISODES = 20


class Confirmation:
    """Decides, between two windows, by episodes instead of training scores.

    A running environment can only be played in where a window ended with a barrier: a wish waits
    for the next one. An environment of its own can be played in at any time.

    Args:
        pipeline: Asked for a barrier.
        keeper: Holds the champion.
        arena: Plays.
        ledger: Pays.
        needs_barrier: Whether the episodes run in the pipeline's own environment.
    """

    def __init__(
        self, pipeline: BasePipeline, keeper: ChampionKeeper, arena: Arena, ledger: Ledger, *, needs_barrier: bool
    ) -> None:
        self._pipeline = pipeline
        self._keeper = keeper
        self._arena = arena
        self._ledger = ledger
        self._needs_barrier = needs_barrier
        self._wishes: set[str] = set()
        self._target_backoff_windows = 1
        self._next_target_window = 0

    def wish(self, kind: str) -> None:
        """Ask for ``"challenge"`` or ``"target"`` at the next opportunity."""
        if not self._wishes and self._needs_barrier and not self._pipeline.request_barrier():
            return
        self._wishes.add(kind)

    def is_due(self, kind: str, window: EpisodeData) -> bool:
        """Tell, once, whether a wish can be granted after this window."""
        if kind not in self._wishes or (self._needs_barrier and not window.metadata.get("barrier")):
            return False
        self._wishes.discard(kind)
        return True

    def challenger_wins(self, num_episodes: int | None = None) -> bool:
        """Play the agent as it is and the champion on the same seeds.

        Args:
            num_episodes: How many; None for as many as the evaluation share pays for.
        """
        count = num_episodes or self._arena.affordable_episodes(
            self._ledger.steps["training"], self._ledger.steps["evaluation"]
        )
        if count == 0 or not self._arena.is_possible:
            return False
        seed = self._arena.next_seed("challenge")
        challenger = self._play(count, seed, "evaluation")
        if challenger is None:
            return False
        with self._keeper.acting():
            champion = self._play(count, seed, "evaluation")
        wins = champion is not None and is_better_paired(challenger, champion)
        logger.info(
            "Greedy episodes: challenger %s, champion %s: %s.", challenger, champion, "replaced" if wins else "kept"
        )
        return wins

    def wants_target(self, level: float, target: float) -> bool:
        """Tell whether the training scores make it worth while to play for the target."""
        return level >= target and self._ledger.windows >= self._next_target_window

    def reaches_target(self, target: float) -> bool:
        """Play the agent as it is: the lower end of its interval must reach the target."""
        result = self._play(TARGET_EPISODES, self._arena.next_seed("target"), "evaluation")
        if result is not None and result.interval[0] >= target:
            return True
        self._target_backoff_windows *= 2
        self._next_target_window = self._ledger.windows + self._target_backoff_windows
        return False

    def report(self, num_episodes: int) -> EvaluationResult | None:
        """Play the champion, which the agent holds, in episodes that chose nothing."""
        if num_episodes == 0 or not self._arena.is_possible:
            return None
        return self._play(num_episodes, self._arena.next_seed("report"), "report")

    def state_dict(self) -> dict[str, Any]:
        """Return a JSON-able copy of wishes and waits."""
        return {
            "wishes": sorted(self._wishes),
            "target_backoff_windows": self._target_backoff_windows,
            "next_target_window": self._next_target_window,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Become what :meth:`state_dict` returned; what was wished for is asked for again."""
        self._target_backoff_windows = int(state["target_backoff_windows"])
        self._next_target_window = int(state["next_target_window"])
        for kind in state["wishes"]:
            self.wish(kind)

    def _play(self, num_episodes: int, seed: int, use: str) -> EvaluationResult | None:
        result = self._arena.play(num_episodes, seed)
        if result is not None:
            self._ledger.steps[use] += result.env_steps
        return result
