import importlib.util
import os
import re
import subprocess
import sys

import gymnasium as gym
import keras
import numpy as np
import pytest
import tensorflow as tf
from agent_makers import play_window
from policy_export_cases import ACTIONS, CASES, OBSERVATIONS, make_agent, observations_of
from scipy import stats

from tensor_optix.adapters.tensorflow.actions.action_sampler import PolicyHead
from tensor_optix.adapters.tensorflow.actions.discrete import DiscreteSampler
from tensor_optix.adapters.tensorflow.exporting.exported_policy import Exported
from tensor_optix.adapters.tensorflow.exporting.formats import FORMATS
from tensor_optix.adapters.tensorflow.tf_agent import TFAgent
from tensor_optix.algorithms.dqn import DQNAgent
from tensor_optix.core.types import HyperparamSet
from tensor_optix.exceptions import CheckpointError, ExportError, InvalidArgumentError, MissingExtraError

RUNTIMES = ("tf2onnx", "onnxruntime", "ai_edge_litert")
needs_runtimes = [
    pytest.mark.slow,
    pytest.mark.skipif(not all(map(importlib.util.find_spec, RUNTIMES)), reason=f"needs {', '.join(RUNTIMES)}"),
]
EVERY_FORMAT = [*("saved_model", "keras"), *(pytest.param(name, marks=needs_runtimes) for name in ("onnx", "tflite"))]

READERS = {
    "saved_model": "import tensorflow as tf\npolicy = tf.saved_model.load(path)\n"
    "act = lambda x: policy.serve(x).numpy()",
    "keras": "import keras\npolicy = keras.models.load_model(path)\nact = lambda x: policy.predict(x, verbose=0)",
    "onnx": "import onnxruntime\npolicy = onnxruntime.InferenceSession(path)\n"
    "act = lambda x: policy.run(None, {'observation': x})[0]",
    "tflite": "from ai_edge_litert.interpreter import Interpreter\npolicy = Interpreter(path).get_signature_runner()\n"
    "act = lambda x: next(iter(policy(observation=x).values()))",
}
"""How each runtime plays a policy, as its own users write it."""


def export(agent, folder, name, **how):
    return agent.export(folder / f"policy{FORMATS[name].suffix}", name, **how)


def small_agent(*layers, action=ACTIONS["discrete"], size=3):
    model = keras.Sequential([keras.Input((4,)), *layers, keras.layers.Dense(size)])
    agent = TFAgent(model, keras.optimizers.Adam(1e-2), HyperparamSet({}, 0))
    agent.bind(OBSERVATIONS["vector"], action, seed=0)
    return agent


@pytest.mark.parametrize("name", EVERY_FORMAT)
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sac", "ppo", "dqn"])
def test_its_own_runtime_acts_as_the_agent_does_without_this_package(name, kind, tmp_path):
    agent = make_agent(kind, "vector", "box" if kind == "sac" else "discrete")
    path = export(agent, tmp_path, name).path
    single, batch = observations_of("vector")
    np.save(tmp_path / "observations.npy", batch)
    script = (
        f"import numpy as np, sys; path = {str(path)!r}\n{READERS[name]}\n"
        f"batch = np.load({str(tmp_path / 'observations.npy')!r})\n"
        "assert np.allclose(np.concatenate([act(batch[i:i + 1]) for i in range(5)]), act(batch)[:5], atol=1e-5)\n"
        f"np.save({str(tmp_path / 'actions.npy')!r}, act(batch))\nassert 'tensor_optix' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"})
    expected = np.stack([np.asarray(agent.act_greedy(x)) for x in single])
    np.testing.assert_allclose(np.load(tmp_path / "actions.npy"), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY_FORMAT)
@pytest.mark.parametrize(("kind", "observation", "action"), CASES)
def test_every_kind_of_policy_can_be_taken_away(kind, observation, action, name, tmp_path):
    exported = export(make_agent(kind, observation, action), tmp_path, name)
    assert exported.num_checked == 1_000
    assert exported.largest_difference < 1e-4


@pytest.mark.parametrize(("kind", "observation", "action"), CASES[::5])
def test_what_is_read_back_gives_the_agents_actions(kind, observation, action, tmp_path):
    agent = make_agent(kind, observation, action)
    single, batch = observations_of(observation)
    expected = np.stack([np.asarray(agent.act_greedy(x)) for x in single])
    read = tf.saved_model.load(export(agent, tmp_path, "saved_model").path)
    np.testing.assert_allclose(read.serve(tf.nest.map_structure(tf.constant, batch)), expected, rtol=1e-5, atol=1e-5)


