"""Fresh greedy episodes decide who is champion; others, played afterwards, report on it."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import numpy as np

from tensor_optix.core.budget import Ledger
from tensor_optix.core.judgement.arena import TELLING_PAIRS, Arena, is_better_paired, is_decided_paired
from tensor_optix.core.judgement.champion import Incumbent
from tensor_optix.core.judgement.diagnosis import has_lost
from tensor_optix.core.judgement.purse import FREE_DIAGNOSIS_EPISODES, Purse
from tensor_optix.core.judgement.track_record import PlayedSet, Returns, TrackRecord
from tensor_optix.core.types import EvalMetrics, EvaluationResult
from tensor_optix.functional.statistics import mean_interval

logger = logging.getLogger(__name__)

PlayOne = Callable[[int, int, str, float], EvaluationResult | None]
"""``(num_episodes, seed, use, most_steps)``: plays one policy's episodes."""

FINAL_EPISODES = 20
"""Most pairs that a challenge plays; it is often decided sooner. What they cost and bring: docs/judgement.md."""

# How often causes are found with these: benchmarks/judgement_causes.py.
FEWEST_DIAGNOSIS_EPISODES, MOST_DIAGNOSIS_EPISODES = 5, 40
"""Fewer tell nothing, however large a drop is; more would hardly tell more."""

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
        timed: Gives what their time is counted by.
        decided: Told how challenges ended, as ``LoopCallback.on_decision`` is.
        baseline: Plays the policy that reports compare with, ``(num_episodes, seed) -> result``; None: there is none.
    """

    def __init__(
        self,
        incumbent: Incumbent,
        arena: Arena,
        ledger: Ledger,
        *,
        played_together: int = 1,
        announce: Callable[[str, int], object] = lambda use, num_episodes: None,
        timed: Callable[[], AbstractContextManager[None]] = nullcontext,
        decided: Callable[[str, Mapping[str, Any]], object] = lambda kind, facts: None,
        baseline: Callable[[int, int], EvaluationResult | None] | None = None,
    ) -> None:
        self._incumbent = incumbent
        self._arena = arena
        self._ledger = ledger
        self._announce = announce
        self._timed = timed
        self._decided = decided
        self._baseline = baseline
        self._baseline_note = ""
        played_together = max(played_together, 1)
        self._round_episodes = min(-(-ROUND_EPISODES // played_together) * played_together, FINAL_EPISODES)
        self._purse = Purse(arena, ledger, played_together)

    @property
    def budget_has_decided(self) -> bool:
        """Whether anything was decided otherwise than it would have been with a larger budget."""
        return self._ledger.has_decided

    @property
    def is_possible(self) -> bool:
        """Whether episodes can be played at all."""
        return self._arena.is_possible

    def affords(self, num_pairs: int) -> bool:
        """Tell whether a challenge that began now could play so many pairs."""
        count = max(num_pairs, self._fewest_pairs)
        return self._purse.pays(self._purse.price(count), self._purse.for_challenge()(count))

    @property
    def _fewest_pairs(self) -> int:
        """Pairs in which a challenger may win, at the soonest; a champion that never played plays in any case."""
        cannot_win_sooner = self._arena.lowest_recent is None
        return TELLING_PAIRS if cannot_win_sooner and self._incumbent.has_played else self._round_episodes

    def winner(self, *, is_last: bool = False) -> TrackRecord | None:
        """Let the agent as it is play the champion on the same seeds; return a track record if it won.

        The episodes that it won by were chosen for what they brought: the record holds fresh ones, where the
        evaluation share pays for them, and nothing where it does not.

        Args:
            is_last: Whether the run has no other choice before it; only then may its first round be dearer.
        """
        pays = self._purse.for_last_choice(self._round_episodes) if is_last else self._purse.for_challenge()
        fewest = self._round_episodes if is_last else self._fewest_pairs
        if not self._purse.pays(self._purse.price(fewest), pays(fewest)):
            return None
        played = self.play_both(self._fresh_rounds(FINAL_EPISODES), self._is_decided, "evaluation", pays)
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
        means = {"challenger": float(np.mean(challenger.returns)), "champion": float(np.mean(champion.returns))}
        self._decided("challenge", {"episodes": len(champion), **means, "is_won": wins})
        if not wins:
            self._incumbent.track_record.extend(champion)
        own = TrackRecord()
        if not is_last:
            record, play = (own, self.play) if wins else (self._incumbent.track_record, self._play_champion)
            self._top_up(record, pays(0) / 2, play)
        return own if wins else None

    def note_last_choice(self) -> None:
        """Take note that what is chosen now stands, unless the budget leaves room for more windows."""
        self._ledger.note_choice()

    def prove(self) -> None:
        """Let a champion that nobody challenges, and that became one by training scores alone, play a round."""
        if self._incumbent.has_played:
            return
        count, left = self._round_episodes, self._purse.for_last_choice(self._round_episodes)(self._round_episodes)
        if self._purse.pays(self._purse.price_of_one(count), left):
            seed = self._arena.next_seed("challenge")
            result = self._play_champion(count, seed, "evaluation", left)
            if result is not None:
                self._incumbent.track_record.add(seed, result.returns)

    def _is_decided(self, challenger: Returns, champion: Returns) -> bool:
        return is_decided_paired(challenger, champion, self._arena.lowest_recent)

    def reserved_steps(self) -> int:
        """Return what of the budget is kept for the last challenge, after the last window."""
        if not self._arena.is_possible or self._incumbent.snapshot is None:
            return 0
        return self._purse.kept_for_choosing(self._round_episodes, -(-FINAL_EPISODES // self._round_episodes))

    def diagnose(self, is_settled: Callable[[Returns, Returns], bool]) -> tuple[TrackRecord, TrackRecord] | None:
        """Play the agent as it is and the champion to find the cause of a drop, see :meth:`play_both`."""
        return self.play_both(self.diagnosis_rounds(), is_settled, "diagnosis", self._purse.for_diagnosis())

    def diagnosis_rounds(self) -> Iterator[tuple[int, int]]:
        """Yield what a diagnosis plays, as far as that is paid for: the champion's old episodes, then fresh ones."""
        paid_for = self._purse.most_episodes(self._purse.left("diagnosis") / 2)
        is_first = not self._ledger.steps["diagnosis"]
        left = min(max(paid_for, FREE_DIAGNOSIS_EPISODES if is_first else 0), MOST_DIAGNOSIS_EPISODES)
        if left < FEWEST_DIAGNOSIS_EPISODES:
            return
        for seed, count in self._incumbent.track_record.rounds():
            if left > 0:
                yield seed, min(count, left)
            left -= count
        yield from self._fresh_rounds(left)

    def _fresh_rounds(self, num_episodes: int) -> Iterator[tuple[int, int]]:
        """Yield ``(seed, number of episodes)`` of small sets that nobody has played."""
        for played in range(0, num_episodes, self._round_episodes):
            yield self._arena.next_seed("challenge"), min(self._round_episodes, num_episodes - played)

    def _top_up(self, track_record: TrackRecord, left: float, play: PlayOne) -> None:
        """Let a champion that played little play on: few returns are no reference for a later drop."""
        count = min(REFERENCE_EPISODES - len(track_record), self._purse.most_episodes(left))
        if count <= 0 or not self._ledger.affords(self._purse.price_of_one(count)):
            return
        seed = self._arena.next_seed("challenge")
        more = play(count, seed, "evaluation", left)
        if more is not None:
            track_record.add(seed, more.returns)

    def play_both(
        self,
        rounds: Iterable[tuple[int, int]],
        is_decided: Callable[[Returns, Returns], bool],
        use: str,
        pays: Callable[[int], float],
    ) -> tuple[TrackRecord, TrackRecord] | None:
        """Play the agent as it is and the champion on the same seeds, in rounds, until that decides.

        No round begins that share and budget may not pay for. One that takes more than they have, because episodes
        are longer than any lately, is broken off and counts for nothing.

        Args:
            rounds: ``(seed, number of episodes)`` of each.
            is_decided: ``(current, champion) -> bool``, asked after each round.
            use: What the steps are booked as.
            pays: Of how many pairs, which env steps their share has left.

        Returns:
            What both played, or None where nothing can be played.
        """
        current, champion = TrackRecord(), TrackRecord()
        for seed, count in rounds:
            num_pairs = len(current) + count
            if not self._purse.pays(self._purse.price(count), pays(num_pairs)):
                break
            first = self.play(count, seed, use, pays(num_pairs))
            if first is None:
                break
            second = self._play_champion(count, seed, use, pays(num_pairs))
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
                count = len(played.returns)
                if not self._purse.pays(self._purse.price_of_one(count), self._purse.left(use)):
                    return False
                again = self._play_champion(count, played.seed, use, self._purse.left(use))
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
        interval = mean_interval(result.returns, value_range=self._arena.return_range)
        return replace(result, interval=interval, against=self._play_baseline(result.num_episodes, seed))

    def _play_baseline(self, num_episodes: int, seed: int) -> EvaluationResult | None:
        """Play the baseline in the report's episodes; one that fails costs the comparison, not the run."""
        if self._baseline is None:
            return None
        self._announce("report", num_episodes)
        try:
            with self._timed():
                played = self._baseline(num_episodes, seed)
        except Exception as error:
            logger.exception("The baseline failed.")
            self._baseline_note = (
                f"the baseline failed, so nothing is compared with it: {type(error).__name__}: {error}"
            )
            return None
        self._ledger.steps["report"] += 0 if played is None else played.env_steps
        return played

    def stand_for(self, report: EvaluationResult | None) -> None:
        """Let a champion be held against what it reached in an earlier report, whose episodes are not known."""
        self._incumbent.track_record = TrackRecord() if report is None else TrackRecord([PlayedSet(0, report.returns)])

    @property
    def notes(self) -> tuple[str, ...]:
        """What should be known of the episodes, in sentences."""
        return (*self._arena.notes, *filter(None, [self._baseline_note]))

    @property
    def champion_is_unproven(self) -> bool:
        """Whether there is a champion that might have played fresh episodes and never did, those of a report apart."""
        could_play = self._incumbent.snapshot is not None and self._arena.is_possible
        return could_play and not self._incumbent.has_played

    def _play_champion(
        self, num_episodes: int, seed: int, use: str, most_steps: float = math.inf
    ) -> EvaluationResult | None:
        with self._incumbent.acting():
            return self.play(num_episodes, seed, use, most_steps)

    def play(self, num_episodes: int, seed: int, use: str, most_steps: float = math.inf) -> EvaluationResult | None:
        """Play the agent as it is, and book the steps as ``use``.

        Args:
            num_episodes: How many episodes.
            seed: Source of their seeds.
            use: What the steps are booked as.
            most_steps: Env steps that they may take; those that count against the budget never take more than it has.

        Returns:
            None where nothing can be played, or it was broken off.
        """
        self._announce(use, num_episodes)
        left = self._ledger.steps_left
        is_budget_less = use != "report" and left is not None and left < most_steps
        with self._timed():
            result = self._arena.play(num_episodes, seed, float(left or 0) if is_budget_less else most_steps)
        self._ledger.steps[use] += self._arena.steps_taken
        self._ledger.has_decided |= is_budget_less and result is None and self._arena.steps_taken > 0
        return result
