"""Fresh greedy episodes decide who is champion; others, played afterwards, report on it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from tensor_optix.core.base_pipeline import BasePipeline
from tensor_optix.core.budget import Ledger
from tensor_optix.core.judgement.arena import EVALUATION_SHARE, Arena, is_better_paired, is_decided_paired
from tensor_optix.core.judgement.diagnosis import has_lost
from tensor_optix.core.judgement.incumbent import ChampionKeeper
from tensor_optix.core.judgement.track_record import PlayedSet, Returns, TrackRecord
from tensor_optix.core.types import EpisodeData, EvaluationResult

logger = logging.getLogger(__name__)

FINAL_EPISODES = 20
MIN_DIAGNOSIS_EPISODES, MAX_DIAGNOSIS_EPISODES = 20, 40
DIAGNOSIS_SHARE = 0.1
"""Share of the environment steps up to which a diagnosis may play more than its fewest episodes."""

REFERENCE_EPISODES = 20
ROUND_EPISODES = 5
"""Episodes of a round, and more where more environments are stepped together: none is to stand idle."""

TARGET_EPISODES = 20
FEWEST_EPISODES, ASSESSMENT_EPISODES = 5, 10
"""What a champion must have played before a run may end as trained, and what it plays where it has not."""


class Confirmation:
    """Decides, between two windows, by episodes instead of training scores.

    A running environment can only be played in where a window ended with a barrier: a wish waits
    for the next one. An environment of its own can be played in at any time.

    Attributes:
        record: What the champion played, from winning its place to defending it the last time: what it is held
            against where scores drop.

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
        played_together = getattr(pipeline, "num_envs", 1) if needs_barrier else 1
        self._round_episodes = min(max(ROUND_EPISODES, played_together), FINAL_EPISODES)
        self._target_score = target_score
        self._wishes: set[str] = set()
        self.record = TrackRecord()
        self._target_backoff_windows = 1
        self._next_target_window = 0

    def wish(self, kind: str) -> bool:
        """Ask for something at the next opportunity; return whether there will be one.

        Args:
            kind: ``"challenge"``, ``"target"``, ``"trial"``, ``"settlement"``, ``"assessment"`` or ``"diagnosis"``.
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
        played = self.play_both(self._fresh_rounds(count), is_decided_paired, "evaluation")
        if played is None:
            return False
        challenger, champion = played
        wins = is_better_paired(challenger.returns, champion.returns)
        logger.info(
            "%d greedy episodes: challenger %.4g, champion %.4g: %s.",
            len(champion),
            np.mean(challenger.returns),
            np.mean(champion.returns),
            "replaced" if wins else "kept",
        )
        if wins:
            self.record = challenger
        else:
            self.record.extend(champion)
        if num_episodes is None:
            self._top_up(2 * (count - len(champion)), wins)
        return wins

    def reserved_steps(self) -> int:
        """Return what of the budget the last challenge, after the last window, is likely to need."""
        limit = self._ledger.max_env_steps
        if limit is None or not self._arena.is_possible or self._keeper.snapshot is None:
            return 0
        likely = self._arena.steps_for_pairs(FINAL_EPISODES - self._round_episodes)
        return min(likely + self._arena.most_steps_for_pairs(self._round_episodes), int(EVALUATION_SHARE * limit))

    def diagnosis_rounds(self) -> Iterator[tuple[int, int]]:
        """Yield what a diagnosis plays, as far as that is paid for: the champion's old episodes, then fresh ones."""
        steps = self._ledger.steps
        paid_for = self._arena.num_pairs(DIAGNOSIS_SHARE * steps["training"] - steps["diagnosis"])
        left = min(max(paid_for, MIN_DIAGNOSIS_EPISODES), MAX_DIAGNOSIS_EPISODES)
        for seed, count in self.record.rounds():
            if left > 0:
                yield seed, min(count, left)
            left -= count
        yield from self._fresh_rounds(left)

    def _fresh_rounds(self, num_episodes: int) -> Iterator[tuple[int, int]]:
        """Yield ``(seed, number of episodes)`` of small sets that nobody has played."""
        for played in range(0, num_episodes, self._round_episodes):
            yield self._arena.next_seed("challenge"), min(self._round_episodes, num_episodes - played)

    def _top_up(self, allowance: int, challenger_won: bool) -> None:
        """Let a champion that was soon decided upon play on: few returns are no reference for a later drop."""
        count = min(REFERENCE_EPISODES - len(self.record), allowance)
        if count <= 0:
            return
        seed = self._arena.next_seed("challenge")
        play = self._play if challenger_won else self._play_champion
        more = play(count, seed, "evaluation")
        if more is not None:
            self.record.add(seed, more.returns)

    def play_both(
        self, rounds: Iterable[tuple[int, int]], is_decided: Callable[[Returns, Returns], bool], use: str
    ) -> tuple[TrackRecord, TrackRecord] | None:
        """Play the agent as it is and the champion on the same seeds, in rounds, until that decides.

        No round begins that the run's budget may not pay for.

        Args:
            rounds: ``(seed, number of episodes)`` of each.
            is_decided: ``(current, champion) -> bool``, asked after each round.
            use: What the steps are booked as.

        Returns:
            What both played, or None where nothing can be played.
        """
        current, champion = TrackRecord(), TrackRecord()
        for seed, count in rounds:
            if not self._ledger.affords(self._arena.most_steps_for_pairs(count)):
                break
            first = self._play(count, seed, use)
            if first is None:
                break
            second = self._play_champion(count, seed, use)
            if second is None:
                break
            current.add(seed, first.returns)
            champion.add(seed, second.returns)
            if is_decided(current.returns, champion.returns):
                break
        return (current, champion) if len(current) else None

    def plays_otherwise(self, now: TrackRecord, use: str) -> bool:
        """Tell whether the champion now loses in the very episodes of its record, and not by chance.

        Where the same episodes, played once more, are the same to the last bit, nothing in them is chance.

        Args:
            now: What the champion has just played; it began with the episodes of its record.
            use: What the steps are booked as.
        """
        for before, played in zip(self.record.sets, now.sets, strict=False):
            returns_then = before.returns[: len(played.returns)]
            if has_lost(played.returns, returns_then):
                again = self._play_champion(len(played.returns), played.seed, use)
                return again is not None and np.array_equal(again.returns, played.returns)
        return False

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

    def assess(self) -> None:
        """Let a champion that became one by training scores alone show what it reaches; this chooses nothing."""
        if len(self.record) >= FEWEST_EPISODES:
            return
        seed = self._arena.next_seed("report")
        result = self._play_champion(ASSESSMENT_EPISODES, seed, "report")
        if result is not None:
            self.record.add(seed, result.returns)

    def report(self, num_episodes: int) -> EvaluationResult | None:
        """Play the champion, which the agent holds, in episodes that chose nothing."""
        if num_episodes == 0 or not self._arena.is_possible:
            return None
        seed = self._arena.next_seed("report")
        result = self._play(num_episodes, seed, "report")
        if result is not None:  # should the run go on
            self.record = TrackRecord([PlayedSet(seed, result.returns)])
        return result

    @property
    def plays_elsewhere(self) -> bool:
        """Whether episodes are played in another environment than the pipeline's own."""
        return not self._needs_barrier

    @property
    def notes(self) -> tuple[str, ...]:
        """What should be known of the episodes, in sentences."""
        return self._arena.notes

    def stand_for(self, report: EvaluationResult | None) -> None:
        """Let a champion be held against what it reached in an earlier report, whose episodes are not known."""
        self.record = TrackRecord() if report is None else TrackRecord([PlayedSet(0, report.returns)])

    def state_dict(self) -> dict[str, Any]:
        """Return a JSON-able copy of wishes and waits."""
        return {
            "wishes": sorted(self._wishes),
            "record": self.record.state_dict(),
            "target_backoff_windows": self._target_backoff_windows,
            "next_target_window": self._next_target_window,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Become what :meth:`state_dict` returned; what was wished for is asked for again."""
        self._target_backoff_windows = int(state["target_backoff_windows"])
        self._next_target_window = int(state["next_target_window"])
        self.record.load_state_dict(state["record"])
        for kind in state["wishes"]:
            self.wish(kind)

    def _play_champion(self, num_episodes: int, seed: int, use: str) -> EvaluationResult | None:
        with self._keeper.acting():
            return self._play(num_episodes, seed, use)

    def _play(self, num_episodes: int, seed: int, use: str) -> EvaluationResult | None:
        result = self._arena.play(num_episodes, seed)
        if result is not None:
            self._ledger.steps[use] += result.env_steps
        return result
