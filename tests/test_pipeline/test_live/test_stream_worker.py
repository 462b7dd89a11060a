"""The feed's thread: silence, the end, and what it costs."""

import gc
import itertools
import threading
import time
import tracemalloc

import numpy as np
import pytest
from live_fakes import (
    BlockingFeed,
    EchoFeed,
    FlakyFeed,
    PolicyAgent,
    SixMethodAgent,
    concatenated,
    feed_threads,
    take,
    wait_until,
)

from tensor_optix.exceptions import (
    StreamError,
    StreamSilenceError,
)
from tensor_optix.pipeline.live import reconnect
from tensor_optix.pipeline.live_pipeline import LivePipeline


def test_a_silent_source_is_an_error_of_its_own(live):
    pipeline = live(BlockingFeed(), silence_timeout_seconds=0.05)
    with pytest.raises(StreamSilenceError, match=r"has given nothing for .* silence_timeout_seconds is 0\.05"):
        list(pipeline.episodes())


@pytest.mark.parametrize(
    ("method", "name"),
    [("stream", r"stream\(\)"), ("send_action", r"send_action\(\)"), ("generator", "end of its generator")],
)
def test_every_call_into_the_source_has_the_time_out(live, method, name):
    released = threading.Event()

    class Stuck(EchoFeed):
        def stream(self):
            if method == "stream":
                released.wait(20)
            return self._items()

        def _items(self):
            try:
                yield from super().stream()
            finally:
                released.wait(20)

        def close(self):
            released.set()

    def send_action(action):
        if method == "generator":
            raise ConnectionError("gone")
        released.wait(20)

    feed = Stuck(endless_episode=True)
    if method != "stream":
        feed.send_action = send_action
    pipeline = live(feed, silence_timeout_seconds=0.05)
    started = time.monotonic()
    with pytest.raises(StreamSilenceError, match=rf"{name} has not come back for .* is 0\.05"):
        list(pipeline.episodes())
    pipeline.teardown()
    assert time.monotonic() - started < 5.0


def test_an_error_does_not_wait_for_the_generator(live):
    released = threading.Event()

    class Slow:
        def stream(self):
            try:
                yield "text", 0.0, False, False, {}
            finally:
                released.wait(20)

    pipeline = live(Slow(), silence_timeout_seconds=None)
    with pytest.raises(StreamError, match="Step 0 of the feed"):
        list(pipeline.episodes())
    released.set()


def test_a_slow_learner_is_no_silence(live):
    pipeline = live(
        EchoFeed(endless_episode=True),
        buffer_size=2,
        silence_timeout_seconds=0.05,
        episode_boundary_fn=LivePipeline.every_n_steps(3),
    )
    numbers = []
    for window in itertools.islice(pipeline.episodes(), 3):
        numbers.append(window.episode_id)
        time.sleep(0.12)
    assert numbers == [0, 1, 2]


def test_no_time_out_waits_for_ever(live):
    feed = BlockingFeed()
    pipeline = live(feed, silence_timeout_seconds=None)
    stopper = threading.Timer(0.3, pipeline.request_stop)
    stopper.start()
    (window,) = pipeline.episodes()
    stopper.join()
    assert window.length == 2
    assert window.metadata["ended_by"] == "end"


def test_a_blocking_read_is_interrupted(live):
    feed = BlockingFeed()
    pipeline = live(feed, episode_boundary_fn=LivePipeline.every_n_steps(2))
    assert take(pipeline, 1)[0].length == 2
    assert feed.blocked.wait(10)
    started = time.monotonic()
    pipeline.teardown()
    assert time.monotonic() - started < 2.0
    assert not feed_threads()
    pipeline.teardown()
    assert feed.close_calls == 1


def test_stop_serves_where_there_is_no_close(live):
    feed = BlockingFeed()
    feed.stop, feed.close = feed.close, None
    pipeline = live(feed, silence_timeout_seconds=0.05)
    with pytest.raises(StreamSilenceError):
        list(pipeline.episodes())
    pipeline.teardown()
    assert feed.close_calls == 1


def test_a_source_that_holds_the_thread_is_named(live, caplog, monkeypatch):
    monkeypatch.setattr("tensor_optix.pipeline.live_pipeline._TEARDOWN_SECONDS", 0.05)
    feed = BlockingFeed()
    release, feed.close = feed.close, None
    pipeline = live(feed, silence_timeout_seconds=0.05)
    with pytest.raises(StreamSilenceError):
        list(pipeline.episodes())
    pipeline.teardown()
    assert "still waits inside the data source" in caplog.text
    release()
    wait_until(lambda: not feed_threads())


def test_a_close_that_blocks_is_left_behind(live, caplog):
    feed, released = EchoFeed(endless_episode=True), threading.Event()
    feed.close = lambda: released.wait(20)
    pipeline = live(feed, episode_boundary_fn=LivePipeline.every_n_steps(2))
    take(pipeline, 1)
    started = time.monotonic()
    pipeline.teardown()
    assert time.monotonic() - started < 2.0
    assert "close() has not come back in time" in caplog.text
    released.set()


