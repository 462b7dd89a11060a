"""What the loop and users may rely on: spaces, checks, hyperparameters, seeds."""

import gymnasium as gym
import keras
import numpy as np
import pytest
import tensorflow as tf
from agent_makers import CARTPOLE, actor, make_agent, play_window

from tensor_optix.adapters.tensorflow.tf_agent import TFAgent
from tensor_optix.core.types import HyperparamSet
from tensor_optix.exceptions import (
    BackendError,
    IncompatibleModelError,
    InvalidArgumentError,
    InvalidTypeError,
    NonFiniteError,
    NotBoundError,
    UnsupportedSpaceError,
)


def test_a_discrete_action_is_a_python_int_from_start_on():
    agent = make_agent(gym.spaces.Discrete(2, start=5))
    actions = [agent.act(np.zeros(4, np.float32)) for _ in range(100)]
    assert all(type(action) is int for action in actions)
    assert set(actions) == {5, 6}
    assert agent.act_greedy(np.zeros(4, np.float32)) in (5, 6)
    assert set(agent.act_batch(np.zeros((50, 4), np.float32)).tolist()) == {5, 6}


def test_actions_follow_the_softmax_of_the_logits():
    agent = make_agent(gym.spaces.Discrete(2))
    agent.model.set_weights([np.zeros_like(w) for w in agent.model.get_weights()[:-1]] + [np.array([np.log(3.0), 0.0])])
    agent.refresh()
    drawn = np.concatenate([agent.act_batch(np.zeros((500, 4), np.float32)) for _ in range(8)])
    assert np.mean(drawn == 0) == pytest.approx(0.75, abs=4 * np.sqrt(0.75 * 0.25 / 4000))


@pytest.mark.parametrize(
    "space",
    [
        gym.spaces.Box(np.array([-2.0, 0.0], np.float32), np.array([2.0, 10.0], np.float32)),
        gym.spaces.Box(-1.0, 1.0, (2, 1), np.float64),
        gym.spaces.Box(-np.inf, np.inf, (2,), np.float32),
        gym.spaces.Box(np.array([0.0, -np.inf], np.float32), np.array([np.inf, 1.0], np.float32)),
    ],
)
def test_a_box_action_lies_in_the_box(space):
    agent = make_agent(space, size=2)
    for _ in range(50):
        assert space.contains(agent.act(np.ones(4, np.float32)))
    assert space.contains(agent.act_greedy(np.ones(4, np.float32)))
    batch = agent.act_batch(np.ones((3, 4), np.float32))
    assert batch.shape == (3, *space.shape)
    assert batch.dtype == space.dtype


def test_outputs_of_one_are_the_bounds():
    low, high = np.array([-2.0, 0.0], np.float32), np.array([2.0, 10.0], np.float32)
    agent = make_agent(gym.spaces.Box(low, high), size=2)
    for output, action in ((-1.0, low), (0.0, (low + high) / 2), (1.0, high), (9.0, high)):
        weights = agent.model.get_weights()
        agent.model.set_weights([*(np.zeros_like(w) for w in weights[:-1]), np.full(2, output)])
        agent.refresh()
        np.testing.assert_allclose(agent.act_greedy(np.zeros(4, np.float32)), action)


def test_act_batch_draws_what_as_many_acts_draw():
    observations = np.random.default_rng(0).normal(size=(1500, 4)).astype(np.float32)
    one_by_one = make_agent(gym.spaces.Discrete(2))
    together = make_agent(gym.spaces.Discrete(2))
    singly = [one_by_one.act(observation) for observation in observations]
    in_batches = np.concatenate([together.act_batch(observations[i : i + 300]) for i in range(0, 1500, 300)])
    np.testing.assert_array_equal(singly, in_batches)


def test_it_acts_and_learns_before_bind():
    agent = TFAgent(actor(3), keras.optimizers.Adam(1e-3), HyperparamSet({"learning_rate": 1e-3, "gamma": 0.9}, 0))
    assert agent.act(np.zeros(4, np.float32)) in (0, 1, 2)
    assert np.isfinite(agent.learn(play_window(agent, 0))["loss"])
    never_acted = TFAgent(actor(3), keras.optimizers.Adam(1e-3), HyperparamSet({"learning_rate": 1e-3}, 0))
    assert np.isfinite(never_acted.learn(play_window(agent, 0))["loss"])


