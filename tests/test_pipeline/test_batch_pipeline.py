"""Windows, seeds, barriers and episodes played between windows."""

import itertools

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from scripted_envs import ConstantAgent, CountingEnv, CountingVectorEnv, PolicyAgent, RandomLengthEnv, policy

from tensor_optix import RLOptimizer
from tensor_optix.adapters.tensorflow.tf_evaluator import TFEvaluator
from tensor_optix.core.base_agent import BaseAgent
from tensor_optix.exceptions import InvalidArgumentError
from tensor_optix.functional.seeding import derive_seed
from tensor_optix.pipeline.batch_pipeline import BatchPipeline
from tensor_optix.testing.fakes import SixMethodAgent


def take(pipeline, count):
    stream = pipeline.episodes()
    return [next(stream) for _ in range(count)]


def arrays(window):
    names = ("observations", "actions", "rewards", "terminated", "truncated", "next_observations", "completed_returns")
    return [getattr(window, name) for name in names]


def assert_same(windows, others):
    for window, other in zip(windows, others, strict=True):
        for array, other_array in zip(arrays(window), arrays(other), strict=True):
            np.testing.assert_array_equal(array, other_array)


def is_same(windows, others):
    try:
        assert_same(windows, others)
    except AssertionError:
        return False
    return True


# windows


def test_windows_are_exact_and_numbered_and_the_env_is_reset_only_when_it_ends():
    env = RandomLengthEnv(max_length=30)
    windows = take(BatchPipeline(env, PolicyAgent(), 17, seed=0), 6)
    assert [w.episode_id for w in windows] == list(range(6))
    assert all(w.length == 17 and w.env_steps == 17 for w in windows)
    assert all(w.valid is None for w in windows)
    ended_within = sum(int(np.sum(w.dones)) for w in windows) - int(windows[-1].dones[-1])
    assert env.num_resets == 1 + ended_within


@pytest.mark.parametrize("kind", ["box", "discrete"])
def test_dtypes_are_the_environments(kind):
    window = take(BatchPipeline(RandomLengthEnv(kind=kind), PolicyAgent(), 5, seed=0), 1)[0]
    assert (
        window.observations.dtype == window.next_observations.dtype == {"box": np.float32, "discrete": np.int64}[kind]
    )
    assert window.actions.dtype == np.int64
    assert window.rewards.dtype == np.float64
    assert window.terminated.dtype == window.truncated.dtype == np.bool_


def test_images_stay_uint8_and_nesting_is_kept():
    window = take(BatchPipeline(RandomLengthEnv(kind="dict"), PolicyAgent(), 5, seed=0), 1)[0]
    assert window.observations["image"].dtype == np.uint8
    assert window.observations["image"].shape == window.next_observations["image"].shape == (5, 2, 2)
    window = take(BatchPipeline(RandomLengthEnv(kind="tuple"), PolicyAgent(), 5, seed=0), 1)[0]
    assert isinstance(window.observations, tuple)
    assert window.observations[0].shape == (5, 3)


def test_a_reset_in_whole_numbers_does_not_make_the_observations_whole():
    class Sloppy(CountingEnv):
        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return np.zeros(1, np.int64), {}

        def step(self, action):
            observation, *rest = super().step(action)
            return observation + 0.5, *rest

    window = take(BatchPipeline(Sloppy(), ConstantAgent(), 3, seed=0), 1)[0]
    np.testing.assert_array_equal(window.next_observations, [[1.5], [2.5], [3.5]])


def test_values_without_fixed_shape_are_kept_as_objects():
    class Words(CountingEnv):
        def __init__(self):
            super().__init__(3)
            self.observation_space = spaces.Text(10)

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return "", {}

        def step(self, action):
            _, *rest = super().step(action)
            return "x" * self.t, *rest

    window = take(BatchPipeline(Words(), ConstantAgent(), 4, seed=0), 1)[0]
    assert window.observations.tolist() == ["", "x", "xx", ""]
    assert window.next_observations.tolist() == ["x", "xx", "xxx", "x"]


