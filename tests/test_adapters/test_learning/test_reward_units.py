"""The level and the size of rewards, against numbers worked out by hand; when the level may be taken away."""

import numpy as np
import pytest

from tensor_optix.adapters.tensorflow.learning.reward_units import (
    FEW_EPISODES,
    RewardLevel,
    RewardSize,
    RewardUnits,
    as_arrays,
    as_lists,
)
from tensor_optix.exceptions import CheckpointError, StateMismatchError

GAMMA = 0.9


def show(level, rewards, *, terminated=(), truncated=(), fresh_start=False):
    """Let ``level`` see one window of one environment, or of several side by side; ends are told by their steps."""
    rewards = np.array(rewards, float)
    rewards = rewards if rewards.ndim == 2 else rewards[:, None]
    ends = []
    for steps in (terminated, truncated):
        flags = np.zeros(rewards.shape, bool)
        for at in steps:
            flags[at] = True
        ends.append(flags)
    return level.observe(rewards, ends[0], ends[0] | ends[1], np.ones(rewards.shape, bool), fresh_start)


def test_rewards_are_told_less_their_level_in_units_of_their_size():
    units = RewardUnits(level=10.0, last_level=100.0, size=4.0)
    told = units.convert(np.array([12.0, 10.0, 14.0], np.float32), np.array([False, False, True]))
    np.testing.assert_array_equal(told, [0.5, 0.0, -21.5])
    assert RewardUnits().is_neutral
    assert not units.is_neutral


def test_the_level_is_the_median_of_the_first_rewards_that_differ():
    level = RewardLevel()
    assert show(level, [103.0, 100.0, 101.0, 100.0], truncated=[1])
    assert level.units(GAMMA) == RewardUnits(100.0, 100.0)
    assert not show(level, [7.0, 9.0, 8.0, 7.0])
    assert level.units(GAMMA).level == 100.0


def test_as_long_as_all_rewards_are_the_same_nothing_is_taken_away():
    level = RewardLevel()
    assert not show(level, [5.0, 5.0])
    assert level.units(GAMMA).is_neutral
    assert show(level, [6.0, 6.0, 6.0])
    assert level.units(GAMMA).level == 5.0


def test_episodes_that_terminate_after_one_number_of_steps_keep_the_level():
    level, steps = RewardLevel(), np.arange(12)
    rewards, ends = 50.0 + steps % 2, steps % 3 == 2
    # Episodes of three steps, windows of two.
    for start in range(0, 12, 2):
        show(level, rewards[start : start + 2], terminated=np.flatnonzero(ends[start : start + 2]))
    assert level.units(GAMMA) == RewardUnits(50.0, 50.0)


def test_several_environments_count_for_themselves():
    level = RewardLevel()
    rewards = np.array([[1.0, 2.0], [1.0, 1.0], [2.0, 1.0]])
    show(level, rewards, terminated=[(1, 0), (2, 1)], fresh_start=True)
    assert level.units(GAMMA).is_neutral  # two steps and three
    level = RewardLevel()
    show(level, rewards, terminated=[(1, 0), (1, 1)], fresh_start=True)
    assert level.units(GAMMA).level == 1.0


@pytest.mark.parametrize(
    "later",
    [
        {"terminated": [0]},  # after one step, not two
        {"truncated": [2]},  # three steps without an end
        {},  # and so here
    ],
)
def test_where_actions_may_decide_how_long_an_episode_takes_rewards_stay_as_they_are(later):
    level = RewardLevel()
    assert show(level, [8.0, 9.0], terminated=[1])
    assert level.units(GAMMA).level == 8.0
    assert show(level, [8.0, 9.0, 9.0], **later)
    assert level.units(GAMMA).is_neutral
    assert not show(level, [1.0, 2.0, 3.0], terminated=[1])


