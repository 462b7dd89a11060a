import subprocess
import sys
import zipfile

import gymnasium as gym
import keras
import numpy as np
import pytest
import tensorflow as tf
from agent_makers import make_agent as make_tf_agent
from agent_makers import play_window
from helpers.memory_makers import VECTOR, memory_agent
from policy_export_cases import ACTIONS, CASES, make_agent, observations_of

from tensor_optix.adapters.tensorflow.tf_agent import TFAgent
from tensor_optix.algorithms.ppo import PPOAgent
from tensor_optix.core.types import HyperparamSet

SERVED = frozenset(
    (
        *("AddV2", "BiasAdd", "Cast", "ConcatV2", "Const", "Conv2D", "GatherV2", "Greater", "Identity", "Less"),
        *("MatMul", "Maximum", "Mean", "Minimum", "Mul", "Neg", "NoOp", "Pack", "Placeholder", "ReadVariableOp"),
        *("Relu", "Reshape", "ResourceGather", "SelectV2", "Shape", "Split", "SplitV", "Squeeze", "StridedSlice"),
        *("Sub", "Tanh", "TopKV2", "Transpose"),
    )
)
"""Operations that tf2onnx 1.17 and the TFLite of TensorFlow 2.21 convert, of those that our policies may need."""


def operations_in(model):
    traced = tf.function(lambda x: model(x, training=False)).get_concrete_function(
        keras.tree.map_structure(lambda x: tf.TensorSpec((None, *x.shape[1:]), x.dtype), model.input)
    )
    graphs = [traced.graph.as_graph_def().node, *(f.node_def for f in traced.graph.as_graph_def().library.function)]
    return [node for nodes in graphs for node in nodes]


@pytest.mark.parametrize(("kind", "observation", "action"), CASES)
def test_the_exported_model_acts_as_the_agent_does(kind, observation, action, tmp_path):
    agent = make_agent(kind, observation, action)
    single, batch = observations_of(observation)
    expected = np.stack([np.asarray(agent.act_greedy(x)) for x in single])
    exported = agent.policy_model()
    actions = exported.predict(batch, verbose=0)
    np.testing.assert_allclose(actions, expected, rtol=1e-5, atol=1e-5)
    assert len(np.unique(actions, axis=0)) > 1, "the case decides nothing"
    space = ACTIONS[action]
    assert all(space.contains(row[()]) for row in actions), "an action that the environment refuses"

    exported.save(tmp_path / "policy.keras")
    assert b"tensor_optix" not in zipfile.ZipFile(tmp_path / "policy.keras").read("config.json")
    back = keras.models.load_model(tmp_path / "policy.keras")
    np.testing.assert_array_equal(back.predict(batch, verbose=0), actions)


@pytest.mark.parametrize(("kind", "observation", "action"), CASES)
def test_the_exported_graph_holds_only_what_onnx_and_tflite_serve(kind, observation, action):
    nodes = operations_in(make_agent(kind, observation, action).policy_model())
    assert {node.op for node in nodes} <= SERVED
    sums = [node.name for node in nodes if node.op == "AddV2" and node.attr["T"].type == tf.int64.as_datatype_enum]
    assert not sums, "TFLite makes BiasAdds of sums, which it cannot do for integers"


