"""Policy gradients among what is allowed: the loss and the KL against float64, and what is saved."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gymnasium as gym
import keras
import numpy as np
import pytest
import tensorflow as tf
from harness.masked_envs import SPACES, choices, options_of
from scipy.special import log_softmax

from tensor_optix import HyperparamSet, TFAgent
from tensor_optix.adapters.tensorflow.actions.table import head_for
from tensor_optix.algorithms import PPOAgent
from tensor_optix.core.types import EpisodeData
from tensor_optix.exceptions import InvalidArgumentError

SEEN = gym.spaces.Box(-1.0, 1.0, (3,), np.float32)
KINDS = list(SPACES)
ONE_STEP = {"num_epochs": 1, "kl_target": None, "max_grad_norm": None, "learning_rate": 0.5, "entropy_coef": 0.05}


def some_masks(space: Any, shape: tuple[int, ...], seed: int = 3) -> np.ndarray:
    rng, sizes = np.random.default_rng(seed), choices(space)
    masks = rng.random((int(np.prod(shape)), sum(sizes))) < 0.4
    for start, size in zip(np.cumsum([0, *sizes[:-1]]), sizes, strict=True):
        masks[np.arange(len(masks)), start + rng.integers(size, size=len(masks))] = True
    return masks.reshape(*shape, -1)


def window_of(agent: Any, space: Any, number: int = 0, length: int = 24, masked: bool = True) -> EpisodeData:
    rng = np.random.default_rng(number)
    seen = rng.uniform(-1, 1, (length + 1, 3)).astype(np.float32)
    masks = some_masks(space, (length + 1,), number) if masked else [None] * (length + 1)
    actions = [agent.act(row, action_mask=mask) for row, mask in zip(seen[:-1], masks, strict=False)]
    return EpisodeData(
        observations=seen[:-1],
        actions=np.stack(actions),
        rewards=rng.normal(size=length),
        terminated=rng.random(length) < 0.2,
        truncated=np.zeros(length, bool),
        infos=[],
        episode_id=number,
        next_observations=seen[1:],
        action_masks=masks[:-1] if masked else None,
    )


def expected_of(space: Any, outputs: np.ndarray, masks: np.ndarray, actions: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return log-probabilities and entropies, worked out apart in float64."""
    outputs = np.asarray(outputs, np.float64)
    if isinstance(space, gym.spaces.MultiBinary):  # log-odds of 1: logits 0 and x
        outputs = np.stack([np.zeros_like(outputs), outputs], axis=-1).reshape(len(outputs), -1)
    at = np.cumsum(choices(space))[:-1]
    options = np.stack([options_of(space, action) for action in actions])
    log_probs, entropies = np.zeros(len(outputs)), np.zeros(len(outputs))
    for i, (logits, allowed) in enumerate(zip(*(np.split(x, at, axis=1) for x in (outputs, masks)), strict=True)):
        logs = log_softmax(np.where(allowed, logits, -np.inf), axis=1)
        log_probs += logs[np.arange(len(logs)), options[:, i]]
        entropies -= np.where(allowed, np.exp(logs) * np.where(allowed, logs, 0.0), 0.0).sum(axis=1)
    return log_probs, entropies


def some_outputs(space: Any, count: int) -> np.ndarray:
    outputs: np.ndarray = np.random.default_rng(5).normal(0, 3, (count, head_for(space).num_outputs))
    return outputs.astype(np.float32)