@pytest.mark.parametrize(("few", "is_late"), [(FEW_EPISODES - 1, False), (FEW_EPISODES, True)])
def test_a_first_end_after_many_episodes_without_one_moves_all_values_alike(few, is_late):
    level = RewardLevel()
    for _ in range(few):
        show(level, [3.0, 4.0, 3.0], truncated=[2])
    show(level, [3.0, 4.0, 9.0], terminated=[1])
    units = level.units(GAMMA)
    if not is_late:
        assert units.is_neutral
        return
    # Of the rewards 3 + x, then an end: v = (3 + x_0) + 0.9 (3 + x_1) is 30 more than with the level taken away.
    assert units == RewardUnits(3.0, pytest.approx(30.0))
    raw, told = 4.0 + GAMMA * 5.0, units.convert(np.array([4.0, 5.0]), np.array([False, True]))
    assert told[0] + GAMMA * told[1] == pytest.approx(raw - 3.0 / (1.0 - GAMMA))
    assert level.units(1.0).is_neutral


def test_a_reset_between_two_windows_ends_what_was_running():
    level = RewardLevel()
    for first in (0.0, 1.0, 2.0):
        show(level, [first, 1.0, 2.0], terminated=[1], fresh_start=True)
    assert level.units(GAMMA).level == 1.0


def test_an_episode_that_nobody_counted_from_its_start_says_nothing():
    level = RewardLevel()
    assert show(level, [8.0, 9.0], terminated=[1])
    level.lose_place()
    assert not show(level, [8.0, 9.0, 8.0], terminated=[0, 2])
    assert level.units(GAMMA).level == 8.0
    assert show(level, [8.0], terminated=[0])


def test_the_size_is_the_mean_of_what_differs_from_the_level():
    size = RewardSize()
    assert size.value == 1.0
    size.observe(np.array([100.0, 102.0, 97.0, 100.0 + 1e-9]), 100.0)
    assert size.value == 2.5
    size.observe(np.array([101.0]), 100.0)
    assert size.value == 2.0
    size.forget()
    assert size.value == 1.0
    size.observe(np.full(3, 3e38), 0.0)
    assert size.value == 1.0


def test_rewards_of_one_have_the_size_of_one_exactly():
    size = RewardSize()
    for _ in range(1000):
        size.observe(np.ones(7), 0.0)
    assert size.value == 1.0


def seen_parts():
    level, size = RewardLevel(), RewardSize()
    show(level, np.array([[1.0, 2.0], [3.0, 1.0]]), terminated=[(1, 0)])
    size.observe(np.array([1.0, 2.5]), 1.0)
    return level, size


@pytest.mark.parametrize("part", [0, 1])
def test_a_saved_part_goes_on(part):
    first, other = seen_parts()[part], type(seen_parts()[part])()
    for state in (first.state_dict(), as_arrays(as_lists(first.state_dict()), first.state_dict(), "part")):
        other.check_state(state)
        other.load_state_dict(state)
        for name, array in first.state_dict().items():
            np.testing.assert_array_equal(array, other.state_dict()[name])


def test_a_state_of_before_there_was_one_is_neutral_and_stays_so():
    level, size = seen_parts()
    for part in (level, size):
        part.check_state({})
        part.load_state_dict({})
    assert not show(level, [5.0, 6.0])
    size.observe(np.array([5.0, 6.0]), 0.0)
    assert level.units(GAMMA).is_neutral
    assert size.value == 1.0


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"level": np.array(np.nan)}, StateMismatchError),
        ({"counts": np.array([1, -2, 3])}, StateMismatchError),
        ({"flags": np.array([True])}, StateMismatchError),
        ({"running": np.zeros(2)}, CheckpointError),
    ],
)
def test_a_state_that_cannot_be_is_refused(change, error):
    level, _ = seen_parts()
    with pytest.raises(error):
        level.check_state({**level.state_dict(), **change})
    with pytest.raises(StateMismatchError, match="saved reward level"):
        as_arrays({"counts": ["many"]}, level.state_dict(), "level")
