"""Our own parts keep to what users' parts are held against; parts that break a rule are found out."""

import gymnasium as gym
import numpy as np
import pytest

from tensor_optix import BatchPipeline, EvalMetrics, LivePipeline, TFEvaluator, make_agent
from tensor_optix.core.base_evaluator import BaseEvaluator
from tensor_optix.testing import AgentConformance, EvaluatorConformance, PipelineConformance
from tensor_optix.testing.fakes import RewardEvaluator, SixMethodAgent, StatefulAgent


class OnCartPole(AgentConformance):
    def make_env(self):
        return gym.make("CartPole-v1")


class TestTFAgent(OnCartPole):
    def make_agent(self):
        return make_agent("CartPole-v1", "policy_gradient", hidden_units=(8,), seed=0)


class TestPPO(OnCartPole):
    def make_agent(self):
        return make_agent("CartPole-v1", "ppo", hidden_units=(8,), batch_size=32, jit_compile=False, seed=0)


@pytest.mark.slow
class TestDQN(OnCartPole):
    def make_agent(self):
        sizes = {"buffer_size": 500, "batch_size": 8, "learning_starts": 32}
        return make_agent("CartPole-v1", "dqn", hidden_units=(8,), train_frequency=16, seed=0, **sizes)


@pytest.mark.slow
class TestSAC(AgentConformance):
    def make_env(self):
        return gym.make("Pendulum-v1", max_episode_steps=50)

    def make_agent(self):
        sizes = {"buffer_size": 500, "batch_size": 8, "learning_starts": 32}
        return make_agent("Pendulum-v1", "sac", hidden_units=(8,), train_frequency=16, seed=0, **sizes)


class TestSixMethods(OnCartPole):
    def make_agent(self):
        return SixMethodAgent({"x": 1.0})


class Zeros(StatefulAgent):
    def act_batch(self, observations):
        return np.zeros(len(observations), np.int64)


class TestSingleEnvironment(PipelineConformance):
    def make_agent(self):
        return Zeros()

    def make_pipeline(self):
        return BatchPipeline(lambda: gym.make("CartPole-v1"), window_size=30)


class TestVectorEnvironment(TestSingleEnvironment):
    def make_pipeline(self):
        return BatchPipeline(lambda: gym.make_vec("CartPole-v1", 3, vectorization_mode="sync"), window_size=30)


class Feed:
    def stream(self):
        rng = np.random.default_rng(0)
        for step in range(1, 400):
            yield rng.normal(size=2).astype(np.float32), 1.0, step % 7 == 0, False, {}


class TestLiveFeed(TestSingleEnvironment):
    def make_pipeline(self):
        return LivePipeline(Feed(), episode_boundary_fn=LivePipeline.every_n_steps(20))


class TestDefaultEvaluator(EvaluatorConformance):
    def make_evaluator(self):
        return TFEvaluator()


class TestWeightedEvaluator(EvaluatorConformance):
    def make_evaluator(self):
        return TFEvaluator(reward_weight=1.0, stability_weight=0.5, length_weight=0.5)


class TestSumOfRewards(EvaluatorConformance):
    def make_evaluator(self):
        return RewardEvaluator()


class TestRulesAreEnforced:
    def test_an_evaluator_that_changes_its_window(self):
        class Scales(BaseEvaluator):
            def score(self, episode_data, train_diagnostics):
                episode_data.rewards *= 2.0
                return EvalMetrics(0.0, {}, episode_data.episode_id)

        class Suite(EvaluatorConformance):
            def make_evaluator(self):
                return Scales()

        with pytest.raises(AssertionError, match="changed the window's rewards"):
            Suite().test_the_window_is_left_alone()

    def test_an_agent_whose_state_is_not_a_copy(self):
        class Shares(StatefulAgent):
            def __init__(self):
                super().__init__({"x": 1.0})
                self.array = np.zeros(2)

            def learn(self, episode_data):
                self.array += 1.0
                return super().learn(episode_data)

            def get_state(self, scope="learner"):
                state = super().get_state(scope)
                state.arrays["shared"] = self.array
                return state

        class Suite(OnCartPole):
            def make_agent(self):
                return Shares()

        with pytest.raises(AssertionError, match="changed a state that had been taken"):
            Suite().test_a_state_is_a_copy()

    def test_an_agent_whose_greedy_actions_wander(self):
        class Wanders(SixMethodAgent):
            def act(self, observation):
                self.weight += 1.0
                return int(self.weight % 4 < 2)

        class Suite(OnCartPole):
            def make_agent(self):
                return Wanders()

        with pytest.raises(AssertionError, match="two actions for one observation"):
            Suite().test_greedy_actions_do_not_change_by_themselves()

    def test_a_pipeline_that_loses_rewards(self):
        class Loses(BatchPipeline):
            def episodes(self):
                for window in super().episodes():
                    window.rewards = window.rewards * 0.5
                    yield window

        class Suite(TestSingleEnvironment):
            def make_pipeline(self):
                return Loses(lambda: gym.make("CartPole-v1"), window_size=30)

        with pytest.raises(AssertionError, match="not what was paid"):
            Suite().test_whole_returns_are_the_sums_of_their_rewards()
