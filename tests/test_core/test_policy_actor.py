"""Acting with a frozen policy."""

import numpy as np

from tensor_optix.core.policy_actor import PolicyActor, begun


class Counting:
    """A policy that remembers how many steps an episode has, and says so."""

    version = 0

    def initial_states(self, num_envs):
        return [np.zeros((num_envs, 1))]

    def act(self, observation, *, greedy=False, states=None):
        actions, states = self.act_batch([observation], greedy=greedy, states=states)
        return actions[0], states

    def act_batch(self, observations, *, greedy=False, states=None):
        states = self.initial_states(len(observations)) if states is None else states
        return [int(x) for x in states[0][:, 0]], [states[0] + 1]


class Plain:
    version = 0

    def act(self, observation, *, greedy=False):
        return (observation, greedy)

    act_batch = act


def test_states_are_carried_from_step_to_step_until_an_episode_begins():
    actor = PolicyActor(Counting(), greedy=True)
    assert [actor("seen") for _ in range(3)] == [0, 1, 2]
    actor.begin_episodes([True])
    assert actor("seen") == 0


def test_each_environment_begins_for_itself():
    actor = PolicyActor(Counting(), greedy=False)
    actor.begin_episodes(np.ones(3, bool))
    for _ in range(2):
        actor.batch(["a", "b", "c"])
    actor.begin_episodes(np.array([False, True, False]))
    assert actor.batch(["a", "b", "c"]) == [2, 0, 2]


def test_other_environments_than_before_all_begin():
    states = begun(Counting(), [np.full((2, 1), 7.0)], [True, False])
    np.testing.assert_array_equal(states[0], [[0], [7]])
    np.testing.assert_array_equal(begun(Counting(), states, [False] * 3)[0], np.zeros((3, 1)))


def test_a_policy_without_memory_is_asked_as_it_is():
    actor = PolicyActor(Plain(), greedy=True)
    actor.begin_episodes([True])
    assert actor(4) == (4, True)
    assert actor.batch([4]) == ([4], True)
    assert not actor.remembers
