"""``save_weights`` of any agent, bound or not, and ``load_agent`` of what it wrote, of snapshots and of runs."""

from pathlib import Path

import gymnasium as gym
import keras
import numpy as np
import pytest
from four_agents import NUMBERS, SMALL, assert_same_state, env_of, fresh_agent, greedy_score, run

from tensor_optix import DQNAgent, HyperparamSet, PPOAgent, SACAgent, TFAgent, evaluate, load_agent
from tensor_optix.exceptions import CheckpointError, NotBoundError

KINDS = {"policy_gradient": TFAgent, "ppo": PPOAgent, "dqn": DQNAgent, "sac": SACAgent}
SEEN = gym.spaces.Box(-1.0, 1.0, (2,), np.float32)


def network(size, num_inputs=2):
    return keras.Sequential(
        [keras.Input((num_inputs,)), keras.layers.Dense(6, activation="tanh"), keras.layers.Dense(size)]
    )


def unbound(algorithm, **how):
    keras.utils.set_random_seed(5)
    params = HyperparamSet({"learning_rate": 2e-3}, 7)
    num_inputs = spaces_of(algorithm)[0].shape[0]
    return KINDS[algorithm](network(2, num_inputs), optimizer=keras.optimizers.Adam(2e-3), hyperparams=params, **how)


def spaces_of(algorithm):
    env = env_of(algorithm)
    return env.observation_space, env.action_space


def assert_same_weights(left, right):
    for ours, theirs in zip(left.get_weights(), right.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("algorithm", SMALL)
def test_an_agent_that_was_never_bound_is_saved_and_loaded(algorithm, tmp_path):
    agent = unbound(algorithm)
    agent.save_weights(str(tmp_path / "weights"))
    loaded = load_agent(tmp_path / "weights")
    assert type(loaded) is KINDS[algorithm]
    assert_same_weights(agent.model, loaded.model)
    assert loaded.get_hyperparams().params == agent.get_hyperparams().params

    env = env_of(algorithm)
    before = evaluate(agent, env, 5, seed=1).returns
    np.testing.assert_array_equal(evaluate(loaded, env, 5, seed=1).returns, before)
    for seed in (3, 4):
        loaded.bind(*spaces_of(algorithm), seed=seed)
        assert_same_weights(agent.model, loaded.model)
    result = run(loaded, env, tmp_path / "runs", seed=0)
    assert result.windows == 1


@pytest.mark.parametrize("algorithm", ["policy_gradient", "dqn"])
def test_what_infers_goes_on_inferring(algorithm, tmp_path):
    agent = unbound(algorithm)
    agent.save_weights(str(tmp_path / "weights"))
    loaded, observation = load_agent(tmp_path / "weights"), np.array([0.3, -0.4], np.float32)
    assert loaded.act_greedy(observation) == agent.act_greedy(observation)
    assert_same_weights(agent.model, loaded.model)

    agent.save_weights(str(tmp_path / "inferred"))
    again = load_agent(tmp_path / "inferred")
    assert_same_state(agent.get_state(), again.get_state(), but=("architecture",))
    assert [again.act(observation) for _ in range(9)] == [agent.act(observation) for _ in range(9)]


@pytest.mark.parametrize("algorithm", SMALL)
def test_weights_without_spaces_go_into_any_agent_of_such_models(algorithm, tmp_path):
    agent = unbound(algorithm)
    agent.model.set_weights([w + 1.0 for w in agent.model.get_weights()])
    agent.save_weights(str(tmp_path / "weights"))

    plain = unbound(algorithm)
    plain.load_weights(str(tmp_path / "weights"))
    assert_same_weights(agent.model, plain.model)

    bound = unbound(algorithm)
    bound.bind(*spaces_of(algorithm), seed=1)
    bound.load_weights(str(tmp_path / "weights"))
    assert_same_weights(agent.model, bound.model)
    state = bound.get_state()
    if algorithm == "dqn":
        np.testing.assert_array_equal(state.arrays["target.0"], state.arrays["model.0"])
    bound.bind(*spaces_of(algorithm), seed=2)
    assert_same_weights(agent.model, bound.model)


def test_a_critic_of_ones_own_is_saved_too(tmp_path):
    for agent in (PPOAgent(network(2), network(1)), SACAgent(network(2), two_inputs())):
        agent.save_weights(str(tmp_path / type(agent).__name__))
        loaded = load_agent(tmp_path / type(agent).__name__)
        assert_same_weights(agent.critic, loaded.critic)
        if isinstance(agent, SACAgent):
            loaded.bind(SEEN, NUMBERS)
            agent.bind(SEEN, NUMBERS, seed=1)
            agent.load_weights(str(tmp_path / "SACAgent"))
            state = agent.get_state()
            np.testing.assert_array_equal(state.arrays["target.0"], state.arrays["critic.0"])


def two_inputs():
    inputs = [keras.Input((2,)), keras.Input((1,))]
    return keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Concatenate()(inputs)))


def test_where_there_is_no_model_that_is_said(tmp_path):
    for agent in (PPOAgent(), DQNAgent(), SACAgent()):
        with pytest.raises(NotBoundError, match="no model to speak of yet: call bind"):
            agent.save_weights(str(tmp_path / "weights"))
    unbound("ppo").save_weights(str(tmp_path / "weights"))
    with pytest.raises(NotBoundError, match="has no built model to take them"):
        PPOAgent().load_weights(str(tmp_path / "weights"))


def test_a_run_a_snapshot_and_its_weights_are_the_same_agent(tmp_path):
    agent = fresh_agent("ppo")
    result = run(agent, env_of("ppo"), tmp_path, seed=0, windows=6)
    champion = load_agent(result.run_dir)
    snapshots = sorted(Path(result.run_dir).glob("snapshot_*"))
    folder = next(s for s in snapshots if s.name.endswith(result.champion.snapshot_id))
    for place in (folder, folder / "weights", str(folder)):
        assert_same_state(champion.get_state(), load_agent(place).get_state(), but=("architecture",))
        assert load_agent(place).get_hyperparams().params == champion.get_hyperparams().params
    first = load_agent(snapshots[0])
    assert greedy_score(champion, "ppo") == greedy_score(load_agent(folder), "ppo")
    if len(snapshots) > 1:
        assert (first.get_state().arrays["model.0"] != champion.get_state().arrays["model.0"]).any()

    (folder / "weights" / "state.safetensors").write_bytes(b"broken")
    with pytest.raises(CheckpointError, match="holds no champion: no snapshot of it is whole"):
        load_agent(folder)
