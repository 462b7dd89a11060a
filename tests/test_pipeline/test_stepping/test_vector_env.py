"""N environments stepped together give the transitions of N environments stepped alone."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_envs import PolicyAgent, RandomLengthEnv, policy

from tensor_optix.functional.seeding import derive_seed
from tensor_optix.pipeline.batch_pipeline import BatchPipeline
from tensor_optix.pipeline.evaluation import evaluate
from tensor_optix.pipeline.stepping.space_layout import Layout
from tensor_optix.pipeline.stepping.window_builder import WindowBuilder

MODES = list(AutoresetMode)


def maker(mode, max_length=7, kind="box"):
    return lambda: RandomLengthEnv(max_length, kind, reuses_buffer=mode is not AutoresetMode.SAME_STEP)


def frozen(observation):
    """An observation as nested bytes, so that equality is exact and buffers cannot alias."""
    if isinstance(observation, dict):
        return {key: frozen(value) for key, value in observation.items()}
    if isinstance(observation, tuple):
        return tuple(frozen(value) for value in observation)
    return np.array(observation).tobytes()


def row(nested, index):
    if isinstance(nested, dict):
        return {key: row(value, index) for key, value in nested.items()}
    if isinstance(nested, tuple):
        return tuple(row(value, index) for value in nested)
    return nested[index]


class AloneOracle:
    """Steps one environment by hand, as Gymnasium's documentation does."""

    def __init__(self, make_env, seed, n):
        self.env, self.seed, self.n = make_env(), seed, n
        self.start(0)

    def start(self, num_barriers):
        observation, _ = self.env.reset(seed=derive_seed(self.seed, "env", num_barriers) + self.n)
        self.observation = frozen(observation)
        self.raw = observation
        self.just_ended = False
        self.total, self.length = 0.0, 0

    def step(self):
        action = policy(self.raw)
        before = self.observation
        raw, reward, terminated, truncated, _ = self.env.step(action)
        successor = frozen(raw)
        self.total, self.length = self.total + reward, self.length + 1
        ended = None
        self.raw, self.observation = raw, successor
        if terminated or truncated:
            ended = (self.total, self.length)
            self.total, self.length = 0.0, 0
            self.raw, _ = self.env.reset()
            self.observation = frozen(self.raw)
        return [before, action, reward, successor, terminated, truncated], ended


def check(pipeline, make_env, num_windows, *, seed, next_step, barrier_interval):
    """Compare every array of every window with the oracle, element by element."""
    num_envs, size = pipeline.num_envs, pipeline.window_size
    oracles = [AloneOracle(make_env, seed, n) for n in range(num_envs)]
    stream = pipeline.episodes()
    steps_since_barrier = num_barriers = 0
    skipping = np.zeros(num_envs, bool)
    for window_id in range(num_windows):
        window = next(stream)
        assert window.episode_id == window_id
        by_env = (lambda a: a) if pipeline.is_vector else (lambda a: np.asarray(a)[:, None])
        steps_since_barrier += size * num_envs
        barrier = steps_since_barrier >= barrier_interval
        assert window.metadata["barrier"] == barrier
        episodes = []
        for t in range(size):
            for n in range(num_envs):
                at = (t, n) if pipeline.is_vector else t
                flags = bool(window.terminated[at]), bool(window.truncated[at])
                if skipping[n]:
                    skipping[n] = False
                    assert (window.valid[at], window.rewards[at], *flags) == (False, 0.0, False, False)
                    continue
                expected, ended = oracles[n].step()
                if ended:
                    episodes.append(ended)
                    skipping[n] = next_step
                elif barrier and t == size - 1:
                    expected[5] = True
                got = [
                    frozen(row(window.observations, at)),
                    window.actions[at],
                    window.rewards[at],
                    frozen(row(window.next_observations, at)),
                    *flags,
                ]
                assert got == expected
                assert window.valid is None or window.valid[at]
        assert by_env(window.rewards).shape == (size, num_envs)
        assert len(window.infos) == size
        assert list(zip(window.completed_returns, window.completed_lengths, strict=True)) == episodes
        if barrier:
            num_barriers, steps_since_barrier = num_barriers + 1, 0
            skipping[:] = False
            for oracle in oracles:
                oracle.start(num_barriers)


