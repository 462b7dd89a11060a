"""After get_state / set_state, save / load and loading a run, everything goes on bit for bit."""

import copy
import json

import gymnasium as gym
import keras
import numpy as np
import pytest
from agent_makers import CARTPOLE, actor, make_agent, play_window
from lives import assert_same_lives, live_on

from tensor_optix.adapters.tensorflow.tf_agent import TFAgent
from tensor_optix.core.storage.state_files import read_agent_state, write_agent_state
from tensor_optix.core.types import HyperparamSet
from tensor_optix.exceptions import InvalidArgumentError, NotBoundError, StateMismatchError

SPACES = [(gym.spaces.Discrete(2, start=1), 2), (gym.spaces.Box(-2.0, 2.0, (3,), np.float32), 3)]


@pytest.mark.parametrize(("space", "size"), SPACES)
def test_a_restored_agent_lives_on_as_the_first_would_have(space, size, tmp_path):
    first = make_agent(space, size)
    live_on(first, range(3), play_window)
    first.save_weights(str(tmp_path / "weights"))
    in_memory = first.get_state()
    expected = live_on(first, range(3, 6), play_window)

    loaded = make_agent(space, size, bound=False, seed=99)
    loaded.load_weights(str(tmp_path / "weights"))
    assert_same_lives(expected, live_on(loaded, range(3, 6), play_window))

    given = make_agent(space, size, seed=98)
    live_on(given, range(10, 12), play_window)
    given.set_state(in_memory)
    assert_same_lives(expected, live_on(given, range(3, 6), play_window))


def test_batch_statistics_seeds_and_vector_windows_are_part_of_the_state():
    def build():
        layers = [
            keras.Input((4,)),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(8),
            keras.layers.Dropout(0.5),
        ]
        model = keras.Sequential([*layers, keras.layers.Dense(2)])
        agent = TFAgent(model, keras.optimizers.RMSprop(1e-2), HyperparamSet({"learning_rate": 1e-2}, 0))
        agent.bind(CARTPOLE, gym.spaces.Discrete(2), num_envs=3, seed=1)
        return agent

    first, second = build(), build()
    first.model(np.ones((5, 4), np.float32), training=True)
    for number in range(2):
        first.learn(play_window(first, number, 10, num_envs=3))
    second.set_state(first.get_state())
    assert len(first.model.variables) > len(first.model.trainable_variables)
    for a, b in zip(first.model.variables, second.model.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    for number in range(2, 4):
        assert first.learn(play_window(first, number, 10, num_envs=3)) == second.learn(
            play_window(second, number, 10, num_envs=3)
        )


def test_dropout_is_off_so_ratios_start_at_one():
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(8), keras.layers.Dropout(0.5), keras.layers.Dense(2)]
    )
    agent = TFAgent(model, keras.optimizers.SGD(1e-12), HyperparamSet({"learning_rate": 1e-12}, 0))
    agent.bind(CARTPOLE, gym.spaces.Discrete(2), seed=1)
    assert agent.learn(play_window(agent, 0))["kl_from_behaviour"] == pytest.approx(0.0, abs=1e-9)


def test_a_state_is_a_copy():
    agent = make_agent(gym.spaces.Discrete(2))
    state = agent.get_state()
    kept = copy.deepcopy(state)
    live_on(agent, range(2), play_window)
    assert state.meta == kept.meta
    for name, array in kept.arrays.items():
        np.testing.assert_array_equal(array, state.arrays[name])


def test_the_policy_scope_is_weights_alone():
    first, second = make_agent(gym.spaces.Discrete(2)), make_agent(gym.spaces.Discrete(2))
    live_on(first, range(2), play_window)
    state = first.get_state("policy")
    assert all(name.startswith("model.") for name in state.arrays)
    iterations = int(second.optimizer.iterations)
    second.set_state(state)
    np.testing.assert_array_equal(first.model.get_weights()[0], second.model.get_weights()[0])
    observation = np.ones(4, np.float32)
    assert first.act_greedy(observation) == second.act_greedy(observation)
    assert int(second.optimizer.iterations) == iterations


def test_a_version_names_one_policy():
    agent = make_agent(gym.spaces.Discrete(2))
    state = agent.get_state()
    versions = [agent.version]
    for number in range(3):
        agent.learn(play_window(agent, number))
        versions.append(agent.version)
    agent.set_state(state)
    versions.append(agent.version)
    assert versions == sorted(set(versions))
    assert agent.policy().version == agent.version


