"""What off-policy algorithms remember: a ring of steps, from which n-step transitions are drawn.

A row of the ring is one observation. Most rows are steps, with action, reward and the number of the
row that holds the step's successor; a row without a step is the successor of one that was cut off
(truncated, at a barrier, or the newest so far). So each observation is kept once, not twice, and
n-step returns are worked out when they are drawn, with the discount of that moment.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from tensor_optix.adapters.tensorflow.learning.reward_units import RewardUnits
from tensor_optix.adapters.tensorflow.learning.window_steps import (
    RawSteps,
    flat_leaves,
    nested_like,
    read_raw_steps,
)
from tensor_optix.adapters.tensorflow.saving.state_checks import check_counts, check_generator, require_numbers
from tensor_optix.algorithms.replay.batch import Batch
from tensor_optix.algorithms.replay.mask_rows import MaskRows
from tensor_optix.algorithms.replay.memory import ChunkedArray
from tensor_optix.algorithms.replay.priorities import Priorities, priority_bytes
from tensor_optix.core.checks import check_int
from tensor_optix.core.mask_layout import MaskLayout
from tensor_optix.core.storage.plain_state import as_type
from tensor_optix.core.types import EpisodeData
from tensor_optix.exceptions import InvalidArgumentError, StateMismatchError

_OWN_UNITS = RewardUnits()
_SMALL_COLUMNS = ("actions", "rewards", "terminated", "is_step", "successors")


class ReplayBuffer:
    """A ring buffer of steps from one or many environments, in the dtypes the environment gives.

    Steps that only reset are left out; sums never run over the end of an episode, a barrier, into a
    step whose action was another's (a log-probability that is NaN), or from one environment into
    another. A truncated step bootstraps from its true successor.

    Args:
        capacity: Rows. A step takes one; where an episode was truncated, its last observation one more.
        observation: One observation, for shapes and dtypes: an array, or a dict or tuple of them.
        action: One action.
        rng: Draws the batches; nothing else may draw from it.
        prioritised: Whether :meth:`sample` can draw in proportion to priorities; new steps get the
            largest priority so far. See "Prioritized Experience Replay" (Schaul et al., 2016).
        mask_layout: Of masks of what is allowed; None: windows' masks are not kept.

    Raises:
        InvalidArgumentError: ``capacity`` is below 1.

    Example:
        >>> buffer = ReplayBuffer(1000, np.zeros(4, np.float32), np.int64(0), np.random.default_rng(0))
        >>> observations, zeros, ones = np.zeros((200, 4), np.float32), np.zeros(200, np.int64), np.ones(200)
        >>> window = EpisodeData(observations, zeros, ones, zeros, zeros, [], 0, next_observations=observations)
        >>> buffer.add(window)
        200
        >>> buffer.sample(32, num_steps=3, gamma=0.99).returns.shape
        (32,)
    """

    def __init__(
        self,
        capacity: int,
        observation: Any,
        action: Any,
        rng: np.random.Generator,
        *,
        prioritised: bool = False,
        mask_layout: MaskLayout | None = None,
    ) -> None:
        check_int("capacity", capacity, at_least=1)
        self.capacity = int(capacity)
        self._example = observation
        self._rng = rng
        parts = [np.asarray(part) for part in flat_leaves(observation, observation)]
        self._observations = [ChunkedArray(self.capacity, part.shape, part.dtype) for part in parts]
        action = np.asarray(action)
        self._actions = np.zeros((self.capacity, *action.shape), action.dtype)
        self._rewards = np.zeros(self.capacity, np.float32)
        self._terminated = np.zeros(self.capacity, np.bool_)
        self._is_step = np.zeros(self.capacity, np.bool_)
        self._successors = np.zeros(self.capacity, np.int64)
        self._masks = MaskRows(self.capacity, mask_layout)
        self._priorities = Priorities(self.capacity) if prioritised else None
        self.clear()

    # ---------------------------------------------------------------- size

    def __len__(self) -> int:
        """Return the number of steps that can be drawn."""
        return self._num_steps

    @property
    def rows_written(self) -> int:
        """How many rows were written since it was empty, those written over since among them."""
        return self._num_written

    @property
    def is_prioritised(self) -> bool:
        """Whether priorities are kept."""
        return self._priorities is not None

    @property
    def memory_bytes(self) -> int:
        """Bytes that the full buffer takes."""
        return memory_bytes(self.capacity, self._example, self._actions[0], prioritised=self.is_prioritised)

    def clear(self) -> None:
        """Forget all steps."""
        for part in self._observations:
            part.clear()
        self._masks.clear()
        self._is_step[:] = False
        self._successors[:] = 0
        self._num_steps = 0
        self._num_written = 0
        self._tails = np.zeros(0, np.int64)
        self._last_window: int | None = None
        if self._priorities is not None:
            self._priorities.clear()

    # ---------------------------------------------------------------- writing

    def add(self, window: EpisodeData) -> int:
        """Take in the steps of a window and return how many there were.

        A window that begins with the successors of the one before goes on with its episodes. Steps
        whose successor is not told (no ``next_observations``) are left out.

        Raises:
            NonFiniteError: An observation, action or reward is NaN or infinite; nothing was stored.
            InvalidArgumentError: The window holds more than the buffer.
        """
        steps = read_raw_steps(window, self._example, self._masks.layout)
        joined = self._joins(steps)
        starts_row = steps.valid.copy()
        starts_row[0] &= ~joined
        counts = starts_row.astype(np.int64) + steps.needs_end
        first = (np.cumsum(counts) - counts.ravel()).reshape(counts.shape) + self._num_written
        step_at = first.copy()
        step_at[0, joined] = self._tails[joined]
        end_at = first + starts_row
        total = int(counts.sum())
        if total > self.capacity:
            raise InvalidArgumentError(
                f"A window of {steps.valid.size} steps needs {total} rows, but the replay buffer holds "
                f"{self.capacity}. Make the buffer larger, at least twice a window, or the windows shorter."
            )
        self._write(steps, step_at, end_at, starts_row, total)
        self._num_written += total
        runs_on = steps.needs_end[-1] & ~steps.truncated[-1]
        self._tails = np.where(runs_on, end_at[-1], -1)
        self._last_window = window.episode_id
        return int(steps.is_step.sum())

    def _joins(self, steps: RawSteps) -> np.ndarray:
        """Tell for each environment whether its first step goes on from the newest row, ``[N]`` bool."""
        num_envs = steps.valid.shape[1]
        follows = len(self._tails) == num_envs and steps.window_id == (self._last_window or 0) + 1
        if not follows or steps.fresh_start:
            self._tails = np.full(num_envs, -1)
        # Not where this window may overwrite the row it would go on from.
        most_rows = int(steps.valid.sum() + steps.needs_end.sum())
        alive = self._num_written + most_rows - self._tails <= self.capacity
        joined: np.ndarray = (self._tails >= 0) & alive & steps.valid[0] & ~steps.by_others[0]
        places = np.flatnonzero(joined)
        if len(places):
            newest = self._tails[places] % self.capacity
            for stored, seen in zip(self._observations, steps.observations, strict=True):
                same = stored.take(newest) == seen[0, places]
                joined[places] &= same.reshape(len(places), -1).all(axis=1)
        return joined

    def _write(
        self, steps: RawSteps, step_at: np.ndarray, end_at: np.ndarray, starts_row: np.ndarray, total: int
    ) -> None:
        overwritten = np.arange(self._num_written, self._num_written + total) % self.capacity
        self._num_steps -= int(self._is_step[overwritten].sum())
        self._is_step[overwritten] = False
        step_rows, end_rows = step_at % self.capacity, end_at % self.capacity
        for i, stored in enumerate(self._observations):
            stored.put(step_rows[starts_row], steps.observations[i][starts_row])
            if steps.needs_end.any():
                stored.put(end_rows[steps.needs_end], steps.successors[i][steps.needs_end])
        self._masks.put(step_rows[steps.valid], None if steps.masks is None else steps.masks[steps.valid])
        told_after = steps.next_masks
        self._masks.put(end_rows[steps.needs_end], None if told_after is None else told_after[steps.needs_end])
        successors = step_rows.copy()  # of a terminated step: itself, never looked at
        successors[:-1][steps.follows] = step_rows[1:][steps.follows]
        successors[steps.needs_end] = end_rows[steps.needs_end]
        rows = step_rows[steps.is_step]
        self._actions[rows] = steps.actions[steps.is_step]
        self._rewards[rows] = steps.rewards[steps.is_step]
        self._terminated[rows] = steps.terminated[steps.is_step]
        self._successors[rows] = successors[steps.is_step]
        self._is_step[rows] = True
        self._num_steps += len(rows)
        if self._priorities is not None:
            self._priorities.remove(overwritten)
            self._priorities.put_new(rows)

    # ---------------------------------------------------------------- drawing

    def reseed(self, rng: np.random.Generator) -> None:
        """Draw batches from another generator."""
        self._rng = rng

    def sample(
        self,
        size: int,
        *,
        num_steps: int = 1,
        gamma: float = 0.99,
        units: RewardUnits = _OWN_UNITS,
        priority_exponent: float | None = None,
        importance_exponent: float = 0.0,
    ) -> Batch:
        """Draw transitions with replacement.

        Args:
            size: B.
            num_steps: n of the n-step returns.
            gamma: Discount per step.
            units: What rewards are summed in.
            priority_exponent: Steps are drawn with a probability in proportion to their priority to
                this power; None: uniformly.
            importance_exponent: To which power the importance weights correct for that.

        Raises:
            InvalidArgumentError: The buffer is empty, or keeps no priorities.
        """
        if self._num_steps == 0:
            raise InvalidArgumentError("The replay buffer holds no steps to draw from. Add a window first.")
        if priority_exponent is None:
            rows, weights = self._draw_uniformly(size), np.ones(size, np.float32)
        else:
            rows, weights = self._require_priorities().draw(
                self._rng, size, priority_exponent, importance_exponent, self._num_steps
            )
        last, returns, discounts = self._look_ahead(rows, num_steps, gamma, units)
        return Batch(
            rows=rows,
            observations=self._observations_at(rows),
            actions=self._actions[rows],
            returns=returns,
            discounts=discounts,
            next_observations=self._observations_at(last),
            weights=weights,
            next_masks=self._masks.take(last),
        )

    def update_priorities(self, rows: np.ndarray, errors: np.ndarray) -> None:
        """Set the priorities of drawn steps to their absolute errors ``[B]``; of repeated rows the last holds."""
        self._require_priorities().update(rows, errors)

    def _draw_uniformly(self, size: int) -> np.ndarray:
        num_rows = self._num_rows
        rows = self._rng.integers(0, num_rows, size)
        while True:
            # Rows without a step are few: one for each truncated episode and running environment.
            misses = np.flatnonzero(~self._is_step[rows])
            if not len(misses):
                return rows
            rows[misses] = self._rng.integers(0, num_rows, len(misses))

    def _require_priorities(self) -> Priorities:
        if self._priorities is None:
            raise InvalidArgumentError("This replay buffer keeps no priorities. Make it with prioritised=True.")
        return self._priorities

    def _look_ahead(
        self, rows: np.ndarray, num_steps: int, gamma: float, units: RewardUnits
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the row of ``o_{t+k}``, ``G_t`` and the discount for steps in these rows."""
        at, returns = rows, units.convert(self._rewards[rows], self._terminated[rows])
        discounts = np.full(len(rows), float(gamma))
        for _ in range(num_steps - 1):
            following = self._successors[at]
            goes_on = ~self._terminated[at] & self._is_step[following]
            at = np.where(goes_on, following, at)
            rewards = units.convert(self._rewards[at], self._terminated[at])
            returns = returns + np.where(goes_on, discounts * rewards, 0.0)
            discounts = np.where(goes_on, discounts * gamma, discounts)
        discounts = discounts * ~self._terminated[at]
        with np.errstate(over="ignore"):  # an infinite return is named where the gradients are checked
            return self._successors[at], returns.astype(np.float32), discounts.astype(np.float32)

    def _observations_at(self, rows: np.ndarray) -> Any:
        return nested_like(self._example, [stored.take(rows) for stored in self._observations])

    @property
    def _num_rows(self) -> int:
        return min(self._num_written, self.capacity)

    # ---------------------------------------------------------------- state

    def state_dict(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return arrays and JSON-able values that :meth:`load_state_dict` takes.

        Only rows that are filled. Observations are read-only views into the buffer, not copies: rows
        are replaced in copies of the pieces they show, so the views stay what they were.
        """
        arrays = {name: getattr(self, f"_{name}")[: self._num_rows].copy() for name in _SMALL_COLUMNS}
        arrays |= {"tails": self._tails.copy(), **self._masks.state_dict(self._num_rows)}
        for i, stored in enumerate(self._observations):
            arrays |= {f"observations_{i}.{k}": x for k, x in stored.state_dict(self._num_rows).items()}
        meta: dict[str, Any] = {
            "capacity": self.capacity,
            "num_written": self._num_written,
            "last_window": self._last_window,
            "generator": self._rng.bit_generator.state,
        }
        if self._priorities is not None:
            own, meta["priorities"] = self._priorities.state_dict(self._num_rows)
            arrays |= own
        return arrays, meta

    def check_state(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        """Raise unless :meth:`load_state_dict` can take this.

        Raises:
            StateMismatchError: It comes from a buffer of another size or other spaces, or says what none can.
        """
        _check_meta(meta)
        num_rows = min(int(meta["num_written"]), self.capacity)
        own = {name: (num_rows, *getattr(self, f"_{name}").shape[1:]) for name in _SMALL_COLUMNS}
        own |= {name: (num_rows,) for name in ("priorities", "powers") if self.is_prioritised}
        own |= self._masks.shapes(num_rows, arrays)
        others = ("tails", *(name for name in arrays if name.startswith("observations_")))
        saved = {name: array.shape for name, array in arrays.items() if name not in others}
        if meta["capacity"] != self.capacity or own != saved:
            raise StateMismatchError(
                f"The saved replay does not fit: capacity {meta['capacity']} with columns {saved}, here "
                f"{self.capacity} with {own}. Load it into an agent made with the same arguments."
            )
        for i, stored in enumerate(self._observations):
            stored.check_state(_below(f"observations_{i}.", arrays), num_rows)
        rows = {"successors": (0, num_rows - 1), "tails": (-1, meta["num_written"] - 1)}
        for name in (*_SMALL_COLUMNS, "tails"):
            own_type, (least, most) = getattr(self, f"_{name}").dtype, rows.get(name, (-math.inf, math.inf))
            # A row that is no step has no successor: what an emptied buffer left there says nothing.
            array = np.where(arrays["is_step"], arrays[name], 0) if name == "successors" else arrays[name]
            require_numbers(array, own_type, f"replay's {name!r}", least, most)
        if "masks" in arrays:
            require_numbers(arrays["masks"], np.uint8, "replay's 'masks'", 0, 255)
        if self._priorities is not None:
            self._priorities.check_state(arrays, meta.get("priorities"))

    def load_state_dict(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        """Become the buffer whose ``state_dict`` this is, and draw what that one would draw next."""
        self.check_state(arrays, meta)
        self.clear()
        self._num_written = int(meta["num_written"])
        self._last_window = meta["last_window"]
        self._rng.bit_generator.state = meta["generator"]
        self._tails = np.array(arrays["tails"])
        for name in _SMALL_COLUMNS:
            getattr(self, f"_{name}")[: self._num_rows] = arrays[name]
        self._masks.load_state_dict(arrays)
        self._num_steps = int(self._is_step.sum())
        for i, stored in enumerate(self._observations):
            stored.load_state_dict(_below(f"observations_{i}.", arrays))
        if self._priorities is not None:
            self._priorities.load_state_dict(arrays, meta["priorities"])


def _check_meta(meta: Any) -> None:
    hints = {"capacity": int, "num_written": int, "last_window": int | None, "generator": dict[str, Any]}
    found = as_type(meta, dict[str, Any], "replay")
    for name, hint in hints.items():
        as_type(found.get(name), hint, f"replay's {name}")
    check_counts("replay", num_written=found["num_written"])
    check_generator("replay", found["generator"])


def memory_bytes(capacity: int, observation: Any, action: Any, *, prioritised: bool = False) -> int:
    """Return the bytes that a full buffer takes, before it is made.

    Args:
        capacity: Rows.
        observation: One observation.
        action: One action.
        prioritised: Whether priorities are kept.
    """
    parts = [np.asarray(part) for part in (*flat_leaves(observation, observation), action)]
    row_bytes = sum(part.nbytes for part in parts) + 4 + 1 + 1 + 8
    return capacity * row_bytes + (priority_bytes(capacity) if prioritised else 0)


def _below(prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
