"""Policies that remember, taken away: what each format's own runtime does over an episode, step by step."""

import importlib
import importlib.util

import gymnasium as gym
import keras
import numpy as np
import pytest
import tensorflow as tf

from tensor_optix import make_agent
from tensor_optix.adapters.tensorflow.exporting.formats import FORMATS

RUNTIMES = ("tf2onnx", "onnxruntime", "ai_edge_litert")
needs_runtimes = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in RUNTIMES), reason="needs the extra 'export'"
)
FORMATS_THAT_DRAW = ["saved_model", *(pytest.param(name, marks=needs_runtimes) for name in ("onnx", "tflite"))]
NUM_STATES = {"gru": 1, "lstm": 2}


def remembering(kind):
    env = gym.make("CartPole-v1")
    agent = make_agent(env, "ppo", seed=0, memory=kind, memory_units=4, hidden_units=(8,), jit_compile=False)
    agent.bind(env.observation_space, env.action_space, seed=0)
    return agent


def reader(name, path):
    """Return what one of the four libraries makes of a file: from named inputs to named outputs."""
    if name == "keras":
        model = keras.models.load_model(path, compile=False)
        return lambda **given: {key: np.asarray(value) for key, value in model(given, training=False).items()}
    if name == "saved_model":
        read = tf.saved_model.load(str(path))
        return lambda **given: {key: value.numpy() for key, value in read.serve(given).items()}
    if name == "onnx":
        session = importlib.import_module("onnxruntime").InferenceSession(str(path))
        names = [part.name for part in session.get_outputs()]
        return lambda **given: dict(zip(names, session.run(None, given), strict=True))
    interpreter = importlib.import_module("ai_edge_litert.interpreter").Interpreter(str(path))
    return interpreter.get_signature_runner()


@pytest.mark.parametrize("kind", ["gru", "lstm"])
@pytest.mark.parametrize("name", ["keras", *FORMATS_THAT_DRAW])
def test_an_episode_goes_as_with_the_agent_where_states_are_handed_on(kind, name, tmp_path):
    agent = remembering(kind)
    exported = agent.export(tmp_path / f"policy{FORMATS[name].suffix}", name)
    assert exported.largest_difference <= 1e-4
    act, policy = reader(name, exported.path), agent.policy()
    observations = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
    states = policy.initial_states(1)
    named = {f"state_{i}": np.zeros((1, 4), np.float32) for i in range(NUM_STATES[kind])}
    actions = []
    for observation in observations:
        action, states = policy.act(observation, greedy=True, states=states)
        given = act(observation=observation[np.newaxis], **named)
        assert set(given) == {"action", *(f"new_{name}" for name in named)}
        actions.append(int(given.pop("action")[0]))
        assert actions[-1] == action
        named = {name: given[f"new_{name}"] for name in named}
        for i, state in enumerate(states):
            np.testing.assert_allclose(np.asarray(named[f"state_{i}"]).reshape(-1), np.reshape(state, -1), atol=1e-5)
    assert len(set(actions)) == 2


@pytest.mark.parametrize("name", FORMATS_THAT_DRAW)
def test_drawn_actions_come_as_often_as_what_is_remembered_makes_them_likely(name, tmp_path):
    agent = remembering("gru")
    act = reader(name, agent.export(tmp_path / f"policy{FORMATS[name].suffix}", name, deterministic=False).path)
    policy = agent.policy()
    observation, state = np.full((1, 4), 0.7, np.float32), np.full((1, 4), -0.9, np.float32)
    many = {"observation": np.repeat(observation, 4_000, 0), "state_0": np.repeat(state, 4_000, 0)}
    drawn = act(**many)["action"]
    own, _ = policy.act_batch(many["observation"], states=[many["state_0"]])
    assert abs(np.mean(drawn) - np.mean(own)) < 4 * np.sqrt(0.5 / 4_000)


def test_the_states_are_told_with_the_export(tmp_path, capsys):
    exported = remembering("lstm").export(tmp_path / "policy.keras", "keras")
    assert exported.states == ("state_0", "state_1")
    assert (
        "Its inputs state_0, state_1 are zeros at the beginning of an episode, and then its outputs new_state_0"
        in str(exported)
    )
