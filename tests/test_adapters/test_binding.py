"""What ``bind`` makes of small agents: what follows from the seed, what stays, and what is refused."""

import gymnasium as gym
import keras
import numpy as np
import pytest
from agent_makers import CARTPOLE, make_agent, play_window

from tensor_optix import HyperparamSet, PPOAgent, TFAgent
from tensor_optix.exceptions import InvalidTypeError, NotBoundError, UnsupportedSpaceError

TWO = gym.spaces.Discrete(2)
SEEN = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)


def ppo(seed, **arguments):
    agent = PPOAgent(hidden_units=(4,), **arguments)
    agent.bind(CARTPOLE, TWO, seed=seed)
    return agent


def weights(agent):
    return agent.model.get_weights()


def assert_equal(first, second):
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_fresh_agent_depends_on_its_seed_alone():
    first, second = ppo(1), ppo(1)
    assert_equal(weights(first), weights(second))
    second.bind(CARTPOLE, TWO, seed=2)
    assert not np.array_equal(weights(first)[0], weights(second)[0])
    second.bind(CARTPOLE, TWO, seed=1)
    assert_equal(weights(first), weights(second))
    np.testing.assert_array_equal(first.act_batch(SEEN), second.act_batch(SEEN))


def test_what_was_learned_stays_and_another_seed_only_reseeds():
    agent = ppo(1)
    agent.learn(play_window(agent, 0))
    before, optimizer = weights(agent), [v.numpy() for v in agent.optimizer.variables]
    agent.bind(CARTPOLE, TWO, seed=2)
    assert_equal(before, weights(agent))
    assert_equal(optimizer, [v.numpy() for v in agent.optimizer.variables])
    one, other = ppo(1), ppo(1)
    for twin, seed in ((one, 2), (other, 3)):
        twin.learn(play_window(twin, 0))
        twin.bind(CARTPOLE, TWO, seed=seed)
    many = np.repeat(SEEN, 20, axis=0)
    np.testing.assert_array_equal(agent.act_batch(many), one.act_batch(many))
    assert not np.array_equal(one.act_batch(many), other.act_batch(many))


def test_weights_of_the_users_own_stay_and_it_is_said_that_observations_will_be_normalised(caplog):
    agent = ppo(1)
    agent.model.set_weights([w + 1.0 for w in weights(agent)])
    own = weights(agent)
    agent.bind(CARTPOLE, TWO, seed=2)
    assert_equal(own, weights(agent))
    assert "will normalise observations" in caplog.text
    caplog.clear()
    plain = ppo(1, normalize_observations=False)
    plain.model.set_weights([w + 1.0 for w in weights(plain)])
    plain.bind(CARTPOLE, TWO, seed=2)
    assert caplog.text == ""


def test_what_has_learned_does_not_serve_other_actions():
    agent = ppo(1)
    agent.learn(play_window(agent, 0))
    with pytest.raises(UnsupportedSpaceError):
        agent.bind(CARTPOLE, gym.spaces.Discrete(3), seed=1)


def test_an_optimizer_that_trained_other_networks_begins_anew_and_a_users_own_stays():
    agent = ppo(1)
    first = agent.optimizer
    agent.bind(CARTPOLE, TWO, seed=2)
    assert agent.optimizer is not first
    own = make_agent(TWO)
    kept = own.optimizer
    own.bind(CARTPOLE, TWO, seed=5)
    assert own.optimizer is kept


def test_a_copy_that_acts_changes_nothing():
    agent = ppo(1)
    agent.learn(play_window(agent, 0))
    before = agent.get_state()
    copies = [agent.acting_copy(CARTPOLE, TWO, seed=seed) for seed in (7, 7)]
    np.testing.assert_array_equal(copies[0].act_batch(SEEN), copies[1].act_batch(SEEN))
    assert_equal([copies[0].act_greedy(x) for x in SEEN], [agent.act_greedy(x) for x in SEEN])
    after = agent.get_state()
    assert before.meta["noise"] == after.meta["noise"]
    for name, array in before.arrays.items():
        np.testing.assert_array_equal(array, after.arrays[name])


def test_outputs_tell_the_actions_where_nobody_bound_it():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    agent = TFAgent(model, keras.optimizers.Adam(), HyperparamSet({}, 0))
    agent.act(SEEN[0])
    agent.learn(play_window(agent, 0))
    with pytest.raises(UnsupportedSpaceError, match="took its 2 outputs for the logits of 2 actions"):
        agent.bind(CARTPOLE, gym.spaces.Discrete(3), seed=0)
    with pytest.raises(NotBoundError, match="PPOAgent must know the spaces"):
        PPOAgent(model).act(SEEN[0])


@pytest.mark.parametrize(
    ("spaces", "arguments", "message"),
    [
        ((CARTPOLE, 2), {}, "action_space"),
        (("box", TWO), {}, "observation_space"),
        ((CARTPOLE, TWO), {"num_envs": 1.5}, "num_envs"),
        ((CARTPOLE, TWO), {"seed": "one"}, "seed"),
    ],
)
def test_what_is_no_space_no_count_and_no_seed_is_named(spaces, arguments, message):
    with pytest.raises(InvalidTypeError, match=message):
        PPOAgent().bind(*spaces, **arguments)