@pytest.mark.parametrize("kind", KINDS)
def test_masked_log_probabilities_entropies_and_kl(kind: str) -> None:
    space, head = SPACES[kind], head_for(SPACES[kind])
    outputs, masks = some_outputs(space, 60), some_masks(space, (60,))
    noise = head.draw_noise(np.random.default_rng(0), 60)
    actions = head.sample(outputs, noise, masks)
    log_probs, entropies = expected_of(space, outputs, masks, actions)
    density = head.density(None)
    allowed = density.masked(tf.constant(outputs), tf.constant(masks))
    encoded = tf.constant(head.encode(actions))
    np.testing.assert_allclose(density.log_prob(allowed, encoded), log_probs, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(density.entropy(allowed), entropies, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(head.log_prob(outputs, actions, masks), log_probs, rtol=1e-5, atol=1e-6)
    others = outputs + np.random.default_rng(1).normal(0, 0.1, outputs.shape).astype(np.float32)
    ratio = density.log_prob(density.masked(tf.constant(others), tf.constant(masks)), encoded) - log_probs
    expected = expected_of(space, others, masks, actions)[0] - log_probs
    np.testing.assert_allclose(np.mean(np.expm1(ratio) - ratio), np.mean(np.expm1(expected) - expected), rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_learned_about_what_was_not_allowed(kind: str) -> None:
    space, head = SPACES[kind], head_for(SPACES[kind])
    outputs, masks = tf.Variable(some_outputs(space, 30)), some_masks(space, (30,))
    actions = head.encode(head.sample(outputs.numpy(), head.draw_noise(np.random.default_rng(0), 30), masks))
    density = head.density(None)
    with tf.GradientTape() as tape:
        allowed = density.masked(outputs, tf.constant(masks))
        loss = tf.reduce_sum(density.log_prob(allowed, tf.constant(actions)) + density.entropy(allowed))
    gradient = tape.gradient(loss, outputs).numpy()
    assert np.isfinite(gradient).all()
    free = masks[:, 0::2] & masks[:, 1::2] if kind == "multi_binary" else masks
    assert not gradient[~free].any()
    assert gradient[free].any()


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_of_ppo_is_that_of_the_masked_policy(kind: str) -> None:
    """One step on the whole window: ratios are 1, so the gradient by logits is known from finite differences."""
    space = SPACES[kind]
    size = head_for(space).num_outputs
    models = [keras.Sequential([keras.Input((3,)), keras.layers.Dense(k)]) for k in (size, 1)]
    params = HyperparamSet({**ONE_STEP, "value_coef": 0.0}, episode_id=0)
    agent = PPOAgent(
        *models, keras.optimizers.SGD(0.5), params, batch_size=24, normalize_observations=False, scale_rewards=False
    )
    agent.bind(SEEN, space, seed=0)
    window, weights = window_of(agent, space), [w.astype(np.float64) for w in agent.model.get_weights()]
    advantages = advantages_of(window, models[1].get_weights())
    behaviour, _ = expected_of(
        space, window.observations @ weights[0] + weights[1], window.action_masks, window.actions
    )

    def loss(w: list[np.ndarray]) -> float:
        logs, entropies = expected_of(space, window.observations @ w[0] + w[1], window.action_masks, window.actions)
        ratios = np.exp(logs - behaviour)
        kept = np.minimum(ratios * advantages, np.clip(ratios, 0.8, 1.2) * advantages)
        return float(-kept.mean() - 0.05 * entropies.mean())

    expected = [w - 0.5 * slopes(loss, weights, i) for i, w in enumerate(weights)]
    found = agent.learn(window)
    np.testing.assert_allclose(found["loss"], loss(weights), rtol=1e-4, atol=1e-6)
    for now, then in zip(agent.model.get_weights(), expected, strict=True):
        np.testing.assert_allclose(now, then, rtol=1e-3, atol=1e-4)
    after, _ = expected_of(
        space, window.observations @ agent.model.get_weights()[0] + agent.model.get_weights()[1],
        window.action_masks, window.actions,
    )  # fmt: skip
    ratio = after - behaviour
    np.testing.assert_allclose(found["kl"], np.mean(np.expm1(ratio) - ratio), rtol=1e-3, atol=1e-6)


def advantages_of(window: EpisodeData, values: list[np.ndarray]) -> np.ndarray:
    gamma, lambda_ = 0.995, 0.95
    now, after = (x.astype(np.float64) @ values[0] + values[1] for x in (window.observations, window.next_observations))
    advantages, following = np.zeros(len(now)), 0.0
    for t in reversed(range(len(now))):
        goes_on = not window.terminated[t]
        error = window.rewards[t] + gamma * goes_on * after[t, 0] - now[t, 0]
        advantages[t] = following = error + gamma * lambda_ * goes_on * following
    return (advantages - advantages.mean()) / (advantages.std() + 1e-8)


def slopes(function: Any, weights: list[np.ndarray], which: int, by: float = 1e-5) -> np.ndarray:
    found = np.zeros_like(weights[which])
    for at in np.ndindex(found.shape):
        ends = []
        for sign in (1, -1):
            moved = [w.copy() for w in weights]
            moved[which][at] += sign * by
            ends.append(function(moved))
        found[at] = (ends[0] - ends[1]) / (2 * by)
    return found


def small_agent(cls: Any, space: Any) -> Any:
    if cls == "memory":
        agent: Any = PPOAgent(hidden_units=(4,), batch_size=64, memory="gru", memory_units=3)
    elif cls is PPOAgent:
        agent = PPOAgent(hidden_units=(4,), batch_size=8)
    else:
        first = keras.initializers.GlorotUniform(0)
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(5, kernel_initializer=first)])
        agent = TFAgent(model, keras.optimizers.Adam(1e-2), HyperparamSet({}, episode_id=0))
    agent.bind(SEEN, space, seed=1)
    return agent


@pytest.mark.parametrize("cls", [PPOAgent, TFAgent, "memory"])
def test_what_was_saved_learns_on_bit_for_bit(cls: Any) -> None:
    """Windows with masks and without: the recent ones that TFAgent keeps, too."""
    space = SPACES["discrete"]
    one, other = small_agent(cls, space), small_agent(cls, space)
    one.learn(window_of(one, space, 0, masked=False))
    one.learn(window_of(one, space, 1))
    other.set_state(one.get_state("all"))
    for number in (2, 3):
        windows = [window_of(agent, space, number) for agent in (one, other)]
        np.testing.assert_array_equal(windows[0].actions, windows[1].actions)
        assert one.learn(windows[0]) == other.learn(windows[1])
    for name, array in one.get_state("all").arrays.items():
        np.testing.assert_array_equal(array, other.get_state("all").arrays[name])


def test_with_memory_nothing_is_learned_about_what_was_never_allowed() -> None:
    agent = small_agent("memory", SPACES["discrete"])
    never = np.arange(5) == 1
    masks = some_masks(SPACES["discrete"], (40,)) & ~never
    masks[:, 0] = True
    window = window_of(agent, SPACES["discrete"], length=40)
    actions = [agent.act(o, action_mask=m) for o, m in zip(window.observations, masks, strict=True)]
    window = replace(window, action_masks=masks, actions=np.array(actions))
    before = [w for w in agent.model.get_weights() if w.shape[-1:] == (5,)]
    assert np.isfinite(agent.learn(window)["loss"])
    after = [w for w in agent.model.get_weights() if w.shape[-1:] == (5,)]
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old[..., never], new[..., never])
        assert not np.array_equal(old[..., ~never], new[..., ~never])


def test_masks_of_another_size_are_named() -> None:
    agent = small_agent(PPOAgent, SPACES["discrete"])
    window = replace(window_of(agent, SPACES["discrete"]), action_masks=np.ones((24, 4), bool))
    with pytest.raises(InvalidArgumentError, match=r"shape \(24, 4\) was given where \(24, 5\)"):
        agent.learn(window)


def test_a_loss_of_ones_own_is_told_log_probabilities_of_what_was_allowed() -> None:
    agent = small_agent(TFAgent, SPACES["discrete"])
    window = window_of(agent, SPACES["discrete"])
    outputs = agent.model(window.observations)
    expected, _ = expected_of(SPACES["discrete"], outputs, window.action_masks, window.actions)
    found = agent.log_prob(outputs, window.actions, window.action_masks)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
