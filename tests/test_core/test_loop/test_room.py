"""A budget of env steps is never overrun: the last windows are cut, whatever steps them and learns from them."""

import gymnasium as gym
import numpy as np
import pytest
from crossed import crossed
from loop_fakes import BareAgent, make_loop
from step_counts import StepCount, counted, spent

from tensor_optix import BatchPipeline, LivePipeline, RLOptimizer, make_agent
from tensor_optix.core.base_evaluator import BaseEvaluator
from tensor_optix.core.budget import Ledger
from tensor_optix.core.loop.room import Room
from tensor_optix.core.types import EvalMetrics
from tensor_optix.testing.fakes import ScriptedPipeline

MODES = list(gym.vector.AutoresetMode)


class Learner(BareAgent):
    """Acts at random, and keeps how long the windows were that it learned from."""

    def __init__(self):
        super().__init__()
        self.rng = np.random.default_rng(0)
        self.learned = []

    def act(self, observation):
        return int(self.rng.integers(2))

    def learn(self, window):
        self.learned.append(window.env_steps)
        return super().learn(window)


def run(folder, count, *, budget, window_size=50, agent=None, num_envs=1, mode=None, length=20, **arguments):
    agent = agent or Learner()
    pipeline = BatchPipeline(counted(count, num_envs, mode, length=length), agent, window_size)
    arguments = {"report_episodes": 0, "seed": 0, **arguments}
    return RLOptimizer(agent, pipeline, checkpoint_dir=str(folder), max_env_steps=budget, **arguments).run()


@pytest.mark.parametrize("budget", [30, 50, 777, 1003])
@pytest.mark.parametrize("length", [3, 20, 400, None])
def test_all_that_a_run_steps_is_within_its_budget(tmp_path, budget, length):
    count, agent = StepCount(), Learner()
    result = run(tmp_path, count, budget=budget, length=length, agent=agent)
    assert result.reason == "budget"
    assert spent(result) == count.steps
    assert count.steps <= budget
    assert sum(agent.learned) == result.env_steps["training"]
    assert budget - count.steps <= max(0.02 * budget, 50)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("num_envs", [3, 8])
@pytest.mark.parametrize("budget", [50, 2000])
def test_many_environments_together_are_counted_together(tmp_path, mode, num_envs, budget):
    count = StepCount()
    result = run(tmp_path, count, budget=budget, num_envs=num_envs, mode=mode, window_size=40)
    assert spent(result) <= budget
    assert count.steps <= spent(result)  # a step that only resets is no step of the environment's
    assert budget - spent(result) <= max(0.02 * budget, 40 * num_envs)
    assert result.env_steps["training"] % num_envs == 0


LEARNERS = [
    ("policy_gradient", gym.spaces.Discrete(3), {}),
    ("ppo", gym.spaces.MultiDiscrete([2, 3]), {"jit_compile": False, "batch_size": 32}),
    ("ppo", gym.spaces.MultiBinary(2), {"jit_compile": False, "batch_size": 32}),
    ("dqn", gym.spaces.Discrete(2, start=1), {"learning_starts": 50, "batch_size": 16}),
    ("sac", gym.spaces.Box(-1.0, 1.0, (1,)), {"learning_starts": 50, "batch_size": 16}),
]


