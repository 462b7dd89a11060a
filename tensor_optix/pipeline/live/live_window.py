"""Collects the steps of a live feed into one window."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensor_optix.core.types import EpisodeData
from tensor_optix.pipeline.live.step_queue import LiveStep
from tensor_optix.pipeline.stepping.space_layout import stack


class LiveWindow:
    """The steps of a window that is not finished yet.

    Attributes:
        follows_gap: Whether steps are missing between the window before and this one.
    """

    def __init__(self) -> None:
        self.follows_gap = False
        self._steps: list[LiveStep] = []

    def __len__(self) -> int:
        return len(self._steps)

    @property
    def elapsed_seconds(self) -> float:
        """Time from the first step's observation to the last step's successor, by the feed's clock."""
        return self._steps[-1].arrived_at - self._steps[0].started_at if self._steps else 0.0

    @property
    def last_observation(self) -> Any:
        """What the feed showed last."""
        return self._steps[-1].next_observation

    @property
    def ends_episode(self) -> bool:
        """Whether the last step ended an episode, or was cut off by a gap."""
        return bool(self._steps) and (self._steps[-1].terminated or self._steps[-1].truncated)

    def append(self, step: LiveStep) -> None:
        """Add the next step."""
        self._steps.append(step)

    def cut(self) -> None:
        """Note that steps are missing from here on: to a learner, the episode was truncated here."""
        if not self._steps:
            self.follows_gap = True
        elif not self.ends_episode:
            self._steps[-1].truncated = True

    def build(self, episode_id: int, metadata: dict[str, Any]) -> EpisodeData:
        """Return the window as arrays, ``[T, ...]`` each."""
        steps = self._steps
        ended = [step for step in steps if step.completed_return is not None]
        return EpisodeData(
            observations=stack([step.observation for step in steps]),
            actions=np.asarray([step.action for step in steps]),
            rewards=np.array([step.reward for step in steps], dtype=np.float64),
            terminated=np.array([step.terminated for step in steps], dtype=bool),
            truncated=np.array([step.truncated for step in steps], dtype=bool),
            infos=[step.info for step in steps],
            episode_id=episode_id,
            metadata=metadata,
            next_observations=stack([step.next_observation for step in steps]),
            completed_returns=np.array([step.completed_return for step in ended], dtype=np.float64),
            completed_lengths=np.array([step.completed_length for step in ended], dtype=np.int64),
            action_log_probs=_numbers([step.log_prob for step in steps], np.float64),
            policy_version=_numbers([step.policy_version for step in steps], np.int64),
        )


def _numbers(values: list[Any], dtype: type) -> np.ndarray | None:
    return None if any(value is None for value in values) else np.array(values, dtype=dtype)
