"""A champion is loaded without the script that trained it, and a file cannot make it run code."""

import json
import resource

import gymnasium as gym
import keras
import numpy as np
import pytest
from agent_makers import CARTPOLE, make_agent, play_window, save
from crossed import crossed
from saving_samples import build_from_config

from tensor_optix.adapters.tensorflow.loading import load_agent
from tensor_optix.adapters.tensorflow.tf_agent import TFAgent
from tensor_optix.core.checkpoint_registry import CheckpointRegistry
from tensor_optix.core.storage.state_files import read_agent_state, write_agent_state
from tensor_optix.core.types import EvalMetrics, HyperparamSet
from tensor_optix.exceptions import CheckpointError, UnsafeFileError


@pytest.mark.parametrize(
    ("space", "by_state"),
    crossed([gym.spaces.Discrete(3, start=-1), gym.spaces.Box(-2, np.inf, (2, 1), np.float64)], [True, False]),
)
def test_the_champion_lives_on(space, by_state, tmp_path):
    size = 3 if isinstance(space, gym.spaces.Discrete) else 2
    agent = make_agent(space, size, learning_rate=2e-3)
    agent.learn(play_window(agent, 0))
    save(agent, tmp_path, by_state=by_state)
    loaded = load_agent(tmp_path)
    assert loaded.get_hyperparams().params == agent.get_hyperparams().params
    for number in range(1, 3):
        window, same = play_window(agent, number), play_window(loaded, number)
        np.testing.assert_array_equal(window.actions, same.actions)
        assert agent.learn(window) == loaded.learn(same)


def test_functional_models_of_common_layers_come_back(tmp_path):
    inputs = keras.Input((4,))
    hidden = keras.layers.LayerNormalization()(keras.layers.Rescaling(0.5)(inputs))
    hidden = keras.layers.Dense(8, activation="gelu", kernel_regularizer=keras.regularizers.L2(1e-4))(hidden)
    outputs = keras.layers.Dense(2)(keras.layers.Concatenate()([hidden, inputs]))
    agent = TFAgent(keras.Model(inputs, outputs), keras.optimizers.SGD(0.1, momentum=0.9), HyperparamSet({}, 0))
    agent.bind(CARTPOLE, gym.spaces.Discrete(2), seed=0)
    save(agent, tmp_path, by_state=True)
    loaded = load_agent(tmp_path)
    assert isinstance(loaded.optimizer, keras.optimizers.SGD)
    observations = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
    np.testing.assert_array_equal(loaded.model(observations), agent.model(observations))


class Doubling(keras.layers.Layer):
    def call(self, x):
        return 2.0 * x


def test_your_own_layers_are_built_only_when_you_name_them(tmp_path):
    model = keras.Sequential([keras.Input((4,)), Doubling(), keras.layers.Dense(2)])
    agent = TFAgent(model, keras.optimizers.Adam(), HyperparamSet({}, 0))
    agent.bind(CARTPOLE, gym.spaces.Discrete(2), seed=0)
    save(agent, tmp_path, by_state=True)
    with pytest.raises(UnsafeFileError, match=r"uses 'Doubling' of module .*custom_objects=\{'Doubling': \.\.\.\}"):
        load_agent(tmp_path)
    loaded = load_agent(tmp_path, custom_objects={"Doubling": Doubling})
    observation = np.ones((1, 4), np.float32)
    np.testing.assert_array_equal(loaded.model(observation), model(observation))


def test_a_folder_without_a_champion_says_so(tmp_path):
    with pytest.raises(CheckpointError, match="There is no folder"):
        load_agent(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match="holds no champion"):
        load_agent(tmp_path)


def test_a_model_that_cannot_describe_itself_says_what_to_do(tmp_path):
    class Mine(keras.Model):
        def __init__(self, secret):
            super().__init__()
            self.head = keras.layers.Dense(2)

        def call(self, x):
            return self.head(x)

        def get_config(self):
            raise NotImplementedError

    agent = TFAgent(Mine(3), keras.optimizers.Adam(), HyperparamSet({}, 0))
    agent.bind(CARTPOLE, gym.spaces.Discrete(2), seed=0)
    save(agent, tmp_path, by_state=True)
    with pytest.raises(CheckpointError, match=r"no configuration of its model.*load_best\(agent\)"):
        load_agent(tmp_path)


def layer(class_name, module="keras.layers", registered_name=None, **config):
    return {"module": module, "class_name": class_name, "config": config, "registered_name": registered_name}


def sequential(*layers):
    inner = [layer("InputLayer", batch_shape=[None, 4], dtype="float32", name="in"), *layers]
    return json.dumps(layer("Sequential", "keras", name="s", trainable=True, layers=inner))


