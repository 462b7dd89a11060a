"""One window while it is being filled, and the episodes that end in it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from tensor_optix.core.types import EpisodeData
from tensor_optix.exceptions import EnvironmentFailureError, NonFiniteError
from tensor_optix.pipeline.stepping.env_guard import EnvGuard
from tensor_optix.pipeline.stepping.space_layout import (
    Layout,
    Writer,
    copy_of,
    is_finite,
    leaves,
    map_leaves,
    reader,
    writer,
)


class BadStepError(EnvironmentFailureError):
    """An environment gave a value that is no usable number.

    Attributes:
        num_good: Steps of the window before the one that gave it.
    """

    def __init__(self, message: str, num_good: int) -> None:
        super().__init__(message)
        self.num_good = num_good


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
        self.own_rewards: npt.NDArray[np.float64] | None = None
        self.terminated = np.zeros((num_steps, *batch), np.bool_)
        self.truncated = np.zeros((num_steps, *batch), np.bool_)
        self.valid: npt.NDArray[np.bool_] | None = None
        self.infos: list[Any] = []
        self.restarts: list[int] = []
        self._ended_before: npt.NDArray[np.bool_] | None = None
        self._observations = layout.allocate(num_steps + 1, *batch)
        self._actions: Any = None
        self._successors: list[tuple[Any, Any]] = []
        self._initial_states: Any = None
        self.masks: npt.NDArray[np.bool_] | None = None
        self._final_masks: list[tuple[Any, npt.NDArray[np.bool_]]] = []
        self.put_observation = writer(self._observations)
        self.observation = reader(self._observations)

    def open_actions(self, layout: Layout) -> Writer:
        """Make room for actions of this layout, unless there is, and return how to put one."""
        if self._actions is None:
            self._actions = layout.allocate(self.num_steps, *self.batch)
        return writer(self._actions)

    def begin_with(self, states: Any) -> None:
        """Take what whoever acts remembers at the first step; later in the window it is known from there on."""
        if self.num_taken == 0:
            self._initial_states = states

    def open_masks(self, size: int) -> npt.NDArray[np.bool_]:
        """Return where the masks of observations go, ``[T + 1, A]`` or ``[T + 1, N, A]``."""
        if self.masks is None:
            self.masks = np.ones((self.num_steps + 1, *self.batch, size), np.bool_)
        return self.masks

    def keep_final_mask(self, index: Any, mask: npt.NDArray[np.bool_]) -> None:
        """Remember the mask of the true successor at ``index``, as :meth:`keep_successor` does the successor."""
        self._final_masks.append((index, mask.copy()))

    def open_own_rewards(self) -> npt.NDArray[np.float64]:
        """Return where the environment's own rewards go, from which returns are told."""
        if self.own_rewards is None:
            self.own_rewards = np.zeros_like(self.rewards)
        return self.own_rewards

    @property
    def told_rewards(self) -> npt.NDArray[np.float64]:
        """What returns are summed from."""
        return self.rewards if self.own_rewards is None else self.own_rewards

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

    def note_ended(self, ended_before: npt.NDArray[np.bool_]) -> None:
        """Remember which environments had ended before the first step, ``[N]``.

        Those of an environment that takes over later had not.
        """
        if self._ended_before is None:
            self._ended_before = ended_before

    def mask_resets(self) -> None:
        """Mark the steps after an end as ones that only reset (next-step autoreset)."""
        self.valid = np.ones((self.num_steps, *self.batch), np.bool_)
        if self._ended_before is not None:
            self.valid[0] = ~self._ended_before
        self.valid[1:] = ~self.dones[:-1]
        self.valid[self.restarts] = True
        resets = ~self.valid
        self.rewards[resets] = self.told_rewards[resets] = 0.0
        self.terminated[resets] = False
        self.truncated[resets] = False

    def cut(self) -> None:
        """Truncate every environment that is still running at the end of the window."""
        self._cut_after(-1)

    @property
    def num_taken(self) -> int:
        """Steps taken so far."""
        return len(self.infos)

    def begin_anew(self, num_good: int) -> None:
        """Keep the first ``num_good`` steps: another environment takes the others' place.

        What ran there was cut: the last good step bootstraps from the observation it led to.
        """
        del self.infos[num_good:]
        self.valid = None
        for array in (self.rewards, self.told_rewards, self.terminated, self.truncated):
            array[num_good:] = 0
        self._successors = [(at, seen) for at, seen in self._successors if _step_of(at) < num_good]
        self._final_masks = [(at, mask) for at, mask in self._final_masks if _step_of(at) < num_good]
        if num_good > 0:
            self._keep_running_successors(num_good - 1)
        self.restarts = [*(t for t in self.restarts if t < num_good), num_good]

    def _keep_running_successors(self, t: int) -> None:
        if not self.batch:
            if not self.dones[t]:
                self.keep_successor(t, self.observation(t + 1))
            return
        read = reader(self.observation(t + 1))
        known = {at for at, _ in self._successors}
        for n in range(self.batch[0]):
            if (t, n) not in known:
                self.keep_successor((t, n), read(n))

    def cut_at_restarts(self) -> None:
        """Truncate what ran when another environment took over."""
        for t in self.restarts:
            if t > 0:
                self._cut_after(t - 1)

    def _cut_after(self, t: int) -> None:
        running = ~self.terminated[t]
        self.truncated[t] |= running if self.valid is None else running & self.valid[t]

    def check_finite(self, guard: EnvGuard) -> None:
        """Raise if an action, reward or observation taken so far is NaN or infinite.

        Raises:
            NonFiniteError: The agent gave such an action: names the step and the environment.
            BadStepError: The environment gave such a value: names which, the step and the environment.
        """
        found = [bad for bad in self._searched() if bad is not None]
        if not found:
            return
        t, what, where = min(found, key=lambda bad: bad[0])
        first_step = guard.steps_taken - self.num_taken + 1
        if what == "an action":
            raise NonFiniteError(
                f"The agent gave environment {guard.name} an action that is NaN or infinite at step "
                f"{first_step + t}{where}. Nothing was learned from it; look into the agent's weights and its act()."
            )
        raise BadStepError(str(guard.not_finite(what, f" at step {first_step + t}{where}")), max(t, 0))

    def _searched(self) -> Iterator[tuple[int, str, str] | None]:
        """Yield where each kind of value is not finite first, as (step, what, which environment)."""
        taken = self.num_taken
        for leaf in () if self._actions is None else leaves(self._actions):
            yield self._first_bad("an action", leaf[:taken], 0)
        yield self._first_bad("a reward", self.rewards[:taken], 0)
        for leaf in leaves(self._observations):
            yield self._first_bad("an observation", leaf[: taken + 1], -1)
        for at, successor in self._successors:
            if not is_finite(successor):
                yield _step_of(at), "an observation", ", where an episode ended"

    def _first_bad(self, what: str, array: npt.NDArray[Any], offset: int) -> tuple[int, str, str] | None:
        if array.dtype.kind not in "fc" or np.isfinite(array).all():
            return None
        index = np.argwhere(~np.isfinite(array))[0]
        return int(index[0]) + offset, what, f", environment {index[1]} of {self.batch[0]}" if self.batch else ""

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
            action_masks=None if self.masks is None else self.masks[:-1],
            next_action_masks=self._next_masks(),
            initial_states=self._initial_states,
        )

    def _next_masks(self) -> npt.NDArray[np.bool_] | None:
        if self.masks is None:
            return None
        following = self.masks[1:].copy()
        for index, mask in self._final_masks:
            following[index] = mask
        return following

    def _next_observations(self) -> Any:
        following = map_leaves(lambda leaf: leaf[1:].copy(), self._observations)
        put = writer(following)
        for index, observation in self._successors:
            put(index, observation)
        return following


class EpisodeReturns:
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
        rewards, dones = window.by_env(window.told_rewards), window.by_env(window.dones)
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


def _step_of(index: Any) -> int:
    return int(index[0] if isinstance(index, tuple) else index)