@pytest.mark.parametrize("mode", MODES)
@given(
    num_envs=st.integers(1, 5),
    window_size=st.integers(1, 50),
    max_length=st.integers(1, 12),
    kind=st.sampled_from(["box", "discrete", "dict", "tuple"]),
    copy=st.booleans(),
    barrier_interval=st.integers(1, 200),
    seed=st.integers(0, 2**31 - 1),
)
@settings(max_examples=40, deadline=None)
def test_vector_equals_single(mode, num_envs, window_size, max_length, kind, copy, barrier_interval, seed):
    make_env = maker(mode, max_length, kind)
    env = SyncVectorEnv([make_env] * num_envs, copy=copy, autoreset_mode=mode)
    pipeline = BatchPipeline(env, PolicyAgent(), window_size, seed=seed, barrier_interval_steps=barrier_interval)
    num_windows = max(3, 60 // window_size)
    next_step = mode is AutoresetMode.NEXT_STEP
    check(pipeline, make_env, num_windows, seed=seed, next_step=next_step, barrier_interval=barrier_interval)


@given(
    window_size=st.integers(1, 50),
    max_length=st.integers(1, 12),
    kind=st.sampled_from(["box", "discrete", "dict", "tuple"]),
    barrier_interval=st.integers(1, 200),
    seed=st.integers(0, 2**31 - 1),
)
@settings(max_examples=40, deadline=None)
def test_single_equals_plain_loop(window_size, max_length, kind, barrier_interval, seed):
    def make_env():
        return RandomLengthEnv(max_length, kind)

    pipeline = BatchPipeline(make_env, PolicyAgent(), window_size, seed=seed, barrier_interval_steps=barrier_interval)
    num_windows = max(3, 120 // window_size)
    check(pipeline, make_env, num_windows, seed=seed, next_step=False, barrier_interval=barrier_interval)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shared_memory", [True, False])
def test_async_equals_single(mode, shared_memory):
    env = AsyncVectorEnv([maker(mode)] * 2, shared_memory=shared_memory, autoreset_mode=mode, context="fork")
    next_step = mode is AutoresetMode.NEXT_STEP
    pipeline = BatchPipeline(env, PolicyAgent(), 5, seed=3, barrier_interval_steps=20)
    try:
        check(pipeline, maker(mode), 40, seed=3, next_step=next_step, barrier_interval=20)
    finally:
        pipeline.teardown()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shared_memory", [True, False])
def test_async_plays_the_same_episodes_again(mode, shared_memory):
    """Though workers were left about to reset, by another evaluation or by windows of a pipeline."""
    env = AsyncVectorEnv([maker(mode)] * 2, shared_memory=shared_memory, autoreset_mode=mode, context="fork")
    try:
        first, again = (evaluate(PolicyAgent(), env, num_episodes=5, seed=1) for _ in range(2))
        next(iter(BatchPipeline(env, PolicyAgent(), 7, seed=3).episodes()))
        after_windows = evaluate(PolicyAgent(), env, num_episodes=5, seed=1)
    finally:
        env.close()
    assert first.returns.tolist() == again.returns.tolist() == after_windows.returns.tolist()


@pytest.mark.parametrize("mode", MODES)
def test_wrapped_vector_env(mode):
    env = SyncVectorEnv([maker(mode)] * 3, autoreset_mode=mode)
    pipeline = BatchPipeline(gym.wrappers.vector.RecordEpisodeStatistics(env), PolicyAgent(), 11, seed=9)
    check(pipeline, maker(mode), 6, seed=9, next_step=mode is AutoresetMode.NEXT_STEP, barrier_interval=20_000)


def test_gymnasium_1_0_says_no_mode_and_means_next_step():
    env = SyncVectorEnv([RandomLengthEnv] * 2)
    del env.metadata["autoreset_mode"]
    pipeline = BatchPipeline(env, PolicyAgent(), 13, seed=5)
    check(pipeline, RandomLengthEnv, 5, seed=5, next_step=True, barrier_interval=20_000)


@pytest.mark.parametrize("batched", [True, False])
def test_same_step_finals_as_one_array(batched):
    """Some native environments give final observations as one array, or under the older key."""

    class Repacked(gym.vector.VectorWrapper):
        def step(self, actions):
            *rest, info = self.env.step(actions)
            if "final_obs" in info:
                finals = info.pop("final_obs")
                info["final_observation"] = (
                    np.stack([np.zeros(3, np.float32) if f is None else f for f in finals]) if batched else finals
                )
            return *rest, info

    make_env = maker(AutoresetMode.SAME_STEP)
    env = Repacked(SyncVectorEnv([make_env] * 2, autoreset_mode=AutoresetMode.SAME_STEP))
    pipeline = BatchPipeline(env, PolicyAgent(), 9, seed=5)
    check(pipeline, make_env, 5, seed=5, next_step=False, barrier_interval=20_000)


def test_a_reward_on_a_step_that_only_resets_is_ignored():
    class Chatty(gym.vector.VectorWrapper):
        def reset(self, **kwargs):
            self.over = np.zeros(2, bool)
            return self.env.reset(**kwargs)

        def step(self, actions):
            observations, rewards, terminated, truncated, info = self.env.step(actions)
            resets, self.over = self.over, terminated | truncated
            return observations, np.where(resets, 7.0, rewards), terminated, truncated, info

    pipeline = BatchPipeline(Chatty(SyncVectorEnv([RandomLengthEnv] * 2)), PolicyAgent(), 9, seed=5)
    check(pipeline, RandomLengthEnv, 5, seed=5, next_step=True, barrier_interval=20_000)


def test_an_episode_that_is_over_when_it_is_reset_counts_nowhere():
    window = WindowBuilder(Layout.of(0.0), 4, (1,))
    window.rewards[:] = 1.0
    window.terminated[:, 0] = [True, True, False, False]  # the second step only resets, and so does the third
    window.note_ended(np.array([False]))
    window.mask_resets()
    assert window.valid[:, 0].tolist() == [True, False, False, True]
    assert window.terminated[:, 0].tolist() == [True, False, False, False]
    assert window.rewards[:, 0].tolist() == [1.0, 0.0, 0.0, 1.0]
