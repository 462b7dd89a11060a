"""Boundaries on their own."""

import pytest

from tensor_optix.exceptions import InvalidArgumentError, InvalidTypeError
from tensor_optix.pipeline.live_pipeline import LivePipeline


def test_every_n_steps_counts():
    boundary = LivePipeline.every_n_steps(3)
    assert [boundary(count, 1e9, None) for count in (1, 2, 3, 4)] == [False, False, True, True]


def test_every_n_seconds_looks_at_the_time():
    boundary = LivePipeline.every_n_seconds(1.5)
    assert [boundary(10**9, seconds, None) for seconds in (0.0, 1.4, 1.5, 2.0)] == [False, False, True, True]


def test_on_done_signal_leaves_the_end_to_the_flags():
    boundary = LivePipeline.on_done_signal()
    assert boundary(10**9, 1e9, None) is False
    assert boundary.ends_on_done


@pytest.mark.parametrize("steps", [0, -3])
def test_windows_without_steps_are_refused(steps):
    with pytest.raises(InvalidArgumentError, match="`n` must be an integer >= 1"):
        LivePipeline.every_n_steps(steps)


@pytest.mark.parametrize("steps", [2.0, True, "3"])
def test_steps_are_whole_numbers(steps):
    with pytest.raises(InvalidTypeError, match="`n` must be an integer"):
        LivePipeline.every_n_steps(steps)


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_times_are_finite_and_positive(seconds):
    with pytest.raises(InvalidArgumentError, match="`s` must be finite, > 0"):
        LivePipeline.every_n_seconds(seconds)
