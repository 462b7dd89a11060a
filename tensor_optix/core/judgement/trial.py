"""One bold step from a plateau, taken back if it does not pay."""

from __future__ import annotations

import logging
from typing import Any

from tensor_optix.core.backoff_scheduler import BackoffScheduler
from tensor_optix.core.base_agent import BaseAgent
from tensor_optix.core.judgement.incumbent import ChampionKeeper
from tensor_optix.core.loop.tuning import Tuning

logger = logging.getLogger(__name__)

TRIAL_LOOKS, TRIAL_SHARE = 8, 0.2
"""Looks of a trial: so many, or so large a share of those before it; what took long to learn takes long to better."""


class BoldTrial:
    """Tries the agent's bold hyperparameters from the champion's state, once per plateau.

    The end waits for it, and one that made a better champion puts the end off: the next plateau, of
    the bolder agent, has a trial of its own.

    Args:
        agent: Names them.
        keeper: Holds where the trial starts, and where it goes back to.
        tuning: Told when the weights are other ones.
        scheduler: Counts the looks of a plateau, from its beginning again where a trial paid.
    """

    def __init__(self, agent: BaseAgent, keeper: ChampionKeeper, tuning: Tuning, scheduler: BackoffScheduler) -> None:
        self._agent = agent
        self._keeper = keeper
        self._tuning = tuning
        self._scheduler = scheduler
        self._looks_left = 0
        self._champion_before: str | None = None

    @property
    def is_running(self) -> bool:
        """Whether the agent learns under trial hyperparameters."""
        return self._champion_before is not None

    @property
    def is_waited_for(self) -> bool:
        """Whether the next look of a plateau would be the run's last, if the trial were over."""
        return self.is_running and self._scheduler.is_one_look_from_dormant

    def begin(self, num_looks: int) -> bool:
        """Start from the champion, if the agent has something bold to try; return whether it has.

        Args:
            num_looks: Looks so far.
        """
        bold = getattr(self._agent, "bold_hyperparams", lambda: None)()
        if bold is None or self._keeper.snapshot is None or self.is_running:
            return False
        before = self._agent.get_hyperparams()
        self._keeper.restore()
        self._tuning.note_learn()
        self._agent.set_hyperparams(bold)
        self._tuning.announce(before)
        self._looks_left = max(TRIAL_LOOKS, round(TRIAL_SHARE * num_looks))
        self._champion_before = self._keeper.snapshot.snapshot_id
        logger.info("On a plateau: trying %s from the champion.", bold.params)
        return True

    def is_over(self) -> bool:
        """Count one look and tell whether it was the trial's last."""
        if not self.is_running:
            return False
        self._looks_left -= 1
        return self._looks_left <= 0

    def settle(self) -> None:
        """Keep the trial if it made a new champion; otherwise be the old one again."""
        before, self._champion_before = self._champion_before, None
        champion = self._keeper.snapshot
        if before is None or champion is None:
            return
        if champion.snapshot_id != before:
            logger.info("The trial paid and is kept.")
            self._scheduler.record_improvement(champion.eval_metrics.primary_score)
            return
        hyperparams = self._agent.get_hyperparams()
        self._keeper.restore()
        self._tuning.note_learn()
        self._tuning.announce(hyperparams)
        logger.info("The trial did not pay and is taken back.")

    def state_dict(self) -> dict[str, Any]:
        """Return a JSON-able copy."""
        return {"looks_left": self._looks_left, "champion_before": self._champion_before}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Become what :meth:`state_dict` returned."""
        self._looks_left = int(state["looks_left"])
        self._champion_before = state["champion_before"]
