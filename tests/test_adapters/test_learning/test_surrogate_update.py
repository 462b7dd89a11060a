"""The loss, its gradient and the masks of PPO's update, against NumPy and SciPy."""

import gymnasium as gym
import keras
import numpy as np
import pytest
import scipy.special
import scipy.stats
from ppo_makers import ACTION_SPACES, make_agent, network, play_window

from tensor_optix.adapters.tensorflow.actions.multi_binary import Bernoulli
from tensor_optix.adapters.tensorflow.actions.multi_discrete import MultiCategorical

PLAIN = {"normalize_observations": False, "scale_rewards": False}
ONE_STEP = {"num_epochs": 1, "kl_target": None, "max_grad_norm": None, "learning_rate": 1.0}
ONE_STEP |= {"entropy_coef": 0.05, "gamma": 0.99}


def linear_agent(action_space, optimizer=None, **params):
    """One Dense layer each, so that a test can compute everything again in float64."""
    keras.utils.set_random_seed(1)
    size = {"discrete": 3, "multi_discrete": 5, "multi_binary": 3, "box": 2}[action_space]
    models = [keras.Sequential([keras.Input((4,)), keras.layers.Dense(k)]) for k in (size, 1)]
    optimizer = optimizer or keras.optimizers.SGD(1.0)
    structure = {**PLAIN, "batch_size": 24, "params": {**ONE_STEP, **params}}
    return make_agent(ACTION_SPACES[action_space], models=(*models, optimizer), **structure)


class Oracle:
    """PPO's loss on a whole window, in NumPy, float64."""

    def __init__(self, kind, agent, window):
        self.kind, self.window = kind, window
        self.actions = agent._sampler.encode(window.actions)
        self.log_std = None if agent._log_std is None else agent._log_std.numpy().astype(np.float64)
        weights = [w.astype(np.float64) for w in (*agent.model.get_weights(), *agent.critic.get_weights())]
        self.behaviour = self.log_probs(self.outputs(weights))
        self.advantages, self.returns = self.targets(weights)

    def outputs(self, weights):
        return self.window.observations @ weights[0] + weights[1]

    def values(self, weights, observations):
        return (observations @ weights[2] + weights[3])[:, 0]

    def targets(self, weights):
        window, gamma, lambda_ = self.window, 0.99, 0.95
        values, after = (self.values(weights, x) for x in (window.observations, window.next_observations))
        advantages, following = np.zeros(len(values)), 0.0
        for t in reversed(range(len(values))):
            discount = gamma * (not window.terminated[t])
            goes_on = not (window.terminated[t] or window.truncated[t])
            following = window.rewards[t] + discount * after[t] - values[t] + discount * lambda_ * goes_on * following
            advantages[t] = following
        return (advantages - advantages.mean()) / (advantages.std() + 1e-8), advantages + values

    def log_probs(self, outputs):
        if self.kind == "discrete":
            return scipy.special.log_softmax(outputs, axis=1)[np.arange(len(outputs)), self.actions]
        if self.kind == "multi_discrete":
            parts = [scipy.special.log_softmax(part, axis=1) for part in (outputs[:, :2], outputs[:, 2:])]
            return sum(part[np.arange(len(outputs)), self.actions[:, i]] for i, part in enumerate(parts))
        if self.kind == "multi_binary":
            return scipy.stats.bernoulli.logpmf(self.actions, scipy.special.expit(outputs)).sum(axis=1)
        normal = scipy.stats.norm(outputs, np.exp(self.log_std))
        inside = np.where(self.actions <= -1, normal.logcdf(-1.0), normal.logpdf(self.actions))
        return np.where(self.actions >= 1, normal.logsf(1.0), inside).sum(axis=1)

    def entropy(self, outputs):
        if self.kind == "discrete":
            return scipy.stats.entropy(scipy.special.softmax(outputs, axis=1), axis=1)
        if self.kind == "multi_discrete":
            parts = (outputs[:, :2], outputs[:, 2:])
            return sum(scipy.stats.entropy(scipy.special.softmax(part, axis=1), axis=1) for part in parts)
        if self.kind == "multi_binary":
            return scipy.stats.bernoulli.entropy(scipy.special.expit(outputs)).sum(axis=1)
        return np.full(len(outputs), scipy.stats.norm.entropy(0.0, np.exp(self.log_std)).sum())

    def losses(self, weights):
        outputs = self.outputs(weights)
        ratio = np.exp(self.log_probs(outputs) - self.behaviour)
        surrogate = np.minimum(ratio * self.advantages, np.clip(ratio, 0.8, 1.2) * self.advantages)
        value_loss = np.mean((self.values(weights, self.window.observations) - self.returns) ** 2)
        entropy = np.mean(self.entropy(outputs))
        return -np.mean(surrogate), value_loss, entropy

    def loss(self, weights):
        policy_loss, value_loss, entropy = self.losses(weights)
        return policy_loss + 0.5 * value_loss - 0.05 * entropy