def test_hyperparameters_come_back():
    agent = make_agent(gym.spaces.Discrete(2), learning_rate=3e-4)
    state = agent.get_state()
    agent.set_hyperparams(HyperparamSet({"learning_rate": 0.1, "mine": 1}, 4))
    agent.set_state(state)
    assert agent.get_hyperparams().params == {"learning_rate": 3e-4, "gamma": 0.9}


def test_a_state_of_another_model_is_refused_and_changes_nothing():
    small, other = make_agent(gym.spaces.Discrete(2)), make_agent(gym.spaces.Discrete(3), size=3)
    before = small.get_state().arrays
    with pytest.raises(StateMismatchError, match=r"arrays of 'model' differ, first 'model.2' \(here \(16, 2\)"):
        small.set_state(other.get_state())
    for name, array in small.get_state().arrays.items():
        np.testing.assert_array_equal(array, before[name])


def test_an_unknown_scope_is_refused():
    with pytest.raises(InvalidArgumentError, match=r"`scope` must be one of .*Received: 'everything'"):
        make_agent(gym.spaces.Discrete(2)).get_state("everything")


def test_without_spaces_the_model_tells_what_it_takes(tmp_path):
    unbound = make_agent(None, bound=False)
    live_on(unbound, range(3), play_window)
    unbound.save_weights(str(tmp_path / "weights"))
    loaded = make_agent(None, bound=False)
    loaded.load_weights(str(tmp_path / "weights"))
    assert_same_lives(live_on(unbound, range(3, 5), play_window), live_on(loaded, range(3, 5), play_window))


def test_loading_needs_spaces_from_somewhere(tmp_path):
    class Shapeless(keras.Model):
        def __init__(self):
            super().__init__()
            self.head = keras.layers.Dense(2)

        def call(self, x):
            return self.head(x)

    def make():
        return TFAgent(Shapeless(), keras.optimizers.Adam(), HyperparamSet({}, 0))

    unbound = make()
    with pytest.raises(NotBoundError, match=r"no model to speak of yet: call bind"):
        unbound.save_weights(str(tmp_path / "weights"))
    unbound.act(np.zeros(4, np.float32))
    unbound.save_weights(str(tmp_path / "weights"))
    with pytest.raises(NotBoundError, match=r"Call bind\(observation_space, action_space\) before loading"):
        make().load_weights(str(tmp_path / "weights"))


def test_states_survive_files_unchanged(tmp_path):
    agent = make_agent(gym.spaces.Box(-1, 1, (2,)), size=2)
    live_on(agent, range(2), play_window)
    state = agent.get_state()
    write_agent_state(tmp_path / "state", state)
    back = read_agent_state(tmp_path / "state")
    assert back.meta == json.loads(json.dumps(state.meta))
    for name, array in state.arrays.items():
        np.testing.assert_array_equal(array, back.arrays[name])


def test_acting_follows_a_subclass_that_learns_its_own_way():
    class Contrarian(TFAgent):
        def learn(self, episode_data):
            assert self._hyperparams.params.get("clip_ratio", 0.2) == 0.2
            self.model.set_weights([-w for w in self.model.get_weights()])
            return {"loss": 0.0, "grad_norm": 0.0}

    agent = Contrarian(actor(2), keras.optimizers.Adam(), HyperparamSet({}, 0))
    agent.bind(CARTPOLE, gym.spaces.Discrete(2), seed=0)
    agent.model.set_weights([np.random.default_rng(0).normal(size=w.shape) for w in agent.model.get_weights()])
    agent.refresh()
    observation = np.ones(4, np.float32)
    before, version = agent.act_greedy(observation), agent.version
    agent.learn(None)
    logits = agent.model(observation[None]).numpy()[0]
    assert agent.act_greedy(observation) == int(logits.argmax())
    assert agent.version > version
    assert before in (0, 1)


def test_a_policy_is_frozen_and_explores_by_itself():
    agent = make_agent(gym.spaces.Discrete(2))
    observations = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    policy, greedy = agent.policy(), [agent.act_greedy(o) for o in observations]
    noise_before = agent.get_state().meta["noise"]
    agent.model.set_weights([-w for w in agent.model.get_weights()])
    agent.refresh()
    assert [policy.act(o, greedy=True) for o in observations] == greedy
    assert policy.act_batch(observations, greedy=True).tolist() == greedy
    assert {policy.act(observations[0]) for _ in range(50)} == {0, 1}
    assert set(policy.act_batch(np.repeat(observations[:1], 50, axis=0)).tolist()) == {0, 1}
    assert agent.get_state().meta["noise"] == noise_before
