"""Reasons to end a run, a list, the first that holds is told; and what is settled at the last window."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tensor_optix.core.backoff_scheduler import BackoffScheduler
from tensor_optix.core.base_pipeline import BasePipeline
from tensor_optix.core.callbacks import CallbackList
from tensor_optix.core.judgement.judge import Judge
from tensor_optix.core.judgement.succession import Succession
from tensor_optix.core.judgement.target import Target
from tensor_optix.core.loop.process import StopRequest
from tensor_optix.core.loop.room import Room
from tensor_optix.core.types import EvalMetrics, LoopState
from tensor_optix.monitoring.trend import Trend


@dataclass(frozen=True)
class Ending:
    """Why a run ends.

    Attributes:
        reason: One word, as in ``RunResult.reason``.
        explanation: The same in a sentence.
        settles_champion: Whether the policy of the last window may still play for the championship.
        may_be_put_off: Whether the run goes on where that took so little that there is room for more windows.
    """

    reason: str
    explanation: str
    settles_champion: bool = True
    may_be_put_off: bool = False


class StoppingRule(ABC):
    """Asked after every window. A new rule is a class, and one line in the list that the loop is given."""

    @abstractmethod
    def ending(self) -> Ending | None:
        """Return why this window was the last; None if the run may go on."""


@dataclass(eq=False)
class EndedByCallback(StoppingRule):
    """A callback raised what ends a run."""

    callbacks: CallbackList

    def ending(self) -> Ending | None:
        """See :class:`StoppingRule`."""
        why = self.callbacks.why_to_end
        return None if why is None else Ending("stopped", why)


@dataclass(eq=False)
class TargetReached(StoppingRule):
    """Fresh episodes reached the score that the user asked for."""

    target: Target

    def ending(self) -> Ending | None:
        """See :class:`StoppingRule`."""
        if not self.target.is_reached:
            return None
        return Ending("target", "fresh greedy episodes reach target_score", settles_champion=False)


@dataclass(eq=False)
class Dormant(StoppingRule):
    """Nothing more is to be gained, or nothing ever was."""

    scheduler: BackoffScheduler
    judge: Judge

    def ending(self) -> Ending | None:
        """See :class:`StoppingRule`."""
        if self.scheduler.current_state is not LoopState.DORMANT:
            return None
        if self.judge.last_trend is Trend.STALLED:
            return Ending("stalled", "the loop went DORMANT, but the score never left its first level")
        return Ending("trained", "the loop went DORMANT: nothing more is to be gained")


@dataclass(eq=False)
class StopAskedFor(StoppingRule):
    """Somebody called ``stop()``."""

    stop_request: StopRequest

    def ending(self) -> Ending | None:
        """See :class:`StoppingRule`."""
        return Ending("stopped", "asked to stop") if self.stop_request.is_set else None


@dataclass(eq=False)
class OutOfBudget(StoppingRule):
    """There is no room for another window beside what the last choice of a champion will take."""

    room: Room

    def ending(self) -> Ending | None:
        """See :class:`StoppingRule`."""
        exhausted = self.room.exhausted()
        return None if exhausted is None else Ending("budget", exhausted, may_be_put_off=self.room.is_limited)


def first_ending(rules: Sequence[StoppingRule]) -> Ending | None:
    """Return what the first rule that holds says; None if none does."""
    return next((ending for rule in rules if (ending := rule.ending()) is not None), None)


@dataclass(eq=False)
class Closing:
    """Asks the rules after every window, and lets the last policy play for the championship.

    Attributes:
        ending: Why the run ends; None while it goes on.

    Args:
        rules: Reasons to end, the weightiest first.
        pipeline: Its episodes are cut off.
        room: Knows what is left when the choice is made.
        succession: Lets the last policy play.
        stop_request: Knows whether somebody waits for the end.
        save: Called before anything is settled: whoever goes on with a larger budget begins there.
    """

    rules: Sequence[StoppingRule]
    pipeline: BasePipeline
    room: Room
    succession: Succession
    stop_request: StopRequest
    save: Callable[[], None]
    ending: Ending | None = field(default=None, init=False)

    def look(self, metrics: EvalMetrics) -> None:
        """Decide whether this was the last window; if so, settle who is champion."""
        ending = first_ending(self.rules)
        if ending is None:
            return
        self.save()
        is_open = ending.may_be_put_off and self.pipeline.is_live  # a feed that is closed cannot be gone on with
        if not is_open:
            self.pipeline.cut_episodes()
        if ending.settles_champion and not self.stop_request.is_interrupted:
            self.succession.choose_for_the_last_time(metrics)
            ending = self._unless_put_off(ending)
        if is_open and ending is not None:
            self.pipeline.cut_episodes()
        self.ending = ending

    def _unless_put_off(self, ending: Ending) -> Ending | None:
        """Return it, or what else ends the run, if anything does, where the last choice left enough for training."""
        if ending.may_be_put_off and self.room.is_worth_while:
            return first_ending(self.rules)
        return ending

    def ending_of_stream(self) -> Ending:
        """Return why there are no more windows."""
        return self.ending or first_ending(self.rules) or Ending("stopped", "the pipeline's stream ended")