def test_dict_actions():
    class DictAction(CountingEnv):
        def __init__(self):
            super().__init__()
            self.action_space = spaces.Dict({"a": spaces.Discrete(2), "b": spaces.Box(-1, 1, (2,), np.float32)})

    class Agent:
        def act(self, observation):
            return {"a": 1, "b": np.array([0.5, -0.5], np.float32)}

    window = take(BatchPipeline(DictAction(), Agent(), 3, seed=0), 1)[0]
    np.testing.assert_array_equal(window.actions["a"], [1, 1, 1])
    assert window.actions["b"].shape == (3, 2)
    vector = SyncVectorEnv([DictAction] * 2)
    window = take(BatchPipeline(vector, Agent(), 3, seed=0), 1)[0]
    np.testing.assert_array_equal(window.actions["a"], np.ones((3, 2)))
    assert window.actions["b"].shape == (3, 2, 2)


def test_an_env_that_knows_no_spaces():
    class Bare:
        def reset(self, seed=None):
            return [0.0, 1.0], {}

        def step(self, action):
            return [1.0, 2.0], 1, False, False, {}

    pipeline = BatchPipeline(Bare(), ConstantAgent(), 3)
    assert pipeline.observation_space is pipeline.action_space is None
    assert take(pipeline, 1)[0].observations.tolist() == [[0.0, 1.0], [1.0, 2.0], [1.0, 2.0]]
    pipeline.teardown()


@pytest.mark.parametrize("make_env", [RandomLengthEnv, lambda: SyncVectorEnv([RandomLengthEnv] * 2, copy=False)])
def test_nothing_shares_memory_with_the_environment_or_another_window(make_env):
    env = make_env()
    agent = PolicyAgent()
    agent.act_batch = lambda obs: (agent.seen.append(obs), np.array([policy(o) for o in obs]))[1]
    pipeline = BatchPipeline(env, agent, 6, seed=1)
    windows = take(pipeline, 3)
    inner = [env] if isinstance(env, RandomLengthEnv) else [*env.envs]
    buffers = [e._buffer for e in inner] + ([env._observations] if not isinstance(env, RandomLengthEnv) else [])
    for array in [w.observations for w in windows] + [w.next_observations for w in windows] + agent.seen:
        assert not any(np.shares_memory(array, buffer) for buffer in buffers)
    np.testing.assert_array_equal(np.stack(agent.seen), np.concatenate([w.observations for w in windows]))
    assert not np.shares_memory(windows[0].observations, windows[0].next_observations)
    assert not np.shares_memory(windows[0].rewards, windows[1].rewards)


def test_an_agent_may_reuse_its_action_buffer():
    class Agent:
        buffer = np.zeros(2, np.int64)

        def act_batch(self, observations):
            self.buffer += 1
            self.buffer %= 5
            return self.buffer

        act = act_batch

    window = take(BatchPipeline(SyncVectorEnv([RandomLengthEnv] * 2), Agent(), 4, seed=0), 1)[0]
    np.testing.assert_array_equal(window.actions, [[1, 1], [2, 2], [3, 3], [4, 4]])


def test_act_batch_of_the_agent_is_used_and_the_default_one_works_on_dicts():
    class Six(BaseAgent):
        def act(self, observation):
            assert observation["features"].shape == (3,)
            return policy(observation)

        def learn(self, episode_data):
            return {}

        def get_hyperparams(self): ...
        def set_hyperparams(self, hyperparams): ...
        def save_weights(self, path): ...
        def load_weights(self, path): ...

    env = SyncVectorEnv([lambda: RandomLengthEnv(kind="dict")] * 2)
    assert take(BatchPipeline(env, Six(), 4, seed=0), 1)[0].actions.shape == (4, 2)


# scores


