"""How one champion follows another."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tensor_optix.core.backoff_scheduler import BackoffScheduler
from tensor_optix.core.base_optimizer import BaseOptimizer
from tensor_optix.core.callbacks import CallbackList
from tensor_optix.core.judgement.challenges import FINAL_EPISODES, Challenges
from tensor_optix.core.judgement.champion import Incumbent
from tensor_optix.core.judgement.judge import Judge
from tensor_optix.core.judgement.track_record import TrackRecord
from tensor_optix.core.types import EvalMetrics


@dataclass(eq=False)
class Succession:
    """Crowns the policy that acted in a window, and tells everyone.

    Args:
        incumbent: Holds the champion.
        challenges: Plays for its place.
        judge: Holds scores against it.
        scheduler: Takes the first champion's score for the best, and knows whether the policy is frozen.
        optimizer: Told of improvements.
        callbacks: Told of new champions.
    """

    incumbent: Incumbent
    challenges: Challenges
    judge: Judge
    scheduler: BackoffScheduler
    optimizer: BaseOptimizer
    callbacks: CallbackList

    def crown(self, metrics: EvalMetrics, track_record: TrackRecord | None = None, *, is_final: bool = False) -> None:
        """Keep the weights that acted in this window: before anything is learned from it.

        Args:
            metrics: Of the window.
            track_record: What the policy played to win its place.
            is_final: Whether this is the last choice of a run.
        """
        snapshot = self.incumbent.take_the_place(metrics, track_record, is_final=is_final)
        self.judge.crown(metrics)
        if self.scheduler.best_score is None:
            self.scheduler.record_improvement(metrics.primary_score)
        self.optimizer.on_improvement(metrics)
        self.callbacks.fire("on_improvement", snapshot)

    def challenge(self, metrics: EvalMetrics) -> None:
        """Let the policy that acted in this window play for the championship, if it is not frozen."""
        if not self.scheduler.is_frozen:
            self._challenge(metrics, None, is_final=False)

    def choose_for_the_last_time(self, metrics: EvalMetrics) -> None:
        """Let the policy of the last window play for the championship, in a fixed number of episodes at most."""
        self._challenge(metrics, FINAL_EPISODES, is_final=True)

    def _challenge(self, metrics: EvalMetrics, num_episodes: int | None, *, is_final: bool) -> None:
        champion = self.incumbent.snapshot
        if champion is None or champion.episode_id == metrics.episode_id:
            return
        track_record = self.challenges.winner(num_episodes)
        if track_record is not None:
            self.crown(self.evidence_for(metrics), track_record, is_final=is_final)

    def evidence_for(self, metrics: EvalMetrics) -> EvalMetrics:
        """Return these metrics or, where the window gave no evidence, the latest that did."""
        latest = metrics if metrics.is_evidence else self.judge.latest
        return replace(latest or metrics, episode_id=metrics.episode_id)
