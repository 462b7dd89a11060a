"""Which reward belongs to which action, and which observation follows on which; boundaries on their own."""

import gymnasium as gym
import numpy as np
import pytest
from live_fakes import (
    FOREIGN_REWARD,
    EchoFeed,
    SixMethodAgent,
    TellingAgent,
    concatenated,
    take,
)

from tensor_optix.exceptions import InvalidArgumentError, InvalidTypeError, StreamError
from tensor_optix.pipeline.live_pipeline import LivePipeline


@pytest.mark.parametrize("by_method", [False, True], ids=["yield", "send_action"])
def test_each_reward_stands_beside_the_action_that_earned_it(live, by_method):
    feed = EchoFeed([3, 4], by_method=by_method)
    windows = list(live(feed, reconnect_on_disconnect=False).episodes())

    assert [window.length for window in windows] == [3, 4]
    for window in windows:
        np.testing.assert_array_equal(window.rewards, window.actions)
        np.testing.assert_array_equal(window.actions, window.observations[:, 0] % 1000)
    assert feed.received == [1, 2, 3, 5, 6, 7, 8]


def test_the_first_reward_belongs_to_nothing(live):
    windows = list(live(EchoFeed([2, 2, 2]), reconnect_on_disconnect=False).episodes())
    assert FOREIGN_REWARD not in concatenated(windows, "rewards")


def test_the_final_observation_is_the_successor_and_nobody_acts_on_it(live):
    feed = EchoFeed([3, 2])
    first, second = live(feed, reconnect_on_disconnect=False).episodes()

    np.testing.assert_array_equal(first.observations[:, 0], [1, 2, 3])
    np.testing.assert_array_equal(first.next_observations[:, 0], [2, 3, 4])
    np.testing.assert_array_equal(second.observations[:, 0], [5, 6])
    assert 4 not in feed.received
    np.testing.assert_array_equal(first.truncated, [False, False, True])
    np.testing.assert_array_equal(first.terminated, [False] * 3)
    np.testing.assert_array_equal(second.terminated, [False, True])


def test_the_generator_receives_none_after_the_end_of_an_episode(live):
    answers = []

    class Feed:
        def stream(self):
            answers.append((yield [0.0], 0.0, False, False, {}))
            answers.append((yield [1.0], 1.0, True, False, {}))
            answers.append((yield [2.0], 0.0, False, False, {}))

    list(live(Feed(), reconnect_on_disconnect=False).episodes())
    assert answers == [0, None, 2]


@pytest.mark.parametrize("make_stream", [iter, lambda items: items], ids=["iterator", "iterable"])
def test_a_source_that_takes_no_action_is_observed(live, make_stream):
    items = [([float(k)], float(k), k == 3, False, None) for k in range(4)]

    class Feed:
        def stream(self):
            return make_stream(items)

    (window,) = live(Feed(), reconnect_on_disconnect=False).episodes()
    np.testing.assert_array_equal(window.actions, [0, 1, 2])
    np.testing.assert_array_equal(window.rewards, [1.0, 2.0, 3.0])
    assert window.infos == [{}, {}, {}]


def test_an_item_that_begins_and_ends_an_episode_is_never_joined_to_another(live, caplog):
    class Feed:
        def stream(self):
            yield [0.0], 0.0, True, False, {}
            yield [1.0], 0.0, False, False, {}
            yield [2.0], 5.0, True, False, {}

    (window,) = live(Feed(), reconnect_on_disconnect=False).episodes()
    np.testing.assert_array_equal(window.observations[:, 0], [1.0])
    np.testing.assert_array_equal(window.completed_returns, [5.0])
    assert "both begins and ends an episode" in caplog.text


def test_what_the_world_did_instead_is_recorded(live):
    class Feed:
        def stream(self):
            yield [0.0], 0.0, False, False, {"applied_action": 5}
            yield [1.0], 1.0, False, False, {"applied_action": 7}
            yield [2.0], 1.0, False, False, {"applied_action": 1}
            yield [3.0], 1.0, True, False, {}

    (window,) = take(live(Feed(), TellingAgent()), 1)
    np.testing.assert_array_equal(window.actions, [7, 1, 2])
    np.testing.assert_array_equal(window.action_log_probs, [np.nan, -0.5, -0.5])


def test_what_an_agent_that_tells_no_probability_did_not_choose_is_not_valid(live):
    class Feed:
        def stream(self):
            yield [0.0], 0.0, False, False, {}
            yield [1.0], 1.0, False, False, {"applied_action": 7}
            yield [2.0], 1.0, False, False, {"applied_action": 1}
            yield [3.0], 1.0, True, False, {}
            yield [4.0], 0.0, False, False, {}
            yield [5.0], 1.0, True, False, {}

    first, second = take(live(Feed(), SixMethodAgent()), 2)
    np.testing.assert_array_equal(first.actions, [7, 1, 2])
    np.testing.assert_array_equal(first.valid, [False, True, True])
    assert first.action_log_probs is None
    assert second.valid is None