@pytest.mark.parametrize("vector", [False, True])
def test_a_perfect_policy_has_the_same_score_at_every_window_size(vector):
    for window_size in (*range(1, 80), *range(80, 600, 7), 499, 500, 501, 600):
        env = CountingVectorEnv() if vector else CountingEnv(500)
        length = 37 if vector else 500
        pipeline = BatchPipeline(env, ConstantAgent(3), window_size, seed=0, barrier_interval_steps=None)
        evaluator = TFEvaluator()
        stream = pipeline.episodes()
        scores = []
        for _ in range(max(2, 2 * (length + 1) // window_size + 1)):
            scores.append(evaluator.score(next(stream), {}).primary_score)
        finite = [score for score in scores if np.isfinite(score)]
        assert len(finite) >= 1, window_size
        assert set(finite) == {float(length)}, window_size


def test_returns_do_not_depend_on_the_window_size():
    def returns(window_size):
        windows = take(BatchPipeline(RandomLengthEnv(40), PolicyAgent(), window_size, seed=2), 600 // window_size)
        return np.concatenate([w.completed_returns for w in windows])

    expected = returns(600)
    for window_size in (1, 2, 3, 60, 200):
        np.testing.assert_array_equal(returns(window_size), expected)


# seeds


@pytest.mark.parametrize("make_env", [RandomLengthEnv, lambda: SyncVectorEnv([RandomLengthEnv] * 3)])
def test_same_seed_same_stream(make_env):
    def stream(seed):
        return take(BatchPipeline(make_env, PolicyAgent(), 7, seed=seed, barrier_interval_steps=40), 12)

    assert_same(stream(5), stream(5))
    assert not is_same(stream(5), stream(6))


def test_resets_are_seeded_along_the_env_path():
    seeds = []

    class Recording(CountingEnv):
        def reset(self, *, seed=None, options=None):
            seeds.append(seed)
            return super().reset(seed=seed)

    pipeline = BatchPipeline(Recording(3), ConstantAgent(), 4, seed=11, barrier_interval_steps=8)
    take(pipeline, 3)
    # one episode of 3 steps after another: 8 steps, the barrier, 4 steps
    assert seeds == [derive_seed(11, "env", 0), None, None, derive_seed(11, "env", 1), None]


def test_set_seed_counts_only_where_no_seed_was_given():
    assert BatchPipeline(CountingEnv(), seed=4).seed == 4
    pipeline = BatchPipeline(CountingEnv(), seed=4)
    pipeline.set_seed(9)
    assert pipeline.seed == 4
    pipeline = BatchPipeline(CountingEnv())
    pipeline.set_seed(9)
    assert pipeline.seed == 9
    assert BatchPipeline(CountingEnv()).seed != BatchPipeline(CountingEnv()).seed


def test_a_second_generator_goes_on_where_the_first_stopped():
    def pipeline():
        return BatchPipeline(RandomLengthEnv(30), PolicyAgent(), 7, seed=5)

    one, two = pipeline(), pipeline()
    assert_same([*take(one, 2), *take(one, 2)], take(two, 4))


def test_state_dict_continues_exactly_after_a_barrier():
    def pipeline():
        return BatchPipeline(RandomLengthEnv(30), PolicyAgent(), 7, seed=5, barrier_interval_steps=21)

    whole, first, second = take(pipeline(), 9), pipeline(), pipeline()
    assert_same(take(first, 3), whole[:3])
    second.load_state_dict(first.state_dict())
    rest = take(second, 6)
    assert_same(rest, whole[3:])
    assert [w.episode_id for w in rest] == list(range(3, 9))


# barriers


def test_barrier_cuts_what_runs_and_nothing_else():
    pipeline = BatchPipeline(CountingVectorEnv((4, 5, 6, 10)), ConstantAgent(4), 5, seed=0, barrier_interval_steps=None)
    assert pipeline.request_barrier()
    window, after = take(pipeline, 2)
    # at its last step, environment 0 only resets, 1 has just ended, 2 and 3 run
    np.testing.assert_array_equal(window.valid[-1], [False, True, True, True])
    np.testing.assert_array_equal(window.terminated[-1], [False, True, False, False])
    np.testing.assert_array_equal(window.truncated[-1], [False, False, True, True])
    np.testing.assert_array_equal(window.completed_returns, [4.0, 5.0])
    assert (window.metadata["barrier"], window.metadata["fresh_start"]) == (True, True)
    assert (after.metadata["barrier"], after.metadata["fresh_start"]) == (False, True)
    np.testing.assert_array_equal(after.observations[0], np.zeros((4, 1)))
    np.testing.assert_array_equal(after.completed_returns, [4.0, 5.0])
    assert after.valid[0].all()


def test_barriers_come_every_so_many_env_steps():
    single = BatchPipeline(CountingEnv(), ConstantAgent(), 4, seed=0, barrier_interval_steps=10)
    assert [w.metadata["barrier"] for w in take(single, 7)] == [False, False, True] * 2 + [False]
    vector = BatchPipeline(CountingVectorEnv(), ConstantAgent(3), 4, seed=0, barrier_interval_steps=24)
    assert [w.metadata["barrier"] for w in take(vector, 5)] == [False, True, False, True, False]
    assert single.barrier_interval_steps == 10
    assert BatchPipeline(CountingEnv()).barrier_interval_steps == 20_000
    assert BatchPipeline(CountingVectorEnv((500,) * 8)).barrier_interval_steps == 20_000
    # 64 environments take 312 steps each in 20,000: no longer episode would ever end
    assert BatchPipeline(CountingVectorEnv((500,) * 64)).barrier_interval_steps == 160_000
    assert BatchPipeline(CountingVectorEnv((500,) * 64), barrier_interval_steps=70).barrier_interval_steps == 70


def test_an_agent_that_learns_slowly_may_ask_for_barriers_closer_together():
    class Slow(ConstantAgent):
        barrier_interval_steps = 3_000

    assert BatchPipeline(CountingEnv(), Slow()).barrier_interval_steps == 3_000
    assert BatchPipeline(CountingEnv(), Slow(), barrier_interval_steps=7).barrier_interval_steps == 7
    assert BatchPipeline(CountingVectorEnv((500,) * 4), Slow()).barrier_interval_steps == 10_000


def test_an_episode_cut_by_a_barrier_counts_nowhere():
    pipeline = BatchPipeline(CountingEnv(7), ConstantAgent(), 5, seed=0, barrier_interval_steps=10)
    windows = take(pipeline, 4)
    assert [w.completed_lengths.tolist() for w in windows] == [[], [7], [], [7]]
    assert [bool(w.truncated[-1]) for w in windows] == [False, True, False, True]


def test_a_requested_barrier_ends_the_next_window_only():
    pipeline = BatchPipeline(CountingEnv(), ConstantAgent(), 4, seed=0)
    stream = pipeline.episodes()
    first = next(stream)
    pipeline.request_barrier()
    second, third = next(stream), next(stream)
    assert [w.metadata["barrier"] for w in (first, second, third)] == [False, True, False]


def test_an_interrupted_window_starts_afresh():
    class Interrupting(PolicyAgent):
        def act(self, observation):
            if len(self.seen) == 9:
                self.seen.append(None)
                raise KeyboardInterrupt
            return super().act(observation)

    pipeline = BatchPipeline(CountingEnv(), Interrupting(), 6, seed=0)
    stream = pipeline.episodes()
    next(stream)
    with pytest.raises(KeyboardInterrupt):
        next(stream)
    window = take(pipeline, 1)[0]
    assert window.episode_id == 1
    assert window.metadata["fresh_start"]
    assert window.observations[0] == 0


# episodes between windows


class Batched:
    def __init__(self):
        self.calls = 0

    def __call__(self, observation):
        raise AssertionError("one by one")

    def batch(self, observations):
        self.calls += 1
        return np.array([policy(observation) for observation in observations])


@pytest.mark.parametrize("make_env", [RandomLengthEnv, lambda: SyncVectorEnv([RandomLengthEnv] * 3)])
def test_playing_between_windows_leaves_the_stream_as_it_was(make_env):
    def stream(play):
        pipeline = BatchPipeline(make_env, PolicyAgent(), 7, seed=5, barrier_interval_steps=20)
        windows = []
        if play:
            pipeline.play_episodes(policy, 4, seed=1)
        for window in pipeline.episodes():
            windows.append(window)
            if play and window.metadata["barrier"]:
                pipeline.play_episodes(policy, 4, seed=1)
            if len(windows) == 9:
                return windows

    assert_same(stream(play=True), stream(play=False))


def test_single_episodes_have_seeds_of_their_own():
    result = BatchPipeline(RandomLengthEnv(), seed=0).play_episodes(policy, 5, seed=21)
    for i in range(5):
        env = RandomLengthEnv()
        observation, _ = env.reset(seed=derive_seed(21, "episode", i))
        total, length, over = 0.0, 0, False
        while not over:
            observation, reward, terminated, truncated, _ = env.step(policy(observation))
            total, length, over = total + reward, length + 1, terminated or truncated
        assert (result.returns[i], result.lengths[i]) == (total, length)
    assert result.env_steps == result.lengths.sum()
    assert result.mean == pytest.approx(result.returns.mean())
    assert result.interval[0] < result.mean < result.interval[1]


@pytest.mark.parametrize("mode", list(AutoresetMode))
@pytest.mark.parametrize("num_episodes", [2, 3, 10])
def test_vector_episodes_are_the_first_of_each_environment(mode, num_episodes):
    env = SyncVectorEnv([RandomLengthEnv] * 3, autoreset_mode=mode)
    result = BatchPipeline(env, seed=0).play_episodes(policy, num_episodes, seed=21)
    expected = {}
    for n in range(3):
        env = RandomLengthEnv()
        observation, _ = env.reset(seed=derive_seed(21, "episode", 0) + n)
        for k in range(num_episodes // 3 + (n < num_episodes % 3)):
            total, length, over = 0.0, 0, False
            while not over:
                observation, reward, terminated, truncated, _ = env.step(policy(observation))
                total, length, over = total + reward, length + 1, terminated or truncated
            expected[k, n] = (total, length)
            observation, _ = env.reset()
    assert list(zip(result.returns, result.lengths, strict=True)) == [expected[key] for key in sorted(expected)]


def test_short_episodes_are_not_favoured():
    result = BatchPipeline(CountingVectorEnv((2, 50)), seed=0).play_episodes(lambda obs: 0, 10, seed=0)
    assert result.lengths.tolist() == [2, 50] * 5


def test_the_batch_attribute_acts_for_all_environments():
    act = Batched()
    result = BatchPipeline(SyncVectorEnv([RandomLengthEnv] * 3), seed=0).play_episodes(act, 6, seed=2)
    assert result.env_steps == 3 * act.calls
    one_by_one = BatchPipeline(SyncVectorEnv([RandomLengthEnv] * 3), seed=0).play_episodes(policy, 6, seed=2)
    np.testing.assert_array_equal(result.returns, one_by_one.returns)


def test_endless_episodes_are_cut_at_10_000_steps():
    pipeline = BatchPipeline(CountingEnv(10**9), seed=0)
    assert pipeline.play_episodes(lambda obs: 0, 2, seed=0).lengths.tolist() == [10_000, 10_000]
    pipeline = BatchPipeline(PaysItsClock(CountingVectorEnv((10**9, 6000))), seed=0)
    result = pipeline.play_episodes(Zeros(), 4, seed=0)
    assert result.lengths.tolist() == [10_000, 6000, 10_000, 6000]
    # 1 + 2 + ... from a fresh start each time, also after a cut
    assert result.returns.tolist() == [n * (n + 1) / 2 for n in (10_000, 6000)] * 2


class PaysItsClock(gym.vector.VectorWrapper):
    def step(self, actions):
        observations, _, *rest = self.env.step(actions)
        return observations, observations[:, 0], *rest


class Zeros:
    def batch(self, observations):
        return np.zeros(len(observations), np.int64)


@pytest.mark.parametrize("vector", [False, True])
def test_a_known_time_limit_is_trusted(vector):
    def make_env():
        return gym.wrappers.TimeLimit(CountingEnv(10**9), 10_050)

    def registered():
        env = make_env()
        env.unwrapped.spec = gym.envs.registration.EnvSpec("Counting-v0", max_episode_steps=10_050)
        return env

    env = SyncVectorEnv([registered] * 2) if vector else registered()
    assert BatchPipeline(env, seed=0).play_episodes(lambda obs: 0, 1, seed=0).lengths.tolist() == [10_050]


# opening and closing


def test_a_callable_is_called_again_after_teardown():
    made = []

    def make_env():
        made.append(CountingEnv(7))
        return made[-1]

    pipeline = BatchPipeline(make_env, ConstantAgent(), 5, seed=0)
    pipeline.setup()
    assert len(made) == 1
    take(pipeline, 1)
    pipeline.teardown()
    pipeline.teardown()
    pipeline.setup()
    window = take(pipeline, 1)[0]
    assert len(made) == 2
    assert (window.episode_id, window.metadata["fresh_start"]) == (1, True)
    assert window.completed_returns.size == 0


class Closing(CountingEnv):
    closed = 0

    def close(self):
        self.closed += 1


@pytest.mark.parametrize("close_env", [False, True])
def test_an_instance_is_closed_only_where_that_was_asked_for_and_works_again(close_env):
    env = Closing()
    pipeline = BatchPipeline(env, ConstantAgent(), 5, seed=0, close_env=close_env)
    take(pipeline, 1)
    pipeline.teardown()
    pipeline.teardown()
    assert env.closed == close_env
    pipeline.setup()
    assert len(take(pipeline, 2)) == 2
    assert pipeline.env is env


@pytest.mark.parametrize("close_env", [False, True])
def test_what_the_pipeline_made_it_closes(close_env):
    made = []
    pipeline = BatchPipeline(lambda: made.append(Closing()) or made[-1], ConstantAgent(), 5, close_env=close_env)
    pipeline.teardown()
    pipeline.setup()
    pipeline.teardown()
    assert [env.closed for env in made] == [1, 1]


@pytest.mark.parametrize("vector", [False, True])
def test_a_run_leaves_the_users_environment_open_and_closes_what_it_made(tmp_path, vector):
    """Two runs of one optimizer, with an environment of its own to evaluate in."""
    made, given = [], SyncVectorEnv([lambda: Closing(3)] * 2) if vector else Closing(3)
    agent = SixMethodAgent()
    optimizer = RLOptimizer(
        agent,
        BatchPipeline(given, agent, 9),
        checkpoint_dir=str(tmp_path),
        max_episodes=3,
        evaluation_env=lambda: made.append(Closing(3)) or made[-1],
        report_episodes=2,
    )
    assert made == []
    for _ in range(2):
        assert optimizer.run().report.num_episodes == 2
    assert [env.closed for env in made] == [1, 1]
    assert not any(env.closed for env in (given.envs if vector else [given]))
    given.reset(seed=1)
    given.step(np.zeros(2, np.int64) if vector else 0)


def test_an_evaluation_env_that_was_given_stays_open(tmp_path):
    given, agent = Closing(3), SixMethodAgent()
    optimizer = RLOptimizer(
        agent,
        BatchPipeline(lambda: CountingEnv(3), agent, 9),
        checkpoint_dir=str(tmp_path),
        max_episodes=3,
        evaluation_env=given,
        report_episodes=2,
    )
    optimizer.run()
    assert optimizer.run().report.num_episodes == 2
    assert given.closed == 0


def test_a_failure_to_close_is_logged(caplog):
    class Stuck(CountingEnv):
        def close(self):
            raise OSError("stuck")

    BatchPipeline(Stuck, ConstantAgent()).teardown()
    assert "could not be closed" in caplog.text


def test_what_it_says_of_itself():
    agent = ConstantAgent()
    pipeline = BatchPipeline(SyncVectorEnv([CountingEnv] * 4), agent)
    assert (pipeline.num_envs, pipeline.is_vector, pipeline.is_live, pipeline.window_size) == (4, True, False, 200)
    assert pipeline.action_space == spaces.Discrete(2)
    assert pipeline.observation_space.shape == (1,)
    assert pipeline.agent is agent
    assert isinstance(pipeline.env, SyncVectorEnv)
    assert BatchPipeline(CountingEnv()).num_envs == 1


@pytest.mark.parametrize("mode", [None, *gym.vector.AutoresetMode])
def test_a_window_may_be_cut_and_only_that_one(mode):
    def make():
        if mode is None:
            return RandomLengthEnv(reuses_buffer=False)
        makers = [lambda: RandomLengthEnv(reuses_buffer=False)] * 3
        return gym.vector.SyncVectorEnv(makers, autoreset_mode=mode)

    num_envs = 1 if mode is None else 3
    cut, whole = (BatchPipeline(make, PolicyAgent(), 10, seed=0) for _ in range(2))
    expected = next(whole.episodes())
    assert cut.limit_window(4 * num_envs + num_envs - 1)
    first, second = itertools.islice(cut.episodes(), 2)
    assert first.length == 4
    assert first.metadata["cut_short"] is True
    assert "cut_short" not in second.metadata
    assert second.length == 10
    np.testing.assert_array_equal(first.rewards, expected.rewards[:4])
    np.testing.assert_array_equal(second.rewards[:6], expected.rewards[4:])
    assert cut.limit_window(1000 * num_envs)
    assert next(cut.episodes()).length == 10


def test_a_window_of_no_steps_is_refused():
    pipeline = BatchPipeline(lambda: gym.vector.SyncVectorEnv([CountingEnv] * 3), PolicyAgent(), 10)
    with pytest.raises(InvalidArgumentError, match="`env_steps` must be an integer >= 3"):
        pipeline.limit_window(2)
