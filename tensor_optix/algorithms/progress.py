"""How far an off-policy learner has come, and what of it is saved beside variables and replay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tensor_optix.adapters.tensorflow.saving.state_checks import check_counts
from tensor_optix.algorithms.replay.replay_buffer import ReplayBuffer
from tensor_optix.core.storage.plain_state import require_like


class Progress:
    """How many env steps and gradient steps there were, and which gradient steps are due.

    Attributes:
        env_steps: Steps stored.
        exploration_steps: Where the exploration schedule stands, in env steps.
        gradient_steps: Gradient steps taken.
    """

    def __init__(self) -> None:
        self.env_steps = 0
        self.exploration_steps = 0
        self.gradient_steps = 0
        self._credit_steps = 0

    def advance(self, num_steps: int, learning_starts: int, train_frequency: int, gradient_steps: int) -> int:
        """Count ``num_steps`` env steps and return how many gradient steps they bring.

        ``gradient_steps`` for every ``train_frequency`` env steps after the first ``learning_starts``;
        what is left over counts with the next window.
        """
        self.env_steps += num_steps
        self.exploration_steps += num_steps
        self._credit_steps += min(num_steps, max(0, self.env_steps - learning_starts))
        rounds, self._credit_steps = divmod(self._credit_steps, train_frequency)
        return rounds * gradient_steps

    def state_dict(self) -> dict[str, int]:
        """Return all counts."""
        return dict(vars(self))

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Become what :meth:`state_dict` returned."""
        for name in vars(self):
            setattr(self, name, int(state[name]))


class LearnerState:
    """What an off-policy learner goes on from, apart from variables.

    The replay is forgotten in a changed world, but saved by itself: it is large.

    Args:
        progress: The counts.
        rng: What else the learner draws from.
        replay: What it remembers.
    """

    def __init__(self, progress: Progress, rng: np.random.Generator, replay: ReplayBuffer) -> None:
        self._progress = progress
        self._rng = rng
        self._replay = replay

    def on_world_change(self) -> None:
        """Forget the steps of the old world."""
        self._replay.clear()

    def reseed(self, rng: np.random.Generator) -> None:
        """Draw what ``rng`` would; whoever shares the generator follows."""
        self._rng.bit_generator.state = rng.bit_generator.state

    def state_dict(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return arrays (none) and JSON-able values."""
        return {}, {"progress": self._progress.state_dict(), "generator": self._rng.bit_generator.state}

    def check_state(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        """Raise unless :meth:`load_state_dict` can take this."""
        require_like(meta, self.state_dict()[1], "learner")
        check_counts("learner", **meta["progress"])

    def load_state_dict(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        """Become what :meth:`state_dict` returned."""
        self._progress.load_state_dict(meta["progress"])
        self._rng.bit_generator.state = meta["generator"]
