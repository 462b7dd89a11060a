"""LivePipeline: pairing, windows, acting beside learning."""

import threading

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from live_fakes import (
    FOREIGN_REWARD,
    BlockingFeed,
    EchoFeed,
    PolicyAgent,
    SixMethodAgent,
    TellingAgent,
    concatenated,
    take,
)

from tensor_optix.exceptions import InvalidArgumentError, InvalidTypeError, NonFiniteError, NotBoundError, StreamError
from tensor_optix.pipeline.live import stream_worker
from tensor_optix.pipeline.live_pipeline import LivePipeline


@pytest.fixture(autouse=True)
def _no_thread_left():
    yield
    left = [thread.name for thread in threading.enumerate() if thread.name == "tensor-optix-feed"]
    assert not left


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


class TestPairing:
    @pytest.mark.parametrize("by_method", [False, True], ids=["yield", "send_action"])
    def test_each_reward_stands_beside_the_action_that_earned_it(self, live, by_method):
        feed = EchoFeed([3, 4], by_method=by_method)
        windows = list(live(feed, reconnect_on_disconnect=False).episodes())

        assert [window.length for window in windows] == [3, 4]
        for window in windows:
            np.testing.assert_array_equal(window.rewards, window.actions)
            np.testing.assert_array_equal(window.actions, window.observations[:, 0] % 1000)
        assert feed.received == [1, 2, 3, 5, 6, 7, 8]

    def test_the_first_reward_belongs_to_nothing(self, live):
        windows = list(live(EchoFeed([2, 2, 2]), reconnect_on_disconnect=False).episodes())
        assert FOREIGN_REWARD not in concatenated(windows, "rewards")

    def test_the_final_observation_is_the_successor_and_nobody_acts_on_it(self, live):
        feed = EchoFeed([3, 2])
        first, second = live(feed, reconnect_on_disconnect=False).episodes()

        np.testing.assert_array_equal(first.observations[:, 0], [1, 2, 3])
        np.testing.assert_array_equal(first.next_observations[:, 0], [2, 3, 4])
        np.testing.assert_array_equal(second.observations[:, 0], [5, 6])
        assert 4 not in feed.received
        np.testing.assert_array_equal(first.truncated, [False, False, True])
        np.testing.assert_array_equal(first.terminated, [False] * 3)
        np.testing.assert_array_equal(second.terminated, [False, True])

    def test_the_generator_receives_none_after_the_end_of_an_episode(self, live):
        answers = []

        class Feed:
            def stream(self):
                answers.append((yield [0.0], 0.0, False, False, {}))
                answers.append((yield [1.0], 1.0, True, False, {}))
                answers.append((yield [2.0], 0.0, False, False, {}))

        list(live(Feed(), reconnect_on_disconnect=False).episodes())
        assert answers == [0, None, 2]

    @pytest.mark.parametrize("make_stream", [iter, lambda items: items], ids=["iterator", "iterable"])
    def test_a_source_that_takes_no_action_is_observed(self, live, make_stream):
        items = [([float(k)], float(k), k == 3, False, None) for k in range(4)]

        class Feed:
            def stream(self):
                return make_stream(items)

        (window,) = live(Feed(), reconnect_on_disconnect=False).episodes()
        np.testing.assert_array_equal(window.actions, [0, 1, 2])
        np.testing.assert_array_equal(window.rewards, [1.0, 2.0, 3.0])
        assert window.infos == [{}, {}, {}]

    def test_an_item_that_begins_and_ends_an_episode_is_never_joined_to_another(self, live, caplog):
        class Feed:
            def stream(self):
                yield [0.0], 0.0, True, False, {}
                yield [1.0], 0.0, False, False, {}
                yield [2.0], 5.0, True, False, {}

        (window,) = live(Feed(), reconnect_on_disconnect=False).episodes()
        np.testing.assert_array_equal(window.observations[:, 0], [1.0])
        np.testing.assert_array_equal(window.completed_returns, [5.0])
        assert "both begins and ends an episode" in caplog.text

    def test_what_the_world_did_instead_is_recorded(self, live):
        class Feed:
            def stream(self):
                yield [0.0], 0.0, False, False, {"applied_action": 5}
                yield [1.0], 1.0, False, False, {"applied_action": 7}
                yield [2.0], 1.0, False, False, {"applied_action": 1}
                yield [3.0], 1.0, True, False, {}

        (window,) = take(live(Feed(), TellingAgent()), 1)
        np.testing.assert_array_equal(window.actions, [7, 1, 2])
        np.testing.assert_array_equal(window.action_log_probs, [np.nan, -0.5, -0.5])

    def test_what_the_world_did_has_the_shape_of_an_action(self, live):
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
    def test_what_the_world_did_is_an_action(self, live, space, chosen, applied, fault, skip):
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
    def test_it_is_recorded_in_the_type_of_an_action(self, live, space, chosen, applied, recorded):
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

    def test_a_source_may_refill_one_array(self, live):
        class Feed:
            def stream(self):
                buffer = np.zeros(2)
                for step in range(4):
                    buffer[:] = step
                    yield buffer, 0.0, step == 3, False, {}

        (window,) = live(Feed(), reconnect_on_disconnect=False).episodes()
        np.testing.assert_array_equal(window.observations[:, 0], [0, 1, 2])
        np.testing.assert_array_equal(window.next_observations[:, 0], [1, 2, 3])

    def test_dict_observations_are_windows_of_each_key(self, live):
        class Feed:
            def stream(self):
                for step in range(3):
                    yield {"a": [step, step], "b": float(step)}, 0.0, step == 2, False, {}

        agent = SixMethodAgent()
        agent.act = lambda observation: int(observation["b"])
        (window,) = live(Feed(), agent, reconnect_on_disconnect=False).episodes()
        assert window.observations["a"].shape == (2, 2)
        np.testing.assert_array_equal(window.next_observations["b"], [1.0, 2.0])

    def test_observations_are_cast_to_the_space(self, live):
        feed = EchoFeed([2])
        feed.observation_space = gym.spaces.Box(-10, 10, (1,), np.float32)
        feed.action_space = gym.spaces.Discrete(3)
        pipeline = live(feed, reconnect_on_disconnect=False)
        (window,) = pipeline.episodes()
        assert window.observations.dtype == np.float32
        assert pipeline.observation_space is feed.observation_space
        assert pipeline.action_space is feed.action_space


