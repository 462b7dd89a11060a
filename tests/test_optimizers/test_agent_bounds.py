"""``param_bounds="agent"``: what the agent names bounds for is tuned, given or not, and nothing else changes."""

import gymnasium as gym
import keras
import pytest
import tensorflow as tf
from four_agents import SMALL, fresh_agent

from tensor_optix import BackoffOptimizer, BatchPipeline, HyperparamSet, PBTOptimizer, RLOptimizer, TFAgent
from tensor_optix.testing.fakes import RecordingCallback

DEFAULTS = {
    "learning_rate": 3e-4,
    "gamma": 0.99,
    "gae_lambda": 0.95,
    "clip_ratio": 0.2,
    "kl_target": 0.02,
    "num_epochs": 10,
}
GIVEN = {"learning_rate": 1e-3, "mine": "kept"}


def run_of(folder, tuner, windows=1, loss=None, callbacks=None):
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    agent = TFAgent(model, keras.optimizers.Adam(), HyperparamSet(GIVEN, 0), loss)
    pipeline = BatchPipeline(lambda: gym.make("CartPole-v1"), window_size=32)
    run = RLOptimizer(
        agent, pipeline, optimizer=tuner, checkpoint_dir=folder, max_episodes=windows, seed=3, callbacks=callbacks
    )
    return agent, run


def test_what_was_not_given_is_tuned_from_its_default_on(tmp_path, caplog):
    recorder = RecordingCallback()
    agent, run = run_of(tmp_path, PBTOptimizer("agent"), windows=12, callbacks=[recorder])
    assert agent.get_hyperparams().params == pytest.approx({**DEFAULTS, **GIVEN}), "told as soon as it may be tuned"
    run.run()
    _, tuned = recorder.arguments("on_hyperparam_update")[0]  # in the end the champion's are in force
    assert "it is not tuned" not in caplog.text
    assert tuned["mine"] == "kept"
    for name in set(DEFAULTS) - {"num_epochs"}:
        spec = agent.hyperparam_bounds()[name]
        assert tuned[name] != pytest.approx({**DEFAULTS, **GIVEN}[name]), name
        assert spec.contains(tuned[name]), name


def test_only_what_has_bounds_is_told(tmp_path):
    agent, _ = run_of(tmp_path, PBTOptimizer({"clip_ratio": (0.1, 0.3)}))
    assert agent.get_hyperparams().params == pytest.approx({**GIVEN, "clip_ratio": 0.2})


def test_untuned_it_tells_what_was_given(tmp_path):
    agent, run = run_of(tmp_path, None)
    run.run()
    assert agent.get_hyperparams().params == pytest.approx(GIVEN)


def test_the_bold_trial_lies_within_the_bounds(tmp_path):
    agent, _ = run_of(tmp_path, PBTOptimizer("agent"))
    trial = agent.bold_hyperparams().params
    assert all(spec.contains(trial[name]) for name, spec in agent.hyperparam_bounds().items())


def test_beside_a_loss_of_ones_own_only_what_is_read_is_tuned(tmp_path):
    def loss(model, window, returns):
        return -tf.reduce_mean(model(window.observations) * returns[:, None])

    agent, _ = run_of(tmp_path, PBTOptimizer("agent"), loss=loss)
    assert set(agent.hyperparam_bounds()) == {"learning_rate", "gamma", "gae_lambda"}
    assert set(agent.get_hyperparams().params) == {"learning_rate", "gamma", "gae_lambda", "mine"}


@pytest.mark.parametrize("algorithm", SMALL)
def test_no_agent_offers_what_changes_its_exploration(algorithm):
    """Scores of training favour less of it: of two choices, a share of epsilon / 2 of the steps costs what is right."""
    agent = fresh_agent(algorithm)
    assert agent.exploration_hyperparams
    assert not set(agent.exploration_hyperparams) & set(agent.hyperparam_bounds())
    known = {**agent.default_hyperparams(), **dict.fromkeys(("alpha", "target_entropy"))}
    assert set(agent.exploration_hyperparams) <= set(known)


def test_a_run_that_tunes_it_all_the_same_says_so(tmp_path):
    _, run = run_of(tmp_path, BackoffOptimizer({"entropy_coef": (1e-4, 0.1)}), windows=3)
    result = run.run()
    assert any("entropy_coef changed how much training explores" in note for note in result.notes)
