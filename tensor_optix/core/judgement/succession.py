"""How one champion follows another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from tensor_optix.core.backoff_scheduler import BackoffScheduler
from tensor_optix.core.base_agent import BaseAgent
from tensor_optix.core.base_optimizer import BaseOptimizer
from tensor_optix.core.callbacks import CallbackList
from tensor_optix.core.judgement.challenges import FEWEST_EPISODES, Challenges
from tensor_optix.core.judgement.champion import Incumbent
from tensor_optix.core.judgement.judge import Judge
from tensor_optix.core.judgement.track_record import TrackRecord
from tensor_optix.core.types import EvalMetrics


@dataclass(eq=False)
class Succession:
    """Crowns the policy that acted in a window, and tells everyone.

    Where training explores, a rise of its scores may be less exploration and nothing else: it asks for greedy
    episodes, and these decide, also that there was more to be gained on a plateau of scores. Only a champion that
    never played may be replaced by scores, while there is nothing to pay for episodes: a run that is cut short is to
    hand back what it learned.

    Args:
        agent: Knows whether it explores.
        incumbent: Holds the champion.
        challenges: Plays for its place.
        judge: Holds scores against it.
        scheduler: Takes the first champion's score for the best, and knows whether the policy is frozen.
        optimizer: Told of improvements.
        callbacks: Told of new champions.
        ask: Asks for a free environment, by the name of what it is for; returns whether there will be one.
    """

    agent: BaseAgent
    incumbent: Incumbent
    challenges: Challenges
    judge: Judge
    scheduler: BackoffScheduler
    optimizer: BaseOptimizer
    callbacks: CallbackList
    ask: Callable[[str], bool]
    _challenged_in: int | None = field(default=None, init=False)

    def improve(self, metrics: EvalMetrics, *, is_trial: bool) -> None:
        """Take the verdict that the policy of this window scores more than the champion did.

        Args:
            metrics: Of the window.
            is_trial: Whether it learns under trial hyperparameters, which may explore less.
        """
        if self.incumbent.snapshot is None or not self.agent.explores:
            self.crown(metrics)
        elif self.challenges.affords(FEWEST_EPISODES):
            if not self.ask("challenge"):
                self.crown(metrics)
        elif not is_trial and not self.incumbent.has_played:
            self.crown(metrics)

    def crown(self, metrics: EvalMetrics, track_record: TrackRecord | None = None, *, is_final: bool = False) -> None:
        """Keep the weights that acted in this window: before anything is learned from it.

        Args:
            metrics: Of the window.
            track_record: What the policy played since it won its place in episodes; None: it did not.
            is_final: Whether this is the last choice of a run; so is what a larger budget might have decided otherwise.
        """
        is_final = is_final or self.challenges.budget_has_decided
        snapshot = self.incumbent.take_the_place(metrics, track_record, is_final=is_final)
        self.judge.crown(metrics)
        if self.scheduler.best_score is None:
            self.scheduler.record_improvement(metrics.primary_score)
        self.optimizer.on_improvement(metrics)
        self.callbacks.fire("on_improvement", snapshot)

    def challenge(self, metrics: EvalMetrics) -> None:
        """Let the policy that acted in this window play for the championship, if it is not frozen."""
        if self.scheduler.is_frozen or self._challenged_in == metrics.episode_id:
            return
        self._challenged_in = metrics.episode_id
        self._challenge(metrics, is_final=False)

    def choose_for_the_last_time(self, metrics: EvalMetrics) -> None:
        """Let the policy of the last window play for the championship."""
        self.challenges.note_last_choice()
        self._challenge(metrics, is_final=True)

    def _challenge(self, metrics: EvalMetrics, *, is_final: bool) -> None:
        champion = self.incumbent.snapshot
        if champion is None:
            return
        if champion.episode_id == metrics.episode_id:
            if is_final:
                self.challenges.prove()
            return
        track_record = self.challenges.winner(is_last=is_final)
        if track_record is not None:
            evidence = self.evidence_for(metrics)
            self.crown(evidence, track_record, is_final=is_final)
            if self.agent.explores and not is_final:
                self.scheduler.record_improvement(evidence.primary_score)
        elif self.agent.explores:
            self.judge.keep()

    def evidence_for(self, metrics: EvalMetrics) -> EvalMetrics:
        """Return these metrics or, where the window gave no evidence, the latest that did."""
        latest = metrics if metrics.is_evidence else self.judge.latest
        return replace(latest or metrics, episode_id=metrics.episode_id)
