"""Items that are no step of the feed's world are named, or left out as a gap."""

import numpy as np
import pytest
from live_fakes import (
    SixMethodAgent,
    concatenated,
)

from tensor_optix.exceptions import StreamError
from tensor_optix.pipeline.live_pipeline import LivePipeline

GOOD = [([float(k), 0.0], 1.0, k == 9, False, {}) for k in range(10)]


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


def feed_of(items):
    class Feed:
        def __init__(self):
            self.answers = []

        def stream(self):
            for item in items:
                self.answers.append((yield item))

    return Feed()


@pytest.mark.parametrize("name", BAD)
def test_they_are_named_with_their_number(live, name):
    bad, message = BAD[name]
    items = [*GOOD[:5], bad, *GOOD[6:]]
    with pytest.raises(StreamError, match=rf"Step 5 of the feed .*{message}.*on_bad_step=\"skip\""):
        list(live(feed_of(items)).episodes())


@pytest.mark.parametrize("name", BAD)
def test_or_left_out_as_a_gap(live, name):
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


def test_the_episode_after_a_lost_one_is_whole_again(live):
    items = [*GOOD[:5], BAD["NaN reward"][0], *GOOD[6:], *GOOD]
    pipeline = live(feed_of(items), on_bad_step="skip", reconnect_on_disconnect=False)
    windows = list(pipeline.episodes())
    np.testing.assert_array_equal(concatenated(windows, "completed_returns"), [9.0])


def test_dict_observations_keep_their_keys_and_shapes(live):
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


def test_nested_dicts_keep_their_keys_and_shapes(live):
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


def test_the_space_decides_before_the_first_item_does(live):
    class Space:
        shape = (3,)
        dtype = np.dtype(np.float32)

    feed = feed_of(GOOD)
    feed.observation_space = Space()
    with pytest.raises(StreamError, match=r"Step 0 of the feed .*shape \(3,\), got \(2,\)"):
        list(live(feed).episodes())


def test_a_value_outside_the_range_of_the_space_is_not_cast_to_infinity(live):
    class Space:
        shape = (1,)
        dtype = np.dtype(np.float32)

    feed = feed_of([([1e300], 0.0, False, False, {})])
    feed.observation_space = Space()
    with pytest.raises(StreamError, match="out of the range of float32"):
        list(live(feed).episodes())


def test_json_flags_and_scalars_are_fine(live):
    items = [([0, 0], 0, 0, 0, None), ([1, 1], np.float32(2.0), 1, np.bool_(False), {})]
    (window,) = live(feed_of(items), reconnect_on_disconnect=False).episodes()
    assert window.terminated.tolist() == [True]
    assert window.rewards.tolist() == [2.0]