def test_a_model_of_any_length_learns_in_an_environment_of_one():
    layers = [keras.Input((None, 2)), keras.layers.GlobalAveragePooling1D(), keras.layers.Dense(2)]
    agent = TFAgent(keras.Sequential(layers), keras.optimizers.Adam(1e-2), HyperparamSet({}, 0))
    agent.bind(gym.spaces.Box(-5.0, 5.0, (2, 2)), gym.spaces.Discrete(2), seed=0)
    shaped = play_window(make_agent(gym.spaces.Discrete(2)), 0)
    shaped.observations, shaped.next_observations = (
        x.reshape(-1, 2, 2) for x in (shaped.observations, shaped.next_observations)
    )
    before = agent.model.get_weights()[0].copy()
    assert np.isfinite(agent.learn(shaped)["loss"])
    assert not np.array_equal(agent.model.get_weights()[0], before)


def test_what_needs_a_model_says_so_before_there_is_one():
    agent = TFAgent(actor(2), keras.optimizers.Adam(), HyperparamSet({}, 0))
    for method in (agent.policy, agent.policy_model, agent.get_state):
        with pytest.raises(NotBoundError, match=r"call bind\(observation_space, action_space\)"):
            method()


def test_learn_reports_numbers():
    agent = make_agent(gym.spaces.Discrete(2))
    diagnostics = agent.learn(play_window(agent, 0))
    assert {"loss", "grad_norm", "kl", "entropy", "learning_rate", "kl_factor", "explained_variance"} <= set(
        diagnostics
    )
    assert all(isinstance(value, float) and np.isfinite(value) for value in diagnostics.values())


def test_nothing_is_traced_twice():
    agent = make_agent(gym.spaces.Discrete(2))
    for i, length in enumerate((20, 20, 50, 20, 7)):
        agent.learn(play_window(agent, i, length))
        new = {"learning_rate": 1e-3 / (i + 1), "gamma": 0.9 + i / 100, "clip_ratio": 0.1, "entropy_coef": i / 100}
        agent.set_hyperparams(HyperparamSet({**new, "kl_target": 0.01 * (i + 1), "num_epochs": i + 1}, i))
    assert agent._learner._update.num_traces == 1


def test_the_learning_rate_is_the_value_that_was_set():
    agent = make_agent(gym.spaces.Discrete(2), learning_rate=3e-4)
    assert agent.get_hyperparams().params["learning_rate"] == 3e-4
    agent.set_hyperparams(HyperparamSet({"learning_rate": 0.01, "mine": "kept"}, 1))
    agent.learn(play_window(agent, 0))
    assert agent.get_hyperparams().params == {"learning_rate": 0.01, "mine": "kept"}
    agent.optimizer.learning_rate = 0.5
    assert agent.get_hyperparams().params["learning_rate"] == 0.5


def test_hyperparameters_are_copied():
    given = HyperparamSet({"learning_rate": 1e-3, "nested": [1]}, 0)
    agent = TFAgent(actor(2), keras.optimizers.Adam(), given)
    given.params["nested"].append(2)
    agent.get_hyperparams().params["nested"].append(3)
    assert agent.get_hyperparams().params["nested"] == [1]


def test_bounds_hold_the_defaults_and_the_bold_trial_is_usable():
    agent = make_agent(gym.spaces.Discrete(2))
    bounds = agent.hyperparam_bounds()
    assert bounds["learning_rate"].contains(3e-4)
    assert bounds["gamma"].contains(0.99)
    before = agent.get_hyperparams()
    trial = agent.bold_hyperparams()
    assert trial.params["learning_rate"] < before.params["learning_rate"]
    agent.set_hyperparams(trial)
    agent.learn(play_window(agent, 0))
    agent.set_hyperparams(before)
    assert agent.get_hyperparams().params == before.params


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"learning_rate": 0.0}, InvalidArgumentError, "'learning_rate'.* must be finite, > 0"),
        ({"learning_rate": float("nan")}, InvalidArgumentError, "'learning_rate'.*Received: nan"),
        ({"learning_rate": "fast"}, InvalidTypeError, "'learning_rate'.* must be a number. Received: 'fast'"),
        ({"gamma": 1.01}, InvalidArgumentError, "'gamma'.* <= 1"),
        ({"gamma": -0.1}, InvalidArgumentError, "'gamma'.* >= 0"),
        ({"mine": float("inf")}, InvalidArgumentError, "'mine'.*Received: inf"),
    ],
)
def test_bad_hyperparameters_are_named(params, error, message):
    with pytest.raises(error, match=message):
        TFAgent(actor(2), keras.optimizers.Adam(), HyperparamSet(params, 0))
    agent = make_agent(gym.spaces.Discrete(2))
    before = agent.get_hyperparams().params
    with pytest.raises(error, match=message):
        agent.set_hyperparams(HyperparamSet(params, 0))
    assert agent.get_hyperparams().params == before


