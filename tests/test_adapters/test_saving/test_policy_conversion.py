"""Exported policies in other runtimes: each gives the agent's own greedy actions.

Needs tf2onnx, onnxruntime and ai-edge-litert (``pip install 'tensor-optix[export]'``); skipped where they are not. What
a conversion stands on, the operations of the graph, is tested without them in ``test_policy_export``.
"""

import importlib.util

import numpy as np
import pytest
import tensorflow as tf
from policy_export_cases import CASES, make_agent, observations_of

RUNTIMES = ("tf2onnx", "onnxruntime", "ai_edge_litert")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not all(map(importlib.util.find_spec, RUNTIMES)), reason=f"needs {', '.join(RUNTIMES)}"),
]


def in_saved_model(exported, batch, folder):
    exported.export(str(folder / "policy"), verbose=False)
    loaded = tf.saved_model.load(str(folder / "policy"))
    return loaded.serve(tf.nest.map_structure(tf.constant, batch)).numpy()


def in_onnx(exported, batch, folder):
    import onnxruntime

    exported.export(str(folder / "policy.onnx"), format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(folder / "policy.onnx")
    feed = batch if isinstance(batch, dict) else {"observation": batch}
    return session.run(None, {part.name: feed[part.name] for part in session.get_inputs()})[0]


def in_tflite(exported, batch, folder):
    from ai_edge_litert.interpreter import Interpreter

    exported.export(str(folder / "policy.tflite"), format="litert", verbose=False)
    run = Interpreter(str(folder / "policy.tflite")).get_signature_runner()
    feed = batch if isinstance(batch, dict) else {"observation": batch}
    rows = range(len(next(iter(feed.values()))))
    return np.concatenate([next(iter(run(**{k: x[i : i + 1] for k, x in feed.items()}).values())) for i in rows])


@pytest.mark.parametrize("run", [in_saved_model, in_onnx, in_tflite])
@pytest.mark.parametrize(("kind", "observation", "action"), CASES)
def test_each_runtime_gives_the_greedy_actions(kind, observation, action, run, tmp_path):
    agent = make_agent(kind, observation, action)
    single, batch = observations_of(observation)
    expected = np.stack([np.asarray(agent.act_greedy(x)) for x in single])
    exported = agent.policy_model()
    actions = run(exported, batch, tmp_path)
    assert (actions.dtype, actions.shape) == (exported.output.dtype, expected.shape)
    np.testing.assert_allclose(actions, expected, rtol=1e-4, atol=1e-4)
