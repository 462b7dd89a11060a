"""What Keras trains with (constraints, regularisers, optimizers and their extras) against ``keras.Model.fit``."""

import gymnasium as gym
import keras
import numpy as np
import pytest
from helpers.keras_oracles import AGENTS, CHOICES, FEATURES, NUMBERS, OBSERVATIONS, RATE, network, params, window

from tensor_optix import PPOAgent, SACAgent, TFAgent, load_agent
from tensor_optix.adapters.tensorflow.learning.keras_optimizers import decays
from tensor_optix.core.types import HyperparamSet

BOX = gym.spaces.Box(-1.0, 1.0, (2,), np.float32)


def without_decay_of_biases():
    optimizer = keras.optimizers.AdamW(RATE, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    return optimizer


OPTIMIZERS = {
    "adam": lambda: keras.optimizers.Adam(RATE),
    "loss_scale": lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(RATE), initial_scale=2.0**12),
    "sgd": lambda: keras.optimizers.SGD(RATE, momentum=0.9, weight_decay=0.3),
    "adamw": lambda: keras.optimizers.AdamW(RATE, weight_decay=0.5),
    "excluded": without_decay_of_biases,
    "adagrad": lambda: keras.optimizers.Adagrad(RATE, initial_accumulator_value=0.3),
    "fixed_scale": lambda: keras.optimizers.SGD(RATE, loss_scale_factor=1000.0),
    "clipvalue": lambda: keras.optimizers.SGD(RATE, clipvalue=0.01),
    "clipnorm": lambda: keras.optimizers.Adam(RATE, clipnorm=0.01),
    "ema": lambda: keras.optimizers.SGD(RATE, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=2),
}
FAST = ("adam",)