def test_what_the_world_did_has_the_shape_of_an_action(live):
    class Feed:
        def stream(self):
            yield [0.0], 0.0, False, False, {}
            yield [1.0], 1.0, False, False, {"applied_action": [1, 2]}

    with pytest.raises(StreamError, match=r"Step 1 .* expected info\['applied_action'\] to have shape \(\)"):
        take(live(Feed()), 1)


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize(
    ("space", "chosen", "applied", "fault"),
    [
        (None, 0, float("nan"), "holds NaN or infinity"),
        (None, 0, "left", "is not an array of numbers"),
        (None, 0, 0.5, r"must hold whole numbers, as the agent's actions do, not 0\.5"),
        (gym.spaces.Discrete(3), 0, 3, r"is 3, which is not in Discrete\(3\)"),
        (gym.spaces.MultiDiscrete([2, 2]), np.array([0, 1]), [1, 2], "which is not in MultiDiscrete"),
        (gym.spaces.Box(-1.0, 1.0, (2,)), np.zeros(2, np.float32), [0.0, 1.5], "which is not in Box"),
        (gym.spaces.Box(-1.0, 1.0, (2,)), np.zeros(2, np.float32), [0.0, np.inf], "holds NaN or infinity"),
        (None, np.zeros(2, np.float32), [0.0, 1e300], "is out of the range of float32"),
    ],
)
def test_what_the_world_did_is_an_action(live, space, chosen, applied, fault, skip):
    class Feed:
        action_space = space

        def stream(self):
            for k in range(6):
                yield [float(k)], 1.0, k == 5, False, {"applied_action": applied} if k == 2 else {}

    class Still:
        def act(self, observation):
            return chosen

    pipeline = live(Feed(), Still(), on_bad_step="skip" if skip else "raise", reconnect_on_disconnect=False)
    if skip:
        windows = list(pipeline.episodes())
        assert pipeline.skipped_steps == 1
        np.testing.assert_array_equal([action for w in windows for action in w.actions], [chosen] * 3)
    else:
        with pytest.raises(StreamError, match=rf"Step 2 .*{fault}"):
            list(pipeline.episodes())


@pytest.mark.parametrize(
    ("space", "chosen", "applied", "recorded"),
    [
        (gym.spaces.Discrete(3), 0, 2.0, 2),
        (gym.spaces.Discrete(3), 0, None, 0),
        (gym.spaces.MultiBinary(2), np.array([0, 1], np.int8), [True, True], [1, 1]),
        (gym.spaces.Box(-1.0, 0.1, (1,)), np.zeros(1, np.float32), [0.1], [np.float32(0.1)]),
        (gym.spaces.Box(-1.0, 0.1, (1,)), np.zeros(1, np.float32), [0.1000001], [np.float32(0.1)]),
    ],
)
def test_it_is_recorded_in_the_type_of_an_action(live, space, chosen, applied, recorded):
    class Feed:
        action_space = space

        def stream(self):
            yield [0.0], 0.0, False, False, {}
            yield [1.0], 1.0, True, False, {"applied_action": applied}

    class Still:
        def act(self, observation):
            return chosen

    (window,) = live(Feed(), Still(), reconnect_on_disconnect=False).episodes()
    np.testing.assert_array_equal(window.actions[0], recorded)
    assert window.actions.dtype == np.asarray(chosen).dtype


def test_a_source_may_refill_one_array(live):
    class Feed:
        def stream(self):
            buffer = np.zeros(2)
            for step in range(4):
                buffer[:] = step
                yield buffer, 0.0, step == 3, False, {}

    (window,) = live(Feed(), reconnect_on_disconnect=False).episodes()
    np.testing.assert_array_equal(window.observations[:, 0], [0, 1, 2])
    np.testing.assert_array_equal(window.next_observations[:, 0], [1, 2, 3])


def test_dict_observations_are_windows_of_each_key(live):
    class Feed:
        def stream(self):
            for step in range(3):
                yield {"a": [step, step], "b": float(step)}, 0.0, step == 2, False, {}

    agent = SixMethodAgent()
    agent.act = lambda observation: int(observation["b"])
    (window,) = live(Feed(), agent, reconnect_on_disconnect=False).episodes()
    assert window.observations["a"].shape == (2, 2)
    np.testing.assert_array_equal(window.next_observations["b"], [1.0, 2.0])


def test_observations_are_cast_to_the_space(live):
    feed = EchoFeed([2])
    feed.observation_space = gym.spaces.Box(-10, 10, (1,), np.float32)
    feed.action_space = gym.spaces.Discrete(3)
    pipeline = live(feed, reconnect_on_disconnect=False)
    (window,) = pipeline.episodes()
    assert window.observations.dtype == np.float32
    assert pipeline.observation_space is feed.observation_space
    assert pipeline.action_space is feed.action_space


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


def test_a_window_may_be_cut_and_only_that_one(live):
    pipeline = live(EchoFeed([9, 9]), reconnect_on_disconnect=False)
    assert pipeline.limit_window(4)
    assert [(window.length, window.metadata["ended_by"]) for window in pipeline.episodes()] == [
        (4, "cap"),
        (5, "done"),
        (9, "done"),
    ]
