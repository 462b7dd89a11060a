"""LivePipeline when things go wrong: full queues, lost connections, silence, bad steps, the end."""

import gc
import itertools
import threading
import time
import tracemalloc

import numpy as np
import pytest
from live_fakes import (
    FOREIGN_REWARD,
    BlockingFeed,
    EchoFeed,
    PolicyAgent,
    SixMethodAgent,
    concatenated,
    take,
)

from tensor_optix.exceptions import StreamError, StreamSilenceError
from tensor_optix.pipeline.live import reconnect
from tensor_optix.pipeline.live_pipeline import LivePipeline


def feed_threads():
    return [thread for thread in threading.enumerate() if thread.name == "tensor-optix-feed"]


@pytest.fixture(autouse=True)
def _no_thread_left():
    yield
    assert not feed_threads()


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch):
    monkeypatch.setattr(reconnect, "FIRST_WAIT_SECONDS", 1e-4)


@pytest.fixture
def live():
    """Make pipelines that are torn down whatever happens."""
    made = []

    def make(source, agent=None, **options):
        made.append(LivePipeline(source, agent or PolicyAgent(), **options))
        return made[-1]

    yield make
    for pipeline in made:
        pipeline.teardown()


def wait_until(condition, seconds=10.0):
    """Poll a condition that another thread brings about."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.001)


def assert_nothing_learned_across_gaps(window):
    """Each step's successor is the next step's observation, wherever no end is told."""
    going_on = ~window.dones[:-1]
    np.testing.assert_array_equal(window.next_observations[:-1][going_on], window.observations[1:][going_on])
    np.testing.assert_array_equal(window.next_observations[:, 0], window.observations[:, 0] + 1)


class TestFullQueue:
    def test_block_holds_the_feed_back_and_loses_nothing(self, live):
        feed = EchoFeed(endless_episode=True)
        pipeline = live(feed, buffer_size=5, episode_boundary_fn=LivePipeline.every_n_steps(4))
        windows = pipeline.episodes()
        seen = [next(windows)]
        # 4 in the window, 5 in the queue, one in the feed's hand, and the first item is no step.
        wait_until(lambda: feed.yielded == 4 + 5 + 1 + 1)
        time.sleep(0.02)
        assert feed.yielded == 11
        seen += [next(windows) for _ in range(5)]
        np.testing.assert_array_equal(concatenated(seen, "observations")[:, 0], np.arange(1, 25))
        assert pipeline.dropped_steps == 0
        assert feed.opened == 1

    def test_drop_oldest_counts_and_never_joins_across_the_gap(self, live):
        feed = EchoFeed(endless_episode=True)
        pipeline = live(feed, buffer_size=6, on_full="drop_oldest", episode_boundary_fn=LivePipeline.every_n_steps(10))
        seen = []
        for window in pipeline.episodes():
            seen.append(window)
            so_far = feed.yielded
            wait_until(lambda so_far=so_far: feed.yielded > so_far + 20)
            if len(seen) == 8:
                break
        assert pipeline.dropped_steps > 0
        assert sum(window.truncated.sum() + window.metadata["follows_gap"] for window in seen) > 0
        for window in seen:
            assert window.length == 10
            assert_nothing_learned_across_gaps(window)
        for before, after in itertools.pairwise(seen):
            is_joined = before.next_observations[-1] == after.observations[0]
            assert is_joined != (before.truncated[-1] or after.metadata["follows_gap"])
        assert feed.opened == 1

    def test_whole_returns_survive_dropped_steps(self, live):
        length = 50
        feed = EchoFeed([length] * 10_000)
        pipeline = live(feed, buffer_size=60, on_full="drop_oldest", episode_boundary_fn=LivePipeline.every_n_steps(20))
        returns = []
        for window in pipeline.episodes():
            returns += list(window.completed_returns)
            assert set(window.completed_lengths) <= {length}
            so_far = feed.yielded
            wait_until(lambda so_far=so_far: feed.yielded > so_far + 90)
            if len(returns) >= 5:
                break
        assert pipeline.dropped_steps > 0
        # Episode e holds the actions e * 51 + 1 ... e * 51 + 50 (mod 1000), whatever was dropped of them.
        whole = {float(sum((e * 51 + k) % 1000 for k in range(1, length + 1))) for e in range(10_000)}
        assert set(returns) <= whole


class FlakyFeed(EchoFeed):
    """Breaks off after so many items of each stream, as told."""

    def __init__(self, breaks_after, error=None, then_ends=True):
        super().__init__(endless_episode=True)
        self.breaks_after = list(breaks_after)
        self.error = error
        self.then_ends = then_ends

    def stream(self):
        self.opened += 1
        inner = self._episode(None)
        answer = None
        for _ in range(self.breaks_after[min(self.opened, len(self.breaks_after)) - 1]):
            answer = yield inner.send(answer)
        if self.error is not None:
            raise self.error


class TestDisconnect:
    @pytest.mark.parametrize("error", [None, ConnectionError("cut"), RuntimeError("odd")], ids=["end", "cut", "odd"])
    def test_reconnects_and_pairs_afresh(self, live, error):
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

    def test_a_gap_ends_a_window_that_ends_on_done(self, live):
        windows = take(live(FlakyFeed([4, 6])), 3)
        assert [window.length for window in windows] == [3, 5, 5]
        assert [window.metadata["ended_by"] for window in windows] == ["gap"] * 3
        assert all(window.truncated[-1] for window in windows)

    @pytest.mark.parametrize("error", [None, ConnectionError("cut"), EOFError()], ids=["end", "cut", "eof"])
    def test_without_reconnecting_the_windows_just_end(self, live, error):
        feed = FlakyFeed([6], error)
        pipeline = live(feed, reconnect_on_disconnect=False, episode_boundary_fn=LivePipeline.every_n_steps(3))
        first, last = pipeline.episodes()
        assert (first.length, last.length) == (3, 2)
        assert last.metadata["ended_by"] == "end"
        np.testing.assert_array_equal(last.truncated, [False, True])
        assert feed.opened == 1

    def test_without_reconnecting_another_error_is_told_with_its_cause(self, live):
        cause = ValueError("garbled message")
        pipeline = live(FlakyFeed([3], cause), reconnect_on_disconnect=False)
        windows = pipeline.episodes()
        assert next(windows).length == 2
        with pytest.raises(StreamError, match="failed after 3 items: ValueError: garbled message") as caught:
            next(windows)
        assert caught.value.__cause__ is cause

    def test_a_source_may_name_its_own_disconnects(self, live):
        class Hangup(Exception):
            pass

        feed = FlakyFeed([3], Hangup())
        feed.disconnect_errors = (Hangup,)
        (window,) = live(feed, reconnect_on_disconnect=False).episodes()
        assert window.length == 2

    def test_a_mistake_in_the_source_is_not_tried_again(self, live):
        feed = FlakyFeed([3], TypeError("wrong call"))
        with pytest.raises(StreamError, match="TypeError: wrong call") as caught:
            list(live(feed).episodes())
        assert isinstance(caught.value.__cause__, TypeError)
        assert feed.opened == 1

    def test_a_source_that_never_gave_anything_is_given_up(self, live):
        class Feed:
            opened = 0

            def stream(self):
                self.opened += 1
                raise ConnectionRefusedError("nobody there")

        feed = Feed()
        with pytest.raises(StreamError, match=r"gave no item in 9 attempts.*nobody there"):
            list(live(feed).episodes())
        assert feed.opened == 9

    def test_a_source_that_once_worked_is_never_given_up(self, live):
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

    def test_an_error_of_send_action_is_a_disconnect(self, live):
        feed = EchoFeed([3], by_method=True)

        def cut(action):
            raise ConnectionError("cut while sending")

        feed.send_action = cut
        assert list(live(feed, reconnect_on_disconnect=False).episodes()) == []

    def test_a_generator_that_fails_while_closed_is_logged(self, live, caplog):
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


class TestWaits:
    def test_they_double_up_to_the_ceiling_and_are_jittered(self, monkeypatch):
        monkeypatch.setattr(reconnect, "FIRST_WAIT_SECONDS", 0.1)
        waits = reconnect.ReconnectWaits(5.0, np.random.default_rng(0))
        got = np.array([waits.next_seconds() for _ in range(12)])
        full = np.minimum(0.1 * 2.0 ** np.arange(12), 5.0)
        assert (got >= 0.5 * full).all()
        assert (got < full).all()
        assert len(set(np.round(got / full, 6))) == 12
        assert waits.attempts == 12

    def test_a_seed_fixes_the_jitter(self):
        first, second = (reconnect.ReconnectWaits(1.0, np.random.default_rng(3)) for _ in range(2))
        assert [first.next_seconds() for _ in range(5)] == [second.next_seconds() for _ in range(5)]

    def test_an_item_brings_the_shortest_wait_back(self, monkeypatch):
        monkeypatch.setattr(reconnect, "FIRST_WAIT_SECONDS", 0.1)
        waits = reconnect.ReconnectWaits(100.0, np.random.default_rng(0))
        for _ in range(9):
            waits.next_seconds()
        waits.reset()
        assert waits.next_seconds() < 0.1

    def test_very_many_attempts_do_not_overflow(self):
        waits = reconnect.ReconnectWaits(2.0, np.random.default_rng(0))
        waits.attempts = 10**6
        assert 1.0 <= waits.next_seconds() < 2.0

    def test_the_loop_may_give_the_seed_unless_the_user_did(self, live):
        def jitter(pipeline):
            return pipeline._make_waits().next_seconds()

        given, taken, other = live(EchoFeed([1]), seed=5), live(EchoFeed([1])), live(EchoFeed([1]), seed=6)
        taken.set_seed(5)
        other.set_seed(5)
        assert jitter(given) == jitter(taken)
        assert jitter(given) != jitter(other)


class TestSilence:
    def test_a_silent_source_is_an_error_of_its_own(self, live):
        pipeline = live(BlockingFeed(), silence_timeout_seconds=0.05)
        with pytest.raises(StreamSilenceError, match=r"has given nothing for .* silence_timeout_seconds is 0\.05"):
            list(pipeline.episodes())

    @pytest.mark.parametrize(
        ("method", "name"),
        [("stream", r"stream\(\)"), ("send_action", r"send_action\(\)"), ("generator", "end of its generator")],
    )
    def test_every_call_into_the_source_has_the_time_out(self, live, method, name):
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

    def test_an_error_does_not_wait_for_the_generator(self, live):
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

    def test_a_slow_learner_is_no_silence(self, live):
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

    def test_no_time_out_waits_for_ever(self, live):
        feed = BlockingFeed()
        pipeline = live(feed, silence_timeout_seconds=None)
        stopper = threading.Timer(0.3, pipeline.request_stop)
        stopper.start()
        (window,) = pipeline.episodes()
        stopper.join()
        assert window.length == 2
        assert window.metadata["ended_by"] == "end"


GOOD = [([float(k), 0.0], 1.0, k == 9, False, {}) for k in range(10)]


def feed_of(items):
    class Feed:
        def __init__(self):
            self.answers = []

        def stream(self):
            for item in items:
                self.answers.append((yield item))

    return Feed()


BAD = {
    "too few values": (([5.0, 0.0], 1.0, False, False), "got 4"),
    "too many values": (([5.0, 0.0], 1.0, False, False, {}, 0), "got 6"),
    "no tuple": ({"observation": [5.0, 0.0]}, "got dict"),
    "wrong shape": (([5.0], 1.0, False, False, {}), r"expected the observation to have shape \(2,\), got \(1,\)"),
    "ragged": (([[5.0], [1.0, 2.0]], 1.0, False, False, {}), "is not an array of numbers"),
    "text": ((["a", "b"], 1.0, False, False, {}), "is not an array of numbers but has dtype"),
    "a dict": (({"a": [5.0, 0.0]}, 1.0, False, False, {}), "expected an array as observation, got dict"),
    "NaN observation": (([5.0, float("nan")], 1.0, False, False, {}), "the observation holds NaN or infinity"),
    "infinite observation": (([np.inf, 0.0], 1.0, False, False, {}), "the observation holds NaN or infinity"),
    "NaN reward": (([5.0, 0.0], float("nan"), False, False, {}), "the reward is nan"),
    "infinite reward": (([5.0, 0.0], -np.inf, False, False, {}), "the reward is -inf"),
    "text reward": (([5.0, 0.0], "1.0", False, False, {}), "the reward is not one number but '1.0'"),
    "vector reward": (([5.0, 0.0], np.ones(2), False, False, {}), "the reward is not one number"),
    "missing reward": (([5.0, 0.0], None, False, False, {}), "the reward is not one number but None"),
    "ragged reward": (([5.0, 0.0], [[1], [1, 2]], False, False, {}), "the reward is not one number"),
    "odd flag": (([5.0, 0.0], 1.0, "no", False, {}), "`terminated` is not a bool but 'no'"),
    "odd other flag": (([5.0, 0.0], 1.0, False, 2, {}), "`truncated` is not a bool but 2"),
    "odd info": (([5.0, 0.0], 1.0, False, False, "hello"), "`info` is not a dict but 'hello'"),
}


class TestBadSteps:
    @pytest.mark.parametrize("name", BAD)
    def test_they_are_named_with_their_number(self, live, name):
        bad, message = BAD[name]
        items = [*GOOD[:5], bad, *GOOD[6:]]
        with pytest.raises(StreamError, match=rf"Step 5 of the feed .*{message}.*on_bad_step=\"skip\""):
            list(live(feed_of(items)).episodes())

    @pytest.mark.parametrize("name", BAD)
    def test_or_left_out_as_a_gap(self, live, name):
        items = [*GOOD[:5], BAD[name][0], *GOOD[6:]]
        feed = feed_of(items)
        pipeline = live(
            feed,
            on_bad_step="skip",
            reconnect_on_disconnect=False,
            episode_boundary_fn=LivePipeline.every_n_steps(100),
        )
        (window,) = pipeline.episodes()
        np.testing.assert_array_equal(window.observations[:, 0], [0, 1, 2, 3, 6, 7, 8])
        np.testing.assert_array_equal(window.next_observations[:, 0], [1, 2, 3, 4, 7, 8, 9])
        np.testing.assert_array_equal(window.truncated, [False, False, False, True, False, False, False])
        assert window.terminated[-1]
        assert pipeline.skipped_steps == 1
        # The lost reward makes the episode's return unknown, and the source got the last action again.
        assert len(window.completed_returns) == 0
        assert feed.answers == [0, 1, 2, 3, 4, 4, 6, 7, 8, None]

    def test_the_episode_after_a_lost_one_is_whole_again(self, live):
        items = [*GOOD[:5], BAD["NaN reward"][0], *GOOD[6:], *GOOD]
        pipeline = live(feed_of(items), on_bad_step="skip", reconnect_on_disconnect=False)
        windows = list(pipeline.episodes())
        np.testing.assert_array_equal(concatenated(windows, "completed_returns"), [9.0])

    def test_dict_observations_keep_their_keys_and_shapes(self, live):
        def item(**parts):
            return parts, 0.0, False, False, {}

        for bad, message in [
            (item(a=[1.0]), r"with the keys \['a', 'b'\], got \['a'\]"),
            (item(a=[1.0], b=[1.0]), r"the observation's 'b' to have shape \(2,\), got \(1,\)"),
            (([1.0], 0.0, False, False, {}), "expected a dict as observation, got list"),
        ]:
            agent = SixMethodAgent()
            agent.act = lambda observation: 0
            with pytest.raises(StreamError, match=message):
                list(live(feed_of([item(a=[1.0], b=[1.0, 2.0]), bad]), agent).episodes())

    def test_nested_dicts_keep_their_keys_and_shapes(self, live):
        def item(**inner):
            return {"arm": inner, "eye": [0.5]}, 0.0, False, False, {}

        agent = SixMethodAgent()
        agent.act = lambda observation: int(observation["arm"]["left"].sum() > 0)
        good = [item(left=[1.0], right=[1.0, 2.0])] * 6
        window = next(iter(live(feed_of(good), agent, episode_boundary_fn=LivePipeline.every_n_steps(3)).episodes()))
        assert window.observations["arm"]["right"].shape[1:] == (2,)
        for bad, message in [
            (item(left=[1.0]), r"an observation's 'arm' with the keys \['left', 'right'\], got \['left'\]"),
            (item(left=[1.0], right=[1.0]), r"the observation's 'arm''s 'right' to have shape \(2,\), got \(1,\)"),
            (({"arm": [1.0], "eye": [0.5]}, 0.0, False, False, {}), "a dict as observation's 'arm', got list"),
        ]:
            with pytest.raises(StreamError, match=message):
                list(live(feed_of([*good, bad]), agent).episodes())

    def test_the_space_decides_before_the_first_item_does(self, live):
        class Space:
            shape = (3,)
            dtype = np.dtype(np.float32)

        feed = feed_of(GOOD)
        feed.observation_space = Space()
        with pytest.raises(StreamError, match=r"Step 0 of the feed .*shape \(3,\), got \(2,\)"):
            list(live(feed).episodes())

    def test_a_value_outside_the_range_of_the_space_is_not_cast_to_infinity(self, live):
        class Space:
            shape = (1,)
            dtype = np.dtype(np.float32)

        feed = feed_of([([1e300], 0.0, False, False, {})])
        feed.observation_space = Space()
        with pytest.raises(StreamError, match="out of the range of float32"):
            list(live(feed).episodes())

    def test_json_flags_and_scalars_are_fine(self, live):
        items = [([0, 0], 0, 0, 0, None), ([1, 1], np.float32(2.0), 1, np.bool_(False), {})]
        (window,) = live(feed_of(items), reconnect_on_disconnect=False).episodes()
        assert window.terminated.tolist() == [True]
        assert window.rewards.tolist() == [2.0]


class TestTheEnd:
    def test_a_blocking_read_is_interrupted(self, live):
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

    def test_stop_serves_where_there_is_no_close(self, live):
        feed = BlockingFeed()
        feed.stop, feed.close = feed.close, None
        pipeline = live(feed, silence_timeout_seconds=0.05)
        with pytest.raises(StreamSilenceError):
            list(pipeline.episodes())
        pipeline.teardown()
        assert feed.close_calls == 1

    def test_a_source_that_holds_the_thread_is_named(self, live, caplog, monkeypatch):
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

    def test_a_close_that_blocks_is_left_behind(self, live, caplog):
        feed, released = EchoFeed(endless_episode=True), threading.Event()
        feed.close = lambda: released.wait(20)
        pipeline = live(feed, episode_boundary_fn=LivePipeline.every_n_steps(2))
        take(pipeline, 1)
        started = time.monotonic()
        pipeline.teardown()
        assert time.monotonic() - started < 2.0
        assert "close() has not come back in time" in caplog.text
        released.set()

    def test_a_close_that_fails_is_logged(self, live, caplog):
        feed = EchoFeed([1])
        feed.close = lambda: 1 / 0
        live(feed).teardown()
        assert "The data source failed while it was closed" in caplog.text

    @pytest.mark.parametrize("on_full", ["block", "drop_oldest"])
    @pytest.mark.parametrize("agent", [PolicyAgent, SixMethodAgent])
    def test_the_thread_ends_whatever_it_waits_for(self, live, on_full, agent):
        feed = EchoFeed(endless_episode=True)
        pipeline = live(
            feed, agent(), on_full=on_full, buffer_size=2, episode_boundary_fn=LivePipeline.every_n_steps(3)
        )
        windows = pipeline.episodes()
        next(windows)
        # The generator is held open, as a loop that fails in mid-window would.
        pipeline.teardown()
        assert not feed_threads()
        assert feed.closed_generators == 1
        assert list(windows) == []

    def test_it_ends_in_the_middle_of_a_wait_to_reconnect(self, live, monkeypatch):
        monkeypatch.setattr(reconnect, "FIRST_WAIT_SECONDS", 60.0)
        pipeline = live(FlakyFeed([3], ConnectionError()), max_reconnect_wait_seconds=60.0)
        take(pipeline, 1)
        started = time.monotonic()
        pipeline.teardown()
        assert time.monotonic() - started < 1.0

    @pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
    def test_an_error_in_the_loop_leaves_no_thread(self, live, error):
        def boundary(step_count, elapsed_seconds, last_observation):
            raise error

        pipeline = live(EchoFeed(endless_episode=True), episode_boundary_fn=boundary)
        with pytest.raises(error):
            next(pipeline.episodes())
        pipeline.teardown()

    def test_teardown_before_anything_else(self, live):
        pipeline, num_threads = live(EchoFeed([1])), threading.active_count()
        pipeline.teardown()
        pipeline.teardown()
        assert threading.active_count() == num_threads

    def test_teardown_from_another_thread_ends_the_windows(self, live):
        feed = BlockingFeed()
        pipeline = live(feed, silence_timeout_seconds=None)
        closer = threading.Thread(target=lambda: (feed.blocked.wait(10), pipeline.teardown()))
        closer.start()
        assert sum(window.length for window in pipeline.episodes()) <= 2
        closer.join()

    def test_windows_go_on_where_they_were_with_the_stream_left_open(self, live):
        feed = EchoFeed(endless_episode=True)
        pipeline = live(feed, episode_boundary_fn=LivePipeline.every_n_steps(5))
        pipeline.setup()
        seen = take(pipeline, 2) + take(pipeline, 2)
        np.testing.assert_array_equal(concatenated(seen, "observations")[:, 0], np.arange(1, 21))
        assert [window.episode_id for window in seen] == [0, 1, 2, 3]
        assert feed.opened == 1

    def test_a_pipeline_that_was_torn_down_can_be_used_again(self, live):
        feed = EchoFeed([3] * 100, endless_episode=False)
        pipeline = live(feed, buffer_size=10)
        take(pipeline, 1)
        pipeline.request_stop()
        pipeline.teardown()
        pipeline.setup()
        assert take(pipeline, 2)[1].length == 3
        assert feed.opened == 2

    def test_after_a_request_to_stop_what_was_collected_is_the_last_window(self, live):
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
