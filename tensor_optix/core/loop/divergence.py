"""What is done about an update that gave NaN or infinity: undo it, take smaller steps, go on."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tensor_optix.core.base_agent import BaseAgent
from tensor_optix.core.judgement.champion import Incumbent
from tensor_optix.core.judgement.judge import Judge
from tensor_optix.core.judgement.provenance import Provenance
from tensor_optix.core.storage.agent_files import capture, has_own_state, restore
from tensor_optix.core.storage.stateful import Stateful
from tensor_optix.core.types import AgentState, EpisodeData
from tensor_optix.exceptions import NonFiniteError, NotBoundError

logger = logging.getLogger(__name__)

PATIENCE_UPDATES = 5
"""Updates undone in a row after which the champion is brought back; after as many again, the run ends. A choice."""

_TELLING_NAMES = ("loss", "grad")


@dataclass(eq=False)
class DivergenceGuard(Stateful):
    """Lets the agent learn, and takes back what must not have happened.

    An agent whose ``undoes_bad_updates`` is true raises ``NonFiniteError`` and is as it was. Of any
    other with a state, a copy is kept from before each ``learn``; it is put back where a loss or
    gradient among the diagnostics, or an array of its policy, is no longer finite. One with only
    the six methods goes back to the champion.

    Args:
        agent: Learns.
        incumbent: Holds the champion.
        judge: Forgets the windows of a policy that is no more.
        provenance: Told which hyperparameters made the weights.
        decided: Told what was undone, as ``LoopCallback.on_decision`` is.
    """

    _STATE = ("_num_in_a_row", "num_undone", "num_returns", "_last_problem")

    agent: BaseAgent
    incumbent: Incumbent
    judge: Judge
    provenance: Provenance
    decided: Callable[[str, Mapping[str, Any]], object] = lambda kind, facts: None
    _num_in_a_row: int = field(default=0, init=False)
    _last_problem: str = field(default="", init=False)
    num_undone: int = field(default=0, init=False)
    num_returns: int = field(default=0, init=False)

    def learn(self, window: EpisodeData) -> dict[str, Any]:
        """Let the agent learn from a window, and return its diagnostics.

        Where the update was undone, they hold only how many were so far.

        Raises:
            NonFiniteError: Updates from the champion, too, are undone one after another.
        """
        tells = self.agent.tells_what_it_used
        used, before = None if tells else self.agent.get_hyperparams(), self._copy()
        try:
            diagnostics = self.agent.learn(window) or {}
        except NonFiniteError as error:
            problem: str | None = str(error)
            is_as_before = before is None
        else:
            problem, is_as_before = self._problem(diagnostics, before), False
        if problem is None:
            self._num_in_a_row = 0
            self.provenance.note(used or self.agent.used_hyperparams)
            return diagnostics
        self._count(problem, window.episode_id)
        if not is_as_before:
            self._undo(before)
        used = used or self.agent.get_hyperparams()
        if self._num_in_a_row == PATIENCE_UPDATES:
            self._return_to_champion(f"{PATIENCE_UPDATES} updates in a row were undone")
        self.agent.on_divergence()
        self.provenance.announce(used)
        return {"undone_updates": float(self.num_undone)}

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know of it at the end, in sentences."""
        if not self.num_undone:
            return ()
        back = f"; the champion was brought back {self.num_returns} times" if self.num_returns else ""
        return (f"{self.num_undone} updates gave NaN or infinity and were undone{back}; last: {self._last_problem}",)

    def _copy(self) -> AgentState | None:
        """Return the agent as it is before it learns; None where that is not needed or not known."""
        if self.agent.undoes_bad_updates or not has_own_state(self.agent):
            return None
        try:
            return capture(self.agent)
        except NotBoundError:
            return None

    def _problem(self, diagnostics: dict[str, Any], before: AgentState | None) -> str | None:
        """Return what is not finite after a ``learn`` that did not say so itself, None if all is."""
        if self.agent.undoes_bad_updates:
            return None
        for name, value in diagnostics.items():
            is_telling = isinstance(value, (float, np.floating)) and any(part in name for part in _TELLING_NAMES)
            if is_telling and not math.isfinite(value):
                return f"`learn` returned {name}={float(value)}."
        if before is None or not has_own_state(self.agent):
            return None
        for name, array in capture(self.agent, "policy").arrays.items():
            if not _is_finite(array) and _is_finite(before.arrays.get(name, np.zeros(0))):
                return f"The array {name!r} of the agent's state holds NaN or infinity."
        return None

    def _count(self, problem: str, window_id: int) -> None:
        self.num_undone += 1
        self._num_in_a_row += 1
        self._last_problem = problem
        logger.warning("The update from window %d is undone. %s", window_id, problem)
        self.decided("undone", {"window": window_id, "problem": problem})
        if self._num_in_a_row >= 2 * PATIENCE_UPDATES:
            raise NonFiniteError(
                f"{self._num_in_a_row} updates in a row gave NaN or infinity, {PATIENCE_UPDATES} of them from the "
                f"champion on and with ever smaller steps. The last one: {problem}"
            )

    def _undo(self, before: AgentState | None) -> None:
        if before is not None:
            restore(self.agent, before, keeps_time=True)
        elif self.incumbent.snapshot is not None:
            self._return_to_champion("the agent has no get_state, so one update cannot be undone alone")
        else:
            raise NonFiniteError(
                f"An agent without get_state diverged before there was a champion to go back to. {self._last_problem}"
            )

    def _return_to_champion(self, why: str) -> None:
        if not self.incumbent.bring_back(go_on_with=self.agent.get_hyperparams()):
            return
        self.num_returns += 1
        self.judge.forgive()
        logger.warning("The champion is brought back: %s.", why)


def _is_finite(array: np.ndarray) -> bool:
    return array.dtype.kind not in "fc" or bool(np.isfinite(array).all())
