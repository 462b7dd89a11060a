import gymnasium as gym
import numpy as np
import pytest
from policy_export_cases import OBSERVATIONS, make_agent

from tensor_optix.adapters.tensorflow.exporting.observations import likely_observations


def observations(agent, space, count=200):
    return likely_observations(space, agent._inputs, agent._normalizer, count)


@pytest.mark.parametrize("name", list(OBSERVATIONS))
def test_they_are_what_the_model_takes(name):
    agent = make_agent("ppo", name, "discrete")
    parts = observations(agent, OBSERVATIONS[name])
    assert [part.dtype for part in parts] == list(agent._inputs.dtypes)
    assert all(len(part) == 200 and len(np.unique(part, axis=0)) > 1 for part in parts)
    assert np.isfinite(agent._forward(agent._inputs.structured(parts))).all()


def test_bounds_that_stand_for_infinity_are_not_drawn_from():
    space = gym.spaces.Box(np.array([-4.8, -np.inf, -3.4e38, 0.0]), np.array([4.8, np.inf, 3.4e38, 1.0]))
    agent = make_agent("ppo", "vector", "discrete")
    (drawn,) = observations(agent, space)
    assert (drawn >= space.low).all()
    assert (drawn <= space.high).all()
    assert np.abs(drawn[:, 2]).max() < 10, "drawn around what the agent has seen: mean 0.1, spread 0.5"
    assert drawn[:, 2].std() > 0.5


def test_without_a_space_they_are_around_what_the_agent_has_seen():
    agent = make_agent("ppo", "vector", "discrete")
    (drawn,) = observations(agent, None, 2_000)
    assert drawn.mean() == pytest.approx(0.1, abs=0.1)
    assert drawn.std() == pytest.approx(1.0, abs=0.15)


def test_they_are_the_same_each_time():
    agent = make_agent("ppo", "dict", "discrete")
    first, second = (observations(agent, OBSERVATIONS["dict"]) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)