def test_a_close_that_fails_is_logged(live, caplog):
    feed = EchoFeed([1])
    feed.close = lambda: 1 / 0
    live(feed).teardown()
    assert "The data source failed while it was closed" in caplog.text


@pytest.mark.parametrize("on_full", ["block", "drop_oldest"])
@pytest.mark.parametrize("agent", [PolicyAgent, SixMethodAgent])
def test_the_thread_ends_whatever_it_waits_for(live, on_full, agent):
    feed = EchoFeed(endless_episode=True)
    pipeline = live(feed, agent(), on_full=on_full, buffer_size=2, episode_boundary_fn=LivePipeline.every_n_steps(3))
    windows = pipeline.episodes()
    next(windows)
    # The generator is held open, as a loop that fails in mid-window would.
    pipeline.teardown()
    assert not feed_threads()
    assert feed.closed_generators == 1
    assert list(windows) == []


def test_it_ends_in_the_middle_of_a_wait_to_reconnect(live, monkeypatch):
    monkeypatch.setattr(reconnect, "FIRST_WAIT_SECONDS", 60.0)
    pipeline = live(FlakyFeed([3], ConnectionError()), max_reconnect_wait_seconds=60.0)
    take(pipeline, 1)
    started = time.monotonic()
    pipeline.teardown()
    assert time.monotonic() - started < 1.0


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_error_in_the_loop_leaves_no_thread(live, error):
    def boundary(step_count, elapsed_seconds, last_observation):
        raise error

    pipeline = live(EchoFeed(endless_episode=True), episode_boundary_fn=boundary)
    with pytest.raises(error):
        next(pipeline.episodes())
    pipeline.teardown()


def test_teardown_before_anything_else(live):
    pipeline, num_threads = live(EchoFeed([1])), threading.active_count()
    pipeline.teardown()
    pipeline.teardown()
    assert threading.active_count() == num_threads


def test_teardown_from_another_thread_ends_the_windows(live):
    feed = BlockingFeed()
    pipeline = live(feed, silence_timeout_seconds=None)
    closer = threading.Thread(target=lambda: (feed.blocked.wait(10), pipeline.teardown()))
    closer.start()
    assert sum(window.length for window in pipeline.episodes()) <= 2
    closer.join()


def test_windows_go_on_where_they_were_with_the_stream_left_open(live):
    feed = EchoFeed(endless_episode=True)
    pipeline = live(feed, episode_boundary_fn=LivePipeline.every_n_steps(5))
    pipeline.setup()
    seen = take(pipeline, 2) + take(pipeline, 2)
    np.testing.assert_array_equal(concatenated(seen, "observations")[:, 0], np.arange(1, 21))
    assert [window.episode_id for window in seen] == [0, 1, 2, 3]
    assert feed.opened == 1


def test_a_pipeline_that_was_torn_down_can_be_used_again(live):
    feed = EchoFeed([3] * 100, endless_episode=False)
    pipeline = live(feed, buffer_size=10)
    take(pipeline, 1)
    pipeline.request_stop()
    pipeline.teardown()
    pipeline.setup()
    assert take(pipeline, 2)[1].length == 3
    assert feed.opened == 2


def test_after_a_request_to_stop_what_was_collected_is_the_last_window(live):
    pipeline = live(EchoFeed(endless_episode=True), episode_boundary_fn=lambda count, *_: stop_at_seven(count))

    def stop_at_seven(count):
        if count == 7:
            pipeline.request_stop()
        return False

    (window,) = pipeline.episodes()
    assert window.length == 7
    assert not window.truncated.any()


def memory_over(num_steps, every, **options):
    """Follow a fast feed for ``num_steps`` and return the traced memory at each ``every`` steps."""
    feed = EchoFeed([200] * (num_steps // 200 + 2), by_method=True)
    feed.received = [0]
    # The fake keeps what it receives; here only the last action matters.
    feed.send_action = lambda action: feed.received.__setitem__(0, action)
    pipeline = LivePipeline(feed, PolicyAgent(), LivePipeline.every_n_steps(500), **options)
    samples, steps = [], 0
    tracemalloc.start()
    try:
        for window in pipeline.episodes():
            steps += window.length
            if steps // every > len(samples):
                gc.collect()
                samples.append(tracemalloc.get_traced_memory()[0])
            if steps >= num_steps:
                break
    finally:
        pipeline.teardown()
        tracemalloc.stop()
    return samples


def test_memory_stays_flat():
    samples = memory_over(30_000, 5_000)
    # The record of latencies is full after 10,000 steps.
    assert max(samples[2:]) - min(samples[2:]) < 600_000


@pytest.mark.slow
@pytest.mark.parametrize(("on_full", "num_steps"), [("block", 1_000_000), ("drop_oldest", 200_000)])
def test_memory_stays_flat_over_a_million_steps(on_full, num_steps):
    samples = memory_over(num_steps, 50_000, on_full=on_full)
    assert max(samples) - min(samples) < 600_000
