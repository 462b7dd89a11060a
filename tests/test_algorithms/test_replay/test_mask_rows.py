"""What was allowed is remembered by row, as the transitions are, and comes back with them."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from harness.masked_envs import OnlyAllowed

from tensor_optix import BatchPipeline
from tensor_optix.algorithms.replay.mask_rows import MaskRows
from tensor_optix.algorithms.replay.replay_buffer import ReplayBuffer
from tensor_optix.core.mask_layout import MaskLayout
from tensor_optix.exceptions import StateMismatchError
from tensor_optix.testing.fakes import StatefulAgent

LAYOUT = MaskLayout((11,))
SPACE = gym.spaces.Discrete(11)


class Last(StatefulAgent):
    """Takes the last action that is allowed."""

    uses_action_masks = True

    def act(self, observation: Any, *, action_mask: Any = None) -> int:
        return int(np.flatnonzero(action_mask)[-1])


def buffer_of(capacity: int = 500) -> ReplayBuffer:
    return ReplayBuffer(capacity, np.zeros(11, np.float32), np.int64(0), np.random.default_rng(0), mask_layout=LAYOUT)


def filled(mode: AutoresetMode | None = None, num_windows: int = 3, capacity: int = 500) -> ReplayBuffer:
    make = lambda: OnlyAllowed(SPACE, length=6)  # noqa: E731
    env = make() if mode is None else SyncVectorEnv([make] * 3, autoreset_mode=mode)
    source = BatchPipeline(env, Last(), 25, seed=0).episodes()
    buffer = buffer_of(capacity)
    for _ in range(num_windows):
        buffer.add(next(source))
    return buffer


@pytest.mark.parametrize("num_steps", [1, 3])
@pytest.mark.parametrize("mode", [None, *AutoresetMode])
@pytest.mark.parametrize("capacity", [500, 90])
def test_masks_are_those_of_the_successor(mode: AutoresetMode | None, num_steps: int, capacity: int) -> None:
    """The environment shows its mask: also where an episode was cut, or a window ended."""
    batch = filled(mode, capacity=capacity).sample(400, num_steps=num_steps)
    counts = batch.discounts > 0
    assert counts.any()
    assert not counts.all()
    assert batch.next_masks is not None
    np.testing.assert_array_equal(batch.next_masks[counts], batch.next_observations[counts] > 0)


def test_what_was_saved_comes_back() -> None:
    one, other = filled(), buffer_of()
    arrays, meta = one.state_dict()
    other.load_state_dict(arrays, meta)
    batches = [buffer.sample(50, num_steps=3) for buffer in (one, other)]
    np.testing.assert_array_equal(batches[0].next_masks, batches[1].next_masks)
    for name, array in other.state_dict()[0].items():
        np.testing.assert_array_equal(array, arrays[name])


def test_what_does_not_fit_is_refused() -> None:
    arrays, meta = filled().state_dict()
    with pytest.raises(StateMismatchError, match="does not fit"):
        buffer_of().check_state({**arrays, "masks": arrays["masks"][:, :1]}, meta)
    with pytest.raises(StateMismatchError, match="masks"):
        buffer_of().check_state({**arrays, "masks": arrays["masks"].astype(np.float32)}, meta)


def test_without_masks_nothing_is_kept() -> None:
    rows = MaskRows(10, LAYOUT)
    rows.put(np.arange(3), None)
    assert not rows.is_told
    assert rows.take(np.arange(3)) is None
    assert rows.state_dict(3) == {}


def test_rows_without_a_mask_allow_everything() -> None:
    rows, mask = MaskRows(10, LAYOUT), np.arange(11) % 3 == 0
    rows.put(np.array([2]), mask[None])
    rows.put(np.array([4]), mask[None])
    rows.put(np.array([4]), None)
    found = rows.take(np.array([2, 4, 5]))
    assert found is not None
    np.testing.assert_array_equal(found, [mask, np.ones(11, bool), np.ones(11, bool)])
    rows.clear()
    assert not rows.is_told