def test_what_was_found_is_printed_and_returned(tmp_path, capsys):
    exported = export(small_agent(), tmp_path, "keras")
    assert isinstance(exported, Exported)
    assert exported.path == tmp_path / "policy.keras"
    said = capsys.readouterr().out.strip()
    assert said == str(exported)
    assert re.fullmatch(r".*policy\.keras: keras, held against the agent on 1,000 observations: .* most \S+\.", said)


@pytest.mark.parametrize("name", EVERY_FORMAT)
def test_a_policy_that_has_learned_is_exported_with_what_it_learned(name, tmp_path):
    agent = small_agent(keras.layers.Dense(8, "tanh"))
    before = export(agent, tmp_path, name)
    for number in range(3):
        agent.learn(play_window(agent, number))
    outputs = agent.policy_model()
    after = export(agent, tmp_path, name)
    assert after.path == before.path
    batch = observations_of("vector")[1]
    run = FORMATS[name].open(after.path, outputs)
    assert run([batch])[0].tolist() == [agent.act_greedy(x) for x in batch]
    assert [path.name for path in tmp_path.iterdir()] == [after.path.name], "nothing else is left behind"


# Drawn actions


@pytest.mark.parametrize("name", [name for name in EVERY_FORMAT if name != "keras"])
def test_drawn_actions_come_as_often_as_the_agent_draws_them(name, tmp_path):
    agent = small_agent()
    path = export(agent, tmp_path, name, deterministic=False).path
    run = FORMATS[name].open(path, agent.policy_model())
    observation = np.array([[1.0, -0.5, 0.3, 2.0]], np.float32)
    (drawn,) = run([np.repeat(observation, 4_000, axis=0)])
    chances = keras.ops.softmax(agent.model(observation))[0].numpy().astype(np.float64)
    counts = np.bincount(drawn - 4, minlength=3)
    assert stats.chisquare(counts, 4_000 * chances / chances.sum()).pvalue > 1e-4
    assert np.any(run([np.repeat(observation, 40, axis=0)])[0] != run([np.repeat(observation, 40, axis=0)])[0])


@pytest.mark.parametrize("action", ["choices", "choices_alike", "bits", "box", "half_bounded"])
def test_other_kinds_of_actions_are_drawn_as_the_agent_draws_them(action, tmp_path):
    agent = make_agent("ppo", "vector", action)
    read = tf.saved_model.load(export(agent, tmp_path, "saved_model", deterministic=False).path)
    observation = np.array([[0.2, -0.6, 0.1, 0.9]], np.float32)
    many = np.repeat(observation, 3_000, axis=0)
    exported, own = (x.reshape(3_000, -1).astype(np.float64) for x in (read.serve(many).numpy(), agent.act_batch(many)))
    for mine, theirs in zip(exported.round(5).T, own.round(5).T, strict=True):  # float32 against float64 at a bound
        assert stats.ks_2samp(mine, theirs).pvalue > 1e-4
    assert np.std(exported, axis=0).max() > 0.01, "the case draws nothing"


def test_sac_draws_from_its_squashed_gaussian(tmp_path):
    agent = make_agent("sac", "vector", "box")
    read = tf.saved_model.load(export(agent, tmp_path, "saved_model", deterministic=False).path)
    observation = np.full((1, 4), 0.2, np.float32)
    drawn = read.serve(np.repeat(observation, 3_000, axis=0)).numpy()
    mean, log_std = np.split(agent.model(agent._normalizer([observation])[0])[0].numpy(), 2)
    units = (drawn - [0.0, 4.5]) / [2.0, 4.5]
    for column, (m, log_s) in enumerate(zip(mean, log_std.clip(-20, 2), strict=True)):
        for unit in (-0.9, 0.0, 0.9):
            chance = stats.norm.cdf(np.arctanh(unit), m, np.exp(log_s))
            assert stats.binomtest(int(np.sum(units[:, column] <= unit)), 3_000, chance).pvalue > 1e-4


def test_dqn_draws_any_action_as_often_as_epsilon_says(tmp_path):
    agent = DQNAgent(hidden_units=(4,), buffer_size=10)
    agent.bind(OBSERVATIONS["vector"], ACTIONS["discrete"], seed=0)
    epsilon = agent._sampler.epsilon
    read = tf.saved_model.load(export(agent, tmp_path, "saved_model", deterministic=False).path)
    drawn = read.serve(np.zeros((6_000, 4), np.float32)).numpy()
    greedy = agent.act_greedy(np.zeros(4, np.float32))
    expected = 1 - epsilon + epsilon / 3
    assert abs(np.mean(drawn == greedy) - expected) < 4 * np.sqrt(expected * (1 - expected) / 6_000) + 1e-9


