"""What surrounds the windows of a run: opening, saving, resuming, closing."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tensor_optix.core.base_agent import BaseAgent
from tensor_optix.core.base_evaluator import BaseEvaluator
from tensor_optix.core.base_pipeline import BasePipeline
from tensor_optix.core.checkpoint_registry import CheckpointRegistry
from tensor_optix.core.judgement.incumbent import ChampionKeeper
from tensor_optix.core.loop.recorder import Recorder
from tensor_optix.core.loop.run_checkpoint import RunCheckpoint
from tensor_optix.core.loop.run_info import differences
from tensor_optix.core.loop.run_structure import describe_structure
from tensor_optix.core.storage.checkpoint_slots import CheckpointSlots
from tensor_optix.core.types import EpisodeData
from tensor_optix.exceptions import CheckpointError, InvalidArgumentError
from tensor_optix.functional.seeding import derive_seed, fresh_seed

if TYPE_CHECKING:
    from tensor_optix.core.storage.run_folder import RunFolder

logger = logging.getLogger(__name__)


class RunSession:
    """Opens the pipeline, binds the agent, keeps the run on disk, and lets go of everything.

    Args:
        agent: Acts and learns.
        pipeline: Yields windows.
        registry: Keeps champions.
        recorder: Keeps the history.
        seed: Source of all randomness; None draws one.
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
        self._is_bound = False
        self._resume_notes: list[str] = []
        self.seed = fresh_seed() if seed is None else seed

    def keep_on_disk(
        self, folder: RunFolder, keeper: ChampionKeeper, parts: Mapping[str, Any], evaluator: BaseEvaluator
    ) -> None:
        """Say where the run is saved, which parts have a state, and who scores."""

        def describe() -> dict[str, Any]:
            return describe_structure(self._agent, evaluator, parts["optimizer"], self._pipeline)

        self._checkpoint = RunCheckpoint(
            CheckpointSlots(folder.path), self._agent, keeper, self._registry, parts, self._recorder.sync, describe
        )

    def open(self) -> None:
        """Get pipeline and agent ready for the first step.

        Raises:
            InvalidArgumentError: The pipeline acts with another agent than the one that learns.
        """
        pipeline = self._pipeline
        acting = getattr(pipeline, "agent", None)
        if acting is None:
            pipeline.set_agent(self._agent)
        elif acting is not self._agent:
            raise InvalidArgumentError(
                "The pipeline acts with another agent than the one that learns. "
                "Give both the same, or give the pipeline none."
            )
        pipeline.set_seed(derive_seed(self.seed, "pipeline"))
        pipeline.setup()
        action_space = getattr(pipeline, "action_space", None)
        if not self._is_bound and action_space is not None:
            self._agent.bind(
                getattr(pipeline, "observation_space", None),
                action_space,
                num_envs=getattr(pipeline, "num_envs", 1),
                seed=derive_seed(self.seed, "agent"),
            )
            self._is_bound = True

    def begin(self, resume: bool) -> None:
        """Begin with a checkpoint: the one to go on from, or a first one of our own.

        Raises:
            CheckpointError: There is none to go on from.
        """
        if not resume:
            if self._checkpoint is not None:
                self._checkpoint.save({"seed": self.seed})
            return
        reasons = self._platform_differences()
        own = None if self._checkpoint is None else self._checkpoint.load(is_same_platform=not reasons)
        if self._checkpoint is None or own is None:
            raise CheckpointError(
                f"Nothing to resume: {self._recorder.run_dir} holds no whole checkpoint. Start a new run instead."
            )
        self.seed = own["seed"]
        reasons += self._checkpoint.inexact
        reasons += [reason for reason in self._checkpoint.earlier if reason not in reasons]
        if self._pipeline.is_live:
            reasons.append("a live feed cannot be rewound")
        elif not self._has_barriers:
            reasons.append(f"{type(self._pipeline).__name__} has no barriers, at which episodes begin anew")
        self._resume_notes = [f"the run was resumed, but not exactly: {reason}" for reason in reasons]
        for note in self._resume_notes:
            logger.warning("%s.", note)

    def _platform_differences(self) -> list[str]:
        folder = self._recorder.run_folder
        try:
            return [] if folder is None else differences(folder.read_run_json(), self._agent)
        except CheckpointError as error:
            return [f"whether machine and versions are the same cannot be told ({error})"]

    def save_if_due(self, window: EpisodeData) -> None:
        """Save after a window from which the run can go on, if it is time.

        That is one that ended with a barrier or, where the pipeline has none, any.
        """
        if self._checkpoint is not None and (window.metadata.get("barrier") or not self._has_barriers):
            self._checkpoint.save_if_due({"seed": self.seed})

    @property
    def _has_barriers(self) -> bool:
        own = getattr(type(self._pipeline), "request_barrier", BasePipeline.request_barrier)
        return own is not BasePipeline.request_barrier and not self._pipeline.is_live

    @property
    def notes(self) -> tuple[str, ...]:
        """What else should be known of the run, in sentences."""
        notes = [*self._resume_notes, *self._recorder.notes, *getattr(self._pipeline, "notes", ())]
        failures = [] if self._checkpoint is None else self._checkpoint.failures
        if failures:
            notes.append(f"the run could not be saved {len(failures)} times, last: {failures[-1]}")
        if self._registry.failures:
            num, last = len(self._registry.failures), self._registry.failures[-1]
            notes.append(f"a snapshot could not be saved {num} times, last: {last}")
        return tuple(notes)

    def close(self) -> None:
        """Let go of everything; nothing here may hide an error that is on its way out."""
        releases = [self._pipeline.teardown, self._registry.retry, self._registry.flush, self._recorder.flush]
        if self._checkpoint is not None:
            releases.append(self._checkpoint.flush)
        for release in releases:
            try:
                release()
            except Exception:
                logger.exception("%s failed while the run was being closed.", getattr(release, "__qualname__", release))
