"""Acting with memory, step by step."""

import numpy as np
import pytest
from helpers.memory_makers import gru_model, memory_agent, step_by_step

from tensor_optix.exceptions import StateMismatchError

RNG = np.random.default_rng(0)
SEEN = RNG.normal(size=(6, 2, 4)).astype(np.float32)


def outputs_of(forward, seen, begins=None):
    found = []
    for t, observations in enumerate(seen):
        if begins is not None and begins[t].any():
            forward.begin_episodes(begins[t])
        found.append(forward(observations))
    return np.stack(found)


def test_outputs_are_those_of_the_model_on_the_states_of_each_environment():
    agent = memory_agent(gru_model(), normalize_observations=False)
    begins = np.zeros((6, 2), bool)
    begins[[0, 2], [0, 1]] = True
    found = outputs_of(agent._forward, SEEN, begins)
    for n in range(2):
        (expected, _), _ = step_by_step(agent.model, SEEN[:, n], begins[:, n], [np.zeros(6, np.float32)])
        np.testing.assert_allclose(found[:, n], expected, rtol=1e-5, atol=1e-5)


def test_one_environment_alone_does_not_disturb_several_and_a_snapshot_disturbs_nobody():
    agent = memory_agent()
    before = outputs_of(agent._forward, SEEN)
    agent.begin_episodes([True, True])
    first = outputs_of(agent._forward, SEEN[:3])
    agent.act_greedy(SEEN[0, 0])
    outputs_of(agent._forward.snapshot(), SEEN)
    np.testing.assert_array_equal(np.concatenate([first, outputs_of(agent._forward, SEEN[3:])]), before)


def test_observations_one_by_one_give_what_a_batch_gives():
    agent = memory_agent()
    alone = np.stack([agent._forward.one(seen) for seen in SEEN[:, 1]])
    np.testing.assert_allclose(alone, outputs_of(agent._forward, SEEN)[:, 1], rtol=1e-5, atol=1e-6)


def test_what_is_remembered_goes_with_the_state_but_not_back_to_a_champion():
    agent, other = memory_agent(), memory_agent(seed=4)
    outputs_of(agent._forward, SEEN)
    state = agent.get_state()
    other.set_state(state)
    np.testing.assert_array_equal(outputs_of(other._forward, SEEN), outputs_of(agent._forward, SEEN))
    now = agent.memory_states(2)
    agent.go_back_to(state)
    np.testing.assert_array_equal(agent.memory_states(2), now)
    assert not [name for name in agent.get_state("policy").arrays if name.startswith("memory.")]


@pytest.mark.parametrize("name", ["memory.2.0", "memory.2.7", "memory.x.0"])
def test_states_of_another_shape_are_refused(name):
    agent = memory_agent()
    state = agent.get_state()
    state.arrays[name] = np.zeros((2, 5), np.float32)
    with pytest.raises(StateMismatchError, match="is no state of this policy: it remembers"):
        agent.set_state(state)


def test_an_agent_without_memory_remembers_nothing():
    agent = memory_agent(memory=None)
    agent.begin_episodes([True])
    assert agent.memory_states(1) is None
    assert not agent.remembers
