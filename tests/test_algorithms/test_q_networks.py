"""Networks that value actions, and critics of any shape of observation."""

import gymnasium as gym
import keras
import numpy as np
import pytest

from tensor_optix.adapters.tensorflow.acting.model_inputs import inputs_of
from tensor_optix.algorithms.q_networks import ActionCritic, build_critic, build_q_network
from tensor_optix.exceptions import IncompatibleModelError

BOX = gym.spaces.Box(-1.0, 1.0, (3,), np.float32)
RNG = np.random.default_rng(0)
ACTIONS = RNG.normal(size=(5, 2)).astype(np.float32)


def test_dueling_gives_a_value_and_advantages_of_mean_zero():
    model = build_q_network(BOX, 4, (8,), 1, dueling=True)
    seen = RNG.normal(size=(6, 3)).astype(np.float32)
    trunk = keras.Model(model.input, [layer.output for layer in model.layers if layer.name.startswith("dense")][-2:])
    value, advantages = sorted(trunk(seen), key=lambda x: x.shape[1])
    assert value.shape == (6, 1)
    expected = value + advantages - np.mean(advantages, axis=1, keepdims=True)
    np.testing.assert_allclose(model(seen), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dueling", [False, True])
def test_the_seed_makes_the_network(dueling):
    first, second, other = (build_q_network(BOX, 4, (8,), seed, dueling=dueling).get_weights() for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert not np.array_equal(first[0], other[0])


def critic_for(space, example):
    """A default critic, and an actor's inputs."""
    entries = {"array": BOX, "dict": gym.spaces.Dict({"action": BOX, "b": BOX}), "tuple": gym.spaces.Tuple([BOX, BOX])}
    shapes = example if isinstance(example, dict | tuple) else (example,)
    if isinstance(shapes, dict):
        inputs = {key: keras.Input(part.shape, name=key) for key, part in shapes.items()}
        joined = list(inputs.values())
    else:
        inputs = [keras.Input(part.shape) for part in shapes]
        joined = inputs
    flat = keras.layers.Concatenate()(joined) if len(joined) > 1 else joined[0]
    structured = inputs if isinstance(inputs, dict) or len(inputs) > 1 else inputs[0]
    actor = keras.Model(structured, keras.layers.Dense(4)(flat))
    return build_critic(entries[space], 2, (8,), 1), inputs_of(actor, example)


@pytest.mark.parametrize(
    ("space", "example"),
    [
        ("array", np.zeros(3, np.float32)),
        ("tuple", (np.zeros(3, np.float32), np.zeros(3, np.float32))),
        ("dict", {"action": np.zeros(3, np.float32), "b": np.zeros(3, np.float32)}),
    ],
)
def test_a_critic_sees_all_parts_and_the_action(space, example):
    model, inputs = critic_for(space, example)
    critic = ActionCritic(model, example, 2, inputs)
    parts = [RNG.normal(size=(5, 3)).astype(np.float32) for _ in inputs.names]
    values = critic(parts, ACTIONS)
    assert values.shape == (5,)
    assert np.abs(values - critic(parts, ACTIONS + 1.0)).max() > 1e-4
    for i in range(len(parts)):
        moved = [part + (1.0 if k == i else 0.0) for k, part in enumerate(parts)]
        assert np.abs(values - critic(moved, ACTIONS)).max() > 1e-4, inputs.names[i]


def test_a_critic_that_does_not_fit_is_named():
    entry = keras.Input((3,))
    alone = keras.Model(entry, keras.layers.Dense(1)(entry))
    actor = keras.Model(entry, keras.layers.Dense(4)(entry))
    inputs = inputs_of(actor, np.zeros(3, np.float32))
    with pytest.raises(IncompatibleModelError, match="must take 2 inputs: the observation, then the action of 2"):
        ActionCritic(alone, np.zeros(3, np.float32), 2, inputs)
    second = keras.Input((2,))
    wide = keras.Model([entry, second], keras.layers.Dense(2)(keras.layers.Concatenate()([entry, second])))
    with pytest.raises(IncompatibleModelError, match=r"of shape \(batch, 1\): the value of an action. It gives 1"):
        ActionCritic(wide, np.zeros(3, np.float32), 2, inputs)
