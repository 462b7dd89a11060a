"""LivePipeline: windows and arguments."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from live_fakes import (
    BlockingFeed,
    EchoFeed,
    PolicyAgent,
    concatenated,
    take,
)

from tensor_optix.exceptions import InvalidArgumentError, InvalidTypeError, NotBoundError
from tensor_optix.pipeline.live import stream_worker
from tensor_optix.pipeline.live_pipeline import LivePipeline


@settings(max_examples=30, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=12),
    window_steps=st.integers(1, 11),
    by_method=st.booleans(),
)
def test_windows_hold_every_step_once_and_whole_returns(lengths, window_steps, by_method):
    pipeline = LivePipeline(
        EchoFeed(lengths, by_method=by_method),
        PolicyAgent(),
        LivePipeline.every_n_steps(window_steps),
        reconnect_on_disconnect=False,
    )
    windows = list(pipeline.episodes())
    pipeline.teardown()

    observations, returns, first = [], [], 1
    for length in lengths:
        acted_on = list(range(first, first + length))
        observations += acted_on
        returns.append(float(sum(acted_on)))
        first += length + 1
    np.testing.assert_array_equal(concatenated(windows, "observations")[:, 0], observations)
    np.testing.assert_array_equal(concatenated(windows, "next_observations")[:, 0], np.array(observations) + 1)
    np.testing.assert_array_equal(concatenated(windows, "completed_returns"), returns)
    np.testing.assert_array_equal(concatenated(windows, "completed_lengths"), lengths)
    full, rest = divmod(len(observations), window_steps)
    assert [window.length for window in windows] == [window_steps] * full + [rest] * (rest > 0)
    assert [window.episode_id for window in windows] == list(range(len(windows)))
    for window in windows:
        assert window.dones.sum() == len(window.completed_returns)


def test_a_boundary_inside_an_episode_is_no_flag(live):
    pipeline = live(EchoFeed([7]), reconnect_on_disconnect=False, episode_boundary_fn=LivePipeline.every_n_steps(3))
    first, second, last = pipeline.episodes()
    assert not first.dones.any()
    assert not second.dones.any()
    assert first.next_observations[-1] == second.observations[0]
    assert first.metadata["ended_by"] == "boundary"
    assert len(first.completed_returns) == 0
    np.testing.assert_array_equal(last.completed_returns, [1 + 2 + 3 + 4 + 5 + 6 + 7])
    np.testing.assert_array_equal(last.completed_lengths, [7])
    assert last.metadata["ended_by"] == "end"


def test_seconds_are_those_of_the_feed(live, monkeypatch):
    class Clock:
        now = 0.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(stream_worker, "time", clock)

    class Feed:
        def stream(self):
            for step in range(10):
                clock.now = 0.5 * step
                yield [float(step)], 0.0, False, False, {}

    windows = list(
        live(Feed(), reconnect_on_disconnect=False, episode_boundary_fn=LivePipeline.every_n_seconds(2.0)).episodes()
    )
    # Two steps a second: four steps each, and the one that is left.
    assert [window.length for window in windows] == [4, 4, 1]


def test_a_user_boundary_is_told_the_count_the_time_and_the_observation(live):
    calls = []

    def boundary(step_count, elapsed_seconds, last_observation):
        calls.append((step_count, elapsed_seconds >= 0.0, float(last_observation[0])))
        return last_observation[0] >= 3

    (window,) = take(live(EchoFeed(endless_episode=True), episode_boundary_fn=boundary), 1)
    assert window.length == 2
    assert calls == [(1, True, 2.0), (2, True, 3.0)]


def test_a_user_boundary_may_end_on_done_too(live):
    def boundary(step_count, elapsed_seconds, last_observation):
        return step_count >= 4

    boundary.ends_on_done = True
    windows = live(EchoFeed([3, 6]), reconnect_on_disconnect=False, episode_boundary_fn=boundary).episodes()
    assert [window.length for window in windows] == [3, 4, 2]


def test_a_window_that_nothing_ends_is_capped(live):
    windows = take(live(EchoFeed(endless_episode=True), max_window_steps=5), 2)
    assert [window.length for window in windows] == [5, 5]
    assert windows[0].metadata["ended_by"] == "cap"
    assert not windows[0].truncated.any()


def test_window_numbers_go_on_after_a_resume(live):
    first = live(EchoFeed([2] * 5))
    take(first, 3)
    second = live(EchoFeed([2] * 5))
    second.load_state_dict(first.state_dict())
    assert [window.episode_id for window in take(second, 2)] == [3, 4]


def test_it_is_live_and_cannot_play(live):
    pipeline = live(EchoFeed([1]))
    assert pipeline.is_live
    assert pipeline.request_barrier() is False
    assert pipeline.play_episodes(lambda observation: 0, 3, seed=0) is None


def test_an_agent_is_needed():
    pipeline = LivePipeline(EchoFeed([1]))
    assert pipeline.agent is None
    with pytest.raises(NotBoundError, match="no agent to act with"):
        next(pipeline.episodes())
    pipeline.teardown()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"on_full": "wait"}, "`on_full` must be one of"),
        ({"on_bad_step": "ignore"}, "`on_bad_step` must be one of"),
        ({"buffer_size": 0}, "`buffer_size`"),
        ({"max_window_steps": 0}, "`max_window_steps`"),
        ({"silence_timeout_seconds": 0.0}, "`silence_timeout_seconds`"),
        ({"max_reconnect_wait_seconds": -1.0}, "`max_reconnect_wait_seconds`"),
        ({"seed": -1}, "`seed`"),
        ({"episode_boundary_fn": LivePipeline.every_n_steps(20_000)}, "Raise max_window_steps"),
    ],
)
def test_values_out_of_range_are_refused(options, message):
    with pytest.raises(InvalidArgumentError, match=message):
        LivePipeline(EchoFeed([1]), **options)


def test_a_boundary_must_be_a_function():
    with pytest.raises(InvalidTypeError, match="`episode_boundary_fn` must be a function"):
        LivePipeline(EchoFeed([1]), episode_boundary_fn=5)


def test_positions_and_defaults_are_the_contract():
    pipeline = LivePipeline(BlockingFeed(), PolicyAgent(), LivePipeline.on_done_signal(), 1000, True)
    assert pipeline.is_live
    pipeline.teardown()
