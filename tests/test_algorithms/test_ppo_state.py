"""Same seed, same life; a state that was saved goes on bit for bit; a run is loaded without its script."""

import json

import gymnasium as gym
import keras
import numpy as np
import pytest
from lives import assert_same_lives, live_on
from ppo_makers import ACTION_SPACES, VECTOR, make_agent, network, play_window

from tensor_optix.adapters.tensorflow.loading import load_agent
from tensor_optix.algorithms.ppo import PPOAgent
from tensor_optix.core.checkpoint_registry import CheckpointRegistry
from tensor_optix.core.types import EvalMetrics
from tensor_optix.exceptions import CheckpointError, StateMismatchError, UnsupportedSpaceError


@pytest.mark.parametrize("name", ["discrete", "box"])
def test_a_restored_agent_lives_on_as_the_first_would_have(name, tmp_path):
    space = ACTION_SPACES[name]
    first = make_agent(space)
    live_on(first, range(3), play_window, num_envs=2)
    first.save_weights(str(tmp_path / "weights"))
    in_memory = first.get_state()
    expected = live_on(first, range(3, 6), play_window, num_envs=2)

    loaded = PPOAgent(batch_size=16, hidden_units=(8,), jit_compile=False)
    loaded.load_weights(str(tmp_path / "weights"))
    assert_same_lives(expected, live_on(loaded, range(3, 6), play_window, num_envs=2))

    given = make_agent(space, seed=98)
    live_on(given, range(10, 12), play_window)
    given.set_state(in_memory)
    assert_same_lives(expected, live_on(given, range(3, 6), play_window, num_envs=2))


def test_a_compiled_update_goes_on_bit_for_bit_too():
    first, second = (make_agent(jit_compile=True, seed=seed) for seed in (1, 2))
    live_on(first, range(2), play_window)
    second.set_state(first.get_state())
    assert_same_lives(live_on(first, range(2, 4), play_window), live_on(second, range(2, 4), play_window))


def test_the_seed_decides_everything():
    lives = [live_on(make_agent(seed=seed), range(3), play_window) for seed in (5, 5, 6)]
    assert_same_lives(lives[0], lives[1])
    assert (lives[0][1]["model.0"] != lives[2][1]["model.0"]).any()


def test_the_policy_scope_holds_the_normaliser_and_no_critic():
    agent = make_agent(ACTION_SPACES["box"])
    live_on(agent, range(2), play_window)
    state = agent.get_state("policy")
    groups = {name.split(".")[0] for name in state.arrays}
    assert groups == {"model", "log_std", "observation_normalizer"}
    twin = make_agent(ACTION_SPACES["box"], seed=9)
    twin.set_state(state)
    x = np.array([1.0, -2.0, 3.0, 9.0], np.float32)
    np.testing.assert_array_equal(agent.act_greedy(x), twin.act_greedy(x))


def test_a_state_of_another_architecture_is_refused():
    agent = make_agent()
    with pytest.raises(StateMismatchError, match="does not fit this agent"):
        agent.set_state(make_agent(hidden_units=(9,)).get_state())


@pytest.mark.parametrize("name", ACTION_SPACES)
def test_a_champion_is_loaded_without_its_script(name, tmp_path):
    agent = make_agent(ACTION_SPACES[name], scale_rewards=False)
    live_on(agent, range(2), play_window)
    registry = CheckpointRegistry(str(tmp_path))
    registry.save(agent, EvalMetrics(1.0, {}, 0), agent.get_hyperparams())
    loaded = load_agent(tmp_path)
    assert type(loaded) is PPOAgent
    assert loaded.get_hyperparams().params == agent.get_hyperparams().params
    assert_same_lives(live_on(agent, range(2, 4), play_window), live_on(loaded, range(2, 4), play_window))