def assert_as_keras(found, expected):
    for x, y in zip(found, expected, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize("name", [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in OPTIMIZERS])
@pytest.mark.parametrize("kind", [k if k != "sac" else pytest.param(k, marks=pytest.mark.slow) for k in AGENTS])
def test_a_step_with_every_feature_is_that_of_fit(kind, name):
    _, told, found, expected = AGENTS[kind](FEATURES, OPTIMIZERS[name], 1)
    assert_as_keras(found, expected)
    assert 1e-4 < told["grad_norm"] < 100.0, "of the loss itself, whatever it is scaled by"


@pytest.mark.slow
@pytest.mark.parametrize("feature", [(), *[(feature,) for feature in FEATURES]])
@pytest.mark.parametrize("kind", AGENTS)
def test_each_feature_alone_is_that_of_fit(kind, feature):
    _, _, found, expected = AGENTS[kind](feature, OPTIMIZERS["sgd"], 1)
    assert_as_keras(found, expected)


def accumulating():
    return keras.optimizers.Adam(RATE, gradient_accumulation_steps=2)


@pytest.mark.parametrize(
    "kind", ["own_loss", "dqn", *(pytest.param(k, marks=pytest.mark.slow) for k in ("ppo", "sac"))]
)
def test_gradients_are_accumulated_over_steps(kind):
    _, _, found, expected = AGENTS[kind](("regularizers",), accumulating, 2)
    assert_as_keras(found, expected)


def test_accumulated_gradients_move_nothing_before_they_are_complete():
    agent, told, found, _ = AGENTS["policy_gradient"]((), accumulating, 1)
    assert told["kl"] == pytest.approx(0.0, abs=1e-6)
    for x, y in zip(found, network((), 2, 0).get_weights(), strict=True):
        np.testing.assert_array_equal(x, y)
    agent.on_world_change()
    sums = [v for v in agent.optimizer.variables if "accumulator" in v.path]
    assert sums
    assert not any(v.numpy().any() for v in sums)


def everything():
    inner = keras.optimizers.AdamW(
        RATE,
        weight_decay=0.1,
        global_clipnorm=1.0,
        use_ema=True,
        ema_overwrite_frequency=3,
        gradient_accumulation_steps=2,
    )
    return keras.optimizers.LossScaleOptimizer(inner, initial_scale=2.0**8)


@pytest.mark.slow
@pytest.mark.parametrize("jit_compile", [False, True])
def test_many_steps_in_one_call_and_compiled(jit_compile):
    agent = PPOAgent(
        network(FEATURES, 2, 0), network(FEATURES, 1, 1), everything(), batch_size=16, jit_compile=jit_compile
    )
    agent.bind(OBSERVATIONS, CHOICES, seed=0)
    rng = np.random.default_rng(0)
    for _ in range(2):
        x = rng.normal(size=(64, 3)).astype(np.float32)
        told = agent.learn(window(x, rng.integers(0, 2, 64), rng.normal(size=64)))
    assert told["num_gradient_steps"] > 20
    assert np.linalg.norm(agent.model.get_weights()[0], axis=0).max() <= 0.6 + 1e-5, "MaxNorm"
    assert (agent.model.get_weights()[1] >= 0).all(), "NonNeg"


# What belongs to the agent, not to the model, does not decay


def decaying():
    return keras.optimizers.SGD(RATE, weight_decay=0.5)


@pytest.mark.parametrize("kind", ["ppo", "policy_gradient"])
def test_weight_decay_leaves_the_spread_alone(kind):
    if kind == "ppo":
        agent = PPOAgent(network((), 2, 0), None, decaying(), hidden_units=(4,), jit_compile=False)
    else:
        agent = TFAgent(network((), 2, 0), decaying(), params(entropy_coef=0.0))
    agent.bind(OBSERVATIONS, BOX, seed=0)
    before, weights = agent.get_state().arrays["log_std.0"], agent.model.get_weights()
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 3)).astype(np.float32)
    rewards = np.zeros(64) if kind == "policy_gradient" else agent._network.value([x]).numpy().astype(float)
    agent.learn(window(x, rng.uniform(-1, 1, (64, 2)).astype(np.float32), rewards))
    if kind == "policy_gradient":  # equal rewards teach nothing
        np.testing.assert_array_equal(agent.get_state().arrays["log_std.0"], before)
    else:
        learned = agent.get_state().arrays["log_std.0"] - before
        assert np.abs(learned).max() < 0.1 * 0.5 * np.abs(before).max(), "160 steps of decay would take half"
    assert np.abs(agent.model.get_weights()[0]).sum() < np.abs(weights[0]).sum()


def test_weight_decay_leaves_the_temperature_alone():
    agent = SACAgent(
        network((), 2, 0),
        None,
        decaying(),
        params(train_frequency=8, initial_alpha=0.2, target_entropy=-1.0),
        batch_size=8,
        buffer_size=64,
        learning_starts=0,
        hidden_units=(4,),
    )
    agent.bind(OBSERVATIONS, NUMBERS, seed=0)
    x, actions = np.full((8, 3), 0.7, np.float32), np.full((8, 1), 0.3, np.float32)
    told = agent.learn(window(x, actions, np.full(8, 0.4)))
    expected = np.log(0.2) - RATE * (told["entropy"] + 1.0)
    assert float(agent.get_state().arrays["log_alpha.0"]) == pytest.approx(expected, abs=1e-6)


def test_what_the_user_kept_from_decaying_stays_so_in_files(tmp_path):
    agent = TFAgent(network((), 2, 0), without_decay_of_biases(), params())
    agent.bind(OBSERVATIONS, BOX, seed=0)
    agent.save_weights(str(tmp_path / "saved"))
    loaded = load_agent(tmp_path / "saved")
    kept = [v.name for v in loaded.model.trainable_variables if not decays(loaded.optimizer, v)]
    assert kept == ["bias"] * 3
    assert not decays(loaded._spread_optimizer, loaded._log_std)


# What is the same in training and in acting


