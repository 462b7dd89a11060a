"""Fresh greedy episodes decide who is champion; others, played afterwards, report on it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from tensor_optix.core.arena import EVALUATION_SHARE, Arena, is_better_paired, is_decided_paired
from tensor_optix.core.base_pipeline import BasePipeline
from tensor_optix.core.champion import ChampionKeeper
from tensor_optix.core.ledger import Ledger
from tensor_optix.core.types import EpisodeData, EvaluationResult

logger = logging.getLogger(__name__)

FINAL_EPISODES = 20
MIN_DIAGNOSIS_EPISODES, MAX_DIAGNOSIS_EPISODES = 20, 40
DIAGNOSIS_SHARE = 0.1
"""Share of the environment steps up to which a diagnosis may play more than its fewest episodes."""

REFERENCE_EPISODES, MOST_REFERENCE_EPISODES = 20, 60
ROUND_EPISODES = 5

Returns = npt.NDArray[np.float64]
TARGET_EPISODES = 20


class Confirmation:
    """Decides, between two windows, by episodes instead of training scores.

    A running environment can only be played in where a window ended with a barrier: a wish waits
    for the next one. An environment of its own can be played in at any time.

    Attributes:
        champion_returns: Returns of the champion, from winning its place to defending it the last time: what it
            is held against where scores drop.

    Args:
        pipeline: Asked for a barrier.
        keeper: Holds the champion.
        arena: Plays.
        ledger: Pays.
        needs_barrier: Whether the episodes run in the pipeline's own environment.
        target_score: What fresh episodes are to reach, or None.
    """

    def __init__(
        self,
        pipeline: BasePipeline,
        keeper: ChampionKeeper,
        arena: Arena,
        ledger: Ledger,
        *,
        needs_barrier: bool,
        target_score: float | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._keeper = keeper
        self._arena = arena
        self._ledger = ledger
        self._needs_barrier = needs_barrier
        self._target_score = target_score
        self._wishes: set[str] = set()
        self.champion_returns: Returns | None = None
        self._target_backoff_windows = 1
        self._next_target_window = 0

    def wish(self, kind: str) -> bool:
        """Ask for something at the next opportunity; return whether there will be one.

        Args:
            kind: ``"challenge"``, ``"target"``, ``"trial"``, ``"settlement"`` or ``"diagnosis"``.
        """
        if not self._arena.is_possible or (self._needs_barrier and not self._pipeline.request_barrier()):
            return False
        self._wishes.add(kind)
        return True

    def is_possible_after(self, window: EpisodeData) -> bool:
        """Tell whether episodes can be played after this window, and there is reason to."""
        at_barrier = bool(window.metadata.get("barrier"))
        return at_barrier or bool(self._wishes and not self._needs_barrier)

    def take_wishes(self) -> frozenset[str]:
        """Return what was wished for; it is not asked for again."""
        wishes, self._wishes = frozenset(self._wishes), set()
        return wishes

    def challenger_wins(self, num_episodes: int | None = None) -> bool:
        """Play the agent as it is and the champion on the same seeds.

        Args:
            num_episodes: How many at most; None for as many as the evaluation share pays for.
        """
        steps = self._ledger.steps
        count = num_episodes
        if count is None:
            count = self._arena.affordable_episodes(steps["training"], steps["evaluation"])
        played = self.play_both(count, is_decided_paired, "evaluation")
        if played is None:
            return False
        challenger, champion = played
        wins = is_better_paired(challenger, champion)
        logger.info(
            "%d greedy episodes: challenger %.4g, champion %.4g: %s.",
            len(champion),
            np.mean(challenger),
            np.mean(champion),
            "replaced" if wins else "kept",
        )
        known = np.zeros(0) if wins or self.champion_returns is None else self.champion_returns
        returns = np.append(known, challenger if wins else champion)
        if num_episodes is None:
            returns = self._topped_up(returns, 2 * (count - len(champion)), wins)
        self.champion_returns = returns[-MOST_REFERENCE_EPISODES:]
        return wins

    def reserved_steps(self) -> int:
        """Return what of the budget the last challenge, after the last window, is likely to need."""
        limit = self._ledger.max_env_steps
        if limit is None or not self._arena.is_possible or self._keeper.snapshot is None:
            return 0
        return min(self._arena.steps_for_pairs(FINAL_EPISODES), int(EVALUATION_SHARE * limit))

    def final_episodes(self) -> int:
        """Return how many paired episodes settle at the end who is champion: what the budget has left."""
        left = self._ledger.steps_left
        return FINAL_EPISODES if left is None else min(FINAL_EPISODES, self._arena.num_pairs(left))

    def diagnosis_episodes(self) -> int:
        """Return how many paired episodes a diagnosis may take."""
        steps = self._ledger.steps
        count = self._arena.num_pairs(DIAGNOSIS_SHARE * steps["training"] - steps["diagnosis"])
        return min(max(count, MIN_DIAGNOSIS_EPISODES), MAX_DIAGNOSIS_EPISODES)

    def _topped_up(self, returns: Returns, allowance: int, challenger_won: bool) -> Returns:
        """Let a champion that was soon decided upon play on: few returns are no reference for a later drop."""
        count = min(REFERENCE_EPISODES - len(returns), allowance)
        if count <= 0:
            return returns
        seed = self._arena.next_seed("challenge")
        if challenger_won:
            more = self._play(count, seed, "evaluation")
        else:
            with self._keeper.acting():
                more = self._play(count, seed, "evaluation")
        return returns if more is None else np.append(returns, more.returns)

    def play_both(
        self, max_episodes: int, is_decided: Callable[[Returns, Returns], bool], use: str
    ) -> tuple[Returns, Returns] | None:
        """Play the agent as it is and the champion on the same seeds, in rounds, until that decides.

        Args:
            max_episodes: Episodes of each at most.
            is_decided: ``(current, champion) -> bool``, asked after each round.
            use: What the steps are booked as.

        Returns:
            The returns of both, or None where nothing can be played.
        """
        current, champion = np.zeros(0), np.zeros(0)
        while len(current) < max_episodes and self._arena.is_possible:
            count = min(ROUND_EPISODES, max_episodes - len(current))
            seed = self._arena.next_seed("challenge")
            first = self._play(count, seed, use)
            if first is None:
                break
            with self._keeper.acting():
                second = self._play(count, seed, use)
            if second is None:
                break
            current, champion = np.append(current, first.returns), np.append(champion, second.returns)
            if is_decided(current, champion):
                break
        return (current, champion) if len(current) else None

    def wish_for_target(self, level: float) -> None:
        """Ask to play for the target where the training scores make that worth while."""
        target = self._target_score
        if target is not None and level >= target and self._ledger.windows >= self._next_target_window:
            self.wish("target")

    def reaches_target(self) -> bool:
        """Play the agent as it is: the lower end of its interval must reach the target."""
        result = self._play(TARGET_EPISODES, self._arena.next_seed("target"), "evaluation")
        if result is not None and self._target_score is not None and result.interval[0] >= self._target_score:
            return True
        self._target_backoff_windows *= 2
        self._next_target_window = self._ledger.windows + self._target_backoff_windows
        return False

    def report(self, num_episodes: int) -> EvaluationResult | None:
        """Play the champion, which the agent holds, in episodes that chose nothing."""
        if num_episodes == 0 or not self._arena.is_possible:
            return None
        result = self._play(num_episodes, self._arena.next_seed("report"), "report")
        if result is not None:
            self.champion_returns = result.returns  # should the run go on, or the champion be watched
        return result

    def state_dict(self) -> dict[str, Any]:
        """Return a JSON-able copy of wishes and waits."""
        returns = self.champion_returns
        return {
            "wishes": sorted(self._wishes),
            "champion_returns": None if returns is None else [float(value) for value in returns],
            "target_backoff_windows": self._target_backoff_windows,
            "next_target_window": self._next_target_window,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Become what :meth:`state_dict` returned; what was wished for is asked for again."""
        self._target_backoff_windows = int(state["target_backoff_windows"])
        self._next_target_window = int(state["next_target_window"])
        returns = state["champion_returns"]
        self.champion_returns = None if returns is None else np.asarray(returns, np.float64)
        for kind in state["wishes"]:
            self.wish(kind)

    def _play(self, num_episodes: int, seed: int, use: str) -> EvaluationResult | None:
        result = self._arena.play(num_episodes, seed)
        if result is not None:
            self._ledger.steps[use] += result.env_steps
        return result
