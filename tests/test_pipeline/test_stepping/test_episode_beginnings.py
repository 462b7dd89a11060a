"""Whoever acts is told where episodes begin, in every kind of environment."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from tensor_optix.core.base_agent import BaseAgent
from tensor_optix.pipeline.batch_pipeline import BatchPipeline
from tensor_optix.pipeline.evaluation import evaluate
from tensor_optix.pipeline.stepping.episode_beginnings import Beginnings, remembered, told_beginnings


class ShowsStep(gym.Env):
    """Shows how many steps the episode has; one of length ``length``."""

    observation_space = gym.spaces.Box(-1, 100, (1,), np.float32)
    action_space = gym.spaces.Discrete(200)

    def __init__(self, length):
        self.length = length

    def reset(self, *, seed=None, options=None):
        self.t = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        """One point for an action that tells the step."""
        reward, self.t = float(action == self.t), self.t + 1
        return np.array([self.t], np.float32), reward, self.t == self.length, False, {}


class Counts(BaseAgent):
    """Acts by how many steps it remembers, and looks at nothing."""

    def __init__(self):
        self.count = np.zeros(0, int)

    def begin_episodes(self, is_first):
        flags = np.asarray(is_first)
        self.count = np.where(flags, 0, self.count) if len(self.count) == len(flags) else np.zeros(len(flags), int)

    def memory_states(self, num_envs):
        return [self.count[:, None].copy()]

    def act_batch(self, observations):
        self.count = self.count + 1
        return self.count - 1

    def act(self, observation):
        return int(self.act_batch(None)[0])

    def learn(self, episode_data):
        return {}

    get_hyperparams = set_hyperparams = save_weights = load_weights = None


def environments(mode):
    return lambda: SyncVectorEnv([lambda n=n: ShowsStep(n) for n in (2, 3, 5)], autoreset_mode=mode)


ENVS = {"one": lambda: ShowsStep(3), **{mode.name: environments(mode) for mode in AutoresetMode}}


@pytest.mark.parametrize("kind", ENVS)
def test_what_is_remembered_fits_the_episode_in_windows_that_cut_it_anywhere(kind):
    pipeline = BatchPipeline(ENVS[kind](), Counts(), window_size=4, seed=0, barrier_interval_steps=45)
    windows = pipeline.episodes()
    for _ in range(12):
        window = next(windows)
        shown = window.observations[..., 0]
        valid = np.ones(shown.shape, bool) if window.valid is None else window.valid
        np.testing.assert_array_equal(window.actions[valid], shown[valid])
        started = window.initial_states[0][:, 0] == np.atleast_1d(shown[0])
        assert started[np.atleast_1d(valid[0])].all()
    pipeline.teardown()


@pytest.mark.parametrize("kind", ENVS)
def test_evaluation_tells_it_too(kind):
    found = evaluate(Counts(), ENVS[kind](), num_episodes=6, greedy=False)
    np.testing.assert_array_equal(found.returns, found.lengths)


def test_a_step_that_only_resets_comes_between_where_environments_need_one():
    told = {False: [], True: []}
    for waits, seen in told.items():
        beginnings, tell = Beginnings(2, waits), seen.append
        beginnings.tell(tell)
        for ended in ([True, False], [False, False]):
            beginnings.follow(np.array(ended))
            tell("step")
            beginnings.tell(tell)
    everywhere, here, step = [True, True], [True, False], "step"
    expected = {False: [everywhere, step, here, step], True: [everywhere, step, step, here]}
    assert {waits: [x if isinstance(x, str) else x.tolist() for x in seen] for waits, seen in told.items()} == expected


def test_who_does_not_want_to_know_is_not_told():
    class Silent(Counts):
        begin_episodes = BaseAgent.begin_episodes
        memory_states = BaseAgent.memory_states

    assert told_beginnings(Silent().act) is None
    assert remembered(Silent().act, 2) is None
    assert told_beginnings(lambda observation: 0) is None
    assert remembered(lambda observation: 0, 1) is None
    assert told_beginnings(Counts().act) is not None
