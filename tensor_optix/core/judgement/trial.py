"""One bold step from a plateau, taken back if it does not pay."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tensor_optix.core.backoff_scheduler import BackoffScheduler
from tensor_optix.core.base_agent import BaseAgent
from tensor_optix.core.judgement.champion import Incumbent
from tensor_optix.core.judgement.judge import Judge
from tensor_optix.core.storage.stateful import Stateful
from tensor_optix.core.types import EvalMetrics, LoopState

logger = logging.getLogger(__name__)

TRIAL_LOOKS, TRIAL_SHARE = 8, 0.2
"""Looks of a trial: so many, or so large a share of those before it; what took long to learn takes long to better.
Eight alone were too few to show anything on LunarLander."""


@dataclass(eq=False)
class BoldTrial(Stateful):
    """Tries the agent's bold hyperparameters from the champion's state, once per plateau.

    The end waits for it, and one that made a better champion puts the end off: the next plateau, of
    the bolder agent, has a trial of its own. Where training explores, a trial may explore less than
    what it is held against: greedy episodes judge it, and there is none where they cannot be played.

    Args:
        agent: Names them.
        incumbent: Holds where the trial starts, and where it goes back to.
        judge: Counts looks.
        scheduler: Counts the looks of a plateau, from its beginning again where a trial paid.
        ask: Asks for a free environment, by the name of what it is for; returns whether there will be one.
        decided: Told how trials begin and end, as ``LoopCallback.on_decision`` is.
    """

    _STATE = ("_looks_left", "_champion_before")

    agent: BaseAgent
    incumbent: Incumbent
    judge: Judge
    scheduler: BackoffScheduler
    ask: Callable[[str], bool]
    decided: Callable[[str, Mapping[str, Any]], object] = lambda kind, facts: None
    _looks_left: int = field(default=0, init=False)
    _champion_before: str | None = field(default=None, init=False)

    @property
    def is_running(self) -> bool:
        """Whether the agent learns under trial hyperparameters."""
        return self._champion_before is not None

    @property
    def is_waited_for(self) -> bool:
        """Whether the next look of a plateau would be the run's last, if the trial were over."""
        return self.is_running and self.scheduler.is_one_look_from_dormant

    def begin_when_free(self, metrics: EvalMetrics) -> None:
        """Begin at the next barrier, or at once where there is none."""
        if not self.ask("trial") and not self.agent.explores:
            self.begin(metrics)

    def begin(self, metrics: EvalMetrics) -> None:
        """Start from the champion, if the loop is still COOLING and the agent has something bold to try."""
        champion = self.incumbent.snapshot
        if self.scheduler.current_state is not LoopState.COOLING or champion is None or self.is_running:
            return
        bold = self.agent.bold_hyperparams()
        if bold is None:
            return
        self.incumbent.bring_back(go_on_with=bold)
        self._looks_left = max(TRIAL_LOOKS, round(TRIAL_SHARE * self.judge.num_looks))
        self._champion_before = champion.snapshot_id
        logger.info("On a plateau: trying %s from the champion.", bold.params)
        self.decided("trial", {"hyperparams": dict(bold.params)})

    def count_look(self, metrics: EvalMetrics) -> None:
        """Count one look; after the trial's last one, settle it at the next barrier, or at once where there is none."""
        if not self.is_running:
            return
        self._looks_left -= 1
        if self._looks_left <= 0 and not self.ask("settlement"):
            self.settle(metrics)

    def settle(self, metrics: EvalMetrics) -> None:
        """Keep the trial if it made a new champion; otherwise be the old one again."""
        before, self._champion_before = self._champion_before, None
        champion = self.incumbent.snapshot
        if before is None or champion is None:
            return
        self.decided("trial over", {"is_kept": champion.snapshot_id != before})
        if champion.snapshot_id != before:
            logger.info("The trial paid and is kept.")
            self.scheduler.record_improvement(champion.eval_metrics.primary_score)
            return
        self.incumbent.bring_back()
        logger.info("The trial did not pay and is taken back.")
