"""The real loop on a :class:`TuningTask`: every part but the agent and the environment is the product's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tensor_optix.core.backoff_scheduler import BackoffScheduler
from tensor_optix.core.base_optimizer import BaseOptimizer
from tensor_optix.core.checkpoint_registry import CheckpointRegistry
from tensor_optix.core.loop_controller import LoopController
from tensor_optix.core.types import EpisodeData
from tensor_optix.testing.fakes import RewardEvaluator, ScriptedPipeline, SixMethodAgent
from tensor_optix.testing.optimizer_conformance import TuningTask

_NEVER = 10**9


class TunedAgent(SixMethodAgent):
    """An agent that writes down the hyperparameters of each ``learn``.

    Attributes:
        learned_under: Those of every ``learn`` so far; the last ones made the current weights.
    """

    def __init__(self, params: dict[str, Any]) -> None:
        super().__init__(params)
        self.learned_under: list[dict[str, float]] = []

    def learn(self, episode_data: EpisodeData) -> dict[str, Any]:
        """Write down the hyperparameters in force."""
        self.learned_under.append(dict(self.hyperparams.params))
        return super().learn(episode_data)


def tune_in_loop(
    task: TuningTask,
    optimizer: BaseOptimizer,
    start: Mapping[str, float],
    num_windows: int,
    seed: int,
    folder: str | Path,
    scheduler: BackoffScheduler | None = None,
) -> list[dict[str, float]]:
    """Run the loop and return the hyperparameters of each ``learn``.

    Args:
        task: Gives the scores, by the hyperparameters of the last ``learn``.
        optimizer: Tunes.
        start: Hyperparameters to start with.
        num_windows: How many windows to run.
        seed: Source of the noise.
        folder: Where champions are kept.
        scheduler: When to suggest; default: after every window, for ever.
    """
    rng = np.random.default_rng(seed)
    agent = TunedAgent(dict(start))
    pipeline = ScriptedPipeline(
        lambda window: task.score(window, agent.learned_under[-1] if agent.learned_under else start, rng)
    )
    LoopController(
        agent,
        RewardEvaluator(),
        optimizer,
        pipeline,
        CheckpointRegistry(str(folder), max_snapshots=2),
        scheduler or BackoffScheduler(plateau_threshold=_NEVER, dormant_threshold=_NEVER),
        max_episodes=num_windows,
        seed=seed,
        report_episodes=0,
    ).run()
    return agent.learned_under
