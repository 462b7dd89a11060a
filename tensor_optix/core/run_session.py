"""What surrounds the windows of a run: opening, saving, resuming, closing."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tensor_optix.core.base_agent import BaseAgent
from tensor_optix.core.base_pipeline import BasePipeline
from tensor_optix.core.champion import ChampionKeeper
from tensor_optix.core.checkpoint_registry import CheckpointRegistry
from tensor_optix.core.checkpoint_slots import CheckpointSlots
from tensor_optix.core.recorder import Recorder
from tensor_optix.core.run_checkpoint import RunCheckpoint
from tensor_optix.core.types import EpisodeData
from tensor_optix.exceptions import CheckpointError, InvalidArgumentError
from tensor_optix.functional.seeding import derive_seed, fresh_seed

if TYPE_CHECKING:
    from tensor_optix.core.run_folder import RunFolder

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
        self._was_resumed = False
        self.seed = fresh_seed() if seed is None else seed

    def keep_on_disk(self, folder: RunFolder, keeper: ChampionKeeper, parts: Mapping[str, Any]) -> None:
        """Say where the run is saved, and which parts have a state."""
        slots = CheckpointSlots(folder.path / "checkpoint")
        self._checkpoint = RunCheckpoint(slots, self._agent, keeper, parts)

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
        own = None if self._checkpoint is None else self._checkpoint.load()
        if own is None:
            raise CheckpointError(
                f"Nothing to resume: {self._recorder.run_dir} holds no whole checkpoint. Start with run() instead."
            )
        self.seed = own["seed"]
        self._was_resumed = True

    def save_if_due(self, window: EpisodeData) -> None:
        """Save after a window from which a run can go on: one that ended with a barrier, or any live one."""
        is_place = window.metadata.get("barrier") or self._pipeline.is_live
        if self._checkpoint is not None and is_place:
            self._checkpoint.save_if_due({"seed": self.seed})

    @property
    def notes(self) -> tuple[str, ...]:
        """What kept a resumed run from being exactly the uninterrupted one, in sentences."""
        if not self._was_resumed or self._checkpoint is None:
            return ()
        reasons = list(self._checkpoint.inexact)
        if self._pipeline.is_live:
            reasons.append("a live feed cannot be rewound")
        return tuple(f"the run was resumed, but not exactly: {reason}" for reason in reasons)

    def close(self) -> None:
        """Let go of everything; nothing here may hide an error that is on its way out."""
        releases = [self._pipeline.teardown, self._registry.flush, self._recorder.flush]
        if self._checkpoint is not None:
            releases.append(self._checkpoint.flush)
        for release in releases:
            try:
                release()
            except Exception:
                logger.exception("%s failed while the run was being closed.", getattr(release, "__qualname__", release))
