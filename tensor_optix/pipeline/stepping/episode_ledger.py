"""Whole returns and lengths of episodes, also of those that span several windows."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from tensor_optix.pipeline.stepping.window_builder import WindowBuilder


class EpisodeLedger:
    """Sums rewards per environment until an episode ends.

    Sums run step by step in float64, so a return does not depend on where windows were cut.

    Args:
        num_envs: N, how many environments step together.
    """

    def __init__(self, num_envs: int = 1) -> None:
        self._returns = np.zeros(num_envs)
        self._lengths = np.zeros(num_envs, np.int64)

    def forget(self) -> None:
        """Drop the running episodes: they were cut."""
        self._returns[:] = 0.0
        self._lengths[:] = 0

    def update_window(self, window: WindowBuilder) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Take a finished window; what ran when another environment took over is dropped."""
        rewards, dones = window.by_env(window.rewards), window.by_env(window.dones)
        valid = None if window.valid is None else window.by_env(window.valid)
        if not window.restarts:
            return self.update(rewards, dones, valid)
        ended = []
        for start, end in itertools.pairwise([0, *window.restarts, window.num_steps]):
            if start in window.restarts:
                self.forget()
            ended.append(self.update(rewards[start:end], dones[start:end], None if valid is None else valid[start:end]))
        returns, lengths = zip(*ended, strict=True)
        return np.concatenate(returns), np.concatenate(lengths)

    def update(
        self, rewards: npt.NDArray[np.float64], dones: npt.NDArray[np.bool_], valid: npt.NDArray[np.bool_] | None
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Take one window and return the episodes that ended in it, in order of time.

        Args:
            rewards: ``[T, N]``, 0 on steps that only reset.
            dones: ``[T, N]``, False on steps that only reset.
            valid: ``[T, N]``, False on steps that only reset; None: all valid.

        Returns:
            Returns and lengths, ``[num_ended]`` each.
        """
        returns: list[float] = []
        lengths: list[int] = []
        start = 0
        for t in np.flatnonzero(dones.any(axis=1)).tolist():
            self._add(rewards[start : t + 1], None if valid is None else valid[start : t + 1])
            start = t + 1
            for n in np.flatnonzero(dones[t]).tolist():
                returns.append(float(self._returns[n]))
                lengths.append(int(self._lengths[n]))
                self._returns[n] = 0.0
                self._lengths[n] = 0
        if start < len(rewards):
            self._add(rewards[start:], None if valid is None else valid[start:])
        return np.array(returns, np.float64), np.array(lengths, np.int64)

    def _add(self, rewards: npt.NDArray[np.float64], valid: npt.NDArray[np.bool_] | None) -> None:
        self._lengths += len(rewards) if valid is None else valid.sum(axis=0)
        if len(rewards) == 1:
            self._returns += rewards[0]
            return
        # accumulate, not sum: NumPy's sum is pairwise and would depend on the length of the block
        block = rewards.copy()
        block[0] += self._returns
        self._returns[:] = np.add.accumulate(block, axis=0)[-1]
