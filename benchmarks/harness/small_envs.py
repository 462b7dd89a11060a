"""Environments that an agent masters in seconds, or not at all if something in it is wrong."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from tensor_optix.exceptions import UnsupportedSpaceError

PIXEL_ON = 255


class IdentityEnv(gym.Env[Any, Any]):
    """Asks for the action that it shows: a step is worth 1 where all of it is right.

    Shown are one-hot vectors for choices, bits for bits, and places between -1 and 1 in a Box, all in
    one vector. A step is worth the share of choices or bits that are right, or 1 minus the mean
    distance in a Box. Nothing lasts: whatever is learned is learned from single steps.

    Args:
        action_space: Discrete, MultiDiscrete, MultiBinary or a bounded Box.
        length: Steps of an episode; it ends by truncation.

    Raises:
        UnsupportedSpaceError: The space is of another kind.
    """

    def __init__(self, action_space: gym.Space[Any], length: int = 20) -> None:
        self.action_space = action_space
        self._length = length
        self._time = 0
        self._wanted: Any = None
        size = len(self._shown(action_space.sample()))
        self.observation_space = gym.spaces.Box(-1.0, 1.0, (size,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode."""
        super().reset(seed=seed)
        if seed is not None:
            self.action_space.seed(seed)
        self._time = 0
        return self._ask(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Reward the answer and ask the next question."""
        self._time += 1
        reward = self._worth(action)
        return self._ask(), reward, False, self._time >= self._length, {}

    def _ask(self) -> Any:
        self._wanted = self.action_space.sample()
        return self._shown(self._wanted)

    def _worth(self, action: Any) -> float:
        if isinstance(self.action_space, gym.spaces.Box):
            distance = np.abs(self._shown(np.asarray(action)) - self._shown(self._wanted))
            return 1.0 - float(np.mean(distance))
        return float(np.mean(np.asarray(action) == np.asarray(self._wanted)))

    def _shown(self, action: Any) -> Any:
        space = self.action_space
        if isinstance(space, gym.spaces.Discrete):
            return np.eye(space.n, dtype=np.float32)[action - space.start]
        if isinstance(space, gym.spaces.MultiDiscrete):
            options = (action - getattr(space, "start", 0)).reshape(-1)
            hot = [np.eye(n, dtype=np.float32)[k] for n, k in zip(space.nvec.reshape(-1), options, strict=True)]
            return np.concatenate(hot)
        if isinstance(space, gym.spaces.MultiBinary):
            return action.reshape(-1).astype(np.float32)
        if isinstance(space, gym.spaces.Box):
            share = (action - space.low) / (space.high - space.low)
            return (2.0 * share - 1.0).reshape(-1).astype(np.float32)
        raise UnsupportedSpaceError(
            f"IdentityEnv asks for Discrete, MultiDiscrete, MultiBinary or Box actions. Received: {space}."
        )


class AnswerEnv(gym.Env[Any, Any]):
    """Shows one of four states, one-hot, and asks for the action that belongs to it; what is done changes nothing else.

    An episode has a fixed length that is not shown. A Discrete answer is worth ``offset`` where it is wrong and
    ``scale`` more where it is right; one in a Box ``scale`` times what its distance from the right one leaves of 1.

    Args:
        length: Steps of an episode.
        terminates: Whether it ends by termination, or by truncation.
        offset: What every step is worth.
        scale: What a right answer is worth beyond that.
        is_box: Whether answers are places between -1 and 1, or one of four.
    """

    RIGHT_ACTIONS = (2, 0, 3, 1)
    RIGHT_PLACES = (-0.6, 0.2, 0.6, -0.2)
    NEAR = 0.2
    """A place so near is right."""

    def __init__(
        self,
        length: int = 20,
        *,
        terminates: bool = False,
        offset: float = 0.0,
        scale: float = 1.0,
        is_box: bool = False,
    ) -> None:
        self._length, self._terminates, self._offset, self._scale = length, terminates, offset, scale
        self._is_box = is_box
        self.observation_space = gym.spaces.Box(0.0, 1.0, (4,), np.float32)
        self.action_space = gym.spaces.Box(-1.0, 1.0, (1,), np.float32) if is_box else gym.spaces.Discrete(4)
        self._state = self._time = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode in any state."""
        super().reset(seed=seed)
        self._time = 0
        return self._show(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Reward the answer and show any state."""
        self._time += 1
        reward = self._offset + self._scale * self._worth(self._state, action)
        ended = self._time >= self._length
        return self._show(), reward, ended and self._terminates, ended and not self._terminates, {}

    def share_right(self, act: Any) -> float:
        """Return the share of states that ``act(observation)`` answers right."""
        shown = np.eye(4, dtype=np.float32)
        least = 1.0 - self.NEAR if self._is_box else 1.0
        return float(np.mean([self._worth(state, act(shown[state])) >= least for state in range(4)]))

    def _show(self) -> Any:
        self._state = int(self.np_random.integers(4))
        return np.eye(4, dtype=np.float32)[self._state]

    def _worth(self, state: int, action: Any) -> float:
        if self._is_box:
            return 1.0 - abs(float(np.asarray(action).reshape(())) - self.RIGHT_PLACES[state])
        return float(int(action) == self.RIGHT_ACTIONS[state])


class CatchEnv(gym.Env[Any, Any]):
    """A ball falls, a paddle of one pixel moves below it: 1 for a catch, -1 for a miss, seen as an image.

    The observation is ``[rows, columns, 1]`` uint8. Actions are left, stay and right. An episode
    takes as many steps as there are rows, less one; only its last step has a reward. See "Behaviour
    Suite for Reinforcement Learning" (Osband et al., 2020).

    Args:
        rows: Height.
        columns: Width.
    """

    def __init__(self, rows: int = 8, columns: int = 5) -> None:
        self._rows, self._columns = rows, columns
        self.observation_space = gym.spaces.Box(0, PIXEL_ON, (rows, columns, 1), np.uint8)
        self.action_space = gym.spaces.Discrete(3)
        self._ball, self._row, self._paddle = 0, 0, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        """Put the ball somewhere at the top and the paddle in the middle."""
        super().reset(seed=seed)
        self._ball, self._row, self._paddle = int(self.np_random.integers(self._columns)), 0, self._columns // 2
        return self._image(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Move the paddle and let the ball fall by a row."""
        self._paddle = int(np.clip(self._paddle + int(action) - 1, 0, self._columns - 1))
        self._row += 1
        landed = self._row == self._rows - 1
        reward = (1.0 if self._paddle == self._ball else -1.0) if landed else 0.0
        return self._image(), reward, landed, False, {}

    def _image(self) -> Any:
        image = np.zeros((self._rows, self._columns, 1), np.uint8)
        image[self._row, self._ball] = PIXEL_ON
        image[-1, self._paddle] = PIXEL_ON
        return image