def test_a_keras_file_cannot_draw_and_says_what_can(tmp_path):
    with pytest.raises(InvalidArgumentError, match=r"silent at inference.*'saved_model', 'onnx', 'tflite'"):
        export(small_agent(), tmp_path, "keras", deterministic=False)


# What is wrong


class Undrawn(DiscreteSampler):
    noisy_layer = PolicyHead.noisy_layer


def test_a_kind_of_action_without_a_layer_of_noise_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(TFAgent, "_kinds_of_actions", (Undrawn,))
    with pytest.raises(ExportError, match="deterministic=True"):
        export(small_agent(), tmp_path, "saved_model", deterministic=False)


@pytest.mark.parametrize(
    ("name", "path", "said"),
    [
        ("onxx", "policy.onnx", "Did you mean 'onnx'"),
        ("keras", "policy.h5", r"must end in '\.keras'.*Take .*policy\.keras"),
        ("keras", "policy", r"must end in '\.keras'"),
        ("tflite", "policy.onnx", r"must end in '\.tflite'"),
    ],
)
def test_a_format_or_path_that_is_wrong_is_named(name, path, said, tmp_path):
    with pytest.raises(InvalidArgumentError, match=said):
        small_agent().export(tmp_path / path, name)


def test_what_lies_there_already_is_left_alone_unless_it_is_such_an_export(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    (tmp_path / "file").write_text("a file")
    for name in ("mine", "file"):
        with pytest.raises(InvalidArgumentError, match="Name another path"):
            small_agent().export(tmp_path / name)
    assert (tmp_path / "mine" / "thesis.tex").exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="cannot be written to"):
        small_agent().export(tmp_path / "file" / "policy.keras", "keras")


def test_a_missing_package_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"tf2onnx, onnxruntime.*pip install 'tensor-optix\[export\]'"):
        small_agent().export(tmp_path / "policy.onnx", "onnx")


class Drifting(keras.layers.Layer):
    """Another function of its input wherever it is laid out anew."""

    num_layouts = 0

    def call(self, x):
        Drifting.num_layouts += 1
        return x + 0.01 * Drifting.num_layouts


def test_what_acts_otherwise_is_refused_and_leaves_what_was_there(tmp_path):
    export(small_agent(), tmp_path, "saved_model")
    before = (tmp_path / "policy" / "saved_model.pb").read_bytes()
    with pytest.raises(ExportError, match=r"outputs differ from the agent's by up to 0\.\d+, where 0\.0001 is allowed"):
        export(small_agent(Drifting()), tmp_path, "saved_model")
    assert (tmp_path / "policy" / "saved_model.pb").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


class Own(keras.layers.Layer):
    def call(self, x):
        return 2.0 * x


def test_a_keras_file_says_which_classes_reading_it_takes(tmp_path):
    exported = export(small_agent(Own(), keras.layers.Lambda(lambda x: x + 1.0)), tmp_path, "keras")
    assert exported.needs == ("the class Own", "safe_mode=False")
    assert "Reading it takes the class Own." in str(exported)


class InPython(keras.layers.Layer):
    def call(self, x):
        return tf.ensure_shape(tf.py_function(lambda y: 2.0 * y, [x], tf.float32), x.shape)

    def compute_output_shape(self, shape):
        return shape


@pytest.mark.parametrize("name", [pytest.param(name, marks=needs_runtimes) for name in ("onnx", "tflite")])
def test_the_layer_that_a_format_cannot_hold_is_named(name, tmp_path):
    agent = small_agent(keras.layers.Dense(5, name="good"), InPython(name="bad"))
    with pytest.raises(
        ExportError, match=rf"'{name}' cannot hold this model\. What it cannot hold: 'bad' \(InPython\)"
    ):
        export(agent, tmp_path, name)
    assert not list(tmp_path.iterdir())


def test_an_agent_that_never_saw_its_spaces_is_exported_by_what_it_acts_on(tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    agent = TFAgent(model, keras.optimizers.Adam(), HyperparamSet({}, 0))
    agent.act(np.zeros(4, np.float32))
    assert export(agent, tmp_path, "keras").largest_difference < 1e-4


def test_an_environments_random_numbers_are_not_drawn_from(tmp_path):
    space = gym.spaces.Box(-1.0, 1.0, (4,), np.float32, seed=3)
    agent = TFAgent(small_agent().model, keras.optimizers.Adam(), HyperparamSet({}, 0))
    agent.bind(space, ACTIONS["discrete"], seed=0)
    twin = gym.spaces.Box(-1.0, 1.0, (4,), np.float32, seed=3)
    export(agent, tmp_path, "keras")
    np.testing.assert_array_equal(space.sample(), twin.sample())
