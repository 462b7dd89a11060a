"""Layers that are frozen or let go between two runs: what is trained is what the user says; nothing is forgotten."""

import gymnasium as gym
import keras
import numpy as np
import pytest

from tensor_optix import DQNAgent, PPOAgent, SACAgent, TFAgent, load_agent
from tensor_optix.adapters.tensorflow.learning.trained_variables import TrainableFlags, moved_to
from tensor_optix.core.types import EpisodeData, HyperparamSet
from tensor_optix.exceptions import InvalidArgumentError, StateMismatchError

SEEN = gym.spaces.Box(-5.0, 5.0, (3,))
REPLAY = {"batch_size": 8, "buffer_size": 200, "learning_starts": 0}
KINDS = ["tf_agent", "ppo", "dqn", "sac", "box"]


def network(num_outputs, *inputs):
    inputs = [keras.Input((size,)) for size in (inputs or (3,))]
    joined = inputs[0] if len(inputs) == 1 else keras.layers.Concatenate()(inputs)
    hidden = keras.layers.Dense(6, "tanh", name="body")(joined)
    return keras.Model(inputs[0] if len(inputs) == 1 else inputs, keras.layers.Dense(num_outputs, name="head")(hidden))


def make(kind, seed=1):
    params, optimizer = HyperparamSet({"learning_rate": 1e-2}, 0), keras.optimizers.Adam(1e-2)
    space = gym.spaces.Box(-1.0, 1.0, (2,)) if kind in ("sac", "box") else gym.spaces.Discrete(2)
    if kind in ("tf_agent", "box"):
        agent = TFAgent(network(2), optimizer, params)
    elif kind == "ppo":
        agent = PPOAgent(network(2), network(1), optimizer, params, batch_size=8, jit_compile=False)
    elif kind == "dqn":
        agent = DQNAgent(network(2), optimizer, params, **REPLAY)
    else:
        agent = SACAgent(network(4), network(1, 3, 2), optimizer, params, **REPLAY)
    agent.bind(SEEN, space, seed=seed)
    return agent


def learn(agent, number, length=16):
    rng = np.random.default_rng(number)
    seen = rng.normal(size=(length + 1, 3)).astype(np.float32)
    actions = np.stack([np.asarray(agent.act(one)) for one in seen[:-1]])
    ends = rng.random(length) < 0.2
    rewards = rng.normal(size=length)
    return agent.learn(
        EpisodeData(seen[:-1], actions, rewards, ends, ~ends & ends, [], number, next_observations=seen[1:])
    )


def networks(agent):
    return [agent.model] if getattr(agent, "critic", None) is None else [agent.model, agent.critic]


def freeze(agent, frozen=True):
    for model in networks(agent):
        model.get_layer("body").trainable = not frozen


def values(agent, layer):
    return [v.numpy() for model in networks(agent) for v in model.get_layer(layer).variables]


def moments(agent):
    """What the optimizer remembers, by the number of the variable."""
    optimizer = agent.optimizer
    slots = zip(optimizer._momentums, optimizer._velocities, strict=True)
    return {id(v): [x.numpy() for x in slot] for v, slot in zip(optimizer._trainable_variables, slots, strict=True)}


def moved(before, after):
    return [bool((a != b).any()) for a, b in zip(before, after, strict=True)]


QUICK_KINDS = [pytest.param(kind, marks=[pytest.mark.slow] * (kind == "box")) for kind in KINDS]