@pytest.mark.parametrize("kind", ["discrete", "multi_discrete", "multi_binary", "box"])
def test_loss_and_gradient_are_those_of_the_paper(kind):
    agent = linear_agent(kind)
    window = play_window(agent, 0)
    oracle = Oracle(kind, agent, window)
    before = [w.astype(np.float64) for w in (*agent.model.get_weights(), *agent.critic.get_weights())]
    diagnostics = agent.learn(window)
    after = [w.astype(np.float64) for w in (*agent.model.get_weights(), *agent.critic.get_weights())]

    expected = dict(zip(("policy_loss", "value_loss", "entropy"), oracle.losses(before), strict=True))
    for name, value in {**expected, "loss": oracle.loss(before)}.items():
        assert diagnostics[name] == pytest.approx(value, rel=1e-4, abs=1e-5), name
    for place, weights in enumerate(before):
        for index in np.ndindex(weights.shape):
            shifted = [[w.copy() for w in before] for _ in range(2)]
            shifted[0][place][index] += 1e-6
            shifted[1][place][index] -= 1e-6
            gradient = (oracle.loss(shifted[0]) - oracle.loss(shifted[1])) / 2e-6
            moved = weights[index] - after[place][index]
            assert moved == pytest.approx(gradient, rel=2e-3, abs=2e-4)


