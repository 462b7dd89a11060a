"""PPO with memory, from the environment to the run."""

import dataclasses

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from harness.memory_envs import TMaze
from helpers.memory_makers import gru_model, memory_agent

from tensor_optix import LoopCallback, RLOptimizer, evaluate, load_agent, make_agent
from tensor_optix.adapters.tensorflow.learning.window_steps import read_steps
from tensor_optix.algorithms.ppo import PPOAgent
from tensor_optix.core.judgement.arena import GreedyActor
from tensor_optix.exceptions import InvalidArgumentError
from tensor_optix.pipeline.batch_pipeline import BatchPipeline
from tensor_optix.pipeline.live_pipeline import LivePipeline
from tensor_optix.testing import AgentConformance

SMALL = {"memory_units": 6, "hidden_units": (8, 8), "sequence_length": 8, "batch_size": 16, "jit_compile": False}


def make_maze():
    return TMaze(length=3)


def maze_agent(**changes):
    return make_agent(make_maze, "ppo", seed=1, **{"memory": "gru", **SMALL, **changes})


@pytest.mark.slow
class TestConformance(AgentConformance):
    window_size = 32

    def make_env(self):
        return make_maze()

    def make_agent(self):
        return maze_agent(memory="lstm")


@pytest.mark.parametrize("mode", AutoresetMode)
def test_ratios_are_1_at_the_first_gradient_step_of_each_window(mode):
    """Across windows, ends of episodes, and barriers; acting in NumPy, learning in TensorFlow."""
    agent = maze_agent(normalize_observations=False)
    env = SyncVectorEnv([make_maze] * 3, autoreset_mode=mode)
    pipeline = BatchPipeline(env, agent, window_size=11, seed=0, barrier_interval_steps=70)
    windows = pipeline.episodes()
    for _ in range(4):
        window = next(windows)
        acted = replayed_log_probs(agent, window)
        update = agent._learner._update
        rated = update.rate(read_steps(window, agent._inputs, agent._sampler))
        valid = np.ones(window.rewards.shape, bool) if window.valid is None else window.valid
        found = rated.log_probs.reshape(window.rewards.shape)
        np.testing.assert_allclose(found[valid], acted[valid], rtol=1e-5, atol=1e-5)
        agent.learn(window)
    pipeline.teardown()


def replayed_log_probs(agent, window):
    """Log-probabilities of a window's actions by the acting model, step by step, from the states that it tells."""
    forward, states, found = agent._forward.stateless, window.initial_states, []
    ended = window.terminated | window.truncated
    valid = np.ones(ended.shape, bool) if window.valid is None else window.valid
    for t in range(len(ended)):
        logits, *states = forward((window.observations[t], *states))
        found.append(agent._sampler.log_prob(logits, window.actions[t]))
        begins = ended[t] | ~valid[t]
        states = [np.where(begins[:, None], 0, state).astype(state.dtype) for state in states]
    return np.stack(found)


def test_several_environments_give_the_windows_that_each_gives_alone():
    together = BatchPipeline(
        SyncVectorEnv([make_maze] * 2, autoreset_mode=AutoresetMode.SAME_STEP),
        memory_agent_of(2),
        window_size=20,
        seed=0,
    )
    window = next(together.episodes())
    agent = memory_agent_of(2)
    replay = replayed_log_probs(agent, window)
    for n in range(2):
        alone = replayed_log_probs(agent, one_of(window, n))
        np.testing.assert_allclose(alone[:, 0], replay[:, n], rtol=1e-5, atol=1e-6)


def memory_agent_of(num_envs):
    maze = make_maze()
    return memory_agent(observation_space=maze.observation_space, action_space=maze.action_space, num_envs=num_envs)


def one_of(window, n):
    names = ["observations", "actions", "rewards", "terminated", "truncated", "next_observations"]
    part = {name: getattr(window, name)[:, n : n + 1] for name in names}
    return dataclasses.replace(window, initial_states=[x[n : n + 1] for x in window.initial_states], **part)


def test_evaluating_leaves_what_is_remembered_alone():
    agent = maze_agent()
    pipeline = BatchPipeline(make_maze(), agent, window_size=5, seed=0)
    next(pipeline.episodes())
    before = agent.memory_states(1)
    evaluate(agent, make_maze, num_episodes=2)
    evaluate(agent, lambda: SyncVectorEnv([make_maze] * 2), num_episodes=4)
    np.testing.assert_array_equal(agent.memory_states(1), before)


def test_evaluation_is_the_same_in_one_environment_and_by_a_policy():
    agent = maze_agent()
    alone, by_policy = (evaluate(actor, make_maze, num_episodes=6) for actor in (agent, agent.policy()))
    np.testing.assert_array_equal(alone.returns, by_policy.returns)
    many = lambda: SyncVectorEnv([make_maze] * 3)  # noqa: E731
    several, also = (evaluate(actor, many, num_episodes=6) for actor in (agent, agent.policy()))
    np.testing.assert_array_equal(several.lengths, also.lengths)


class StopsAt(LoopCallback):
    """Ends the run early, as Ctrl-C does."""

    def __init__(self, window):
        self.window, self.optimizer = window, None

    def on_episode_end(self, episode_id, eval_metrics):
        if episode_id == self.window:
            self.optimizer.stop()


