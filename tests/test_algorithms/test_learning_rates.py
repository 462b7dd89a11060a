"""The learning rate is the hyperparameter's, else the optimizer's, else the algorithm's own."""

import logging

import keras
import pytest

from tensor_optix import DQNAgent, HyperparamSet, PPOAgent, SACAgent, TFAgent, load_agent, make_agent

DEFAULTS = {PPOAgent: 3e-4, DQNAgent: 5e-4, SACAgent: 1e-3}
ENV_OF = {PPOAgent: ("CartPole-v1", "ppo"), DQNAgent: ("CartPole-v1", "dqn"), SACAgent: ("Pendulum-v1", "sac")}


def rates(agent):
    return agent.get_hyperparams().params["learning_rate"], [float(o.learning_rate) for o in optimizers(agent)]


def optimizers(agent):
    return [o for o in agent._optimizers() if o is not None] if agent._sampler is not None else [agent.optimizer]


def hyperparams(**params):
    return HyperparamSet(params, episode_id=0)


@pytest.mark.parametrize("kind", DEFAULTS)
def test_the_optimizers_own_rate_counts(kind, caplog):
    assert rates(kind())[0] == DEFAULTS[kind]
    agent = kind(optimizer=keras.optimizers.Adam(7e-3), hyperparams=hyperparams(gamma=0.9))
    assert rates(agent) == (7e-3, [pytest.approx(7e-3)])
    agent.set_hyperparams(hyperparams(gamma=0.8))
    assert rates(agent)[0] == 7e-3
    assert rates(kind(optimizer=keras.optimizers.RMSprop()))[0] == 1e-3
    assert rates(kind(hyperparams=hyperparams(learning_rate=2e-4)))[0] == 2e-4
    assert caplog.records == []


@pytest.mark.parametrize("kind", DEFAULTS)
def test_all_optimizers_of_a_bound_agent_run_at_it(kind):
    env, name = ENV_OF[kind]
    agent = make_agent(env, name, optimizer=keras.optimizers.Adam(7e-3), hidden_units=(4,))
    rate, own = rates(agent)
    assert rate == 7e-3
    assert own == [pytest.approx(7e-3)] * len(own)


def model():
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])


@pytest.mark.parametrize("kind", [*DEFAULTS, TFAgent])
def test_two_rates_are_said(kind, caplog):
    with caplog.at_level(logging.WARNING):
        agent = kind(model(), optimizer=keras.optimizers.Adam(7e-3), hyperparams=hyperparams(learning_rate=1e-4))
    assert rates(agent)[0] == 1e-4
    assert "Adam(learning_rate=0.007), and 0.0001 among the hyperparameters, which is used" in caplog.text

    caplog.clear()
    kind(model(), optimizer=keras.optimizers.Adam(7e-3), hyperparams=hyperparams(learning_rate=7e-3))
    kind(model(), optimizer=keras.optimizers.Adam(), hyperparams=hyperparams(learning_rate=7e-3))
    assert caplog.records == []


@pytest.mark.parametrize("kind", DEFAULTS)
def test_a_loaded_agent_says_nothing_of_rates(kind, caplog, tmp_path):
    env, name = ENV_OF[kind]
    agent = make_agent(env, name, optimizer=keras.optimizers.Adam(7e-3), hidden_units=(4,))
    agent.set_hyperparams(hyperparams(learning_rate=1e-5))
    agent.save_weights(str(tmp_path / "weights"))
    for continue_training in (True, False):
        loaded = load_agent(tmp_path / "weights", continue_training=continue_training)
        rate, own = rates(loaded)
        assert rate == 1e-5
        assert own == [pytest.approx(1e-5)] * len(own)
    assert caplog.records == []


def test_what_is_no_optimizer_is_refused():
    with pytest.raises(TypeError, match=r"`optimizer` must be a keras.optimizers.Optimizer"):
        PPOAgent(optimizer="adam")
    schedule = keras.optimizers.schedules.ExponentialDecay(1e-3, 100, 0.9)
    with pytest.raises(ValueError, match="is a LearningRateSchedule"):
        DQNAgent(optimizer=keras.optimizers.Adam(schedule))
