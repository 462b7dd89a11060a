"""PPO masters what it should: every action space, images, and the tasks of the field."""

import gymnasium as gym
import numpy as np
import pytest
from harness.small_envs import CatchEnv, IdentityEnv
from ppo_makers import ACTION_SPACES

from tensor_optix import BatchPipeline, RLOptimizer, evaluate
from tensor_optix.algorithms.ppo import PPOAgent
from tensor_optix.core.types import HyperparamSet
from tensor_optix.presets import make_agent, make_pipeline


def train(make_env, num_windows, seed=0, window_size=64, num_envs=8, **structure):
    """Learn in the bare loop; return the agent."""
    hyperparams = HyperparamSet({"learning_rate": 1e-3, "gamma": 0.5}, 0)
    agent = PPOAgent(hyperparams=hyperparams, jit_compile=False, **{"hidden_units": (32,), **structure})
    pipeline = BatchPipeline(gym.vector.SyncVectorEnv([make_env] * num_envs), agent, window_size, seed=seed)
    agent.bind(pipeline.observation_space, pipeline.action_space, num_envs=num_envs, seed=seed)
    windows = pipeline.episodes()
    for _ in range(num_windows):
        agent.learn(next(windows))
    return agent


@pytest.mark.parametrize(("name", "goal"), [("discrete", 0.99), ("multi_discrete", 0.97), ("multi_binary", 0.97)])
def test_it_gives_the_action_that_it_is_shown(name, goal):
    agent = train(lambda: IdentityEnv(ACTION_SPACES[name]), num_windows=40)
    result = evaluate(agent, IdentityEnv(ACTION_SPACES[name]), 10, seed=9)
    assert result.mean / 20 >= goal


def test_it_goes_to_the_place_in_a_box_that_it_is_shown():
    agent = train(lambda: IdentityEnv(ACTION_SPACES["box"]), num_windows=40)
    result = evaluate(agent, IdentityEnv(ACTION_SPACES["box"]), 10, seed=9)
    assert result.mean / 20 >= 0.9


class Targets(gym.Env):
    """Each step is an episode: be near a target, between bounds on both sides, on one, on none, and of no width."""

    observation_space = gym.spaces.Box(-1.0, 1.0, (2,))
    action_space = gym.spaces.Box(
        np.float32([5, -np.inf, -np.inf, -2, 7, -1e38]), np.float32([np.inf, -5, np.inf, 2, 7, 1e38])
    )
    targets = np.float32([7, -7, 1.5, 1, 7, -1])

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(2, np.float32), {}

    def step(self, action):
        assert self.action_space.contains(action)
        return np.zeros(2, np.float32), -float(np.square(action - self.targets).sum()), True, False, {}


def test_it_finds_places_between_bounds_of_every_kind():
    agent = train(Targets, num_windows=40)
    for act in (agent.act_greedy, lambda seen: agent.policy_model()(seen[None])[0]):
        np.testing.assert_allclose(act(np.zeros(2, np.float32)), Targets.targets, atol=0.35)
    spread = agent.get_state().arrays["log_std.0"]
    assert spread[4] == np.log(np.float32(0.6)), "a place of no width has no spread to learn"
    assert (spread[[0, 1, 2, 3, 5]] < spread[4]).all()


@pytest.mark.slow
def test_it_learns_from_pixels(tmp_path):
    pipeline = make_pipeline(CatchEnv)
    agent, folder = make_agent(CatchEnv, "ppo"), str(tmp_path)
    result = RLOptimizer(agent, pipeline, checkpoint_dir=folder, seed=0, max_env_steps=60_000).run()
    assert result.report.mean >= 0.9


@pytest.mark.slow
@pytest.mark.parametrize(
    ("env_id", "env_steps", "goal"),
    [("CartPole-v1", 100_000, 490.0), ("Acrobot-v1", 200_000, -100.0), ("Pendulum-v1", 300_000, -220.0)],
)
def test_it_learns_with_one_set_of_defaults(env_id, env_steps, goal, tmp_path):
    optimizer = RLOptimizer(
        make_agent(env_id, "ppo"),
        make_pipeline(env_id),
        checkpoint_dir=str(tmp_path),
        seed=0,
        max_env_steps=env_steps,
    )
    assert optimizer.run().report.mean >= goal


@pytest.mark.slow
def test_it_starts_on_the_pixels_of_an_arcade_game(tmp_path):
    pytest.importorskip("ale_py", reason="extra tensor-optix[atari]")
    game, folder = "ale_py:ALE/Pong-v5", str(tmp_path)
    agent, pipeline = make_agent(game, "ppo", num_epochs=1), make_pipeline(game, num_envs=2, window_size=250)
    result = RLOptimizer(agent, pipeline, checkpoint_dir=folder, seed=0, max_env_steps=2_000, report_episodes=0).run()
    assert result.env_steps["training"] == 2_000
    assert all(np.isfinite(value).all() for value in agent.get_state("policy").arrays.values())


def test_the_identity_task_is_worth_what_it_says():
    env = IdentityEnv(ACTION_SPACES["box"])
    observation, _ = env.reset(seed=0)
    low, high = env.action_space.low, env.action_space.high
    right = low + (observation + 1) / 2 * (high - low)
    _, reward, terminated, truncated, _ = env.step(right)
    assert (reward, terminated, truncated) == (pytest.approx(1.0, abs=1e-6), False, False)
    for _ in range(18):
        _, reward, _, truncated, _ = env.step(np.array([0.0, 0.0], np.float32))
        assert reward < 1.0
        assert not truncated
    assert env.step(low)[3]


def test_a_caught_ball_is_worth_one():
    env = CatchEnv(rows=6, columns=3)
    image, _ = env.reset(seed=0)
    ball = int(np.argmax(image[0, :, 0]))
    rewards = [env.step(1 if step else ball)[1:3] for step in range(5)]
    assert rewards == [(0.0, False)] * 4 + [(1.0, True)]