def test_arguments_of_the_wrong_kind_are_named():
    good = HyperparamSet({"learning_rate": 1e-3}, 0)
    with pytest.raises(InvalidTypeError, match=r"must be a HyperparamSet. Received: dict.*HyperparamSet\(params="):
        TFAgent(actor(2), keras.optimizers.Adam(), {"learning_rate": 1e-3})
    with pytest.raises(InvalidTypeError, match=r"params` must be a dict. Received: list"):
        TFAgent(actor(2), keras.optimizers.Adam(), HyperparamSet([], 0))
    with pytest.raises(InvalidTypeError, match=r"`model` must be a keras.Model. Received: Dense"):
        TFAgent(keras.layers.Dense(2), keras.optimizers.Adam(), good)
    with pytest.raises(InvalidTypeError, match=r"`optimizer` must be a keras.optimizers.Optimizer. Received: str"):
        TFAgent(actor(2), "adam", good)
    with pytest.raises(InvalidTypeError, match=r"`compute_loss_fn` must be callable or None"):
        TFAgent(actor(2), keras.optimizers.Adam(), good, compute_loss_fn=3)


def test_a_learning_rate_schedule_is_refused_with_the_way_out():
    schedule = keras.optimizers.schedules.ExponentialDecay(1e-3, 100, 0.9)
    with pytest.raises(InvalidArgumentError, match=r"LearningRateSchedule.*Pass a float.*KL control adapts it"):
        TFAgent(actor(2), keras.optimizers.Adam(schedule), HyperparamSet({}, 0))
    with pytest.raises(InvalidArgumentError, match=r"is a callable"):
        TFAgent(actor(2), keras.optimizers.Adam(lambda: 1e-3), HyperparamSet({}, 0))