class TestWindows:
    @settings(max_examples=30, deadline=None)
    @given(
        lengths=st.lists(st.integers(1, 9), min_size=1, max_size=12),
        window_steps=st.integers(1, 11),
        by_method=st.booleans(),
    )
    def test_windows_hold_every_step_once_and_whole_returns(self, lengths, window_steps, by_method):
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

    def test_a_boundary_inside_an_episode_is_no_flag(self, live):
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

    def test_seconds_are_those_of_the_feed(self, live, monkeypatch):
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
            live(
                Feed(), reconnect_on_disconnect=False, episode_boundary_fn=LivePipeline.every_n_seconds(2.0)
            ).episodes()
        )
        # Two steps a second: four steps each, and the one that is left.
        assert [window.length for window in windows] == [4, 4, 1]

    def test_a_user_boundary_is_told_the_count_the_time_and_the_observation(self, live):
        calls = []

        def boundary(step_count, elapsed_seconds, last_observation):
            calls.append((step_count, elapsed_seconds >= 0.0, float(last_observation[0])))
            return last_observation[0] >= 3

        (window,) = take(live(EchoFeed(endless_episode=True), episode_boundary_fn=boundary), 1)
        assert window.length == 2
        assert calls == [(1, True, 2.0), (2, True, 3.0)]

    def test_a_user_boundary_may_end_on_done_too(self, live):
        def boundary(step_count, elapsed_seconds, last_observation):
            return step_count >= 4

        boundary.ends_on_done = True
        windows = live(EchoFeed([3, 6]), reconnect_on_disconnect=False, episode_boundary_fn=boundary).episodes()
        assert [window.length for window in windows] == [3, 4, 2]

    def test_a_window_that_nothing_ends_is_capped(self, live):
        windows = take(live(EchoFeed(endless_episode=True), max_window_steps=5), 2)
        assert [window.length for window in windows] == [5, 5]
        assert windows[0].metadata["ended_by"] == "cap"
        assert not windows[0].truncated.any()

    def test_window_numbers_go_on_after_a_resume(self, live):
        first = live(EchoFeed([2] * 5))
        take(first, 3)
        second = live(EchoFeed([2] * 5))
        second.load_state_dict(first.state_dict())
        assert [window.episode_id for window in take(second, 2)] == [3, 4]

    def test_it_is_live_and_cannot_play(self, live):
        pipeline = live(EchoFeed([1]))
        assert pipeline.is_live
        assert pipeline.request_barrier() is False
        assert pipeline.play_episodes(lambda observation: 0, 3, seed=0) is None


