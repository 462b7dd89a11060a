"""A queue that is full: the feed is held back, or steps are dropped and counted."""

import itertools
import time

import numpy as np
from live_fakes import (
    EchoFeed,
    assert_nothing_learned_across_gaps,
    concatenated,
    wait_until,
)

from tensor_optix.pipeline.live_pipeline import LivePipeline


def test_block_holds_the_feed_back_and_loses_nothing(live):
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


def test_drop_oldest_counts_and_never_joins_across_the_gap(live):
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


def test_whole_returns_survive_dropped_steps(live):
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
