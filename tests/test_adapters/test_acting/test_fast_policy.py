"""The compiled forward pass against Keras itself, and frozen copies of how an agent acts."""

import threading

import keras
import numpy as np
import pytest
from acting_checks import assert_close, assert_matches, mlp, oracle, randomize, two_inputs
from gymnasium import spaces
from keras import layers as kl

from tensor_optix import HyperparamSet, TFAgent
from tensor_optix.adapters.tensorflow.acting.fast_policy import compile_forward
from tensor_optix.exceptions import IncompatibleModelError, NotBoundError


@pytest.mark.parametrize("make", [np.float32, np.float64, np.int64, np.uint8, list])
def test_observations_of_any_number_type(make):
    model = mlp()
    forward = compile_forward(model)
    plain = np.array([1, 2, 3, 4], np.float32)
    observation = plain.tolist() if make is list else plain.astype(make)
    assert_close(forward.one(observation), [oracle(model, plain[None])[0][0]])
    assert_close(forward([observation, observation]), oracle(model, np.stack([plain, plain])))


def test_a_sequential_model_is_built_from_a_sample():
    model = keras.Sequential([kl.Dense(4, "relu"), kl.Dense(2)])
    forward = compile_forward(model, sample=np.zeros(3))
    assert forward.kind == "numpy"
    assert_matches(forward, model)


def test_a_snapshot_stays_as_it_was():
    model = mlp()
    forward = compile_forward(model)
    x = np.random.default_rng(0).normal(size=(6, 4)).astype("f")
    expected = oracle(model, x)
    snapshot = forward.snapshot()
    randomize(model, seed=3)
    forward.refresh()
    assert snapshot.kind == "numpy"
    assert_close(snapshot(x), expected)
    assert_close(snapshot.one(x[0]), [expected[0][0]])
    assert_close(snapshot.snapshot()(x), expected)
    assert_close(forward(x), oracle(model, x))


def test_a_snapshot_cannot_be_refreshed():
    with pytest.raises(NotBoundError, match="snapshot of a forward pass is frozen"):
        compile_forward(mlp()).snapshot().refresh()


def test_a_snapshot_serves_many_threads_while_the_model_changes():
    model = mlp(hidden=32)
    forward = compile_forward(model)
    snapshot = forward.snapshot()
    x = np.random.default_rng(0).normal(size=(16, 4)).astype("f")
    expected = oracle(model, x)[0]
    wrong = []

    def act(row):
        for _ in range(300):
            if not np.allclose(snapshot.one(x[row]), expected[row], atol=1e-4):
                wrong.append(row)
            if not np.allclose(snapshot(x[: row + 2]), expected[: row + 2], atol=1e-4):
                wrong.append(row)

    threads = [threading.Thread(target=act, args=(row,)) for row in range(4)]
    for thread in threads:
        thread.start()
    for seed in range(20):
        randomize(model, seed)
        forward.refresh()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("shape", [(), (3,), (1,), (4, 1, 1), (2, 4)])
def test_one_observation_of_a_wrong_shape_is_refused(shape):
    with pytest.raises(IncompatibleModelError, match=r"takes .*shape \(4,\), but received"):
        compile_forward(mlp()).one(np.zeros(shape))


@pytest.mark.parametrize("shape", [(), (4,), (2, 3), (2, 4, 4)])
def test_a_batch_of_a_wrong_shape_is_refused(shape):
    with pytest.raises(IncompatibleModelError, match=r"takes .*shape \('batch', 4\), but received"):
        compile_forward(mlp())(np.zeros(shape))


def test_missing_parts_and_unequal_batches_are_refused():
    forward = compile_forward(two_inputs("dict"))
    with pytest.raises(IncompatibleModelError, match=r"parts .*'place'.* but received the keys \['place'\]"):
        forward.one({"place": np.zeros(3)})
    with pytest.raises(IncompatibleModelError, match="object of type ndarray"):
        forward.one(np.zeros(3))
    with pytest.raises(IncompatibleModelError, match=r"hold \[2, 3\] rows|hold \[3, 2\] rows"):
        forward({"place": np.zeros((3, 3)), "speed": np.zeros((2, 2))})


def test_a_model_of_unknown_inputs_needs_a_sample():
    with pytest.raises(NotBoundError, match="pass one observation as sample="):
        compile_forward(keras.Sequential([kl.Dense(2)]))


def agent_for(action_space, outputs):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(8, "tanh"), keras.layers.Dense(outputs)])
    agent = TFAgent(model, keras.optimizers.Adam(1e-3), HyperparamSet({"learning_rate": 1e-3, "gamma": 0.9}, 0))
    agent.bind(spaces.Box(-1, 1, (3,)), action_space, seed=1)
    return agent


def test_discrete_log_probs_are_those_of_the_softmax():
    agent = agent_for(spaces.Discrete(4, start=2), 4)
    policy, rng = agent.policy(), np.random.default_rng(0)
    for _ in range(20):
        observation = rng.normal(size=3).astype(np.float32)
        action, log_prob = policy.act_with_log_prob(observation)
        logits = np.asarray(agent.model(observation[None]))[0].astype(np.float64)
        assert log_prob == pytest.approx(logits[action - 2] - np.log(np.exp(logits).sum()), abs=1e-5)


def test_two_copies_of_one_version_explore_differently():
    agent = agent_for(spaces.Box(-1, 1, (2,)), 2)
    first, second = agent.policy(), agent.policy()
    observation = np.zeros(3, np.float32)
    assert not np.array_equal(first.act(observation), second.act(observation))