@pytest.mark.parametrize(("learner", "num_envs", "budget"), crossed(LEARNERS, [1, 3], [7, 307]))
def test_every_agent_learns_from_a_window_that_was_cut(tmp_path, learner, num_envs, budget):
    algorithm, action_space, structure = learner
    count = StepCount()
    env = counted(count, 1, action_space=action_space)()
    agent = make_agent(env, algorithm, seed=0, hidden_units=(4,), **structure)
    pipeline = BatchPipeline(counted(count, num_envs, length=20, action_space=action_space), agent, 100 // num_envs)
    result = RLOptimizer(agent, pipeline, checkpoint_dir=str(tmp_path), max_env_steps=budget, report_episodes=0).run()
    assert count.steps <= spent(result) <= budget
    assert budget - spent(result) <= 100
    finite = [np.isfinite(array).all() for array in agent.get_state().arrays.values() if array.dtype.kind == "f"]
    assert all(finite)


class MeanOfRewards(BaseEvaluator):
    """Lower, the shorter a window is."""

    def score(self, episode_data, train_diagnostics):
        return EvalMetrics(episode_data.total_reward, {}, episode_data.episode_id)


def test_a_score_that_depends_on_a_windows_length_is_no_evidence_where_it_was_cut(tmp_path):
    result = run(tmp_path, StepCount(), budget=1030, evaluator=MeanOfRewards(), length=None)
    assert result.history["score"][-1] is None
    assert None not in result.history["score"][:-1]
    assert "alarm" not in result.history or not any(result.history["alarm"])


def test_but_it_is_where_there_is_no_other(tmp_path):
    result = run(tmp_path, StepCount(), budget=30, evaluator=MeanOfRewards())
    assert len(result.history["score"]) == 1
    assert result.champion is not None


def test_fewer_steps_than_environments_are_none(tmp_path):
    count = StepCount()
    result = run(tmp_path, count, budget=5, num_envs=8)
    assert (count.steps, result.windows, result.champion) == (0, 0, None)
    assert result.reason == "budget"
    assert "5 steps are left, one of every environment takes 8" in result.explanation


class Whole(ScriptedPipeline):
    """A pipeline of somebody's own, that cannot cut its windows."""

    def _window(self, score):
        window = super()._window(score)
        for name in ("rewards", "terminated", "truncated", "actions"):
            setattr(window, name, np.repeat(getattr(window, name), 10))
        window.infos, window.observations = [{}] * 10, np.zeros((10, 1))
        return window


def test_a_pipeline_that_cannot_cut_ends_before_the_window_that_would_be_too_much(tmp_path):
    loop, _ = make_loop(tmp_path, Whole(lambda k: float(k)), max_env_steps=45)
    result = loop.run()
    assert result.env_steps["training"] == 40
    assert "(5 steps are left, a window takes 10)" in result.explanation
    assert result.notes == ()


def test_its_first_window_too_where_its_size_is_told(tmp_path):
    pipeline = Whole(lambda k: float(k))
    pipeline.window_size = 10
    loop, _ = make_loop(tmp_path, pipeline, max_env_steps=9)
    result = loop.run()
    assert (result.windows, result.reason) == (0, "budget")


def test_what_it_took_too_much_is_said_where_nobody_could_know(tmp_path):
    loop, _ = make_loop(tmp_path, Whole(lambda k: float(k)), max_env_steps=9)
    result = loop.run()
    assert result.env_steps["training"] == 10
    assert result.notes == (
        "max_env_steps=9 was exceeded by 1: Whole does not tell how long its windows are, and cannot cut them. "
        "Give it a window_size, or a method limit_window(env_steps).",
    )


class Feed:
    def stream(self):
        k = 0
        while True:
            k += 1
            yield [float(k)], 1.0, k % 30 == 0, False, {}


@pytest.mark.parametrize("boundary", [None, LivePipeline.every_n_steps(50)])
def test_what_is_taken_of_a_live_feed_is_within_the_budget(tmp_path, boundary):
    agent = Learner()
    pipeline = LivePipeline(Feed(), agent, boundary)
    result = RLOptimizer(agent, pipeline, checkpoint_dir=str(tmp_path), max_env_steps=110, report_episodes=0).run()
    assert result.reason == "budget"
    assert result.env_steps["training"] == sum(agent.learned) == 110


class Cuts(ScriptedPipeline):
    window_size = 100
    num_envs = 1

    def limit_window(self, env_steps):
        self.limit = env_steps
        return True


@pytest.mark.parametrize(("reserved", "limit"), [(0, 150), (50, 100), (51, 99), (149, 1)])
def test_the_next_window_has_what_is_not_kept(reserved, limit):
    ledger = Ledger(None, 350)
    pipeline = Cuts([])
    room = Room(pipeline, ledger, lambda: reserved)
    ledger.count_window(100)
    assert room.limit_window()
    ledger.count_window(100)
    assert room.exhausted() is None
    assert pipeline.limit == limit
    assert ledger.has_decided is (limit < 100)


def test_where_all_of_it_is_kept_there_is_none():
    ledger = Ledger(None, 350)
    ledger.count_window(200)
    room = Room(Cuts([]), ledger, lambda: 150)
    assert room.exhausted() == (
        "max_env_steps=350 leaves no room for another window (150 steps are left, one of every environment takes 1, "
        "and 150 are kept for the last choice of a champion)"
    )
    assert not room.limit_window()


def test_windows_run_out():
    ledger = Ledger(2, None)
    room = Room(Cuts([]), ledger, lambda: 0)
    assert room.limit_window()
    ledger.count_window(10)
    ledger.count_window(10)
    assert room.exhausted() == "max_episodes=2 windows were used"
    assert not room.is_limited


@pytest.mark.parametrize(("left", "is_worth_while"), [(100, False), (120, False), (121, True)])
def test_what_is_little_is_not_worth_another_round(left, is_worth_while):
    ledger = Ledger(None, 6000)
    ledger.count_window(6000 - left)
    assert Room(Cuts([]), ledger, lambda: 0).is_worth_while is is_worth_while