@pytest.mark.parametrize(
    "kind", ["policy_gradient", "dqn", *(pytest.param(k, marks=pytest.mark.slow) for k in ("ppo", "sac"))]
)
def test_dropout_and_batch_norm_learn_as_they_act(kind, monkeypatch, caplog):
    """The step is that of the same weights without Dropout and with BatchNormalization at its moving statistics."""
    from helpers import keras_oracles

    def body(layers):
        def made(features):
            return [keras.layers.Dense(4, activation="tanh"), *(layer() for layer in layers), keras.layers.Dense(3)]

        return made

    statistics = keras.layers.BatchNormalization
    monkeypatch.setattr(keras_oracles, "body", body([statistics, lambda: keras.layers.Dropout(0.5, seed=1)]))
    agent, _, found, _ = AGENTS[kind]((), OPTIMIZERS["sgd"], 1)
    assert "BatchNormalization, Dropout: while the agent learns they work as they do at inference" in caplog.text
    moved = [v for v in agent.model.variables if "moving" in v.path]
    np.testing.assert_array_equal([v.numpy() for v in moved], [np.zeros(4), np.ones(4)])
    monkeypatch.setattr(keras_oracles, "body", body([statistics]))
    _, _, without, _ = AGENTS[kind]((), OPTIMIZERS["sgd"], 1)
    weights = [w for w in found if w.dtype == np.float32]
    for x, y in zip(weights, without, strict=True):
        np.testing.assert_array_equal(x, y)


def test_a_loss_of_your_own_may_train_batch_norm_and_a_failed_step_leaves_no_trace():
    def loss(model, episode_data, returns):
        return keras.ops.mean(keras.ops.log(scale[0] + model(episode_data.observations, training=True) ** 2))

    scale = [-100.0]
    model = keras.Sequential([keras.Input((3,)), keras.layers.BatchNormalization(), keras.layers.Dense(2)])
    agent = TFAgent(model, keras.optimizers.Adam(RATE), params(), compute_loss_fn=loss)
    agent.bind(OBSERVATIONS, CHOICES, seed=0)
    x = np.random.default_rng(0).normal(3.0, 1.0, (8, 3)).astype(np.float32)
    before = model.get_weights()
    with pytest.raises(ArithmeticError, match="weights and optimizer are as they were"):
        agent.learn(window(x, np.zeros(8, int), np.ones(8)))
    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)
    scale[0] = 1.0
    agent.learn(window(x, np.zeros(8, int), np.ones(8)))
    np.testing.assert_allclose(model.layers[0].moving_mean.numpy(), 0.01 * x.mean(axis=0), rtol=1e-5)


# Changed worlds, other models


@pytest.mark.parametrize("kind", ["policy_gradient", pytest.param("sac", marks=pytest.mark.slow)])
def test_learning_goes_on_after_the_world_changed(kind):
    agent, _, found, _ = AGENTS[kind]((), OPTIMIZERS["loss_scale"], 1)
    agent.on_world_change()
    assert float(agent.optimizer.dynamic_scale.numpy()) == 2.0**12
    rng, length = np.random.default_rng(0), 32 if kind == "sac" else 256
    actions = rng.uniform(-1, 1, (length, 1)).astype(np.float32) if kind == "sac" else rng.integers(0, 2, length)
    agent.learn(window(rng.normal(size=(length, 3)).astype(np.float32), actions, rng.normal(size=length)))
    moved = np.abs(agent.model.get_weights()[0] - found[0]).max()
    assert moved > 1e-3, "steps of Adam are about the learning rate"


def test_an_optimizer_of_another_model_is_refused_before_the_first_step():
    other = network((), 2, 5)
    optimizer = keras.optimizers.Adam(RATE)
    optimizer.build(other.trainable_variables[:2])
    agent = TFAgent(network((), 2, 0), optimizer, HyperparamSet({"learning_rate": RATE, "gamma": 0.9}, 0))
    with pytest.raises(
        ValueError, match=r"built for 2 other variables than the 6 that the model trains.*Pass a new one"
    ):
        agent.bind(OBSERVATIONS, CHOICES, seed=0)
