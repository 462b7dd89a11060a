"""Which part of the loop knows which."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tensor_optix.core.backoff_scheduler import BackoffScheduler
from tensor_optix.core.base_agent import BaseAgent
from tensor_optix.core.base_evaluator import BaseEvaluator
from tensor_optix.core.base_optimizer import BaseOptimizer
from tensor_optix.core.base_pipeline import BasePipeline, can_play
from tensor_optix.core.budget import Ledger
from tensor_optix.core.callbacks import CallbackList
from tensor_optix.core.checkpoint_registry import CheckpointRegistry
from tensor_optix.core.judgement.alarm import AlarmResponse
from tensor_optix.core.judgement.arena import Arena, Player, PlayFn
from tensor_optix.core.judgement.challenges import Challenges
from tensor_optix.core.judgement.champion import Incumbent
from tensor_optix.core.judgement.judge import Judge
from tensor_optix.core.judgement.looks import Comparison, Looks, Shortfall
from tensor_optix.core.judgement.provenance import Provenance
from tensor_optix.core.judgement.succession import Succession
from tensor_optix.core.judgement.target import Target
from tensor_optix.core.judgement.trial import BoldTrial
from tensor_optix.core.judgement.watchdog import Watch
from tensor_optix.core.loop.agenda import Activity, Agenda
from tensor_optix.core.loop.conclusion import Conclusion
from tensor_optix.core.loop.divergence import DivergenceGuard
from tensor_optix.core.loop.entrance import by_class, with_state
from tensor_optix.core.loop.logbook import Logbook
from tensor_optix.core.loop.process import StopRequest
from tensor_optix.core.loop.recorder import Recorder
from tensor_optix.core.loop.room import Room
from tensor_optix.core.loop.session import RunSession
from tensor_optix.core.loop.stopping import (
    Closing,
    Dormant,
    EndedByCallback,
    OutOfBudget,
    StopAskedFor,
    StoppingRule,
    TargetReached,
)
from tensor_optix.core.loop.stopwatch import GREEDY, Stopwatch
from tensor_optix.core.loop.tuning import Tuning
from tensor_optix.core.loop.view import LiveView
from tensor_optix.core.protocols import completed, original
from tensor_optix.core.storage.stateful import WithState
from tensor_optix.core.types import EvaluationResult
from tensor_optix.functional.seeding import derive_seed


@dataclass(frozen=True)
class Given:
    """What the loop is made of and told by its user; see :class:`LoopController`."""

    agent: BaseAgent
    evaluator: BaseEvaluator
    optimizer: BaseOptimizer
    pipeline: BasePipeline
    registry: CheckpointRegistry
    scheduler: BackoffScheduler
    callbacks: CallbackList
    rollback_on_degradation: bool
    improvement_margin: float
    max_episodes: int | None
    max_env_steps: int | None
    target_score: float | None
    play_episodes: PlayFn | None
    report_episodes: int
    recorder: Recorder
    session: RunSession
    stop_request: StopRequest
    baseline: Callable[[Any], Any] | None = None

    def give_way(self) -> None:
        """Let others run before a step of a greedy episode, unless nobody waits for its end any more."""
        self.stop_request.check_episodes()
        self.pipeline.give_way()


class Parts:
    """What the loop calls, made lowest first: each is given what it calls, and none of them knows the loop.

    Args:
        given: What the user gave.
    """

    def __init__(self, given: Given) -> None:
        agent, pipeline, scheduler, callbacks = given.agent, given.pipeline, given.scheduler, given.callbacks
        self.agent = agent
        self.stopwatch = Stopwatch()
        callbacks.listen(Logbook())
        decided = functools.partial(callbacks.fire, "on_decision")
        plays_elsewhere = given.play_episodes is not None
        player = completed(given.play_episodes or pipeline.play_episodes, Player)
        self.arena = Arena(agent, player, derive_seed(given.session.seed, "arena"), given.give_way)
        self.arena.is_possible = plays_elsewhere or can_play(pipeline)
        self.ledger = Ledger(given.max_episodes, given.max_env_steps)
        self.provenance = Provenance(agent, callbacks)
        self.tuning = Tuning(agent, given.optimizer, scheduler, self.provenance)
        self.judge = Judge(given.improvement_margin, given.evaluator.compare)
        self.incumbent = Incumbent(agent, given.registry, self.provenance)
        self.challenges = self._challenges(given)
        self.agenda = Agenda(self.arena, pipeline, needs_barrier=not plays_elsewhere)
        self.succession = self._succession(given)
        self.alarm = AlarmResponse(
            agent,
            self.incumbent,
            self.judge,
            scheduler,
            self.challenges,
            self.agenda.ask,
            self.tuning.forget,
            callbacks,
            given.rollback_on_degradation,
        )
        self.trial = BoldTrial(agent, self.incumbent, self.judge, scheduler, self.agenda.ask, decided)
        self.shortfall = Shortfall(self.judge, self.incumbent, scheduler, self.agenda.ask)
        self.comparison = Comparison(agent, self.succession, self.judge, scheduler, self.agenda.ask)
        self.target = Target(
            given.target_score, self.agenda.ask, self.arena, self.challenges, self.succession, self.judge, self.ledger
        )
        self.agenda.activities = self._activities()
        self.looks = self._looks(given)
        self.watch = Watch(self.incumbent, scheduler, self.alarm, callbacks)
        self.guard = DivergenceGuard(agent, self.incumbent, self.judge, self.provenance, decided)
        save = given.session.save_before_the_end
        self.room = Room(pipeline, self.ledger, self.challenges.reserved_steps)
        self.closing = Closing(self._rules(given), pipeline, self.room, self.succession, given.stop_request, save)
        self.conclusion = self._conclusion(given)
        self.view = LiveView(
            agent,
            pipeline,
            given.recorder,
            given.session,
            self.ledger,
            scheduler,
            self.incumbent,
            self.alarm,
            self.stopwatch,
        )
        given.session.keep_on_disk(
            self.incumbent, self._with_state(given), given.evaluator, given.optimizer, given.callbacks.callbacks
        )

    def start_run(self) -> None:
        """Begin to count anew, and forget how an earlier run ended."""
        self.closing.ending = None
        self.ledger.start_run()
        self.stopwatch.start_run()

    def _challenges(self, given: Given) -> Challenges:
        return Challenges(
            self.incumbent,
            self.arena,
            self.ledger,
            played_together=1 if given.play_episodes is not None else given.pipeline.num_envs,
            announce=functools.partial(given.callbacks.fire, "on_greedy_episodes"),
            timed=functools.partial(self.stopwatch.on, GREEDY),
            decided=functools.partial(given.callbacks.fire, "on_decision"),
            baseline=None if given.baseline is None else functools.partial(self._play_baseline, given),
        )

    def _play_baseline(self, given: Given, num_episodes: int, seed: int) -> EvaluationResult | None:
        """Play the baseline; what wrappers gather of it is none of the agent's, and is forgotten."""
        gathered = given.pipeline.environment_state()
        try:
            return None if given.baseline is None else self.arena.play_guest(given.baseline, num_episodes, seed)
        finally:
            given.pipeline.restore_environment_state(gathered)

    def _with_state(self, given: Given) -> dict[str, WithState | None]:
        """Return what a checkpoint holds, by name; the agenda after what it asks, the agent and its champion apart."""
        parts = {"pipeline": original(given.pipeline), "optimizer": original(given.optimizer)}
        parts |= {"scheduler": given.scheduler, "ledger": self.ledger, "judge": self.judge, "watch": self.watch}
        parts |= {"provenance": self.provenance, "tuning": self.tuning, "arena": self.arena, "target": self.target}
        parts |= {
            "agenda": self.agenda,
            "trial": self.trial,
            "shortfall": self.shortfall,
            "comparison": self.comparison,
            "alarm": self.alarm,
        }
        parts |= {"guard": self.guard, "recorder": given.recorder}
        players = [] if given.play_episodes is None else [given.play_episodes]
        others = by_class([original(given.evaluator), *players, *given.callbacks.callbacks])
        return {**{name: with_state(part) for name, part in parts.items()}, **others}

    def _activities(self) -> Sequence[Activity]:
        """Return what needs a free environment, in the order in which it is done."""
        return (
            Activity("diagnosis", self.alarm.diagnose),
            Activity("target", self.target.play),
            Activity("comparison", self.comparison.play, unless="diagnosis"),
            Activity("challenge", self.succession.challenge, is_regular=True, unless="diagnosis"),
            Activity("assessment", self.challenges.assess),
            Activity("settlement", self.trial.settle),
            Activity("trial", self.trial.begin),
        )

    def _rules(self, given: Given) -> Sequence[StoppingRule]:
        """Return the reasons to end, the weightiest first."""
        return (
            EndedByCallback(given.callbacks),
            TargetReached(self.target),
            Dormant(given.scheduler, self.judge),
            StopAskedFor(given.stop_request),
            OutOfBudget(self.room),
        )

    def _succession(self, given: Given) -> Succession:
        return Succession(
            given.agent,
            self.incumbent,
            self.challenges,
            self.judge,
            given.scheduler,
            given.optimizer,
            given.callbacks,
            self.agenda.ask,
        )

    def _looks(self, given: Given) -> Looks:
        return Looks(
            self.judge,
            given.scheduler,
            self.trial,
            self.shortfall,
            self.comparison,
            self.tuning.on_plateau,
            given.callbacks,
            self.agenda.ask,
        )

    def _conclusion(self, given: Given) -> Conclusion:
        return Conclusion(
            self.incumbent,
            given.registry,
            given.scheduler,
            self.challenges,
            self.ledger,
            given.recorder,
            given.session,
            self.guard,
            self.shortfall,
            self.tuning,
            self.room,
            given.report_episodes,
            given.stop_request,
            plays_elsewhere=given.play_episodes is not None,
        )