def test_another_backend_is_refused(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(BackendError, match=r"its backend is 'jax'.*KERAS_BACKEND=tensorflow"):
        TFAgent(actor(2), keras.optimizers.Adam(), HyperparamSet({}, 0))
    monkeypatch.setattr(keras, "__version__", "2.15.0")
    with pytest.raises(BackendError, match=r"this is Keras 2.15.0"):
        TFAgent(actor(2), keras.optimizers.Adam(), HyperparamSet({}, 0))


def test_a_legacy_model_is_refused():
    legacy = type("Model", (), {"__module__": "tf_keras.src.engine"})()
    with pytest.raises(BackendError, match=r"legacy Keras 2 model \(tf_keras"):
        TFAgent(legacy, keras.optimizers.Adam(), HyperparamSet({}, 0))


@pytest.mark.parametrize(
    ("size", "space", "message"),
    [
        (3, gym.spaces.Discrete(2), r"gives 3 outputs, but Discrete\(2\) needs 2: one logit per action.*Dense\(2\)"),
        (1, gym.spaces.Box(-1, 1, (2,)), r"gives 1 outputs, but Box.* needs 2: one mean per action dimension"),
    ],
)
def test_a_model_that_does_not_fit_the_actions_is_refused_with_counts(size, space, message):
    agent = TFAgent(actor(size), keras.optimizers.Adam(), HyperparamSet({}, 0))
    with pytest.raises(IncompatibleModelError, match=message):
        agent.bind(CARTPOLE, space, seed=0)


def test_a_model_that_does_not_take_the_observations_is_refused():
    agent = TFAgent(actor(2), keras.optimizers.Adam(), HyperparamSet({}, 0))
    with pytest.raises(IncompatibleModelError, match=r"in the shape \(4,\), but received \(6,\)"):
        agent.bind(gym.spaces.Box(-1, 1, (6,)), gym.spaces.Discrete(2), seed=0)


def test_a_model_of_the_wrong_shape_is_refused():
    inputs = keras.Input((4,))
    two = keras.Model(inputs, [keras.layers.Dense(2)(inputs), keras.layers.Dense(1)(inputs)])
    wide = keras.Sequential([keras.Input((4,)), keras.layers.Reshape((2, 2))])
    for model, shapes in ((two, "gives 2 of shapes"), (wide, r"\(1, 2, 2\)")):
        agent = TFAgent(model, keras.optimizers.Adam(), HyperparamSet({}, 0))
        with pytest.raises(IncompatibleModelError, match=shapes):
            agent.bind(CARTPOLE, gym.spaces.Discrete(2), seed=0)


@pytest.mark.parametrize(
    "space", [gym.spaces.MultiBinary(3), gym.spaces.MultiDiscrete([2, 2]), gym.spaces.Box(0, 9, (2,), np.int64)]
)
def test_other_action_spaces_are_refused(space):
    agent = TFAgent(actor(2), keras.optimizers.Adam(), HyperparamSet({}, 0))
    with pytest.raises(UnsupportedSpaceError, match=r"Discrete or a Box of floats. Received: "):
        agent.bind(CARTPOLE, space, seed=0)


def test_observations_without_a_shape_are_refused():
    agent = TFAgent(actor(2), keras.optimizers.Adam(), HyperparamSet({}, 0))
    with pytest.raises(UnsupportedSpaceError, match=r"must have a fixed shape. Received: Sequence"):
        agent.bind(gym.spaces.Sequence(gym.spaces.Discrete(2)), gym.spaces.Discrete(2), seed=0)


@pytest.mark.parametrize("what", ["observations", "next_observations", "rewards"])
def test_numbers_that_are_not_finite_are_named_and_nothing_changes(what):
    agent = make_agent(gym.spaces.Discrete(2))
    agent.learn(play_window(agent, 0))
    before = agent.get_state()
    window = play_window(agent, 7)
    values = np.array(getattr(window, what), np.float64)
    values[-1] = np.nan
    setattr(window, what, values)
    named = what.removesuffix("s").removeprefix("next_")
    with pytest.raises(NonFiniteError, match=rf"Window 7 holds \d+ steps whose {named} is NaN or infinite"):
        agent.learn(window)
    assert_same_arrays(before.arrays, agent.get_state().arrays)


def test_a_gradient_that_is_not_finite_undoes_the_whole_update():
    class Explosive(keras.layers.Layer):
        """Infinite slope at 0, met only by the poisoned observation."""

        def call(self, x):
            return tf.sqrt(tf.abs(x - 3.0))

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8), Explosive(), keras.layers.Dense(2)])
    agent = TFAgent(model, keras.optimizers.Adam(1e-2), HyperparamSet({"learning_rate": 1e-2}, 0))
    agent.bind(CARTPOLE, gym.spaces.Discrete(2), seed=0)
    agent.learn(play_window(agent, 0))
    weights = model.get_weights()
    weights[0], weights[1] = np.zeros_like(weights[0]), np.full_like(weights[1], 3.0)
    model.set_weights(weights)
    before = [v.numpy() for v in (*model.variables, *agent.optimizer.variables)]
    with pytest.raises(NonFiniteError, match=r"weights and optimizer are as they were"):
        agent.learn(play_window(agent, 1))
    after = [v.numpy() for v in (*model.variables, *agent.optimizer.variables)]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_a_changed_world_resets_the_optimizer_and_keeps_the_weights():
    agent = make_agent(gym.spaces.Discrete(2), learning_rate=1e-3)
    agent.learn(play_window(agent, 0))
    weights = agent.model.get_weights()
    agent.on_world_change()
    assert all(np.array_equal(a, b) for a, b in zip(weights, agent.model.get_weights(), strict=True))
    assert agent.get_hyperparams().params["learning_rate"] == 1e-3
    assert int(agent.optimizer.iterations) == 0
    assert agent.get_state().meta["learner"]["kl_factor"] == 1.0
    agent.learn(play_window(agent, 1))


def test_the_same_seed_gives_the_same_weights():
    results = []
    for _ in range(2):
        agent = make_agent(gym.spaces.Box(-1, 1, (2,)), size=2)
        for i in range(4):
            agent.learn(play_window(agent, i))
        results.append(agent.get_state().arrays)
    assert_same_arrays(*results)


def assert_same_arrays(first, second):
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)
