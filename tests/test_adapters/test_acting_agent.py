"""Acting among what a mask allows: how often what is drawn, one by one and in batches, and what is wrong is told."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import keras
import numpy as np
import pytest
from harness.masked_envs import SPACES, choices, is_allowed, options_of
from scipy.special import log_softmax
from scipy.stats import chisquare

from tensor_optix import HyperparamSet, TFAgent
from tensor_optix.algorithms import DQNAgent, PPOAgent
from tensor_optix.exceptions import InvalidArgumentError, InvalidTypeError

SEEN = gym.spaces.Box(-1.0, 1.0, (3,), np.float32)
KINDS = list(SPACES)


def ppo_in(space: Any, seed: int = 0) -> PPOAgent:
    agent = PPOAgent(hidden_units=(4,))
    agent.bind(SEEN, space, seed=seed)
    agent.model.set_weights(
        [w + 0.5 * np.random.default_rng(1).normal(size=w.shape) for w in agent.model.get_weights()]
    )
    agent.refresh()
    return agent


def dqn_in(space: Any, epsilon: float) -> DQNAgent:
    params = HyperparamSet({"epsilon_start": epsilon, "epsilon_end": epsilon}, episode_id=0)
    agent = DQNAgent(hyperparams=params, hidden_units=(4,), buffer_size=64)
    agent.bind(SEEN, space, seed=0)
    return agent


def some_masks(space: Any, count: int) -> np.ndarray:
    """Return masks with at least one option for each choice."""
    rng, sizes = np.random.default_rng(3), choices(space)
    masks = rng.random((count, sum(sizes))) < 0.4
    for start, size in zip(np.cumsum([0, *sizes[:-1]]), sizes, strict=True):
        masks[np.arange(count), start + rng.integers(size, size=count)] = True
    return masks


def some_observations(count: int) -> np.ndarray:
    return np.random.default_rng(2).uniform(-1, 1, (count, 3)).astype(np.float32)


def probabilities(agent: Any, observation: np.ndarray, mask: np.ndarray) -> list[np.ndarray]:
    """Return how likely each option of each choice is, worked out apart in float64."""
    outputs = agent.model(observation[None]).numpy()[0].astype(np.float64)
    if isinstance(agent._spaces[1], gym.spaces.MultiBinary):  # log-odds of 1: logits 0 and x
        outputs = np.stack([np.zeros_like(outputs), outputs], axis=-1).reshape(-1)
    parts = zip(*(np.split(x, np.cumsum(choices(agent._spaces[1]))[:-1]) for x in (outputs, mask)), strict=True)
    return [np.exp(log_softmax(np.where(allowed, logits, -np.inf))) for logits, allowed in parts]


@pytest.mark.parametrize("kind", KINDS)
def test_actions_come_as_often_as_the_masked_softmax_says(kind: str) -> None:
    agent, count = ppo_in(SPACES[kind]), 4000
    observation, mask = some_observations(1)[0], some_masks(SPACES[kind], 1)[0]
    rows, masks = np.repeat(observation[None], count, 0), np.repeat(mask[None], count, 0)
    taken = np.stack([options_of(SPACES[kind], action) for action in agent.act_batch(rows, action_masks=masks)])
    for choice, chances in enumerate(probabilities(agent, observation, mask)):
        counted = np.bincount(taken[:, choice], minlength=len(chances))
        assert not counted[chances == 0].any()
        likely = chances > 0
        assert likely.sum() == 1 or chisquare(counted[likely], count * chances[likely]).pvalue > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_one_by_one_and_in_batches_the_same_is_drawn(kind: str) -> None:
    observations, masks = some_observations(40), some_masks(SPACES[kind], 40)
    one, many = ppo_in(SPACES[kind]), ppo_in(SPACES[kind])
    singly = [one.act(seen, action_mask=mask) for seen, mask in zip(observations, masks, strict=True)]
    np.testing.assert_array_equal(singly, many.act_batch(observations, action_masks=masks))
    assert all(is_allowed(SPACES[kind], mask, action) for mask, action in zip(masks, singly, strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_greedy_takes_the_likeliest_that_is_allowed(kind: str) -> None:
    agent, policy = ppo_in(SPACES[kind]), ppo_in(SPACES[kind]).policy()
    observations, masks = some_observations(30), some_masks(SPACES[kind], 30)
    batch = policy.act_batch(observations, greedy=True, action_masks=masks)
    for seen, mask, from_batch in zip(observations, masks, batch, strict=True):
        expected = [int(np.argmax(chances)) for chances in probabilities(agent, seen, mask)]
        for action in (
            agent.act_greedy(seen, action_mask=mask),
            policy.act(seen, greedy=True, action_mask=mask.astype(np.int8)),
            from_batch,
        ):
            assert options_of(SPACES[kind], action).tolist() == expected


@pytest.mark.parametrize("kind", KINDS)
def test_log_probabilities_of_a_policy_are_the_masked_ones(kind: str) -> None:
    agent = ppo_in(SPACES[kind])
    policy: Any = agent.policy()
    for seen, mask in zip(some_observations(20), some_masks(SPACES[kind], 20), strict=True):
        action, log_prob = policy.act_with_log_prob(seen, action_mask=mask)
        options = options_of(SPACES[kind], action)
        expected = sum(np.log(p[o]) for p, o in zip(probabilities(agent, seen, mask), options, strict=True))
        np.testing.assert_allclose(log_prob, expected, rtol=1e-5, atol=1e-6)


def test_with_everything_allowed_the_same_is_drawn_as_without_a_mask() -> None:
    for make in (ppo_in, lambda space: dqn_in(space, 0.5)):
        one, other, seen = make(SPACES["discrete"]), make(SPACES["discrete"]), some_observations(50)
        everything = np.ones((50, 5), bool)
        np.testing.assert_array_equal(one.act_batch(seen), other.act_batch(seen, action_masks=everything))
        assert [one.act(row) for row in seen] == [other.act(row, action_mask=everything[0]) for row in seen]


def test_what_dqn_draws_at_random_is_any_action_that_is_allowed() -> None:
    agent, mask, count = dqn_in(SPACES["discrete"], 1.0), np.array([0, 1, 0, 1, 1], bool), 3000
    masks = np.repeat(mask[None], count, 0)
    for actions in (
        agent.act_batch(np.zeros((count, 3), np.float32), action_masks=masks),
        [agent.act(np.zeros(3, np.float32), action_mask=mask) for _ in range(count)],
    ):
        counted = np.bincount(np.array(actions) - 3, minlength=5)
        assert not counted[~mask].any()
        assert chisquare(counted[mask]).pvalue > 1e-3


def test_dqn_takes_the_best_value_that_is_allowed() -> None:
    agent, seen, masks = dqn_in(SPACES["discrete"], 0.0), some_observations(30), some_masks(SPACES["discrete"], 30)
    expected = np.where(masks, agent.model(seen).numpy(), -np.inf).argmax(axis=-1) + 3
    np.testing.assert_array_equal(agent.act_batch(seen, action_masks=masks), expected)
    assert [agent.act_greedy(o, action_mask=m) for o, m in zip(seen, masks, strict=True)] == expected.tolist()


def test_an_agent_that_was_never_bound_takes_masks() -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4)])
    agent = TFAgent(model, keras.optimizers.Adam(), HyperparamSet({}, episode_id=0))
    assert agent.uses_action_masks
    assert agent.act(np.zeros(3), action_mask=[0, 0, 1, 0]) == 2


@pytest.mark.parametrize(
    ("mask", "error", "said"),
    [
        ([1, 0], InvalidArgumentError, r"shape \(2,\) was given where \(5,\) was expected"),
        (np.zeros(5), InvalidArgumentError, "allows none of 5 actions"),
        ("all", InvalidTypeError, "array of bool"),
    ],
)
def test_what_is_wrong_with_a_mask_is_told(mask: Any, error: type[Exception], said: str) -> None:
    agent = ppo_in(SPACES["discrete"])
    with pytest.raises(error, match=said):
        agent.act(np.zeros(3, np.float32), action_mask=mask)
    with pytest.raises(error, match=said):
        agent.policy().act(np.zeros(3, np.float32), action_mask=mask)  # type: ignore[call-arg]


def test_there_are_no_masks_for_a_box() -> None:
    agent = ppo_in(gym.spaces.Box(-1.0, 1.0, (2,), np.float32))
    assert not agent.uses_action_masks
    assert not agent.policy().uses_action_masks  # type: ignore[attr-defined]
    with pytest.raises(InvalidTypeError, match="no masks for actions of a Box"):
        agent.act(np.zeros(3, np.float32), action_mask=[1, 1])