@pytest.mark.parametrize(
    "evil",
    [
        layer("Lambda", function={"class_name": "__lambda__", "config": {"code": "4wEA"}}),
        layer("TFSMLayer", filepath="/somewhere"),
        layer("StringLookup", vocabulary="/etc/passwd"),
        layer("get_file", "keras.utils", origin="http://nowhere"),
        layer("system", "os", command="true"),
        layer("Dense", "builtins", units=2),
        layer("Dense", units=2, activation={"module": "os", "class_name": "function", "config": "system"}),
        layer("Dense", units=2, activation={"module": "keras.utils", "class_name": "function", "config": "get_file"}),
        layer("Dense", units=2, kernel_initializer={"module": "os", "class_name": "system", "config": {}}),
        {"class_name": "Dense", "config": {"units": 2}},
        layer("load_model", "keras.models", filepath="/somewhere"),
        layer("Dense", units=2, registered_name="evil>Dense", module="evil"),
    ],
)
def test_a_configuration_cannot_ask_for_more_than_keras_layers(evil):
    with pytest.raises(UnsafeFileError, match="none of Keras's own"):
        build_from_config(sequential(evil), None, 100)


def test_a_configuration_cannot_ask_for_more_memory_than_was_saved():
    with pytest.raises(UnsafeFileError, match=r"asks for a size of 1000000000; 1000000 are allowed"):
        build_from_config(sequential(layer("Dense", units=10**9)), None, 100)


def test_a_broken_configuration_is_named():
    for text in ("{", sequential(layer("Dense", units="many")), json.dumps([1])):
        with pytest.raises(CheckpointError, match="cannot be built"):
            build_from_config(text, None, 100)


class TestWhatAFileMayAskFor:
    """Each single number is harmless; what they come to is not. Nothing may be allocated for it."""

    @staticmethod
    def refused(*layers, saved=100_000):
        model = {
            "module": "keras",
            "class_name": "Sequential",
            "config": {"name": "crafted", "trainable": True, "layers": list(layers)},
            "registered_name": None,
        }
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(UnsafeFileError) as raised:
            build_from_config(json.dumps(model), None, saved)
        assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < 200, "it was allocated"
        return str(raised.value)

    @staticmethod
    def start(*shape):
        return layer("InputLayer", batch_shape=[None, *shape], dtype="float32", name="input")

    def test_two_billion_weights(self):
        message = self.refused(self.start(2000), layer("Dense", units=1_000_000))
        assert "asks for 2,001,000,000 weights or more; 100,000 numbers were saved with it" in message

    def test_many_smaller_layers(self):
        dense = [layer("Dense", units=300, name=f"d{i}") for i in range(1000)]
        assert "weights or more" in self.refused(self.start(300), *dense)

    def test_a_recurrent_layer(self):
        assert "weights or more" in self.refused(self.start(5, 900), layer("LSTM", units=50_000))

    def test_a_huge_intermediate_result(self):
        repeats = [layer("RepeatVector", n=900_000, name="wide"), layer("Flatten")]
        message = self.refused(self.start(300), *repeats)
        assert "layer 'wide' asks for 1,080,000,000 bytes; 1,073,741,824 are allowed" in message

    def test_a_model_that_is_only_built_when_it_is_bound(self, tmp_path):
        agent = make_agent(gym.spaces.Discrete(2))
        save(agent, tmp_path, by_state=True)
        snapshot = next(tmp_path.glob("snapshot_*"))
        state = read_agent_state(snapshot / "weights")
        dense = [layer("Dense", units=900_000, name=f"d{i}") for i in range(3)]
        state.meta["architecture"]["model"] = json.dumps(
            layer("Sequential", "keras", name="s", trainable=True, layers=[*dense, layer("Dense", units=2)])
        )
        CheckpointRegistry(tmp_path).save_state(state, EvalMetrics(2.0, {}, 0), HyperparamSet({}, 0), background=False)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(UnsafeFileError, match="weights or more"):
            load_agent(tmp_path)
        assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < 200

    def test_keras_is_as_it_was(self):
        before = keras.layers.Layer.add_weight
        self.test_two_billion_weights()
        assert keras.layers.Layer.add_weight is before


@pytest.mark.parametrize("params", [[1, 2], "learning_rate", 7])
def test_hyperparameters_that_are_none_are_named(params, tmp_path):
    make_agent(gym.spaces.Discrete(3), 3).save_weights(str(tmp_path / "saved"))
    state = read_agent_state(tmp_path / "saved")
    state.meta["hyperparams"] = params
    write_agent_state(tmp_path / "saved", state)
    with pytest.raises(CheckpointError, match="hyperparameters that are none"):
        load_agent(tmp_path / "saved")
