"""Frozen policies with memory."""

import numpy as np
import pytest
from helpers.memory_makers import memory_agent, remembered_window

from tensor_optix.exceptions import InvalidArgumentError

SEEN = np.random.default_rng(0).normal(size=(5, 3, 4)).astype(np.float32)


def greedy_actions(policy, seen):
    states, actions = policy.initial_states(seen.shape[1]), []
    for observations in seen:
        chosen, states = policy.act_batch(observations, greedy=True, states=states)
        actions.append(chosen)
    return np.stack(actions), states


def test_it_acts_as_the_agent_does_and_keeps_nothing():
    agent = memory_agent()
    policy = agent.policy()
    agent.begin_episodes(np.ones(1, bool))
    expected = [agent.act_greedy(seen) for seen in SEEN[:, 0]]
    actions, states = greedy_actions(policy, SEEN)
    assert actions[:, 0].tolist() == expected
    np.testing.assert_allclose(states[0][:1], agent.memory_states(1)[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(greedy_actions(policy, SEEN)[0], actions)


def test_states_go_on_in_another_policy_of_the_same_agent():
    agent = memory_agent()
    window = remembered_window(agent)
    before = agent.policy()
    _, states = greedy_actions(before, SEEN[:2])
    agent.learn(window)
    after = agent.policy()
    assert after.version > before.version
    actions, _ = after.act_batch(SEEN[2], states=states)
    assert actions.shape == (3,)


def test_the_log_probability_told_is_that_of_the_action_on_its_states():
    agent = memory_agent(normalize_observations=False)
    policy = agent.policy()
    states = [np.full((1, 6), 0.5, np.float32)]
    action, log_prob, after = policy.act_with_log_prob(SEEN[0, 0], states=states)
    logits, expected = (np.asarray(agent.model([SEEN[0, :1], states[0]])[i])[0] for i in (0, 2))
    np.testing.assert_allclose(log_prob, logits[action] - np.log(np.exp(logits).sum()), rtol=1e-5)
    np.testing.assert_allclose(after[0][0], expected, rtol=1e-5, atol=1e-6)


def test_without_states_an_episode_begins():
    policy = memory_agent().policy()
    _, none = policy.act(SEEN[0, 0])
    _, zeros = policy.act(SEEN[0, 0], states=policy.initial_states(1))
    np.testing.assert_array_equal(none, zeros)


def test_states_of_other_shapes_are_refused():
    policy = memory_agent().policy()
    with pytest.raises(
        InvalidArgumentError, match=r"shapes \[\(3, 6\)\], as initial_states\(3\).*Received: \[\(2, 6\)\]"
    ):
        policy.act_batch(SEEN[0], states=policy.initial_states(2))
