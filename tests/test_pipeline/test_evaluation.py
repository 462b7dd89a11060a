"""Whole fresh episodes of agents, policies and functions."""

import gymnasium as gym
import numpy as np
import pytest
from agent_makers import make_agent
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv
from scripted_envs import CountingEnv, PolicyAgent, RandomLengthEnv, policy

from tensor_optix.exceptions import EnvironmentFailureError, InvalidArgumentError, InvalidTypeError
from tensor_optix.functional.seeding import derive_seed
from tensor_optix.functional.statistics import mean_interval
from tensor_optix.pipeline.batch_pipeline import BatchPipeline
from tensor_optix.pipeline.evaluation import evaluate
from tensor_optix.testing.fakes import SixMethodAgent


class PayingEnv(CountingEnv):
    """The reward is the action."""

    def __init__(self):
        super().__init__(4)

    def step(self, action):
        observation, _, *rest = super().step(action)
        return observation, float(action), *rest


class Agent:
    """Explores with 0, knows that 1 is best."""

    def __init__(self, **extra):
        self.bound = []
        self.calls = []
        for name, value in extra.items():
            setattr(self, name, value)

    def bind(self, observation_space, action_space, *, num_envs=1, seed=None):
        self.bound.append((observation_space, action_space, num_envs, seed))

    def act(self, observation):
        self.calls.append("act")
        return 0

    def act_greedy(self, observation):
        self.calls.append("act_greedy")
        return 1


class FrozenPolicy:
    version = 3

    def act(self, observation, *, greedy=False):
        return int(greedy)

    def act_batch(self, observations, *, greedy=False):
        return np.full(len(observations), int(greedy))


MAKERS = {"single": PayingEnv, "vector": lambda: SyncVectorEnv([PayingEnv] * 3)}


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("greedy", [True, False])
@pytest.mark.parametrize("actor", [Agent(), Agent(policy=FrozenPolicy), FrozenPolicy()])
def test_greedy_or_exploring(kind, greedy, actor):
    result = evaluate(actor, MAKERS[kind](), 7, greedy=greedy)
    assert result.returns.tolist() == [4.0 * greedy] * 7
    assert result.lengths.tolist() == [4] * 7
    assert result.num_episodes == 7


def test_a_batch_is_acted_on_at_once():
    class Batching(Agent):
        def act_batch(self, observations):
            self.calls.append("act_batch")
            return np.zeros(len(observations), np.int64)

    agent = Batching(policy=FrozenPolicy)
    evaluate(agent, MAKERS["vector"](), 3)
    evaluate(agent, MAKERS["vector"](), 3, greedy=False)
    assert agent.calls == ["act_batch"] * 4


def test_plain_act_and_plain_functions():
    one = evaluate(PolicyAgent(), RandomLengthEnv(), 5, seed=3)
    other = evaluate(policy, RandomLengthEnv, 5, seed=3)
    np.testing.assert_array_equal(one.returns, other.returns)


def test_the_numbers():
    result = evaluate(policy, RandomLengthEnv, 20, seed=3)
    env = RandomLengthEnv()
    observation, _ = env.reset(seed=derive_seed(3, "episode", 0))
    total, length, over = 0.0, 0, False
    while not over:
        observation, reward, terminated, truncated, _ = env.step(policy(observation))
        total, length, over = total + reward, length + 1, terminated or truncated
    assert (result.returns[0], result.lengths[0]) == (total, length)
    assert result.mean == result.returns.mean()
    assert result.interval == mean_interval(result.returns)
    assert result.env_steps == result.lengths.sum()
    assert not np.array_equal(result.returns, evaluate(policy, RandomLengthEnv, 20, seed=4).returns)


def test_ids():
    result = evaluate(lambda observation: 1, "CartPole-v1", 5)
    assert 8 <= result.mean <= 11
    with pytest.raises(InvalidArgumentError, match=r"registered as 'CartPool-v1'\. Did you mean CartPole-v1"):
        evaluate(policy, "CartPool-v1")


def test_only_what_was_made_here_is_closed():
    class Closing(CountingEnv):
        closed = 0

        def close(self):
            self.closed += 1

    env = Closing(3)
    evaluate(lambda observation: 0, env, 2)
    assert env.closed == 0
    evaluate(lambda observation: 0, lambda: env, 2)
    assert env.closed == 1

    def fail(observation):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        evaluate(fail, lambda: env, 2)
    assert env.closed == 2


def test_an_agent_is_bound_unless_it_says_it_is():
    agent = Agent()
    evaluate(agent, MAKERS["vector"](), 3, seed=8)
    ((observation_space, action_space, num_envs, seed),) = agent.bound
    assert observation_space == spaces.Box(0, np.inf, (1,), np.float64)
    assert (action_space, num_envs, seed) == (spaces.Discrete(2), 3, None)
    agent = Agent(is_bound=True)
    evaluate(agent, PayingEnv, 3)
    assert agent.bound == []


def test_observations_are_seen_in_the_type_that_training_sees():
    class Wide(CountingEnv):
        def __init__(self):
            super().__init__(3)
            self.observation_space = spaces.Box(0, np.inf, (1,), np.float32)

    agent = PolicyAgent(lambda observation: 0)
    evaluate(agent, Wide, 1)
    assert {observation.dtype for observation in agent.seen} == {np.dtype(np.float32)}


