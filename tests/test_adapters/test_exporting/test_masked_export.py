"""A policy that was told masks takes one wherever it is read: greedy and drawn, in every format."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import keras
import numpy as np
import pytest
import tensorflow as tf
from harness.masked_envs import SPACES, choices, is_allowed
from test_adapters.test_exporting.test_exported_policy import READERS, needs_runtimes

from tensor_optix import HyperparamSet
from tensor_optix.adapters.tensorflow.exporting.formats import FORMATS
from tensor_optix.algorithms import DQNAgent, PPOAgent
from tensor_optix.exceptions import ExportError

SEEN = gym.spaces.Box(-1.0, 1.0, (3,), np.float32)
SLOW_FORMATS = [
    pytest.param("saved_model", marks=pytest.mark.slow),
    *(pytest.param(name, marks=needs_runtimes) for name in ("onnx", "tflite")),
]
KEYED = gym.spaces.Dict({"action_mask": gym.spaces.MultiBinary(5), "place": SEEN})


def told_agent(kind: str, space: Any = SEEN, model: Any = None) -> Any:
    """Return an agent to which a mask was told."""
    if kind == "dqn":
        params = HyperparamSet({"epsilon_start": 0.3, "epsilon_end": 0.3}, episode_id=0)
        agent: Any = DQNAgent(model, hyperparams=params, hidden_units=(4,), buffer_size=64)
        kind = "discrete"
    else:
        agent = PPOAgent(model, hidden_units=(4,))
    agent.bind(space, SPACES[kind], seed=0)
    mask = np.ones(sum(choices(SPACES[kind])), bool)
    example = {"action_mask": mask, "place": np.zeros(3, np.float32)} if space is KEYED else np.zeros(3, np.float32)
    agent.act(example, action_mask=mask)
    return agent


def some(kind: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    rng, sizes = np.random.default_rng(0), choices(SPACES[kind])
    masks = rng.random((count, sum(sizes))) < 0.4
    for start, size in zip(np.cumsum([0, *sizes[:-1]]), sizes, strict=True):
        masks[np.arange(count), start + rng.integers(size, size=count)] = True
    return rng.uniform(-1, 1, (count, 3)).astype(np.float32), masks


def player(name: str, path: str) -> Any:
    """Return how a runtime plays a policy: by the names of its inputs."""
    if name == "saved_model":
        folder = tf.saved_model.load(path)
        return lambda **x: folder.serve(x).numpy()
    if name == "keras":
        model = keras.models.load_model(path)
        return lambda **x: model.predict(x, verbose=0)
    told: dict[str, Any] = {"path": path}
    exec(READERS[name], told)
    policy = told["policy"]
    if name == "onnx":
        return lambda **x: policy.run(None, x)[0]
    return lambda **x: next(iter(policy(**x).values()))


@pytest.mark.parametrize("name", ["keras", *SLOW_FORMATS])
@pytest.mark.parametrize("kind", [*SPACES, "dqn"])
def test_greedy_actions_are_the_agents(name: str, kind: str, tmp_path: Any) -> None:
    agent, space = told_agent(kind), "discrete" if kind == "dqn" else kind
    exported = agent.export(tmp_path / f"policy{FORMATS[name].suffix}", name)
    seen, masks = some(space, 60)
    actions = player(name, str(exported.path))(observation=seen, action_mask=masks)
    expected = [agent.act_greedy(o, action_mask=m) for o, m in zip(seen, masks, strict=True)]
    np.testing.assert_array_equal(actions, np.stack(expected))


@pytest.mark.parametrize("name", SLOW_FORMATS)
@pytest.mark.parametrize("kind", [*SPACES, "dqn"])
def test_drawn_actions_are_allowed(name: str, kind: str, tmp_path: Any) -> None:
    agent, space = told_agent(kind), "discrete" if kind == "dqn" else kind
    exported = agent.export(tmp_path / f"policy{FORMATS[name].suffix}", name, deterministic=False)
    seen, masks = some(space, 300)
    actions = player(name, str(exported.path))(observation=seen, action_mask=masks)
    for action, mask in zip(actions, masks, strict=True):
        taken = action.item() if np.ndim(action) == 0 else action
        assert is_allowed(SPACES[space], mask, taken)
    greedy = [agent.act_greedy(o, action_mask=m) for o, m in zip(seen, masks, strict=True)]
    assert not np.array_equal(actions, np.stack(greedy))


def test_a_policy_that_was_told_none_takes_none() -> None:
    agent = PPOAgent(hidden_units=(4,))
    agent.bind(SEEN, SPACES["discrete"], seed=0)
    assert not isinstance(agent.policy_model().input, dict)
    assert set(told_agent("discrete").policy_model().input) == {"observation", "action_mask"}


def test_what_was_told_is_saved(tmp_path: Any) -> None:
    told_agent("discrete").save_weights(str(tmp_path / "weights"))
    agent = PPOAgent(hidden_units=(4,))
    agent.load_weights(str(tmp_path / "weights"))
    assert set(agent.policy_model().input) == {"observation", "action_mask"}


@pytest.mark.parametrize("sees_mask", [False, True])
def test_the_mask_in_an_observation_is_the_one_input(sees_mask: bool, tmp_path: Any) -> None:
    model = None
    if sees_mask:
        parts = {"action_mask": keras.Input((5,), name="action_mask"), "place": keras.Input((3,), name="place")}
        model = keras.Model(parts, keras.layers.Dense(5)(keras.layers.Concatenate()(list(parts.values()))))
    agent = told_agent("discrete", KEYED, model)
    if not sees_mask:  # what is built here leaves it out of what the network sees
        assert set(agent.model.input) == {"place"}
    exported = agent.export(tmp_path / "policy")
    seen, masks = some("discrete", 20)
    dtype = np.float32 if sees_mask else np.bool_
    actions = player("saved_model", str(exported.path))(place=seen, action_mask=masks.astype(dtype))
    rows = [{"place": o, "action_mask": m.astype(np.int8)} for o, m in zip(seen, masks, strict=True)]
    assert actions.tolist() == [agent.act_greedy(row, action_mask=row["action_mask"]) for row in rows]


def test_one_that_does_what_is_not_allowed_is_not_exported(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = told_agent("discrete")
    monkeypatch.setattr(type(agent._sampler), "masked_layer", lambda self, outputs, masks: outputs + 0.0 * masks)
    with pytest.raises(ExportError, match="where that is not allowed: the mask is"):
        agent.export(tmp_path / "policy")
