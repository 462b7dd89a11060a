"""The steps that ``TFAgent`` learns from: the newest window and what still counts of those before.

One window of 200 steps alone is mostly noise. So the last few windows are kept with the
log-probabilities under which their actions were taken, and every update sees all of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from tensor_optix.adapters.tensorflow.learning.window_steps import Steps
from tensor_optix.exceptions import StateMismatchError

_KINDS = {
    **dict.fromkeys(("terminated", "cut", "ended", "valid", "continues"), "b"),
    **dict.fromkeys(("rewards", "log_probs"), "f"),
    "lengths": "iu",
}
"""What is saved of steps beside observations and actions, and of which kinds of dtype it is."""

_OBSERVED = ("observations", "successors")
_MASKS = "masks"
_NOT_KEPT = ("fresh_start", "first", "initial_states")
"""What only a learner with memory reads, from one window at a time."""
_COLUMNS = tuple(field.name for field in fields(Steps) if field.name not in (*_OBSERVED, *_NOT_KEPT, _MASKS))


@dataclass(frozen=True)
class StepLayout:
    """What the steps of one agent look like.

    Attributes:
        shapes: Of each part of an observation; None stands for a free size.
        dtypes: In which each part is kept.
        action: One encoded action.
        mask_size: How many flags a mask of what is allowed has; None where there are no masks.
    """

    shapes: Sequence[tuple[int | None, ...]]
    dtypes: Sequence[Any]
    action: np.ndarray
    mask_size: int | None = None


class RecentSteps:
    """Keeps whole windows, as few as hold ``capacity`` steps, at least the newest one.

    Args:
        capacity: T x N steps wanted.
        layout: What the steps look like.
    """

    def __init__(self, capacity: int, layout: StepLayout) -> None:
        self._capacity = capacity
        self._layout = layout
        self._windows: deque[Steps] = deque()

    def __len__(self) -> int:
        return len(self._windows)

    def append(self, steps: Steps) -> None:
        """Add the newest window; where it goes on with the last one's episodes, join them.

        Windows of another number of environments cannot be learned from together: they are forgotten.
        """
        if self._windows and self._windows[-1].rewards.shape[1:] != steps.rewards.shape[1:]:
            self._windows.clear()
        if self._windows:
            _join(self._windows[-1], steps)
        self._windows.append(steps)
        while sum(s.size for s in self._windows) - self._windows[0].size >= self._capacity:
            self._windows.popleft()

    def forget_newest(self) -> None:
        """Remove the newest window again; the one before it ends where it ended."""
        self._windows.pop()
        if self._windows:
            self._windows[-1].continues[-1] = False

    def fill_log_probs(self, log_probs: np.ndarray) -> None:
        """Set the log-probabilities that are not known yet.

        Args:
            log_probs: One per step of :meth:`all`, ``[T, N]``.
        """
        start = 0
        for window in self._windows:
            end = start + len(window.rewards)
            window.log_probs = np.where(np.isnan(window.log_probs), log_probs[start:end], window.log_probs)
            start = end

    def clear(self) -> None:
        """Forget everything."""
        self._windows.clear()

    def all(self) -> Steps:
        """Return all steps as one, oldest first."""
        return _concatenate(list(self._windows))

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return arrays that :meth:`load_state_dict` takes."""
        if not self._windows:
            return {}
        steps = self.all()
        arrays = {name: getattr(steps, name) for name in _COLUMNS}
        for i, (seen, after) in enumerate(zip(steps.observations, steps.successors, strict=True)):
            arrays |= {f"observations_{i}": seen, f"successors_{i}": after}
        arrays["lengths"] = np.array([len(window.rewards) for window in self._windows])
        return arrays if steps.masks is None else {**arrays, _MASKS: steps.masks}

    def check_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Raise unless :meth:`load_state_dict` can take this.

        Raises:
            StateMismatchError: These are no steps ``[T, N]``, or steps of other observations or actions.
        """
        if not state:
            return
        kinds = {**_KINDS, "actions": self._layout.action.dtype.kind}
        kinds |= {_MASKS: "b"} if _MASKS in state else {}
        parts = {f"{name}_{i}" for name in _OBSERVED for i in range(len(self._layout.shapes))}
        if set(state) != {*kinds, *parts}:
            raise StateMismatchError(
                f"The saved recent steps hold {sorted(state)}; expected {sorted({*kinds, *parts})}."
            )
        for name, kind in kinds.items():
            if state[name].dtype.kind not in kind:
                raise StateMismatchError(f"The saved recent `{name}` are of {state[name].dtype}, which they cannot be.")
        steps = state["rewards"].shape
        if len(steps) != 2 or state["lengths"].ndim != 1 or int(state["lengths"].sum()) != steps[0]:
            raise StateMismatchError(
                f"The saved recent steps are of the shape {steps}, in windows of {state['lengths'].tolist()!r:.80}."
            )
        self._check_shapes(state, steps)

    def _check_shapes(self, state: Mapping[str, np.ndarray], steps: tuple[int, ...]) -> None:
        expected: dict[str, Any] = {
            "lengths": (len(state["lengths"]),),
            "actions": (*steps, *self._layout.action.shape),
        }
        expected |= {_MASKS: (*steps, self._layout.mask_size)} if _MASKS in state else {}
        ends = (int(state["cut"].sum()),)
        for i, (shape, dtype) in enumerate(zip(self._layout.shapes, self._layout.dtypes, strict=True)):
            for name, rows in ((f"observations_{i}", steps), (f"successors_{i}", ends)):
                found = state[name]
                expected[name] = (*rows, *_filled_in(shape, found.shape[len(rows) :]))
                if found.dtype != dtype:
                    raise StateMismatchError(
                        f"The saved recent `{name}` are of {found.dtype}; the model takes {dtype}."
                    )
        for name, array in state.items():
            if array.shape != expected.get(name, steps):
                raise StateMismatchError(
                    f"The saved recent `{name}` have the shape {array.shape}; expected {expected.get(name, steps)}."
                )

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        """Hold the windows whose ``state_dict`` this is."""
        self._windows.clear()
        if not state:
            return
        num_parts = sum(name.startswith("observations_") for name in state)
        ends = np.cumsum(state["lengths"])
        cuts = np.concatenate([[0], np.cumsum(state["cut"].sum(axis=tuple(range(1, state["cut"].ndim))))])
        for start, end in zip(ends - state["lengths"], ends, strict=True):
            rows, cut_rows = slice(start, end), slice(cuts[start], cuts[end])
            plain: dict[str, Any] = {name: state[name][rows].copy() for name in _COLUMNS}
            seen = [state[f"observations_{i}"][rows].copy() for i in range(num_parts)]
            after = [state[f"successors_{i}"][cut_rows].copy() for i in range(num_parts)]
            masks = None if _MASKS not in state else state[_MASKS][rows].copy()
            self._windows.append(Steps(observations=seen, successors=after, masks=masks, **plain))


def _concatenate(windows: Sequence[Steps]) -> Steps:
    joined: dict[str, Any] = {name: np.concatenate([getattr(w, name) for w in windows]) for name in _COLUMNS}
    for name in _OBSERVED:
        values = [getattr(window, name) for window in windows]
        joined[name] = [np.concatenate(parts) for parts in zip(*values, strict=True)]
    return Steps(**joined, masks=_joined_masks(windows))


def _joined_masks(windows: Sequence[Steps]) -> np.ndarray | None:
    size = next((window.masks.shape[-1] for window in windows if window.masks is not None), None)
    if size is None:
        return None
    everything = [np.ones((*window.rewards.shape, size), np.bool_) for window in windows]
    masks = [own if window.masks is None else window.masks for window, own in zip(windows, everything, strict=True)]
    return np.concatenate(masks)


def _join(old: Steps, new: Steps) -> None:
    """Let sums run on from ``old`` into ``new`` where the newer begins with the successor of the older."""
    num_envs = old.rewards.shape[1]
    same = old.valid[-1] & new.valid[0] & ~old.ended[-1]
    for seen, after in zip(new.observations, old.successors, strict=True):
        # The last row is cut in every window: its successors are the last N.
        difference = seen[0] != after[-num_envs:]
        same &= ~difference.reshape(num_envs, -1).any(axis=1)
    old.continues[-1] = same


def _filled_in(shape: tuple[int | None, ...], found: tuple[int, ...]) -> tuple[int, ...]:
    """Return the model's shape, free sizes as they were found."""
    if len(shape) != len(found):
        return tuple(size or 0 for size in shape)
    return tuple(there if size is None else size for size, there in zip(shape, found, strict=True))