def run_of(folder, *, stop_at=None, resume=False):
    agent, callback = maze_agent(), StopsAt(stop_at)
    env = lambda: SyncVectorEnv([make_maze] * 2)  # noqa: E731
    pipeline = BatchPipeline(env, window_size=16, barrier_interval_steps=96)
    settings = {"max_env_steps": 600, "seed": 5, "report_episodes": 0, "callbacks": [callback]}
    callback.optimizer = RLOptimizer(agent, pipeline, checkpoint_dir=str(folder), **settings)
    callback.optimizer.run(resume=resume)
    return agent, callback.optimizer.run_dir


def test_a_run_that_is_interrupted_and_resumed_is_the_run_that_never_was(tmp_path):
    whole, _ = run_of(tmp_path / "whole")
    run_of(tmp_path / "cut", stop_at=7)
    resumed, run_dir = run_of(tmp_path / "cut", resume=True)
    states = [agent.get_state("all").arrays for agent in (whole, resumed)]
    assert any(name.startswith("memory.") for name in states[0])
    assert states[0].keys() == states[1].keys()
    for name in states[0]:
        np.testing.assert_array_equal(states[0][name], states[1][name])
    loaded = load_agent(run_dir)
    assert loaded.remembers
    found = [evaluate(agent, make_maze, num_episodes=5).lengths for agent in (loaded, resumed)]
    np.testing.assert_array_equal(*found)


def test_states_go_on_in_mid_episode_in_another_process_as_it_were():
    """Saved between two steps of an episode, and taken up by a new agent: the same actions, to the last bit."""
    agent, other = maze_agent(), maze_agent()
    other.bind(make_maze().observation_space, make_maze().action_space, seed=77)
    rng = np.random.default_rng(0)
    seen = rng.normal(size=(8, 3)).astype(np.float32)
    for observation in seen[:4]:
        agent.act(observation)
    other.set_state(agent.get_state("all"))
    assert [agent.act(x) for x in seen[4:]] == [other.act(x) for x in seen[4:]]
    np.testing.assert_array_equal(agent.memory_states(1), other.memory_states(1))


def test_memory_is_for_networks_that_are_made_and_its_kinds_are_named():
    with pytest.raises(InvalidArgumentError, match=r"memory='gru' is for the networks that are built here"):
        PPOAgent(gru_model(), memory="gru")
    with pytest.raises(InvalidArgumentError, match=r"gru.*lstm.*elephant"):
        PPOAgent(memory="elephant")
    with pytest.raises(InvalidArgumentError, match=r"memory.*is for ppo"):
        make_agent("CartPole-v1", "dqn", memory="gru")
    assert not make_agent("CartPole-v1", "dqn", memory=None).remembers


class MazeFeed:
    """A maze that is walked in without end."""

    def __init__(self):
        self.maze = make_maze()
        self.observation_space, self.action_space = self.maze.observation_space, self.maze.action_space

    def stream(self):
        while True:
            observation, _ = self.maze.reset(seed=0)
            action, over = (yield observation, 0.0, False, False, {}), False
            while not over:
                observation, reward, terminated, truncated, _ = self.maze.step(action)
                over = terminated or truncated
                action = yield observation, reward, terminated, truncated, {}


def test_a_live_feed_tells_the_states_that_its_actions_were_chosen_on():
    agent = maze_agent(normalize_observations=False)
    pipeline = LivePipeline(MazeFeed(), agent, episode_boundary_fn=LivePipeline.every_n_steps(11))
    for _, window in zip(range(3), pipeline.episodes(), strict=False):
        rated = agent._learner._update.rate(read_steps(window, agent._inputs, agent._sampler))
        np.testing.assert_allclose(rated.log_probs, window.action_log_probs, rtol=1e-5, atol=1e-5)
    assert np.abs(window.initial_states[0]).max() > 0  # it began in mid-episode
    pipeline.teardown()


@pytest.mark.slow
def test_what_only_memory_can_solve_is_solved():
    env = lambda: SyncVectorEnv([lambda: TMaze(length=6)] * 8)  # noqa: E731
    agent = make_agent(lambda: TMaze(length=6), "ppo", memory="gru", memory_units=16, learning_rate=2e-3, seed=0)
    pipeline = BatchPipeline(env, agent, window_size=128, seed=0)
    for _, window in zip(range(40), pipeline.episodes(), strict=False):
        agent.learn(window)
    assert evaluate(agent, lambda: TMaze(length=6), num_episodes=40).mean > 0.95


def test_greedy_episodes_beside_running_ones_leave_what_is_remembered_alone():
    agent = maze_agent()
    next(BatchPipeline(make_maze(), agent, window_size=5, seed=0).episodes())
    before, seen = agent.memory_states(1), np.ones(3, np.float32)
    actor = GreedyActor(agent, give_way=lambda: None)
    actor.begin_episodes(np.ones(1, bool))
    chosen = [actor(seen) for _ in range(3)]
    np.testing.assert_array_equal(agent.memory_states(1), before)
    agent.begin_episodes(np.ones(1, bool))
    assert chosen == [agent.act_greedy(seen) for _ in range(3)]