def test_the_gradient_of_all_variables_is_bounded_together():
    free, bounded = linear_agent("box"), linear_agent("box", max_grad_norm=0.25)
    window = play_window(free, 0)
    starts = [w.copy() for w in free.model.get_weights() + free.critic.get_weights()] + [free._log_std.numpy()]
    norm = free.learn(window)["grad_norm"]
    assert norm > 0.25
    bounded.learn(window)
    for start, one, other in zip(
        starts,
        [*free.model.get_weights(), *free.critic.get_weights(), free._log_std.numpy()],
        [*bounded.model.get_weights(), *bounded.critic.get_weights(), bounded._log_std.numpy()],
        strict=True,
    ):
        np.testing.assert_allclose((start - other), (start - one) * 0.25 / norm, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("sizes", [(2,), (3, 2, 4)])
def test_multi_categorical_is_a_product_of_categoricals(sizes):
    rng = np.random.default_rng(0)
    logits = rng.normal(0.0, 3.0, (50, sum(sizes))).astype(np.float32)
    actions = np.stack([rng.integers(0, n, 50) for n in sizes], axis=1).astype(np.int32)
    ends = np.cumsum(sizes)[:-1]
    parts = [scipy.special.log_softmax(part.astype(float), axis=1) for part in np.split(logits, ends, axis=1)]
    log_prob = sum(part[np.arange(50), actions[:, i]] for i, part in enumerate(parts))
    entropy = sum(scipy.stats.entropy(np.exp(part), axis=1) for part in parts)
    distribution = MultiCategorical(sizes)
    np.testing.assert_allclose(distribution.log_prob(logits, actions), log_prob, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(distribution.entropy(logits), entropy, rtol=1e-5, atol=1e-5)


def test_bernoulli_bits_are_independent():
    rng = np.random.default_rng(0)
    logits = rng.normal(0.0, 3.0, (50, 3)).astype(np.float32)
    actions = rng.integers(0, 2, (50, 3)).astype(np.float32)
    chances = scipy.special.expit(logits.astype(float))
    log_prob = scipy.stats.bernoulli.logpmf(actions, chances).sum(axis=1)
    entropy = scipy.stats.bernoulli.entropy(chances).sum(axis=1)
    np.testing.assert_allclose(Bernoulli().log_prob(logits, actions), log_prob, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(Bernoulli().entropy(logits), entropy, rtol=1e-5, atol=1e-5)


def weights_after(window_changes, **structure):
    agent = make_agent(batch_size=40, **{**PLAIN, **structure})
    window = play_window(agent, 0, 20, num_envs=2, **window_changes)
    agent.learn(window)
    return agent.model.get_weights() + agent.critic.get_weights()


def assert_same(first, second):
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_stands_in_steps_that_only_reset_is_not_learned_from():
    rng = np.random.default_rng(5)
    terminated, truncated = rng.random((2, 20, 2)) < 0.1
    valid = np.ones((20, 2), bool)
    valid[1:] = ~(terminated | truncated)[:-1]
    terminated &= valid
    truncated &= valid
    valid[1:] = ~(terminated | truncated)[:-1]
    assert (~valid).any()
    flags = {"terminated": terminated, "truncated": truncated, "valid": valid}
    observations, rewards = rng.normal(size=(21, 2, 4)).astype(np.float32), rng.normal(size=(20, 2))
    following = observations[1:].copy()
    other, other_rewards = observations.copy(), rewards.copy()
    other[:-1][~valid] = 77.0
    other_rewards[~valid] = 55.0
    changes = {**flags, "next_observations": following}
    assert_same(
        weights_after({**changes, "observations": observations[:-1], "rewards": rewards, "actions": None_free(valid)}),
        weights_after({**changes, "observations": other[:-1], "rewards": other_rewards, "actions": None_free(valid)}),
    )


def None_free(valid):
    return np.random.default_rng(8).integers(2, 5, valid.shape)


@pytest.mark.parametrize(("flag", "counts"), [("truncated", True), ("terminated", False)])
def test_only_a_truncated_step_is_worth_what_its_successor_is_worth(flag, counts):
    rng = np.random.default_rng(5)
    flags = {name: np.zeros((20, 2), bool) for name in ("terminated", "truncated")}
    flags[flag][7, 1] = True
    actions = rng.integers(2, 5, (20, 2))
    following = rng.normal(size=(20, 2, 4)).astype(np.float32)
    other = following.copy()
    other[7, 1] += 3.0
    results = [weights_after({**flags, "actions": actions, "next_observations": x}) for x in (following, other)]
    assert any((a != b).any() for a, b in zip(*results, strict=True)) == counts


def test_a_window_of_two_environments_is_learned_like_theirs_apart():
    """Advantages never run from one environment into the other: swapping the environments changes nothing."""
    agent, swapped = (make_agent(batch_size=48, params={"num_epochs": 1}, **PLAIN) for _ in range(2))
    window = play_window(agent, 0, 24, num_envs=2)
    agent.learn(window)
    play_window(swapped, 0, 24, num_envs=2)
    names = ("observations", "actions", "rewards", "terminated", "truncated", "next_observations")
    mirrored = play_window(swapped, 0, 24, num_envs=2, **{n: getattr(window, n)[:, ::-1] for n in names})
    swapped.learn(mirrored)
    for a, b in zip(agent.model.get_weights(), swapped.model.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_a_step_that_only_resets_alone_teaches_nothing():
    agent = make_agent()
    window = play_window(agent, 0, 1, num_envs=1, valid=np.zeros((1, 1), bool))
    before = agent.model.get_weights()
    assert agent.learn(window)["num_gradient_steps"] == 0
    assert_same(before, agent.model.get_weights())


@pytest.mark.parametrize("layer", [keras.layers.Dropout(0.5, seed=1), keras.layers.BatchNormalization()])
def test_the_ratio_starts_at_one(layer):
    models = (
        network(4, 3, keras.layers.Dense(8, activation="relu"), layer),
        network(4, 1),
        keras.optimizers.SGD(1e-12),
    )
    agent = make_agent(models=models, params={"learning_rate": 1e-12, "clip_ratio": 1e-4})
    agent.learn(play_window(agent, 0))
    diagnostics = agent.learn(play_window(agent, 1))
    assert diagnostics["clip_fraction"] == 0.0
    assert abs(diagnostics["kl"]) < 1e-9


def test_recorded_log_probs_are_those_of_the_policy_that_acted():
    agent = make_agent(params={"learning_rate": 1e-12}, **PLAIN)
    window = play_window(agent, 0)
    actions = agent._sampler.encode(window.actions)
    logits = agent.model(window.observations).numpy()
    own = scipy.special.log_softmax(logits, axis=1)[np.arange(24), actions]
    window.action_log_probs = own
    assert agent.learn(window)["clip_fraction"] == 0.0
    window.action_log_probs = own - 1.0
    assert agent.learn(window)["clip_fraction"] == 1.0


def test_a_box_of_one_dimension_and_a_large_batch():
    agent = make_agent(gym.spaces.Box(-1.0, 1.0, (1,), np.float64), batch_size=1000)
    diagnostics = agent.learn(play_window(agent, 0))
    assert diagnostics["num_gradient_steps"] == 2