@pytest.mark.parametrize("actor", [3, None, dict])
def test_something_that_cannot_act(actor):
    with pytest.raises(InvalidTypeError, match="must be an agent or policy with a method act"):
        evaluate(actor, CountingEnv(3))


def test_bad_arguments():
    with pytest.raises(InvalidArgumentError, match="`num_episodes` must be an integer >= 1"):
        evaluate(policy, CountingEnv(3), 0)
    with pytest.raises(InvalidArgumentError, match="`seed` must be"):
        evaluate(policy, CountingEnv(3), 1, seed=-1)
    with pytest.raises(InvalidTypeError, match=r"must be a gymnasium.Env"):
        evaluate(policy, 3)


def test_a_failing_env_is_named():
    class Raising(gym.Wrapper):
        def step(self, action):
            raise OSError("gone")

    with pytest.raises(EnvironmentFailureError, match="step 1 raised OSError: gone"):
        evaluate(policy, Raising(CountingEnv(3)))


def test_workers_that_cannot_send_their_spec_live_on():
    """Neither playing nor collecting may ask a worker for something it cannot answer."""

    def make():
        env = CountingEnv(10**6)
        env.spec = gym.envs.registration.EnvSpec("Counting-v0", entry_point=make)  # which cannot be pickled
        return gym.wrappers.TimeLimit(env, 5)

    env = AsyncVectorEnv([make] * 2)
    pipeline = BatchPipeline(env, PolicyAgent(), 4, seed=0)
    try:
        for _ in range(2):
            result = pipeline.play_episodes(policy, 4, seed=1)
            assert result.lengths.tolist() == [5] * 4, "the time limit is known"
        assert evaluate(policy, env, 2).num_episodes == 2
        assert next(pipeline.episodes()).length == 4
    finally:
        env.close()


def test_an_agent_that_was_bound_is_not_bound_again():
    class Forgets(SixMethodAgent):
        def bind(self, observation_space, action_space, *, num_envs=1, seed=None):
            self.weight = 0.0

    agent = Forgets()
    agent.bind(None, None)
    agent.weight = 5.0
    evaluate(agent, "CartPole-v1", num_episodes=1)
    assert agent.weight == 5.0


class Noisy(gym.Env):
    """Pays an action's worth, and what the episode's seed brings besides."""

    observation_space = spaces.Box(-np.inf, np.inf, (1,), np.float64)
    action_space = spaces.Discrete(3)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.luck, self.at = self.np_random.normal(0, 100), 0
        return np.array([self.luck]), {}

    def step(self, action):
        self.at += 1
        return np.array([self.luck]), self.luck + float(action), self.at >= 3, False, {}


@pytest.mark.parametrize("make", [Noisy, lambda: SyncVectorEnv([Noisy] * 4)])
def test_two_policies_play_the_same_episodes(make):
    result = evaluate(lambda observation: 2, make(), 30, seed=5, against=lambda observation: 1)
    np.testing.assert_allclose(result.returns - result.against.returns, 3.0)
    assert result.difference == pytest.approx(3.0)
    alone = evaluate(lambda observation: 1, make(), 30, seed=5)
    np.testing.assert_array_equal(result.against.returns, alone.returns)
    assert result.against.interval == alone.interval


def test_the_paired_interval_is_far_narrower_than_the_two_alone():
    rng = np.random.default_rng(0)
    result = evaluate(lambda observation: int(rng.integers(0, 3)), Noisy(), 60, against=lambda observation: 0)
    low, high = result.difference_interval
    assert low < result.difference < high
    assert high - low < 2.0 < 20.0 < result.interval[1] - result.interval[0]


def test_an_evaluation_alone_has_no_difference():
    result = evaluate(lambda observation: 0, Noisy(), 2)
    assert result.against is result.difference is result.difference_interval is None


def test_what_wrappers_gathered_of_the_one_the_other_does_not_see():
    seen = []

    def looks(observation):
        seen.append(float(observation[0]))
        return 0

    evaluate(looks, gym.wrappers.NormalizeObservation(Noisy()), 4, against=looks)
    assert seen[: len(seen) // 2] == seen[len(seen) // 2 :]


def test_nothing_changes_in_either_agent():
    one, other = (make_agent(spaces.Discrete(2), seed=seed) for seed in (3, 4))
    before = [agent.get_state("all") for agent in (one, other)]
    result = evaluate(one, "CartPole-v1", 3, greedy=False, against=other)
    assert result.against.num_episodes == 3
    for agent, state in zip((one, other), before, strict=True):
        after = agent.get_state("all")
        assert after.meta == state.meta
        assert all(np.array_equal(after.arrays[name], array) for name, array in state.arrays.items())


def test_what_cannot_act_is_named_by_its_argument():
    with pytest.raises(InvalidTypeError, match="`against` must be an agent or policy"):
        evaluate(lambda observation: 0, Noisy(), 1, against=7)
    with pytest.raises(InvalidTypeError, match="`against` is the class FrozenPolicy"):
        evaluate(lambda observation: 0, Noisy(), 1, against=FrozenPolicy)
