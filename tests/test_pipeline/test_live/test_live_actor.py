"""Acting beside learning: whose policy acts, and what is recorded of it."""

import threading

import numpy as np
import pytest
from live_fakes import (
    EchoFeed,
    PolicyAgent,
    SixMethodAgent,
    TellingAgent,
    take,
)

from tensor_optix.exceptions import NonFiniteError, NotBoundError
from tensor_optix.pipeline.live.live_actor import LiveActor
from tensor_optix.pipeline.live_pipeline import LivePipeline
from tensor_optix.testing.fakes import SixMethodAgent as ActsAlone


def test_the_new_policy_is_taken_when_the_next_window_is_asked_for(live):
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


def test_acting_goes_on_while_the_loop_learns(live):
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


def test_log_probs_are_recorded_where_the_policy_tells_them(live):
    agent = TellingAgent()
    (window,) = take(live(EchoFeed([3]), agent), 1)
    np.testing.assert_array_equal(window.action_log_probs, [-0.5, -0.5, -0.5])
    (silent,) = take(live(EchoFeed([3])), 1)
    assert silent.action_log_probs is None


def test_an_agent_without_policy_never_acts_while_the_loop_has_it(live):
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


def test_a_base_agent_without_policy_counts_as_six_methods(live):
    class Agent(SixMethodAgent):
        def policy(self):
            raise NotImplementedError

    (window,) = take(live(EchoFeed([3]), Agent()), 1)
    np.testing.assert_array_equal(window.actions, [1, 2, 3])


def test_an_agent_that_must_see_an_observation_first_gives_its_policy_later(live):
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


def test_a_second_call_of_episodes_takes_the_new_policy_too(live):
    agent = PolicyAgent()
    pipeline = live(EchoFeed([3] * 9), agent, buffer_size=1)
    take(pipeline, 1)
    agent.version = 4
    assert take(pipeline, 2)[1].policy_version[-1] == 4


def test_another_agent_takes_over(live):
    pipeline = live(EchoFeed(endless_episode=True), episode_boundary_fn=LivePipeline.every_n_steps(3), buffer_size=1)
    windows = pipeline.episodes()
    next(windows)
    other = PolicyAgent()
    other.version = 7
    pipeline.set_agent(other)
    assert pipeline.agent is other
    versions = np.concatenate([next(windows).policy_version for _ in range(3)])
    assert versions[-1] == 7


def test_latencies_are_measured(live):
    pipeline = live(EchoFeed([4, 3]), reconnect_on_disconnect=False)
    assert len(pipeline.action_latencies_seconds) == 0
    list(pipeline.episodes())
    assert len(pipeline.action_latencies_seconds) == 7
    assert (pipeline.action_latencies_seconds >= 0).all()


def test_an_error_of_the_agent_reaches_the_loop_as_it_is(live):
    class Agent(PolicyAgent):
        def policy(self):
            policy = super().policy()
            policy.act = lambda observation: 1 // int(3 - observation[0])
            return policy

    with pytest.raises(ZeroDivisionError) as caught:
        list(live(EchoFeed([5]), Agent()).episodes())
    assert "step 2 of the live feed" in caught.value.__notes__[0]


@pytest.mark.parametrize("action", [float("nan"), np.array([0.0, np.inf])], ids=["float", "array"])
def test_an_action_that_is_not_finite_is_never_delivered(live, action):
    agent = SixMethodAgent()
    agent.act = lambda observation: action
    feed = EchoFeed([5])
    with pytest.raises(NonFiniteError, match="which is not finite"):
        list(live(feed, agent).episodes())
    assert feed.received == []


def test_recorded_actions_are_copies(live):
    buffer = np.zeros(1)

    class Agent:
        def act(self, observation):
            buffer[0] = observation[0]
            return buffer

    (window,) = take(live(EchoFeed([3]), Agent()), 1)
    np.testing.assert_array_equal(window.actions[:, 0], [1, 2, 3])


class Remembering(ActsAlone):
    """Its policy tells how many observations of the episode it has seen, times 100 its version."""

    version = 0

    def policy(self):
        return CountingPolicy(self.version)


class CountingPolicy:
    def __init__(self, version):
        self.version = version

    def initial_states(self, num_envs):
        return [np.zeros((num_envs, 1))]

    def act_with_log_prob(self, observation, *, states=None):
        return int(states[0][0, 0]) + 100 * self.version, -1.0, [states[0] + 1]


def test_what_is_remembered_goes_on_in_the_next_policy_and_is_forgotten_with_the_episode():
    agent = Remembering({"x": 1.0})
    actor = LiveActor(agent)
    choices = [actor.act("seen", {}, begins=begins) for begins in (True, False, False)]
    agent.version = 1
    actor.refresh()
    choices += [actor.act("seen", {}, begins=begins) for begins in (False, True)]
    assert [choice.action for choice in choices] == [0, 1, 2, 103, 100]
    assert [choice.states[0][0, 0] for choice in choices] == [0, 1, 2, 3, 0]
    assert [choice.policy_version for choice in choices] == [0, 0, 0, 1, 1]


def test_an_agent_that_acts_itself_is_told_where_episodes_begin():
    class Told(ActsAlone):
        begun = 0

        def begin_episodes(self, is_first):
            self.begun += int(np.sum(is_first))

    agent = Told({"x": 1.0})
    actor = LiveActor(agent)
    for begins in (True, False, True):
        actor.act("seen", {}, begins=begins)
    assert agent.begun == 2
