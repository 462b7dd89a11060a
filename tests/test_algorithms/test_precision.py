"""Models in other precisions than float32: they learn, act, and come back from files as they were, or are refused."""

import gymnasium as gym
import keras
import numpy as np
import pytest
from crossed import crossed
from helpers.keras_oracles import AGENTS, CHOICES, NUMBERS, OBSERVATIONS, RATE, network, params, window

from tensor_optix import DQNAgent, PPOAgent, SACAgent, TFAgent, load_agent
from tensor_optix.exceptions import IncompatibleModelError, InvalidArgumentError

FAR = gym.spaces.Box(0.0, 2000.0, (3,), np.float32)
SMALL = {"hidden_units": (8,), "batch_size": 16}
REPLAY = {**SMALL, "buffer_size": 256, "learning_starts": 8, "normalize_observations": True}

MAKERS = {
    "policy_gradient": lambda: TFAgent(network((), 2, 0), keras.optimizers.Adam(RATE), params()),
    "own_loss": lambda: TFAgent(network((), 2, 0), keras.optimizers.Adam(RATE), params(), compute_loss_fn=squares),
    "box": lambda: TFAgent(network((), 1, 0), keras.optimizers.Adam(RATE), params()),
    "ppo": lambda: PPOAgent(network((), 1, 0), hyperparams=params(), jit_compile=False, **SMALL),
    "dqn": lambda: DQNAgent(network((), 2, 0), hyperparams=params(train_frequency=8), **REPLAY),
    "sac": lambda: SACAgent(network((), 2, 0), hyperparams=params(train_frequency=8), **REPLAY),
}
OF_NUMBERS = ("box", "ppo", "sac")
PRECISIONS = {
    "mixed_float16": lambda: keras.config.set_dtype_policy("mixed_float16"),
    "mixed_bfloat16": lambda: keras.config.set_dtype_policy("mixed_bfloat16"),
    "float64": lambda: all_in_float64(),
}


def all_in_float64():
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")


def squares(model, episode_data, returns):
    outputs = keras.ops.cast(model(episode_data.observations), "float32")
    return keras.ops.mean(keras.ops.square(outputs - 1.0))


@pytest.fixture(autouse=True)
def back_to_float32():
    yield
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")


def steps(seed, is_box, length=32):
    rng = np.random.default_rng(seed)
    x = rng.normal(1000.0, 0.5, (length, 3)).astype(np.float32)
    actions = rng.uniform(-1, 1, (length, 1)).astype(np.float32) if is_box else rng.integers(0, 2, length)
    return window(x, actions, rng.normal(size=length))


QUICK = {("ppo", "mixed_float16"), ("policy_gradient", "mixed_bfloat16"), ("dqn", "float64")}


@pytest.mark.parametrize(
    ("kind", "precision"),
    [
        pytest.param(
            kind, precision, marks=() if kind == "own_loss" or (kind, precision) in QUICK else pytest.mark.slow
        )
        for kind in MAKERS
        for precision in PRECISIONS
    ],
)
def test_it_acts_learns_and_comes_back_from_files(kind, precision, tmp_path):
    PRECISIONS[precision]()
    is_box, space = kind in OF_NUMBERS, NUMBERS if kind in OF_NUMBERS else CHOICES
    agent = MAKERS[kind]()
    agent.bind(FAR, space, seed=0)
    before = agent.model.get_weights()
    for seed in range(2):
        told = agent.learn(steps(seed, is_box))
    assert all(np.isfinite(value) for value in told.values())
    assert any(not np.array_equal(x, y) for x, y in zip(agent.model.get_weights(), before, strict=True))

    x = steps(7, is_box).observations
    greedy = [np.asarray(agent.act_greedy(one)) for one in x]
    accuracy = 2e-2 if "mixed" in precision else 1e-5
    np.testing.assert_allclose(agent.policy().act_batch(x, greedy=True), greedy, atol=accuracy)
    from_model = np.asarray(agent.policy_model()(x)).reshape(len(x), -1)
    np.testing.assert_allclose(from_model, np.reshape(greedy, (len(x), -1)), atol=accuracy)

    agent.save_weights(str(tmp_path / "saved"))
    objects = {"squares": squares} if kind == "own_loss" else None
    loaded = load_agent(tmp_path / "saved", custom_objects=objects)
    other = MAKERS[kind]()
    other.bind(FAR, space, seed=5)
    other.set_state(agent.get_state("all"))
    if kind in ("dqn", "sac"):
        loaded.set_state(agent.get_state("all"))
    for one in (agent, loaded, other):
        one.learn(steps(3, is_box))
    for name, array in agent.get_state().arrays.items():
        for one in (loaded, other):
            np.testing.assert_array_equal(one.get_state().arrays[name], array, err_msg=name)
    assert loaded.act(x[0]) == agent.act(x[0])


