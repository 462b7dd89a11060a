"""Windows cut into sequences."""

import numpy as np

from tensor_optix.functional.sequences import episode_starts, in_sequences


def test_an_episode_starts_behind_an_end_and_behind_a_step_that_only_resets():
    ended = np.array([[0, 1], [1, 0], [0, 0], [0, 1]], bool)
    resets = np.array([[1, 0], [0, 0], [0, 0], [0, 0]], bool)
    expected = np.array([[0, 0], [1, 1], [1, 0], [0, 0]], bool)
    np.testing.assert_array_equal(episode_starts(ended, resets), expected)


def test_sequences_hold_the_steps_of_one_environment_each_filled_up_with_zeros():
    window = np.arange(1, 11).reshape(5, 2)
    expected = [[1, 2, 5, 6, 9, 10], [3, 4, 7, 8, 0, 0]]
    np.testing.assert_array_equal(in_sequences(window, 2), expected)


def test_what_is_kept_of_a_step_stays_together():
    window = np.arange(24.0).reshape(4, 2, 3)
    found = in_sequences(window, 3)
    assert found.shape == (3, 4, 3)
    np.testing.assert_array_equal(found[:, 1], window[:3, 1])
    np.testing.assert_array_equal(found[0, 2], window[3, 0])
    assert not found[1:, 2:].any()


def test_a_window_shorter_than_a_sequence_is_one():
    np.testing.assert_array_equal(in_sequences(np.ones((2, 3), bool), 4).sum(axis=0), [2, 2, 2])
