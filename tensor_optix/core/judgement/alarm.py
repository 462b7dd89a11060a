"""What is done about a drop while learning: find the cause first, then mend that."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tensor_optix.core.backoff_scheduler import BackoffScheduler
from tensor_optix.core.base_agent import BaseAgent
from tensor_optix.core.callbacks import CallbackList
from tensor_optix.core.judgement.challenges import Challenges
from tensor_optix.core.judgement.champion import Incumbent
from tensor_optix.core.judgement.diagnosis import LENIENT, STRICT, Cause, find_cause, is_unharmed
from tensor_optix.core.judgement.judge import Judge
from tensor_optix.core.judgement.track_record import Returns, TrackRecord
from tensor_optix.core.storage.stateful import Stateful
from tensor_optix.core.types import EvalMetrics

logger = logging.getLogger(__name__)


@dataclass(eq=False)
class AlarmResponse(Stateful):
    """Answers the judge's alarms.

    Where episodes can be played, champion and current policy play on the same seeds in the running
    environment, and the cause decides: a damaged policy is rolled back, if that is asked for; a
    changed world voids the old best; a false alarm makes the judge slower to cry. Where they
    cannot, or nothing pays for them, an alarm is taken for a damaged policy.

    Args:
        agent: Whose policy dropped.
        incumbent: Holds the champion.
        judge: Raised the alarm.
        scheduler: Becomes ACTIVE again.
        challenges: Plays.
        ask: Asks for a free environment, by the name of what it is for; returns whether there will be one.
        forget_scores: Called where the world is another one.
        callbacks: Told of the alarm.
        may_roll_back: Whether the champion may be brought back.

    Attributes:
        cause: Of the latest alarm, once it was found.
    """

    _STATE = ("_counts_before",)

    agent: BaseAgent
    incumbent: Incumbent
    judge: Judge
    scheduler: BackoffScheduler
    challenges: Challenges
    ask: Callable[[str], bool]
    forget_scores: Callable[[], None]
    callbacks: CallbackList
    may_roll_back: bool
    cause: Cause | None = field(default=None, init=False)
    _counts_before: dict[str, Any] | None = field(default=None, init=False)

    @property
    def is_open(self) -> bool:
        """Whether an alarm waits for its cause to be found."""
        return self._counts_before is not None

    def sound(self, metrics: EvalMetrics) -> None:
        """Take an alarm: tell of it, become ACTIVE, and see to the cause, now or at the next barrier."""
        logger.warning("Window %d: score %.4g is a degradation.", metrics.episode_id, metrics.primary_score)
        self.cause = None
        counts = self.scheduler.state_dict()
        self.scheduler.record_degradation()
        self.callbacks.fire("on_degradation", metrics.episode_id, metrics)
        if self.ask("diagnosis"):
            self._counts_before = counts
        else:
            self._roll_back()

    def diagnose(self, metrics: EvalMetrics) -> None:
        """Play, find the cause, and act on it; the environment is free."""
        counts, self._counts_before = self._counts_before, None
        cause = self.play_for_cause()
        if counts is None:
            return
        self.cause = cause = cause or Cause.POLICY_DAMAGED
        self.callbacks.fire("on_decision", "cause", {"cause": cause.value})
        if cause is Cause.POLICY_DAMAGED:
            self._roll_back()
        elif cause is Cause.WORLD_CHANGED:
            self.accept_new_world()
        else:
            self.scheduler.load_state_dict(counts)
            self.judge.be_slower_to_cry()

    def play_for_cause(self) -> Cause | None:
        """Play the current policy and the champion in turn; None where nothing can be played."""
        track_record = self.incumbent.track_record
        then = track_record.returns if len(track_record) else np.asarray(self.judge.baseline_scores())
        replayed = track_record.replayed_returns

        def cause_of(current: Returns, champion: Returns, damage_significance: float = STRICT) -> Cause:
            return find_cause(then, champion, current, replayed, damage_significance=damage_significance)

        def is_settled(current: Returns, champion: Returns) -> bool:
            found = cause_of(current, champion) is not Cause.FALSE_ALARM
            return found or is_unharmed(then, champion, current, replayed)

        played = self.challenges.diagnose(is_settled)
        if played is None:
            return None
        current, champion = played[0].returns, played[1].returns
        cause = cause_of(current, champion)
        if cause is Cause.FALSE_ALARM and not is_unharmed(then, champion, current, replayed):
            changed = self.challenges.plays_otherwise(played[1], "diagnosis")
            cause = Cause.WORLD_CHANGED if changed else cause_of(current, champion, LENIENT)
        self.cause = cause
        logger.warning(
            "Cause of the degradation: %s (%d greedy episodes: current %.4g, champion %.4g).",
            cause.value,
            len(current),
            np.mean(current),
            np.mean(champion),
        )
        return cause

    def accept_new_world(self) -> None:
        """Void what was learned about scores: they were earned in a world that is no more."""
        self.agent.on_world_change()
        self.scheduler.void_best()
        self.judge.start_over()
        self.forget_scores()
        self.incumbent.track_record = TrackRecord()

    def _roll_back(self) -> None:
        if self.may_roll_back and self.incumbent.bring_back():
            self.callbacks.fire("on_decision", "rollback", {})
            self.judge.forgive()