def test_one_model_with_two_outputs_is_loaded_without_its_script(tmp_path):
    space = gym.spaces.Box(0, 255, (8, 8, 1), np.uint8)
    agent = make_agent(observation_space=space)
    assert agent.critic is None
    CheckpointRegistry(str(tmp_path)).save(agent, EvalMetrics(1.0, {}, 0), agent.get_hyperparams())
    loaded, image = load_agent(tmp_path), space.sample()
    np.testing.assert_allclose(loaded._forward.one(image), agent._forward.one(image), rtol=1e-5, atol=1e-6)


def test_an_agent_of_an_unknown_class_is_not_looked_for(tmp_path):
    agent = make_agent()
    agent._architecture = None
    agent._saved_as = "Popen"
    CheckpointRegistry(str(tmp_path)).save(agent, EvalMetrics(1.0, {}, 0), agent.get_hyperparams())
    with pytest.raises(CheckpointError, match="is a 'Popen'"):
        load_agent(tmp_path)


def test_the_state_is_json_and_arrays():
    agent = make_agent()
    live_on(agent, range(1), play_window)
    state = agent.get_state()
    json.dumps(state.meta)
    assert all(isinstance(array, np.ndarray) for array in state.arrays.values())


def test_bound_again_to_other_spaces_a_fresh_one_brings_other_networks():
    agent = make_agent()
    wide = gym.spaces.Box(-1.0, 1.0, (7,))
    agent.bind(wide, gym.spaces.Discrete(5), seed=1)
    assert agent.act(wide.sample()) in range(5)
    agent.bind(VECTOR, ACTION_SPACES["discrete"], seed=1)
    agent.learn(play_window(agent, 1))


def test_once_it_has_learned_other_spaces_are_an_error():
    agent = make_agent()
    agent.learn(play_window(agent, 0))
    before = agent.get_state()
    with pytest.raises(UnsupportedSpaceError, match=r"the shape \(7,\) instead of \(4,\)"):
        agent.bind(gym.spaces.Box(-1.0, 1.0, (7,)), gym.spaces.Discrete(5), seed=1)
    assert_same_lives((None, before.arrays), (None, agent.get_state().arrays))


def test_bound_again_the_users_models_stay():
    models = network(4, 3), network(4, 1)
    agent = make_agent(models=models)
    agent.learn(play_window(agent, 0))
    weights = agent.model.get_weights()
    agent.bind(VECTOR, ACTION_SPACES["discrete"], seed=77)
    for a, b in zip(weights, agent.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_changed_world_keeps_the_policy_and_forgets_the_rest():
    agent = make_agent()
    live_on(agent, range(3), play_window)
    agent._learner.kl_factor = 0.1
    weights, x = agent.model.get_weights(), np.ones(4, np.float32)
    before = agent._forward.one(x)
    agent.on_world_change()
    np.testing.assert_array_equal(agent._forward.one(x), before)
    assert agent._learner.kl_factor == 1.0
    assert agent._learner.state_dict()[0]["rewards.count"] == 0.0
    moments = [v for v in agent.optimizer.variables if "learning_rate" not in v.path and "iteration" not in v.path]
    assert all((np.asarray(v) == 0).all() for v in moments)
    for a, b in zip(weights, agent.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_an_optimizer_built_for_other_variables_is_made_anew():
    actor, optimizer = network(4, 3), keras.optimizers.Adam(2e-3)
    optimizer.build(actor.trainable_variables)
    agent = make_agent(models=(actor, network(4, 1), optimizer), params={"learning_rate": 2e-3})
    agent.learn(play_window(agent, 0))
    assert agent.get_hyperparams().params["learning_rate"] == 2e-3


def test_a_hyperparameter_that_a_state_does_not_name_is_as_it_is_by_default():
    agent = make_agent(ACTION_SPACES["discrete"])
    live_on(agent, range(1), play_window)
    state = agent.get_state()
    del state.meta["hyperparams"]["entropy_coef"]
    other = make_agent(ACTION_SPACES["discrete"])
    other.set_state(state)
    live_on(other, range(1, 2), play_window)
    assert (
        other.get_hyperparams().params["entropy_coef"]
        == PPOAgent(batch_size=16).get_hyperparams().params["entropy_coef"]
    )