class TestActing:
    def test_the_new_policy_is_taken_when_the_next_window_is_asked_for(self, live):
        agent = PolicyAgent()
        pipeline = live(
            EchoFeed(endless_episode=True), agent, episode_boundary_fn=LivePipeline.every_n_steps(4), buffer_size=2
        )
        versions = []
        for window in pipeline.episodes():
            versions.append(window.policy_version)
            np.testing.assert_array_equal(window.actions // 1000, window.policy_version)
            agent.learn(window)
            if len(versions) == 6:
                break
        versions = np.concatenate(versions)
        assert versions.dtype == np.int64
        # Two steps may wait in the queue, one in the feed's hand, and one action is in the world.
        assert versions[-1] >= 4
        assert (np.diff(versions) >= 0).all()

    def test_acting_goes_on_while_the_loop_learns(self, live):
        enough = threading.Event()
        feed = EchoFeed(endless_episode=True, by_method=True)
        deliver = feed.send_action

        def count(action):
            deliver(action)
            if len(feed.received) >= 500:
                enough.set()

        feed.send_action = count
        pipeline = live(feed, on_full="drop_oldest", buffer_size=10, episode_boundary_fn=LivePipeline.every_n_steps(5))
        windows = pipeline.episodes()
        next(windows)
        # The loop "learns" for as long as 500 actions take.
        assert enough.wait(20)
        assert feed.opened == 1

    def test_log_probs_are_recorded_where_the_policy_tells_them(self, live):
        agent = TellingAgent()
        (window,) = take(live(EchoFeed([3]), agent), 1)
        np.testing.assert_array_equal(window.action_log_probs, [-0.5, -0.5, -0.5])
        (silent,) = take(live(EchoFeed([3])), 1)
        assert silent.action_log_probs is None

    def test_an_agent_without_policy_never_acts_while_the_loop_has_it(self, live):
        agent = SixMethodAgent()
        pipeline = live(
            EchoFeed(endless_episode=True), agent, buffer_size=50, episode_boundary_fn=LivePipeline.every_n_steps(20)
        )
        for count, window in enumerate(pipeline.episodes()):
            agent.is_learning = True
            acts = agent.acts
            assert window.policy_version is None
            threading.Event().wait(0.005)
            assert agent.acts == acts
            agent.is_learning = False
            if count == 9:
                break
        assert agent.acts >= 200
        assert agent.acted_while_learning == 0

    def test_a_base_agent_without_policy_counts_as_six_methods(self, live):
        class Agent(SixMethodAgent):
            def policy(self):
                raise NotImplementedError

        (window,) = take(live(EchoFeed([3]), Agent()), 1)
        np.testing.assert_array_equal(window.actions, [1, 2, 3])

    def test_an_agent_that_must_see_an_observation_first_gives_its_policy_later(self, live):
        class Agent(PolicyAgent):
            seen = False

            def policy(self):
                if not self.seen:
                    raise NotBoundError("no observation yet")
                return super().policy()

            def act(self, observation):
                self.seen = True
                return -1

        windows = take(live(EchoFeed([3] * 9), Agent(), buffer_size=1), 9)
        assert windows[0].policy_version is None
        np.testing.assert_array_equal(windows[0].actions, [-1, -1, -1])
        assert windows[-1].actions[-1] >= 0, "by then: the feed is some windows ahead of who takes them"

    def test_a_second_call_of_episodes_takes_the_new_policy_too(self, live):
        agent = PolicyAgent()
        pipeline = live(EchoFeed([3] * 9), agent, buffer_size=1)
        take(pipeline, 1)
        agent.version = 4
        assert take(pipeline, 2)[1].policy_version[-1] == 4

    def test_another_agent_takes_over(self, live):
        pipeline = live(
            EchoFeed(endless_episode=True), episode_boundary_fn=LivePipeline.every_n_steps(3), buffer_size=1
        )
        windows = pipeline.episodes()
        next(windows)
        other = PolicyAgent()
        other.version = 7
        pipeline.set_agent(other)
        assert pipeline.agent is other
        versions = np.concatenate([next(windows).policy_version for _ in range(3)])
        assert versions[-1] == 7

    def test_latencies_are_measured(self, live):
        pipeline = live(EchoFeed([4, 3]), reconnect_on_disconnect=False)
        assert len(pipeline.action_latencies_seconds) == 0
        list(pipeline.episodes())
        assert len(pipeline.action_latencies_seconds) == 7
        assert (pipeline.action_latencies_seconds >= 0).all()

    def test_an_error_of_the_agent_reaches_the_loop_as_it_is(self, live):
        class Agent(PolicyAgent):
            def policy(self):
                policy = super().policy()
                policy.act = lambda observation: 1 // int(3 - observation[0])
                return policy

        with pytest.raises(ZeroDivisionError) as caught:
            list(live(EchoFeed([5]), Agent()).episodes())
        assert "step 2 of the live feed" in caught.value.__notes__[0]

    @pytest.mark.parametrize("action", [float("nan"), np.array([0.0, np.inf])], ids=["float", "array"])
    def test_an_action_that_is_not_finite_is_never_delivered(self, live, action):
        agent = SixMethodAgent()
        agent.act = lambda observation: action
        feed = EchoFeed([5])
        with pytest.raises(NonFiniteError, match="which is not finite"):
            list(live(feed, agent).episodes())
        assert feed.received == []

    def test_recorded_actions_are_copies(self, live):
        buffer = np.zeros(1)

        class Agent:
            def act(self, observation):
                buffer[0] = observation[0]
                return buffer

        (window,) = take(live(EchoFeed([3]), Agent()), 1)
        np.testing.assert_array_equal(window.actions[:, 0], [1, 2, 3])


class TestArguments:
    def test_a_source_needs_a_stream(self):
        with pytest.raises(InvalidTypeError, match=r"needs a method stream\(\)"):
            LivePipeline(object())

    def test_a_stream_must_be_an_iterator(self, live):
        class Feed:
            def stream(self):
                return 3

        with pytest.raises(InvalidTypeError, match="must return a generator"):
            list(live(Feed()).episodes())

    def test_an_agent_is_needed(self):
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
    def test_values_out_of_range_are_refused(self, options, message):
        with pytest.raises(InvalidArgumentError, match=message):
            LivePipeline(EchoFeed([1]), **options)

    def test_a_boundary_must_be_a_function(self):
        with pytest.raises(InvalidTypeError, match="`episode_boundary_fn` must be a function"):
            LivePipeline(EchoFeed([1]), episode_boundary_fn=5)

    def test_positions_and_defaults_are_the_contract(self):
        pipeline = LivePipeline(BlockingFeed(), PolicyAgent(), LivePipeline.on_done_signal(), 1000, True)
        assert pipeline.is_live
        pipeline.teardown()
