"""Where a run's time goes, against sleeps of known length."""

import time

import pytest

from tensor_optix.core.loop.stopwatch import GREEDY, LEARNING, STEPPING, Stopwatch


def slow_windows():
    for i in range(3):
        time.sleep(0.02)
        yield i


def test_time_is_booked_where_it_was_spent():
    watch = Stopwatch()
    seen = []
    began = time.perf_counter()
    for window in watch.waiting_for(slow_windows()):
        seen.append(window)
        with watch.on(LEARNING):
            time.sleep(0.01)
    assert seen == [0, 1, 2]
    assert watch.seconds[STEPPING] >= 0.06
    assert watch.seconds[LEARNING] >= 0.03
    assert watch.seconds[STEPPING] + watch.seconds[LEARNING] <= time.perf_counter() - began
    assert watch.seconds[GREEDY] == 0.0


def test_what_fails_has_taken_its_time_too():
    watch = Stopwatch()

    def fail():
        time.sleep(0.01)
        raise KeyError

    with pytest.raises(KeyError), watch.on(LEARNING):
        fail()
    assert watch.seconds[LEARNING] >= 0.01


def test_an_error_of_the_windows_comes_through():
    def broken():
        yield 1
        raise OSError("gone")

    windows = Stopwatch().waiting_for(broken())
    assert next(windows) == 1
    with pytest.raises(OSError, match="gone"):
        next(windows)


def test_a_new_run_begins_at_nothing():
    watch = Stopwatch()
    with watch.on(GREEDY):
        time.sleep(0.001)
    watch.start_run()
    assert set(watch.seconds.values()) == {0.0}
