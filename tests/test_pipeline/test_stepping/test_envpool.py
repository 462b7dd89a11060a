"""EnvPool: fixed seeds, unbatched spaces; a stand-in, and the real one where it is installed."""

from typing import ClassVar

import numpy as np
import pytest
from gymnasium import spaces
from scripted_envs import ConstantAgent

from tensor_optix.exceptions import InvalidArgumentError
from tensor_optix.functional.seeding import derive_seed
from tensor_optix.pipeline.batch_pipeline import BatchPipeline
from tensor_optix.pipeline.evaluation import evaluate
from tensor_optix.pipeline.stepping.env_kinds import guard_of
from tensor_optix.presets import make_pipeline


class FakeSpec:
    def __init__(self, config):
        self.config = config

    @staticmethod
    def gen_config(**config):
        return config


class FakeEnvPool:
    """Numbers from the seed it was made with; ``reset(seed=...)`` is ignored, spaces are unbatched."""

    made: ClassVar[list[int]] = []

    def __init__(self, spec):
        self.spec = spec
        self.rng = np.random.default_rng(spec.config["seed"])
        self.observation_space = spaces.Box(-1, 1, (2,), np.float32)
        self.action_space = spaces.Discrete(2)
        self.made.append(spec.config["seed"])

    @property
    def config(self):
        return self.spec.config

    def _observation(self):
        return self.rng.normal(size=(self.config["num_envs"], 2)).astype(np.float32)

    def reset(self, env_id=None, *, seed=None, options=None):
        assert seed is None, "a warning in the real one"
        self.over = np.zeros(self.config["num_envs"], bool)
        return self._observation(), {}

    def step(self, actions):
        rewards = np.where(self.over, 0, 1).astype(np.float32)
        self.over = ~self.over & (self.rng.random(len(self.over)) < 0.3)
        return self._observation(), rewards, self.over.copy(), np.zeros_like(self.over), {}


def make(seed=7, num_envs=3, **config):
    return FakeEnvPool(FakeSpec({"num_envs": num_envs, "seed": seed, "max_episode_steps": 100, **config}))


def stream(count, **arguments):
    pipeline = BatchPipeline(make(), ConstantAgent(3), 5, barrier_interval_steps=30, **arguments)
    windows = pipeline.episodes()
    return pipeline, [next(windows) for _ in range(count)]


def test_it_is_rebuilt_from_the_derived_seed():
    FakeEnvPool.made.clear()
    pipeline, windows = stream(3, seed=1)
    assert FakeEnvPool.made == [7, derive_seed(1, "env", 0), derive_seed(1, "env", 1)]
    assert pipeline.num_envs == 3
    assert pipeline.observation_space.shape == (2,)
    assert windows[0].observations.shape == (5, 3, 2)
    np.testing.assert_array_equal(windows[0].observations, stream(1, seed=1)[1][0].observations)
    assert not np.array_equal(windows[0].observations, stream(1, seed=2)[1][0].observations)


def test_its_episodes():
    one = evaluate(lambda observation: 0, make(), 6, seed=3)
    other = evaluate(lambda observation: 0, make(), 6, seed=3)
    np.testing.assert_array_equal(one.returns, other.returns)
    np.testing.assert_array_equal(one.returns, one.lengths)


def test_its_time_limit_is_known():
    assert guard_of(make()).step_limit == float("inf")
    assert guard_of(make(max_episode_steps=0)).step_limit == 10_000


def test_windows_are_shared_by_all_of_its_environments():
    """The default is so many steps for each update, however many environments take them."""
    one = make_pipeline(make(num_envs=1), algorithm="ppo")
    assert make_pipeline(make(num_envs=4), algorithm="ppo").window_size == one.window_size // 4


def test_it_must_step_all_at_once():
    with pytest.raises(InvalidArgumentError, match=r"batch_size must equal num_envs=3. Received: batch_size=2"):
        BatchPipeline(make(batch_size=2))


def test_the_real_one():
    envpool = pytest.importorskip("envpool")

    def windows(seed):
        env = envpool.make("CartPole-v1", env_type="gymnasium", num_envs=3)
        pipeline = BatchPipeline(env, ConstantAgent(3), 40, seed=seed, barrier_interval_steps=200)
        taken = [window for _, window in zip(range(4), pipeline.episodes(), strict=False)]
        return taken, pipeline.play_episodes(lambda observation: 0, 6, seed=1)

    taken, result = windows(0)
    again, result_again = windows(0)
    for window, other in zip(taken, again, strict=True):
        np.testing.assert_array_equal(window.next_observations, other.next_observations)
        np.testing.assert_array_equal(window.rewards, window.valid)
    np.testing.assert_array_equal(result.returns, result_again.returns)
    assert not np.array_equal(taken[0].observations, windows(1)[0][0].observations)
