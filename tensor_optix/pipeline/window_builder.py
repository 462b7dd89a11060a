"""One window while it is being filled."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tensor_optix.core.types import EpisodeData
from tensor_optix.pipeline.env_guard import EnvGuard
from tensor_optix.pipeline.space_layout import Layout, Writer, copy_of, is_finite, leaves, map_leaves, reader, writer


class WindowBuilder:
    """Arrays of one window, time-major, and what becomes of them at its end.

    A collector puts observation 0, then per step the action, reward, flags and info, and
    observation ``t + 1``. Where that one is already the next episode's first, it hands the true
    successor to ``keep_successor``.

    Args:
        layout: Layout of one environment's observation.
        num_steps: T.
        batch: ``()`` for one environment, ``(N,)`` for a vector environment.
    """

    def __init__(self, layout: Layout, num_steps: int, batch: tuple[int, ...] = ()) -> None:
        self.num_steps = num_steps
        self.batch = batch
        self.rewards = np.zeros((num_steps, *batch))
        self.terminated = np.zeros((num_steps, *batch), np.bool_)
        self.truncated = np.zeros((num_steps, *batch), np.bool_)
        self.valid: npt.NDArray[np.bool_] | None = None
        self.infos: list[Any] = []
        self._observations = layout.allocate(num_steps + 1, *batch)
        self._actions: Any = None
        self._successors: list[tuple[Any, Any]] = []
        self.put_observation = writer(self._observations)
        self.observation = reader(self._observations)

    def open_actions(self, layout: Layout) -> Writer:
        """Make room for actions of this layout and return how to put one."""
        self._actions = layout.allocate(self.num_steps, *self.batch)
        return writer(self._actions)

    def keep_successor(self, index: Any, observation: Any) -> None:
        """Remember the true successor at ``index`` (``t`` or ``(t, n)``), before a reset hides it."""
        self._successors.append((index, copy_of(observation)))

    @property
    def dones(self) -> npt.NDArray[np.bool_]:
        """Terminated or truncated."""
        return self.terminated | self.truncated

    def by_env(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return a view ``[T, N]`` of ``[T]`` or ``[T, N]``."""
        return array if self.batch else array[:, None]

    def mask_resets(self, ended_before: npt.NDArray[np.bool_]) -> None:
        """Mark the steps after an end as ones that only reset (next-step autoreset).

        Args:
            ended_before: Which environments ended with the last step before this window, ``[N]``.
        """
        self.valid = np.ones((self.num_steps, *self.batch), np.bool_)
        self.valid[0] = ~ended_before
        self.valid[1:] = ~self.dones[:-1]
        resets = ~self.valid
        self.rewards[resets] = 0.0
        self.terminated[resets] = False
        self.truncated[resets] = False

    def cut(self) -> None:
        """Truncate every environment that is still running at the end of the window."""
        running = ~self.terminated[-1]
        self.truncated[-1] |= running if self.valid is None else running & self.valid[-1]

    def check_finite(self, guard: EnvGuard) -> None:
        """Raise if a reward or observation taken so far is NaN or infinite.

        Raises:
            EnvironmentFailureError: Names which, the step and the environment.
        """
        taken = len(self.infos)
        first_step = guard.num_steps - taken + 1
        checks: list[tuple[str, Any, int]] = [("a reward", self.rewards[:taken], 0)]
        checks += [("an observation", leaf[: taken + 1], -1) for leaf in leaves(self._observations)]
        for what, array, offset in checks:
            if array.dtype.kind not in "fc" or np.isfinite(array).all():
                continue
            index = np.argwhere(~np.isfinite(array))[0]
            env = f", environment {index[1]} of {self.batch[0]}" if self.batch else ""
            raise guard.not_finite(what, f" at step {first_step + index[0] + offset}{env}")
        for where, successor in self._successors:
            t = where[0] if isinstance(where, tuple) else where
            if not is_finite(successor):
                raise guard.not_finite("an observation", f" at step {first_step + t}, where an episode ended")

    def build(
        self, episode_id: int, returns: npt.NDArray[Any], lengths: npt.NDArray[Any], metadata: dict[str, Any]
    ) -> EpisodeData:
        """Return the finished window."""
        return EpisodeData(
            observations=map_leaves(lambda leaf: leaf[:-1], self._observations),
            actions=self._actions,
            rewards=self.rewards,
            terminated=self.terminated,
            truncated=self.truncated,
            infos=self.infos,
            episode_id=episode_id,
            metadata=metadata,
            next_observations=self._next_observations(),
            valid=self.valid,
            completed_returns=returns,
            completed_lengths=lengths,
        )

    def _next_observations(self) -> Any:
        following = map_leaves(lambda leaf: leaf[1:].copy(), self._observations)
        put = writer(following)
        for index, observation in self._successors:
            put(index, observation)
        return following
