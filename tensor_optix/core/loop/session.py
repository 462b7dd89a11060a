"""What surrounds the windows of a run: opening, saving, resuming, closing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from tensor_optix.core.base_agent import BaseAgent
from tensor_optix.core.base_evaluator import BaseEvaluator
from tensor_optix.core.base_optimizer import BaseOptimizer
from tensor_optix.core.base_pipeline import BasePipeline
from tensor_optix.core.budget import Budget, Ledger
from tensor_optix.core.checkpoint_registry import CheckpointRegistry
from tensor_optix.core.judgement.champion import Incumbent
from tensor_optix.core.loop.outcomes import Outcomes
from tensor_optix.core.loop.recorder import Recorder
from tensor_optix.core.loop.result_file import Outcome
from tensor_optix.core.loop.run_checkpoint import RunCheckpoint
from tensor_optix.core.loop.run_info import describe_structure, platform_differences
from tensor_optix.core.loop.unsaved import NOT_EXACTLY, NaNInState, Omissions, UnsavedState
from tensor_optix.core.protocols import original
from tensor_optix.core.run_result import RunResult
from tensor_optix.core.storage.checkpoint_slots import CheckpointSlots
from tensor_optix.core.storage.stateful import WithState
from tensor_optix.core.types import EpisodeData
from tensor_optix.exceptions import CheckpointError, InvalidArgumentError
from tensor_optix.functional.seeding import derive_seed, fresh_seed

logger = logging.getLogger(__name__)

_INTERVALS_IN_MIND = 3
"""Barriers may be this many times as far apart, in env steps, episodes in between included."""


class RunSession:
    """Opens the pipeline, binds the agent, keeps the run on disk, and lets go of everything.

    Args:
        agent: Acts and learns.
        pipeline: Yields windows.
        registry: Keeps champions.
        recorder: Keeps the history.
        seed: Source of all randomness; None draws one.

    Attributes:
        is_resumed: Whether the present run goes on from a checkpoint.
    """

    def __init__(
        self,
        agent: BaseAgent,
        pipeline: BasePipeline,
        registry: CheckpointRegistry,
        recorder: Recorder,
        seed: int | None,
    ) -> None:
        self._agent = agent
        self._pipeline = pipeline
        self._registry = registry
        self._recorder = recorder
        self._checkpoint: RunCheckpoint | None = None
        self._incumbent: Incumbent | None = None
        self._is_bound = False
        self._has_begun = False
        self.is_resumed = False
        self.outcomes = Outcomes(registry, recorder)
        self._budget: dict[str, Any] = {}
        self._omissions: Omissions | None = None
        self._resume_notes: list[str] = []
        self._caveats: list[str] | None = None
        self.seed = fresh_seed() if seed is None else seed

    def keep_on_disk(
        self,
        incumbent: Incumbent,
        parts: Mapping[str, WithState | None],
        evaluator: BaseEvaluator,
        optimizer: BaseOptimizer,
        callbacks: Iterable[Any],
    ) -> None:
        """Let the run be saved in its folder, if it has one, with the parts that have a state."""
        folder = self._recorder.run_folder
        if folder is None:
            return

        def describe() -> dict[str, Any]:
            return describe_structure(self._agent, evaluator, optimizer, self._pipeline)

        self._incumbent = incumbent
        unsaved = UnsavedState(self._agent, evaluator, optimizer, callbacks)
        nan_in_state = NaNInState(parts, self._agent)
        self._checkpoint = RunCheckpoint(
            CheckpointSlots(folder.path),
            self._agent,
            incumbent,
            self._registry,
            parts,
            self._recorder.sync,
            describe,
            unsaved,
            nan_in_state,
        )
        self._omissions = Omissions(self._checkpoint.not_saved, unsaved, nan_in_state)

    def open(self) -> None:
        """Get pipeline and agent ready for the first step.

        Raises:
            InvalidArgumentError: The pipeline acts with another agent than the one that learns.
        """
        pipeline = self._pipeline
        own = original(self._agent)
        if pipeline.agent is None:
            pipeline.set_agent(own)
        elif original(pipeline.agent) is not own:
            raise InvalidArgumentError(
                "The pipeline acts with another agent than the one that learns. "
                "Give both the same, or give the pipeline none."
            )
        pipeline.set_seed(derive_seed(self.seed, "pipeline"))
        pipeline.setup()
        if not self._is_bound and pipeline.action_space is not None:
            self._agent.bind(
                pipeline.observation_space,
                pipeline.action_space,
                num_envs=pipeline.num_envs,
                seed=derive_seed(self.seed, "agent"),
            )
            self._is_bound = True
        pipeline.check_agent()
        if self._caveats is None:
            self._caveats = [str(caveat) for caveat in self._agent.caveats()]
            for caveat in self._caveats:
                logger.warning("%s", caveat)

    def finished(self, budget: Budget) -> Outcome | None:
        """Return the result of the run in the folder, where it has one that this budget would not change."""
        newest = None if self._checkpoint is None else self._checkpoint.newest()
        outcome = self.outcomes.finished(budget, newest)
        if outcome is not None and newest is not None:
            self.seed = newest["seed"]
        return outcome

    def begin(self, resume: bool, budget: Budget) -> None:
        """Begin with a checkpoint: the one to go on from, or a first one of our own.

        Args:
            resume: Which of the two.
            budget: What the run may use.

        Raises:
            CheckpointError: There is none to go on from.
        """
        self._budget, self._has_begun, self.is_resumed = asdict(budget), False, resume
        if not resume:
            self._has_begun = True
            self.outcomes.begin_anew()
            if self._checkpoint is not None:
                self._checkpoint.save(self._own(windows=0, is_open=True))
            return
        reasons = self._platform_differences()
        best = self._registry.best
        self._registry.hold(None if best is None else best.snapshot_id)
        own = None
        if self._checkpoint is not None:
            own = self._checkpoint.load(self._budget, is_same_platform=not reasons)
        if self._checkpoint is None or own is None:
            self._registry.hold(None)
            raise CheckpointError(
                f"Nothing to resume: {self._recorder.run_dir} holds no whole checkpoint. Start a new run instead."
            )
        self.seed, self._has_begun = own["seed"], True
        champion = None if self._incumbent is None else self._incumbent.snapshot
        self.outcomes.go_on_from(own.get("run_number", 1), champion, best)
        reasons += self._checkpoint.inexact
        reasons += [reason for reason in self._checkpoint.earlier if reason not in reasons]
        if self._pipeline.is_live:
            reasons.append("a live feed cannot be rewound")
        elif not self._has_barriers:
            reasons.append(f"{type(self._pipeline).__name__} has no barriers, at which episodes begin anew")
        self._resume_notes = [NOT_EXACTLY + reason for reason in reasons]
        for note in self._resume_notes:
            logger.warning("%s.", note)

    def keep_result(self, result: RunResult, ledger: Ledger) -> None:
        """Write the result into the run's folder, once what it names is there; a failure is logged.

        A run that could not even begin, for example because it could not be resumed, leaves the folder as it was.
        """
        if not self._has_begun:
            return
        try:
            self._registry.flush()
            self._recorder.flush()
            if self._checkpoint is not None:
                self._checkpoint.flush()
            self.outcomes.keep(result, ledger, self._pipeline)
        except CheckpointError as error:
            logger.error("The result could not be written: %s", error)

    def _platform_differences(self) -> list[str]:
        folder = self._recorder.run_folder
        try:
            return [] if folder is None else platform_differences(folder.read_run_json(), self._agent)
        except CheckpointError as error:
            return [f"whether machine and versions are the same cannot be told ({error})"]

    def windows(self, has_room: Callable[[], bool]) -> Iterator[EpisodeData]:
        """Yield the pipeline's windows, and watch from here on what changes and is not saved.

        Args:
            has_room: Asked before each of them; where there is no room for it, there is none.
        """
        if self._omissions is not None:
            self._omissions.begin(is_resumed=self.is_resumed)
        if has_room():
            for window in self._pipeline.episodes():
                yield window
                if not has_room():
                    return

    def save_if_due(self, window: EpisodeData, ledger: Ledger, reserved_steps: int) -> None:
        """Save after a window from which the run can go on, if it is time.

        That is one that ended with a barrier or, where the pipeline has none, any. Where the budget may be used up
        before the next one, what is not saved is kept in mind.

        Args:
            window: It.
            ledger: Knows the budget.
            reserved_steps: Env steps that will be needed after the last window.
        """
        is_moment = bool(window.metadata.get("barrier")) or not self._has_barriers
        if self._omissions is not None:
            self._omissions.after_window(is_moment=is_moment)
        if self._checkpoint is None or not is_moment:
            return
        own = self._own(windows=ledger.windows, is_open=not ledger.has_decided)
        self._checkpoint.save_if_due(own)
        interval = self._pipeline.barrier_interval_steps
        if interval is None or ledger.may_end_within(
            _INTERVALS_IN_MIND * (interval + window.env_steps) + reserved_steps
        ):
            self._checkpoint.keep_in_mind(own)

    def save_before_the_end(self) -> None:
        """Write what was kept in mind: whoever goes on with a larger budget begins there."""
        if self._checkpoint is not None:
            self._checkpoint.save_what_is_in_mind()

    def _own(self, *, windows: int, is_open: bool) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "run_number": self.outcomes.run_number,
            "budget": self._budget,
            "windows": windows,
            "is_open": is_open,
        }

    @property
    def _has_barriers(self) -> bool:
        own = type(self._pipeline).request_barrier
        return own is not BasePipeline.request_barrier and not self._pipeline.is_live

    @property
    def notes(self) -> tuple[str, ...]:
        """What else should be known of the run, in sentences."""
        news = [] if self._omissions is None else self._omissions.notes(but=self._resume_notes)
        notes = [
            *(self._caveats or ()),
            *self._resume_notes,
            *news,
            *self._recorder.notes,
            *self._pipeline.notes,
        ]
        failures = [] if self._checkpoint is None else self._checkpoint.failures
        if failures:
            notes.append(f"the run could not be saved {len(failures)} times, last: {failures[-1]}")
        if self._registry.failures:
            num, last = len(self._registry.failures), self._registry.failures[-1]
            notes.append(f"a snapshot could not be saved {num} times, last: {last}")
        return tuple(notes)

    def close(self) -> None:
        """Let go of everything; nothing here may hide an error that is on its way out."""
        releases = [self._pipeline.teardown, self._registry.retry, self._registry.close, self._recorder.flush]
        if self._checkpoint is not None:
            releases.append(self._checkpoint.flush)
        for release in releases:
            try:
                release()
            except Exception:
                logger.exception("%s failed while the run was being closed.", getattr(release, "__qualname__", release))
