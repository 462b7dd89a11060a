"""Which gradient steps env steps bring, and what an off-policy learner goes on from."""

import gymnasium as gym
import numpy as np
import pytest
from crossed import crossed
from hypothesis import given
from hypothesis import strategies as st
from off_policy_makers import VECTOR, play

from tensor_optix import DQNAgent, SACAgent, make_agent
from tensor_optix.algorithms.off_policy import ReplayLearner
from tensor_optix.algorithms.replay.replay_buffer import ReplayBuffer
from tensor_optix.core.types import EpisodeData, HyperparamSet
from tensor_optix.exceptions import CheckpointError, InvalidArgumentError, InvalidTypeError, StateMismatchError


def make_learner(seed=0):
    buffer = ReplayBuffer(50, np.zeros(2, np.float32), np.int64(0), np.random.default_rng(1))
    return ReplayLearner(np.random.default_rng(seed), buffer)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=12), st.integers(0, 60), st.integers(1, 7), st.integers(0, 3))
def test_gradient_steps_come_with_env_steps_however_windows_are_cut(windows, starts, frequency, steps):
    learner = make_learner()
    due = sum(learner.advance(num_steps, starts, frequency, steps) for num_steps in windows)
    assert due == max(0, sum(windows) - starts) // frequency * steps
    assert learner.env_steps == learner.exploration_steps == sum(windows)


def test_what_is_left_over_is_part_of_the_state():
    first, second = make_learner(3), make_learner(4)
    first.advance(7, 0, 5, 1)
    arrays, meta = first.state_dict()
    second.check_state(arrays, meta)
    second.load_state_dict(arrays, meta)
    assert first.advance(3, 0, 5, 1) == second.advance(3, 0, 5, 1) == 1
    assert first.rng.random() == second.rng.random()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"progress": {"env_steps": 1}}, CheckpointError, "lacks exploration_steps"),
        ({"progress": None}, CheckpointError, "is None, where a dict was expected"),
        ({"progress": [1, 2]}, CheckpointError, "where a .* was expected"),
        ({"generator": None}, CheckpointError, "is None, where a dict was expected"),
        ({"generator": {}}, CheckpointError, "lacks bit_generator"),
    ],
)
def test_a_state_that_cannot_be_is_refused(change, error, message):
    learner = make_learner()
    arrays, meta = learner.state_dict()
    with pytest.raises(error, match=message):
        learner.check_state(arrays, {**meta, **change})


def test_a_count_below_zero_is_refused():
    learner = make_learner()
    arrays, meta = learner.state_dict()
    with pytest.raises(StateMismatchError, match="`env_steps` is -1"):
        learner.check_state(arrays, {**meta, "progress": {**meta["progress"], "env_steps": -1}})


def test_a_changed_world_empties_the_replay():
    learner = make_learner()
    seen, zeros = np.zeros((5, 2), np.float32), np.zeros(5)
    learner._replay.add(EpisodeData(seen, zeros.astype(int), zeros, zeros, zeros, [], 0, next_observations=seen))
    assert len(learner._replay) == 5
    learner.on_world_change()
    assert len(learner._replay) == 0


@pytest.mark.parametrize(("kind", "num_envs"), crossed([DQNAgent, SACAgent], [None, 2]))
@pytest.mark.parametrize("how", ["changed", pytest.param("loaded", marks=pytest.mark.slow)])
def test_an_emptied_replay_is_filled_before_it_is_learned_from(kind, num_envs, how):
    space = gym.spaces.Discrete(3) if kind is DQNAgent else gym.spaces.Box(-1.0, 1.0, (1,))
    settings = {"batch_size": 4, "buffer_size": 400, "learning_starts": 60, "hidden_units": (4,)}
    made = [kind(hyperparams=HyperparamSet({"train_frequency": 5}, 0), **settings) for _ in range(2)]
    for agent in made:
        agent.bind(VECTOR, space, seed=1)
    agent, other = made
    said = [agent.learn(play(agent, n, 20 // (num_envs or 1), num_envs)) for n in range(6)]
    assert [x["num_gradient_steps"] for x in said] == [0, 0, 0, 4, 4, 4]
    if how == "loaded":
        other.set_state(agent.get_state("learner"))
        agent = other
    else:
        agent.on_world_change()
    steps = [agent.learn(play(agent, n, 20 // (num_envs or 1), num_envs))["num_gradient_steps"] for n in range(6, 12)]
    assert steps[:2] == [0, 0]
    assert steps[3:] == [4, 4, 4]
    assert agent._learner.env_steps == 240
    resumed = kind(hyperparams=HyperparamSet({"train_frequency": 5}, 0), **settings)
    resumed.bind(VECTOR, space, seed=1)
    agent.on_world_change()
    agent.learn(play(agent, 12, 20 // (num_envs or 1), num_envs))
    resumed.set_state(agent.get_state("all"))
    for n in range(13, 17):
        window = play(agent, n, 20 // (num_envs or 1), num_envs)
        assert resumed.learn(window) == agent.learn(window)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"batch_size": 0}, InvalidArgumentError, "`batch_size` must be an integer >= 1"),
        ({"buffer_size": 2.5}, InvalidTypeError, "`buffer_size` must be an integer"),
        ({"num_steps": 0}, InvalidArgumentError, "`num_steps`"),
        ({"learning_starts": -1}, InvalidArgumentError, "`learning_starts` must be an integer >= 0"),
        ({"hidden_units": (8, 0)}, InvalidArgumentError, "`hidden_units"),
        ({"normalize_observations": "no"}, InvalidTypeError, "`normalize_observations`"),
    ],
)
def test_arguments_are_checked_where_they_are_given(arguments, error, message):
    with pytest.raises(error, match=message):
        DQNAgent(**arguments)


def test_all_holds_the_replay_and_less_does_not():
    agent = make_agent("CartPole-v1", "dqn", hidden_units=(4,), buffer_size=64, batch_size=4, learning_starts=0, seed=0)
    agent.bind(VECTOR, gym.spaces.Discrete(2), seed=0)
    agent.learn(play(agent, 0))
    everything, less = agent.get_state("all"), agent.get_state("learner")
    in_the_replay = {name for name in everything.arrays if name.startswith("replay.")}
    assert in_the_replay
    assert set(everything.arrays) - in_the_replay == set(less.arrays)
    assert "replay" not in less.meta
    other = make_agent("CartPole-v1", "dqn", hidden_units=(4,), buffer_size=64, batch_size=4, learning_starts=0, seed=1)
    other.bind(VECTOR, gym.spaces.Discrete(2), seed=1)
    other.set_state(everything)
    assert len(other.replay) == len(agent.replay) == 40
    smaller = make_agent("CartPole-v1", "dqn", hidden_units=(4,), buffer_size=32, batch_size=4, seed=1)
    smaller.bind(VECTOR, gym.spaces.Discrete(2), seed=1)
    before = smaller.get_state("learner")
    with pytest.raises((StateMismatchError, CheckpointError)):
        smaller.set_state(everything)
    for name, array in smaller.get_state("learner").arrays.items():
        np.testing.assert_array_equal(array, before.arrays[name], err_msg=name)
