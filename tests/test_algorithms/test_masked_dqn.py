"""DQN's targets among what is allowed on the successor, by hand; and what is saved goes on bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from harness.masked_envs import SPACES, OnlyAllowed

from tensor_optix import BatchPipeline, HyperparamSet
from tensor_optix.algorithms import DQNAgent

SPACE = SPACES["discrete"]
SMALL = {"hidden_units": (8,), "buffer_size": 400, "batch_size": 16, "learning_starts": 20, "scale_rewards": False}


def agent_of(env: OnlyAllowed, **settings: Any) -> DQNAgent:
    agent = DQNAgent(hyperparams=HyperparamSet({"train_frequency": 4}, 0), **{**SMALL, **settings})
    agent.bind(env.observation_space, env.action_space, seed=0)
    return agent


@pytest.mark.parametrize("double", [True, False])
def test_the_target_is_the_best_that_is_allowed(double: bool) -> None:
    env = OnlyAllowed(SPACE)
    agent, rng = agent_of(env, double=double), np.random.default_rng(0)
    agent._target.variables[0].assign(rng.normal(size=agent._target.variables[0].shape))
    seen, after = (rng.normal(size=(32, 5)).astype(np.float32) for _ in range(2))
    actions, masks = rng.integers(0, 5, 32).astype(np.int32), rng.random((32, 5)) < 0.4
    masks[np.arange(32), rng.integers(0, 5, 32)] = True
    batch = {"o_t_0": seen, "o_tpk_0": after, "action": actions, "return": rng.normal(size=32).astype(np.float32)}
    batch |= {"discount": np.full(32, 0.9, np.float32), "weight": np.ones(32, np.float32)}
    batch["mask"] = masks.astype(np.float32)
    _, _, errors = agent.compute({k: tf.constant(v) for k, v in batch.items()}, {"max_grad_norm": 10.0})
    online, target = agent.model(after).numpy(), agent._target([tf.constant(after)]).numpy()
    best = np.where(masks, online if double else target, -np.inf).argmax(axis=1)
    expected = batch["return"] + 0.9 * target[np.arange(32), best] - agent.model(seen).numpy()[np.arange(32), actions]
    np.testing.assert_allclose(errors, expected, rtol=1e-5, atol=1e-5)
    unmasked = np.where(True, online if double else target, 0).argmax(axis=1)
    assert (unmasked != best).any()


def test_a_life_with_masks_goes_on_bit_for_bit() -> None:
    envs = [OnlyAllowed(SPACE) for _ in range(2)]
    agents = [agent_of(env) for env in envs]
    pipelines = [BatchPipeline(env, agent, 30, seed=5) for env, agent in zip(envs, agents, strict=True)]
    first, second = agents
    source = pipelines[0].episodes()
    for _ in range(4):
        window = next(source)
        assert window.action_masks is not None
        first.learn(window)
    assert first.replay.sample(4).next_masks is not None
    second.set_state(first.get_state("all"))
    for _ in range(3):
        window = next(source)
        assert first.learn(window) == second.learn(window)
    states = [agent.get_state("all") for agent in agents]
    assert states[0].meta["action_masks"]
    for name, array in states[0].arrays.items():
        np.testing.assert_array_equal(array, states[1].arrays[name])


def test_masks_that_come_later_need_no_new_agent() -> None:
    env = OnlyAllowed(SPACE)
    agent = agent_of(env)
    masked = BatchPipeline(env, agent, 30, seed=0)
    window = next(masked.episodes())
    without = type(window)(**{**vars(window), "action_masks": None, "next_action_masks": None})
    assert agent.learn(without)["num_gradient_steps"] > 0
    assert agent.learn(window)["num_gradient_steps"] > 0
