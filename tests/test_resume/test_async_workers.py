"""Worker processes carry nothing over a barrier that new ones would not have: in all modes, in both kinds of memory."""

import gymnasium as gym
import numpy as np
import pytest
from crossed import crossed
from gymnasium.vector import AsyncVectorEnv, AutoresetMode
from resume_fakes import LinearAgent, assert_same, interrupted, make_run, outcome_of

from tensor_optix import BatchPipeline

pytestmark = pytest.mark.usefixtures("save_at_every_barrier")


class ShortEpisodes(gym.Env):
    """Episodes of one to four steps, whose length and observations are drawn."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (4,), np.float64)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._left = int(self.np_random.integers(1, 5))
        return self.np_random.normal(size=4), {}

    def step(self, action):
        self._left -= 1
        reward = float(action) + 0.1 * self.np_random.normal()
        return self.np_random.normal(size=4), reward, self._left == 0, False, {}


def run(folder, mode, shared_memory, *, stop_at=None, resume=False):
    def make_env():
        return AsyncVectorEnv([ShortEpisodes] * 3, shared_memory=shared_memory, autoreset_mode=mode, context="fork")

    agent = LinearAgent(init_seed=77 if resume else 0)
    pipeline = BatchPipeline(make_env, agent, 5, barrier_interval_steps=30)
    settings = {"max_env_steps": 600, "seed": None if resume else 5, "stop_at": stop_at}
    optimizer = make_run(folder, agent=agent, pipeline=pipeline, **settings)
    return interrupted(optimizer) if stop_at else outcome_of(optimizer, optimizer.run(resume=resume))


@pytest.mark.parametrize(("mode", "shared_memory"), crossed(AutoresetMode, [True, False]))
def test_a_run_in_worker_processes_resumes_exactly(tmp_path, mode, shared_memory):
    expected = run(tmp_path / "left-alone", mode, shared_memory)
    run(tmp_path / "cut", mode, shared_memory, stop_at=13)
    assert_same(run(tmp_path / "cut", mode, shared_memory, resume=True), expected)


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_both_kinds_of_memory_make_the_same_run(tmp_path, mode):
    with_shared, without = (run(tmp_path / str(shared), mode, shared) for shared in (True, False))
    assert_same(without, with_shared)