@pytest.mark.parametrize("binds", [pytest.param(False, marks=pytest.mark.slow), True])
@pytest.mark.parametrize("kind", QUICK_KINDS)
def test_what_is_frozen_stays_and_what_is_let_go_learns_again(kind, binds):
    agent = make(kind)
    learn(agent, 0), learn(agent, 1)
    remembered, steps = moments(agent), int(agent.optimizer.iterations.numpy())
    freeze(agent)
    if binds:
        agent.bind(*agent._spaces, seed=7)
    assert agent.get_state().meta["trainable"].count(False) == 2 * len(networks(agent))
    assert int(agent.optimizer.iterations.numpy()) == steps
    heads = {id(v) for model in networks(agent) for v in model.get_layer("head").variables}
    kept = moments(agent)
    assert set(kept) <= {*heads, id(agent._log_std)}
    for key, slots in kept.items():
        for slot, before in zip(slots, remembered[key], strict=True):
            np.testing.assert_array_equal(slot, before)
    body, head = values(agent, "body"), values(agent, "head")
    said = learn(agent, 2)
    assert said["num_gradient_steps"] > 0
    assert not any(moved(body, values(agent, "body")))
    assert all(moved(head, values(agent, "head")))
    freeze(agent, False)
    if binds:
        agent.bind(*agent._spaces, seed=8)
    learn(agent, 3)
    assert all(moved(body, values(agent, "body")))
    seen = np.ones(3, np.float32)
    np.testing.assert_allclose(agent._forward.one(seen), agent._acting_model(seen[None])[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", QUICK_KINDS)
def test_what_is_frozen_after_binding_and_before_the_first_update_stays(kind):
    agent = make(kind)
    freeze(agent)
    body = values(agent, "body")
    learn(agent, 0)
    assert not any(moved(body, values(agent, "body")))


@pytest.mark.parametrize("kind", ["dqn", "sac"])
def test_targets_go_on_where_they_were(kind):
    agent = make(kind)
    learn(agent, 0)
    shadows = agent._shadows()
    before = [[v.numpy() for v in shadow.variables] for shadow in shadows]
    freeze(agent)
    agent._follow_flags()
    for shadow, values_before in zip(shadows, before, strict=True):
        assert len(shadow.variables) == 2
        for v, value in zip(shadow.variables, values_before[2:], strict=True):
            np.testing.assert_array_equal(v.numpy(), value)
    freeze(agent, False)
    agent._follow_flags()
    for shadow, values_before in zip(shadows, before, strict=True):
        for v, value in zip(shadow.variables[2:], values_before[2:], strict=True):
            np.testing.assert_array_equal(v.numpy(), value)
        body = (agent.model if kind == "dqn" else agent.critic).get_layer("body")
        np.testing.assert_array_equal(shadow.variables[0].numpy(), body.kernel.numpy())


@pytest.mark.parametrize("kind", [pytest.param(k, marks=[pytest.mark.slow] * (k in ("sac", "box"))) for k in KINDS])
def test_a_state_from_before_is_taken_and_what_is_frozen_stays_so(kind, tmp_path):
    agent = make(kind)
    learn(agent, 0), learn(agent, 1)
    state, remembered = agent.get_state(), moments(agent)
    body, head = values(agent, "body"), values(agent, "head")
    agent.save_weights(str(tmp_path / "weights"))
    learn(agent, 2)
    freeze(agent)
    learn(agent, 3)
    agent.set_state(state)
    assert not any(moved(body + head, values(agent, "body") + values(agent, "head")))
    for key, slots in moments(agent).items():
        for slot, before in zip(slots, remembered[key], strict=True):
            np.testing.assert_array_equal(slot, before)
    learn(agent, 4)
    assert moved(body + head, values(agent, "body") + values(agent, "head")) == [False] * len(body) + [True] * len(head)
    loaded = load_agent(str(tmp_path / "weights"))
    freeze(loaded)
    loaded.bind(*loaded._spaces, seed=3)
    learn(loaded, 4)
    assert moved(body + head, values(loaded, "body") + values(loaded, "head")) == [False] * len(body) + [True] * len(
        head
    )


def test_a_state_that_does_not_tell_which_layers_were_trained_says_what_to_do():
    agent = make("tf_agent")
    learn(agent, 0)
    state = agent.get_state()
    del state.meta["trainable"]
    freeze(agent)
    with pytest.raises(StateMismatchError, match="the same layers trainable"):
        agent.set_state(state)
    freeze(agent, False)
    agent.set_state(state)


@pytest.mark.parametrize("kind", ["tf_agent", "ppo"])
def test_a_new_agent_goes_on_with_the_optimizer_of_the_one_before(kind):
    first = make(kind)
    learn(first, 0)
    remembered = moments(first)
    freeze(first)
    params = HyperparamSet({"learning_rate": 1e-2}, 0)
    if kind == "ppo":
        agent = PPOAgent(first.model, first.critic, first.optimizer, params, batch_size=8, jit_compile=False)
    else:
        agent = TFAgent(first.model, first.optimizer, params)
    agent.bind(*first._spaces, seed=5)
    for key, slots in moments(agent).items():
        for slot, before in zip(slots, remembered[key], strict=True):
            np.testing.assert_array_equal(slot, before)
    body = values(agent, "body")
    learn(agent, 1)
    assert not any(moved(body, values(agent, "body")))


@pytest.mark.parametrize("kind", ["ppo", pytest.param("sac", marks=pytest.mark.slow)])
def test_a_state_that_is_refused_changes_nothing(kind):
    agent = make(kind)
    learn(agent, 0)
    freeze(agent)
    learn(agent, 1)
    altered = agent.get_state()
    altered.meta["trainable"] = [not flag for flag in altered.meta["trainable"]]
    freeze(agent, False)
    learn(agent, 2)
    before = agent.get_state()
    with pytest.raises(StateMismatchError, match="the same layers trainable"):
        agent.set_state(altered)
    after = agent.get_state()
    assert before.meta["trainable"] == after.meta["trainable"]
    for name, array in before.arrays.items():
        np.testing.assert_array_equal(array, after.arrays[name], err_msg=name)


def test_nothing_left_to_learn_is_said():
    agent = make("ppo")
    learn(agent, 0)
    agent.model.trainable = agent.critic.trainable = False
    with pytest.raises(InvalidArgumentError, match=r"Every layer of the agent's networks is frozen.*trainable = True"):
        learn(agent, 1)


@pytest.mark.parametrize(
    "optimizer",
    [
        keras.optimizers.SGD(0.1),
        keras.optimizers.SGD(0.1, momentum=0.9),
        keras.optimizers.RMSprop(0.1, centered=True),
        keras.optimizers.Adam(0.1, amsgrad=True),
        keras.optimizers.Adafactor(0.1),
        keras.optimizers.Nadam(0.1),
        keras.optimizers.Adam(0.1, use_ema=True),
        keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.1)),
    ],
    ids=lambda optimizer: type(optimizer).__name__,
)
def test_an_optimizer_that_moves_over_goes_on_as_if_it_had_always_trained_these_alone(optimizer):
    """Each of these keeps what it knows of a variable apart: held against one that never trained the others."""
    copied = type(optimizer).from_config(optimizer.get_config())
    start = [np.ones((3, 2), np.float32), np.ones(2, np.float32), np.ones((2, 2), np.float32)]
    all_of_them, alone = ([keras.Variable(x) for x in start] for _ in range(2))
    gradients = [np.full(x.shape, 0.1 * (i + 1), np.float32) for i, x in enumerate(start)]
    scale = 32768.0 if isinstance(optimizer, keras.optimizers.LossScaleOptimizer) else 1.0
    gradients = [keras.ops.convert_to_tensor(scale * g) for g in gradients]
    optimizer.build(all_of_them)
    copied.build(alone[1:])
    for _ in range(3):
        optimizer.apply(gradients, all_of_them)
        copied.apply(gradients[1:], alone[1:])
    moved_over = moved_to(optimizer, all_of_them[1:])
    for _ in range(3):
        moved_over.apply(gradients[1:], all_of_them[1:])
        copied.apply(gradients[1:], alone[1:])
    for one, other in zip(all_of_them[1:], alone[1:], strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-6)
    assert int(moved_over.iterations.numpy()) == int(copied.iterations.numpy())


def test_flags_are_told_once():
    model = network(2)
    flags = TrainableFlags(model.variables)
    assert not flags.have_changed()
    model.get_layer("body").trainable = False
    assert flags.have_changed()
    assert not flags.have_changed()
    assert flags.fit(flags.told())
    assert not flags.fit([True])
    assert not flags.fit(None)
    flags.set([True] * 4)
    assert flags.have_changed()
    assert len(model.get_layer("head").trainable_variables) == 2