@pytest.mark.parametrize(("kind", "precision"), crossed(["ppo", "dqn"], ["mixed_float16", "mixed_bfloat16"]))
def test_observations_are_normalised_in_float32(kind, precision):
    """999.9 and 1000.1 are the same number in half precision."""
    PRECISIONS[precision]()
    agent = MAKERS[kind]()
    agent.bind(FAR, NUMBERS if kind == "ppo" else CHOICES, seed=0)
    x = np.tile(np.array([[999.9], [1000.1]], np.float32), (16, 3))
    actions = np.zeros((32, 1), np.float32) if kind == "ppo" else np.zeros(32, int)
    agent.learn(window(x, actions, np.zeros(32)))
    expected = np.array([[-1.0] * 3, [1.0] * 3], np.float32)
    normalised = agent._normalizer([keras.ops.convert_to_tensor(x[:2])])[0]
    np.testing.assert_allclose(normalised, expected, atol=1e-3)
    own = agent.model(expected, training=False).numpy().astype(np.float32)
    np.testing.assert_allclose(agent._forward(x[:2]), own, atol=1e-2)
    assert not np.allclose(own[0], own[1], atol=2e-2)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_an_input_in_another_precision_gets_what_was_observed(dtype):
    model = keras.Sequential([keras.Input((3,), dtype=dtype), keras.layers.Dense(1)])
    agent = PPOAgent(model, hyperparams=params(), jit_compile=False, **SMALL)
    agent.bind(FAR, NUMBERS, seed=0)
    for seed in range(2):
        agent.learn(steps(seed, True))
    x = steps(5, True).observations
    assert np.std([agent.act_greedy(one) for one in x]) > 1e-3, "differences of 0.5 at 1000 are seen"
    actions = np.reshape([agent.act_greedy(one) for one in x], (-1, 1))
    np.testing.assert_allclose(agent.policy_model()(x), actions, atol=2e-2)


@pytest.mark.parametrize(
    "kind", ["own_loss", "dqn", *(pytest.param(k, marks=pytest.mark.slow) for k in ("policy_gradient", "ppo", "sac"))]
)
def test_a_step_in_float64_is_that_of_fit(kind):
    all_in_float64()
    _, _, found, expected = AGENTS[kind](("constraints", "regularizers"), lambda: keras.optimizers.AdamW(RATE), 1)
    assert all(w.dtype == np.float64 for w in found)
    for x, y in zip(found, expected, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize(
    "kind", ["own_loss", "dqn", *(pytest.param(k, marks=pytest.mark.slow) for k in ("policy_gradient", "ppo", "sac"))]
)
def test_an_overflow_in_half_precision_leaves_the_step_out_and_scales_less(kind):
    keras.config.set_dtype_policy("mixed_float16")

    def optimizer():
        return keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(RATE), initial_scale=2.0**30)

    agent, told, _, _ = AGENTS[kind]((), optimizer, 1)
    for x, y in zip(agent.model.get_weights(), network((), 2, 0).get_weights(), strict=True):
        np.testing.assert_array_equal(x, y)
    assert told["grad_norm"] == 0.0
    assert float(agent.optimizer.dynamic_scale.numpy()) == 2.0**29
    assert np.isfinite(told["loss"])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_weights_in_half_precision_are_refused_before_the_first_step(dtype):
    keras.config.set_dtype_policy(dtype)
    agent = TFAgent(network((), 2, 0), keras.optimizers.Adam(RATE), params())
    with pytest.raises(IncompatibleModelError, match=f"keeps its weights in {dtype}"):
        agent.bind(OBSERVATIONS, CHOICES, seed=0)
    for made_here in (PPOAgent(), DQNAgent()):
        with pytest.raises(IncompatibleModelError, match=f"keeps its weights in {dtype}"):
            made_here.bind(OBSERVATIONS, CHOICES, seed=0)
    with pytest.raises(IncompatibleModelError, match=f"keeps its weights in {dtype}"):
        SACAgent().bind(OBSERVATIONS, NUMBERS, seed=0)
    keras.config.set_floatx(dtype)
    with pytest.raises(InvalidArgumentError, match=f"kept in {dtype}: it was made under keras.config.set_floatx"):
        PPOAgent()


def test_frozen_weights_in_bfloat16_are_saved_and_come_back(tmp_path):
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(4, dtype="bfloat16", trainable=False),
            keras.layers.Dense(2, dtype="float32"),
        ]
    )
    agent = TFAgent(model, keras.optimizers.Adam(RATE), params())
    agent.bind(OBSERVATIONS, CHOICES, seed=0)
    agent.learn(steps(0, False))
    agent.save_weights(str(tmp_path / "saved"))
    loaded = load_agent(tmp_path / "saved")
    for x, y in zip(loaded.model.weights, agent.model.weights, strict=True):
        assert x.dtype == y.dtype
        np.testing.assert_array_equal(x.numpy(), y.numpy())
    assert {w.dtype for w in loaded.model.weights} == {"bfloat16", "float32"}


@pytest.mark.slow
def test_what_learned_in_float64_is_loaded_under_float32(tmp_path):
    all_in_float64()
    agent = MAKERS["ppo"]()
    agent.bind(FAR, NUMBERS, seed=0)
    agent.learn(steps(0, True))
    agent.save_weights(str(tmp_path / "saved"))
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    loaded = load_agent(tmp_path / "saved")
    assert loaded.model.weights[0].dtype == "float64"
    x = steps(1, True).observations
    np.testing.assert_array_equal(loaded.act_batch(x), agent.act_batch(x))
    loaded.learn(steps(2, True))
