"""Lost connections: how a feed is opened again, after which waits, and when not."""

import itertools

import numpy as np
import pytest
from live_fakes import (
    FOREIGN_REWARD,
    EchoFeed,
    FlakyFeed,
    assert_nothing_learned_across_gaps,
    take,
)

from tensor_optix.exceptions import StreamError
from tensor_optix.pipeline.live import reconnect
from tensor_optix.pipeline.live_pipeline import LivePipeline


@pytest.mark.parametrize("error", [None, ConnectionError("cut"), RuntimeError("odd")], ids=["end", "cut", "odd"])
def test_reconnects_and_pairs_afresh(live, error):
    feed = FlakyFeed([4], error)
    pipeline = live(feed, episode_boundary_fn=LivePipeline.every_n_steps(6), seed=0)
    windows = take(pipeline, 5)
    # Each stream of 4 items holds 3 whole steps; its last is cut, and nothing is joined to the next stream.
    for window in windows:
        np.testing.assert_array_equal(window.truncated[:5], [False, False, True, False, False])
        assert FOREIGN_REWARD not in window.rewards
        assert_nothing_learned_across_gaps(window)
        assert len(window.completed_returns) == 0
    # The cut after a window's last step is told by that step if it was known in time, else by the next window.
    for window, following in itertools.pairwise(windows):
        assert window.truncated[-1] != following.metadata["follows_gap"]
    assert feed.opened >= 10
    assert pipeline.reconnects >= 9


def test_a_gap_ends_a_window_that_ends_on_done(live):
    windows = take(live(FlakyFeed([4, 6])), 3)
    assert [window.length for window in windows] == [3, 5, 5]
    assert [window.metadata["ended_by"] for window in windows] == ["gap"] * 3
    assert all(window.truncated[-1] for window in windows)


@pytest.mark.parametrize("error", [None, ConnectionError("cut"), EOFError()], ids=["end", "cut", "eof"])
def test_without_reconnecting_the_windows_just_end(live, error):
    feed = FlakyFeed([6], error)
    pipeline = live(feed, reconnect_on_disconnect=False, episode_boundary_fn=LivePipeline.every_n_steps(3))
    first, last = pipeline.episodes()
    assert (first.length, last.length) == (3, 2)
    assert last.metadata["ended_by"] == "end"
    np.testing.assert_array_equal(last.truncated, [False, True])
    assert feed.opened == 1


def test_without_reconnecting_another_error_is_told_with_its_cause(live):
    cause = ValueError("garbled message")
    pipeline = live(FlakyFeed([3], cause), reconnect_on_disconnect=False)
    windows = pipeline.episodes()
    assert next(windows).length == 2
    with pytest.raises(StreamError, match="failed after 3 items: ValueError: garbled message") as caught:
        next(windows)
    assert caught.value.__cause__ is cause


def test_a_source_may_name_its_own_disconnects(live):
    class Hangup(Exception):
        pass

    feed = FlakyFeed([3], Hangup())
    feed.disconnect_errors = (Hangup,)
    (window,) = live(feed, reconnect_on_disconnect=False).episodes()
    assert window.length == 2


def test_a_mistake_in_the_source_is_not_tried_again(live):
    feed = FlakyFeed([3], TypeError("wrong call"))
    with pytest.raises(StreamError, match="TypeError: wrong call") as caught:
        list(live(feed).episodes())
    assert isinstance(caught.value.__cause__, TypeError)
    assert feed.opened == 1


def test_a_source_that_never_gave_anything_is_given_up(live):
    class Feed:
        opened = 0

        def stream(self):
            self.opened += 1
            raise ConnectionRefusedError("nobody there")

    feed = Feed()
    with pytest.raises(StreamError, match=r"gave no item in 9 attempts.*nobody there"):
        list(live(feed).episodes())
    assert feed.opened == 9


def test_a_source_that_once_worked_is_never_given_up(live):
    class Feed:
        opened = 0

        def stream(self):
            self.opened += 1
            if 1 < self.opened < 30:
                raise ConnectionRefusedError("not yet")
            yield [0.0], 0.0, False, False, {}
            yield [1.0], 0.0, False, False, {}

    feed = Feed()
    assert len(take(live(feed, max_reconnect_wait_seconds=0.001), 2)) == 2
    assert feed.opened >= 30


def test_an_error_of_send_action_is_a_disconnect(live):
    feed = EchoFeed([3], by_method=True)

    def cut(action):
        raise ConnectionError("cut while sending")

    feed.send_action = cut
    assert list(live(feed, reconnect_on_disconnect=False).episodes()) == []


def test_a_generator_that_fails_while_closed_is_logged(live, caplog):
    class Feed:
        def stream(self):
            try:
                for step in range(100):
                    yield [float(step)], 0.0, False, False, {}
            finally:
                raise RuntimeError("cannot let go")

    pipeline = live(Feed(), buffer_size=3, episode_boundary_fn=LivePipeline.every_n_steps(1))
    take(pipeline, 1)
    pipeline.teardown()
    assert "failed while it was closed" in caplog.text


def test_they_double_up_to_the_ceiling_and_are_jittered(monkeypatch):
    monkeypatch.setattr(reconnect, "FIRST_WAIT_SECONDS", 0.1)
    waits = reconnect.ReconnectWaits(5.0, np.random.default_rng(0))
    got = np.array([waits.next_seconds() for _ in range(12)])
    full = np.minimum(0.1 * 2.0 ** np.arange(12), 5.0)
    assert (got >= 0.5 * full).all()
    assert (got < full).all()
    assert len(set(np.round(got / full, 6))) == 12
    assert waits.attempts == 12


def test_a_seed_fixes_the_jitter():
    first, second = (reconnect.ReconnectWaits(1.0, np.random.default_rng(3)) for _ in range(2))
    assert [first.next_seconds() for _ in range(5)] == [second.next_seconds() for _ in range(5)]


def test_an_item_brings_the_shortest_wait_back(monkeypatch):
    monkeypatch.setattr(reconnect, "FIRST_WAIT_SECONDS", 0.1)
    waits = reconnect.ReconnectWaits(100.0, np.random.default_rng(0))
    for _ in range(9):
        waits.next_seconds()
    waits.reset()
    assert waits.next_seconds() < 0.1


def test_very_many_attempts_do_not_overflow():
    waits = reconnect.ReconnectWaits(2.0, np.random.default_rng(0))
    waits.attempts = 10**6
    assert 1.0 <= waits.next_seconds() < 2.0


def test_the_loop_may_give_the_seed_unless_the_user_did(live, monkeypatch):
    waits, next_seconds = [], reconnect.ReconnectWaits.next_seconds

    def note(self):
        waits.append(next_seconds(self))
        return waits[-1]

    def jitter(pipeline):
        waits.clear()
        take(pipeline, 2)
        pipeline.teardown()
        return waits[0]

    monkeypatch.setattr(reconnect.ReconnectWaits, "next_seconds", note)
    given, taken, other = (live(FlakyFeed([3], ConnectionError()), seed=seed) for seed in (5, None, 6))
    taken.set_seed(5)
    other.set_seed(5)
    assert jitter(given) == jitter(taken) != jitter(other)