def test_plain_keras_reads_it_in_a_process_without_this_package(tmp_path):
    expected = []
    for i, (kind, action) in enumerate([("ppo", "choices"), ("sac", "box"), ("dqn", "discrete")]):
        exported = make_agent(kind, "vector", action).policy_model()
        exported.save(tmp_path / f"{i}.keras")
        expected.append(exported(np.linspace(-2.0, 2.0, 20, dtype=np.float32).reshape(5, 4)).numpy().tolist())
    script = (
        "import keras, numpy as np, sys\n"
        "x = np.linspace(-2.0, 2.0, 20, dtype=np.float32).reshape(5, 4)\n"
        f"print([keras.models.load_model(f'{tmp_path}/{{i}}.keras')(x).numpy().tolist() for i in range(3)])\n"
        "assert 'tensor_optix' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == str(expected)


def test_keys_that_are_no_names_still_name_the_parts():
    def model_of(parts):
        return keras.layers.Dense(2)(keras.layers.Concatenate()(list(parts.values())))

    space = gym.spaces.Dict({"arm/left": gym.spaces.Box(-1, 1, (2,)), "arm left": gym.spaces.Box(-1, 1, (3,))})
    inputs = {key: keras.Input(part.shape) for key, part in space.items()}
    agent = TFAgent(keras.Model(inputs, model_of(inputs)), keras.optimizers.Adam(), HyperparamSet({}, 0))
    agent.bind(space, gym.spaces.Discrete(2), seed=0)
    exported = agent.policy_model()
    observation = space.sample()
    assert exported({key: value[None] for key, value in observation.items()}).numpy() == [agent.act_greedy(observation)]
    assert len({tensor.name for tensor in exported.inputs}) == 2


def test_the_exported_model_stays_when_the_agent_learns_on():
    agent = make_tf_agent(gym.spaces.Box(-1, 1, (2,)), 2)
    exported, observations = agent.policy_model(), np.ones((1, 4), np.float32)
    before = exported.predict(observations, verbose=0)
    agent.learn(play_window(agent, 0))
    agent.model.set_weights([w + 1.0 for w in agent.model.get_weights()])
    np.testing.assert_array_equal(exported.predict(observations, verbose=0), before)


class Describable(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.head = keras.layers.Dense(2)

    def call(self, x):
        return self.head(x)


class Undescribable(Describable):
    def get_config(self):
        raise NotImplementedError


class Forgetful(Describable):
    """Its configuration leaves out how many units it has."""

    def __init__(self, units=3, **kwargs):
        super().__init__(**kwargs)
        self.body = keras.layers.Dense(units)

    def call(self, x):
        return self.head(self.body(x))


@pytest.mark.parametrize("make", [Describable, Undescribable, lambda: Forgetful(4)])
def test_a_subclassed_model_is_exported_and_copied_if_it_can_be_described(make):
    agent = TFAgent(make(), keras.optimizers.Adam(), HyperparamSet({}, 0))
    agent.bind(gym.spaces.Box(-1, 1, (4,)), gym.spaces.Discrete(2), seed=0)
    observations = np.random.default_rng(1).normal(size=(10, 4)).astype(np.float32)
    exported, before = agent.policy_model(), [agent.act_greedy(observation) for observation in observations]
    assert exported.predict(observations, verbose=0).tolist() == before
    agent.model.set_weights([-w for w in agent.model.get_weights()])
    after = agent.model(observations).numpy().argmax(axis=1).tolist()
    is_copied = type(agent.model) is Describable
    assert exported.predict(observations, verbose=0).tolist() == (before if is_copied else after)


def test_parts_that_are_one_layer_stay_one_in_the_copy():
    trunk = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "tanh")], name="trunk")
    doubled = keras.layers.Lambda(lambda x: 2.0 * x)
    branches = [keras.Sequential([keras.Input((4,)), trunk, keras.layers.Dense(2)]) for _ in range(2)]
    x = keras.Input((4,))
    model = keras.Model(x, doubled(keras.layers.Add()([branch(x) for branch in branches])))
    agent = PPOAgent(model, hidden_units=(4,), normalize_observations=False)
    agent.bind(gym.spaces.Box(-1, 1, (4,)), gym.spaces.Discrete(2), seed=0)
    exported = agent.policy_model()
    assert len(exported.weights) == len(model.weights) == 6
    assert not {id(w) for w in exported.weights} & {id(w) for w in model.weights}
    observations = np.random.default_rng(1).normal(size=(10, 4)).astype(np.float32)
    assert exported(observations).numpy().tolist() == model(observations).numpy().argmax(axis=1).tolist()


@pytest.mark.parametrize("space", ["vector", "parts"])
def test_a_policy_with_memory_takes_and_gives_its_states_by_name(space, tmp_path):
    parts = gym.spaces.Dict({"a": VECTOR, "b": gym.spaces.Box(-1, 1, (2,), np.float32)})
    agent = memory_agent(memory="lstm", observation_space=VECTOR if space == "vector" else parts)
    rng, policy, written = np.random.default_rng(0), agent.policy(), tmp_path / "policy.keras"
    agent.policy_model().save(written)
    agent.policy_model().export(str(tmp_path / "saved"), verbose=False)
    saved = tf.saved_model.load(str(tmp_path / "saved"))
    models = [keras.models.load_model(written), saved.serve]
    given, states = {f"state_{i}": np.zeros((3, 6), np.float32) for i in range(2)}, policy.initial_states(3)
    for _ in range(4):
        seen = {key: rng.normal(size=(3, *s.shape)).astype(np.float32) for key, s in parts.spaces.items()}
        seen = {"observation": seen["a"]} if space == "vector" else seen
        observations = seen["observation"] if space == "vector" else seen
        actions, states = policy.act_batch(observations, greedy=True, states=states)
        found = [model({k: tf.constant(v) for k, v in {**seen, **given}.items()}) for model in models]
        for told in found:
            np.testing.assert_array_equal(told["action"], actions)
            for i, state in enumerate(states):
                np.testing.assert_allclose(told[f"new_state_{i}"], state, rtol=1e-5, atol=1e-5)
        given = {name: np.asarray(found[0][f"new_{name}"]) for name in given}
