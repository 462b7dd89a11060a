"""Fresh greedy episodes decide who is champion; others, played afterwards, report on it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import numpy as np

from tensor_optix.core.budget import Ledger
from tensor_optix.core.judgement.arena import EVALUATION_SHARE, Arena, is_better_paired, is_decided_paired
from tensor_optix.core.judgement.champion import Incumbent
from tensor_optix.core.judgement.diagnosis import has_lost
from tensor_optix.core.judgement.track_record import PlayedSet, Returns, TrackRecord
from tensor_optix.core.types import EvalMetrics, EvaluationResult
from tensor_optix.functional.statistics import mean_interval

logger = logging.getLogger(__name__)

FINAL_EPISODES = 20
"""Most that the last choice of a champion plays; it is often decided sooner."""

# How often causes are found with these: benchmarks/judgement_causes.py.
MIN_DIAGNOSIS_EPISODES, MAX_DIAGNOSIS_EPISODES = 20, 40
DIAGNOSIS_SHARE = 0.1
"""Share of the environment steps up to which a diagnosis may play more than its fewest episodes."""

REFERENCE_EPISODES = 20
"""Fewest that a champion should have played, should scores drop."""

ROUND_EPISODES = 5
"""Episodes of a round, and more where more environments are stepped together: none is to stand idle."""

FEWEST_EPISODES, ASSESSMENT_EPISODES = 5, 10
"""What a champion must have played before a run may end as trained, and what it plays where it has not: a choice."""

SURE_EPISODES = 100
"""What tells as surely as the usual report does whether a champion falls short of its training."""


class Challenges:
    """Plays the agent as it is and the champion, and says what came of it.

    Args:
        incumbent: Holds the champion.
        arena: Plays.
        ledger: Pays.
        played_together: Environments that are stepped together while episodes are played.
        announce: Called before episodes are played, with what their steps are booked as and how many there are.
    """

    def __init__(
        self,
        incumbent: Incumbent,
        arena: Arena,
        ledger: Ledger,
        *,
        played_together: int = 1,
        announce: Callable[[str, int], object] = lambda use, num_episodes: None,
    ) -> None:
        self._incumbent = incumbent
        self._arena = arena
        self._ledger = ledger
        self._announce = announce
        self._round_episodes = min(max(ROUND_EPISODES, played_together), FINAL_EPISODES)

    @property
    def is_possible(self) -> bool:
        """Whether episodes can be played at all."""
        return self._arena.is_possible

    def affords(self, num_pairs: int) -> bool:
        """Tell whether a challenge that began now could play so many pairs."""
        steps = self._ledger.steps
        return self._arena.affordable_episodes(steps["training"], steps["evaluation"]) >= num_pairs

    def winner(self, num_episodes: int | None = None) -> TrackRecord | None:
        """Let the agent as it is play the champion on the same seeds; return a track record if it won.

        The episodes that it won by were chosen for what they brought: the record holds fresh ones, where the
        evaluation share pays for them, and nothing where it does not.

        Args:
            num_episodes: How many at most; None for as many as the evaluation share pays for.
        """
        steps = self._ledger.steps
        count = num_episodes
        if count is None:
            count = self._arena.affordable_episodes(steps["training"], steps["evaluation"])
        played = self.play_both(self._fresh_rounds(count), self._is_decided, "evaluation")
        if played is None:
            return None
        challenger, champion = played
        wins = is_better_paired(challenger.returns, champion.returns, self._arena.lowest_recent)
        logger.info(
            "%d greedy episodes: challenger %.4g, champion %.4g: %s.",
            len(champion),
            np.mean(challenger.returns),
            np.mean(champion.returns),
            "replaced" if wins else "kept",
        )
        if not wins:
            self._incumbent.track_record.extend(champion)
        own = TrackRecord()
        if num_episodes is None:
            allowance = 2 * self._arena.num_pairs(EVALUATION_SHARE * steps["training"] - steps["evaluation"])
            if wins:
                self._top_up(own, allowance, self.play)
            else:
                self._top_up(self._incumbent.track_record, allowance, self._play_champion)
        return own if wins else None

    def _is_decided(self, challenger: Returns, champion: Returns) -> bool:
        return is_decided_paired(challenger, champion, self._arena.lowest_recent)

    def reserved_steps(self) -> int:
        """Return what of the budget the last challenge, after the last window, is likely to need."""
        limit = self._ledger.max_env_steps
        if limit is None or not self._arena.is_possible or self._incumbent.snapshot is None:
            return 0
        likely = self._arena.steps_for_pairs(FINAL_EPISODES - self._round_episodes)
        return min(likely + self._arena.most_steps_for_pairs(self._round_episodes), int(EVALUATION_SHARE * limit))

    def diagnosis_rounds(self) -> Iterator[tuple[int, int]]:
        """Yield what a diagnosis plays, as far as that is paid for: the champion's old episodes, then fresh ones."""
        steps = self._ledger.steps
        paid_for = self._arena.num_pairs(DIAGNOSIS_SHARE * steps["training"] - steps["diagnosis"])
        left = min(max(paid_for, MIN_DIAGNOSIS_EPISODES), MAX_DIAGNOSIS_EPISODES)
        for seed, count in self._incumbent.track_record.rounds():
            if left > 0:
                yield seed, min(count, left)
            left -= count
        yield from self._fresh_rounds(left)

    def _fresh_rounds(self, num_episodes: int) -> Iterator[tuple[int, int]]:
        """Yield ``(seed, number of episodes)`` of small sets that nobody has played."""
        for played in range(0, num_episodes, self._round_episodes):
            yield self._arena.next_seed("challenge"), min(self._round_episodes, num_episodes - played)

    def _top_up(
        self, track_record: TrackRecord, allowance: int, play: Callable[[int, int, str], EvaluationResult | None]
    ) -> None:
        """Let a champion that played little play on: few returns are no reference for a later drop."""
        count = min(REFERENCE_EPISODES - len(track_record), allowance)
        if count <= 0:
            return
        seed = self._arena.next_seed("challenge")
        more = play(count, seed, "evaluation")
        if more is not None:
            track_record.add(seed, more.returns)

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
            first = self.play(count, seed, use)
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
        """Tell whether the champion now loses in the very episodes of its track record, and not by chance.

        Where the same episodes, played once more, are the same to the last bit, nothing in them is chance.

        Args:
            now: What the champion has just played; it began with the episodes of its track record.
            use: What the steps are booked as.
        """
        for before, played in zip(self._incumbent.track_record.sets, now.sets, strict=False):
            returns_then = before.returns[: len(played.returns)]
            if has_lost(played.returns, returns_then):
                again = self._play_champion(len(played.returns), played.seed, use)
                return again is not None and np.array_equal(again.returns, played.returns)
        return False

    def assess(self, metrics: EvalMetrics) -> None:
        """Let a champion show what it reaches: at first a little, then as surely as a report; this chooses nothing."""
        num_played = len(self._incumbent.track_record)
        if num_played >= SURE_EPISODES:
            return
        seed = self._arena.next_seed("report")
        count = ASSESSMENT_EPISODES if num_played < FEWEST_EPISODES else SURE_EPISODES
        result = self._play_champion(count, seed, "report")
        if result is not None:
            self._incumbent.track_record.add(seed, result.returns)

    def report(self, num_episodes: int) -> EvaluationResult | None:
        """Play the champion, which the agent holds, in episodes that chose nothing."""
        if num_episodes == 0 or not self._arena.is_possible:
            return None
        seed = self._arena.next_seed("report")
        result = self.play(num_episodes, seed, "report")
        if result is None:
            return None
        self._incumbent.track_record = TrackRecord([PlayedSet(seed, result.returns)])  # should the run go on
        return replace(result, interval=mean_interval(result.returns, value_range=self._arena.return_range))

    def stand_for(self, report: EvaluationResult | None) -> None:
        """Let a champion be held against what it reached in an earlier report, whose episodes are not known."""
        self._incumbent.track_record = TrackRecord() if report is None else TrackRecord([PlayedSet(0, report.returns)])

    @property
    def notes(self) -> tuple[str, ...]:
        """What should be known of the episodes, in sentences."""
        return self._arena.notes

    def _play_champion(self, num_episodes: int, seed: int, use: str) -> EvaluationResult | None:
        with self._incumbent.acting():
            return self.play(num_episodes, seed, use)

    def play(self, num_episodes: int, seed: int, use: str) -> EvaluationResult | None:
        """Play the agent as it is, and book the steps as ``use``."""
        self._announce(use, num_episodes)
        result = self._arena.play(num_episodes, seed)
        if result is not None:
            self._ledger.steps[use] += result.env_steps
        return result
