"""Environments that show what matters for a while only: without memory they cannot be mastered."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from harness.small_envs import CatchEnv


class PositionsOnly(gym.ObservationWrapper[Any, Any, Any]):
    """CartPole-v1 whose velocities are hidden: the cart's place and the pole's angle are what is seen."""

    def __init__(self) -> None:
        super().__init__(gym.make("CartPole-v1"))
        space: Any = self.env.observation_space
        self.observation_space = gym.spaces.Box(space.low[::2], space.high[::2], dtype=np.float32)

    def observation(self, observation: Any) -> Any:
        """Return every other number."""
        return observation[::2]


class BriefCatchEnv(CatchEnv):
    """Catch whose ball is shown in the first frames only.

    Args:
        rows: Height.
        columns: Width.
        num_shown: How many frames show the ball.
    """

    def __init__(self, rows: int = 8, columns: int = 5, num_shown: int = 2) -> None:
        super().__init__(rows, columns)
        self._num_shown = num_shown

    def _image(self) -> Any:
        image = super()._image()
        if self._row >= self._num_shown and (self._row, self._ball) != (self._rows - 1, self._paddle):
            image[self._row, self._ball] = 0
        return image


class TMaze(gym.Env[Any, Any]):
    """A corridor that ends in a junction: which way is right is shown at its beginning, and nowhere else.

    Shown are the sign (-1 or 1 at the beginning, else 0), and whether one stands at the beginning, and at the
    junction. Actions are forward, up and down; up and down do nothing in the corridor. The right way at the junction is
    worth 1, the wrong one nothing, and both end the episode. See "Reinforcement Learning with Long Short-Term Memory"
    (Bakker, 2001).

    Args:
        length: Steps from the beginning to the junction.
    """

    def __init__(self, length: int = 30) -> None:
        self.observation_space = gym.spaces.Box(-1.0, 1.0, (3,), np.float32)
        self.action_space = gym.spaces.Discrete(3)
        self._length, self._place, self._sign, self._time = length, 0, 1, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        """Begin where the sign is shown."""
        super().reset(seed=seed)
        self._place, self._time = 0, 0
        self._sign = 1 if self.np_random.random() < 0.5 else -1
        return self._seen(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Go on, or choose a way; after five times the length of the corridor the episode is cut."""
        self._time += 1
        at_junction = self._place == self._length
        chosen = at_junction and int(action) != 0
        reward = float(chosen and (int(action) == 1) == (self._sign == 1))
        self._place = min(self._length, self._place + (int(action) == 0))
        return self._seen(), reward, chosen, not chosen and self._time >= 5 * self._length, {}

    def _seen(self) -> Any:
        at_start, at_junction = self._place == 0, self._place == self._length
        return np.array([self._sign if at_start else 0, at_start, at_junction], np.float32)
