"""Environments that fail, for real: what is kept, what is dropped, and what is said."""

import gymnasium as gym
import numpy as np
import pytest

from tensor_optix import BatchPipeline
from tensor_optix.exceptions import EnvironmentFailureError, InvalidArgumentError, NonFiniteError
from tensor_optix.functional.seeding import derive_seed
from tensor_optix.pipeline.stepping.env_keeper import MAX_FAILURES
from tensor_optix.testing.fakes import RewardEvaluator, StatefulAgent


class Brittle(gym.Env):
    """Observes ``[life, steps]``; reward is the step's number in its life; breaks as told.

    ``plan`` maps (life, step in that life) to what goes wrong there: "raise", "reward",
    "observation" or "reset". A life is one instance; episodes are 6 steps long.
    """

    observation_space = gym.spaces.Box(-1e9, 1e9, (2,), np.float64)
    action_space = gym.spaces.Discrete(2)
    lives = 0
    closed = 0

    def __init__(self, plan=None):
        self.plan = plan or {}
        self.life = type(self).lives
        type(self).lives += 1
        self.num_steps = 0
        self.in_episode = 0
        self.seeds = []

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None:
            self.seeds.append(seed)
        if self.plan.get((self.life, self.num_steps)) == "reset":
            raise OSError("will not start")
        self.in_episode = 0
        return np.array([self.life, self.num_steps], np.float64), {}

    def step(self, action):
        problem = self.plan.get((self.life, self.num_steps))
        if problem == "raise":
            raise OSError("the sensor fell off")
        self.num_steps += 1
        self.in_episode += 1
        observation = np.array([self.life, self.num_steps], np.float64)
        if problem == "observation":
            observation[1] = np.nan
        reward = np.inf if problem == "reward" else float(self.num_steps)
        return observation, reward, self.in_episode == 6, False, {"at": (self.life, self.num_steps)}

    def close(self):
        type(self).closed += 1


@pytest.fixture(autouse=True)
def first_life():
    Brittle.lives = Brittle.closed = 0


class Constant:
    def __init__(self, action=0):
        self.action = action

    def act(self, observation):
        return self.action


def pipeline_of(plan, window_size=10, **arguments):
    arguments = {"on_env_error": "restart", "seed": 7, **arguments}
    return BatchPipeline(lambda: Brittle(plan), Constant(), window_size, **arguments)


def windows_of(pipeline, count):
    generator = pipeline.episodes()
    return [next(generator) for _ in range(count)]


@pytest.mark.parametrize("problem", ["raise", "reward", "observation"])
def test_the_broken_step_is_dropped_and_the_window_goes_on_in_a_new_environment(problem):
    pipeline = pipeline_of({(0, 8): problem})
    (window,) = windows_of(pipeline, 1)
    # steps 1-6 are an episode, 7 and 8 are good, the ninth breaks: two steps of a new life fill the window
    np.testing.assert_array_equal(window.rewards, [1, 2, 3, 4, 5, 6, 7, 8, 1, 2])
    np.testing.assert_array_equal(window.observations[:, 0], [0] * 8 + [1, 1])
    np.testing.assert_array_equal(window.observations[8:, 1], [0, 1])
    np.testing.assert_array_equal(window.terminated, [False] * 5 + [True] + [False] * 4)
    np.testing.assert_array_equal(window.truncated, [False] * 7 + [True] + [False] * 2)
    # what was cut bootstraps from the last good observation, not from the new environment's first
    np.testing.assert_array_equal(window.next_observations[7], [0, 8])
    np.testing.assert_array_equal(window.next_observations[8], [1, 1])
    np.testing.assert_array_equal(window.completed_returns, [21.0])
    np.testing.assert_array_equal(window.completed_lengths, [6])
    assert [info["at"] for info in window.infos] == [(0, k) for k in range(1, 9)] + [(1, 1), (1, 2)]
    assert window.metadata["num_env_restarts"] == 1
    assert pipeline.num_env_restarts == 1
    assert Brittle.closed == 1
    assert "made anew once" in pipeline.notes[0]
    assert all(np.isfinite(part).all() for part in (window.rewards, window.observations, window.next_observations))


def test_later_windows_know_nothing_of_it():
    pipeline = pipeline_of({(0, 8): "raise"})
    _, second = windows_of(pipeline, 2)
    np.testing.assert_array_equal(second.rewards, range(3, 13))
    np.testing.assert_array_equal(second.completed_returns, [21.0, 7 + 8 + 9 + 10 + 11 + 12])
    assert second.metadata == {"barrier": False, "fresh_start": False}


def test_a_failure_at_the_first_step_of_a_window_begins_a_fresh_start():
    pipeline = pipeline_of({(0, 10): "raise"})
    first, second = windows_of(pipeline, 2)
    assert not first.truncated.any()
    assert second.metadata["fresh_start"] is True
    np.testing.assert_array_equal(second.rewards, range(1, 11))
    np.testing.assert_array_equal(second.completed_returns, [21.0])  # the four steps in life 0 count nowhere


def test_a_failure_right_after_an_end_cuts_nothing():
    (window,) = windows_of(pipeline_of({(0, 6): "raise"}), 1)
    assert window.terminated[5]
    assert not window.truncated.any()
    np.testing.assert_array_equal(window.next_observations[5], [0, 6])
    np.testing.assert_array_equal(window.rewards, [1, 2, 3, 4, 5, 6, 1, 2, 3, 4])


def test_several_failures_in_one_window():
    pipeline = pipeline_of({(0, 3): "raise", (1, 2): "reward", (2, 0): "raise"})
    (window,) = windows_of(pipeline, 1)
    np.testing.assert_array_equal(window.rewards, [1, 2, 3, 1, 2, 1, 2, 3, 4, 5])
    np.testing.assert_array_equal(np.flatnonzero(window.truncated), [2, 4])
    assert len(window.completed_returns) == 0
    assert pipeline.num_env_restarts == 3
    assert "made anew 3 times" in pipeline.notes[0]


@pytest.mark.parametrize("plan", [{(0, 0): "reset"}, {(0, 6): "reset"}])
def test_a_reset_that_fails_is_made_good_too(plan):
    (window,) = windows_of(pipeline_of(plan), 1)
    assert np.isfinite(window.rewards).all()
    assert window.observations[-1, 0] == 1


def test_each_new_environment_is_seeded_from_the_run():
    seeds = []

    def make():
        env = Brittle({(0, 3): "raise", (1, 3): "raise"})
        seeds.append(env.seeds)
        return env

    pipeline = BatchPipeline(make, Constant(), 10, seed=7, on_env_error="restart")
    windows_of(pipeline, 1)
    assert seeds == [[derive_seed(7, "env", k)] for k in range(3)]


def test_it_gives_up_on_one_that_always_fails():
    pipeline = pipeline_of({(life, 0): "raise" for life in range(50)})
    with pytest.raises(EnvironmentFailureError, match=rf"failed {MAX_FAILURES + 1} times in a row.*sensor fell off"):
        windows_of(pipeline, 1)


def test_raising_is_the_default():
    pipeline = BatchPipeline(lambda: Brittle({(0, 3): "raise"}), Constant(), 10, seed=0)
    with pytest.raises(EnvironmentFailureError, match="step 4 raised OSError: the sensor fell off"):
        windows_of(pipeline, 1)
    assert Brittle.lives == 1


def test_an_instance_cannot_be_made_anew():
    with pytest.raises(InvalidArgumentError, match=r"needs a callable.*Received the instance Brittle"):
        BatchPipeline(Brittle(), Constant(), 10, on_env_error="restart")


def test_an_unknown_choice():
    with pytest.raises(InvalidArgumentError, match=r"must be one of .*Received: 'ignore'"):
        BatchPipeline(Brittle(), Constant(), 10, on_env_error="ignore")


def test_the_count_is_part_of_the_state():
    pipeline = pipeline_of({(0, 3): "raise"})
    windows_of(pipeline, 1)
    other = pipeline_of({})
    other.load_state_dict(pipeline.state_dict())
    assert other.num_env_restarts == 1
    assert other.notes == pipeline.notes


class TestEvaluation:
    def play(self, pipeline, num_episodes):
        return pipeline.play_episodes(lambda observation: 0, num_episodes, seed=3)

    def test_only_the_episode_that_broke_is_played_again(self):
        seeds = []

        def make():
            env = Brittle({(0, 14): "raise"})
            seeds.append(env.seeds)
            return env

        pipeline = BatchPipeline(make, Constant(), 10, seed=7, on_env_error="restart")
        result = self.play(pipeline, 4)
        np.testing.assert_array_equal(result.returns, [21.0, 7 + 8 + 9 + 10 + 11 + 12, 21.0, 57.0])
        assert seeds == [[derive_seed(3, "episode", i) for i in played] for played in ([0, 1, 2], [2, 3])]
        assert result.env_steps == 4 * 6 + 2  # those that were lost have been taken, too
        assert "made anew once; last:" in pipeline.notes[0]
        assert pipeline.notes[1] == "one episode of evaluations broke off with it, counted for nothing, and played anew"
        other = pipeline_of({})
        other.load_state_dict(pipeline.state_dict())
        assert other.notes == pipeline.notes

    def test_an_environment_that_fails_now_and_then_lasts_for_any_number_of_episodes(self):
        pipeline = pipeline_of({(life, 20): "raise" for life in range(100)})
        result = self.play(pipeline, 40)
        assert result.num_episodes == 40
        assert pipeline.num_env_restarts == 13
        assert "13 episodes of evaluations" in pipeline.notes[1]

    def test_an_episode_that_always_breaks_gives_way_to_one_of_another_seed(self):
        class Cursed(Brittle):
            def reset(self, *, seed=None, options=None):
                self.is_cursed = seed == derive_seed(3, "episode", 1)
                return super().reset(seed=seed)

            def step(self, action):
                if self.is_cursed and self.in_episode == 2:
                    raise OSError("division by zero")
                return super().step(action)

        pipeline = BatchPipeline(Cursed, Constant(), 10, seed=7, on_env_error="restart")
        assert self.play(pipeline, 3).num_episodes == 3
        assert pipeline.num_env_restarts == 2

    def test_it_gives_up_on_one_that_always_fails(self):
        pipeline = pipeline_of({(life, 3): "raise" for life in range(50)})
        with pytest.raises(EnvironmentFailureError, match=rf"failed {MAX_FAILURES + 1} times in a row"):
            self.play(pipeline, 2)

    def test_a_reward_that_is_no_number_of_a_usable_size(self):
        class Huge(Brittle):
            reward = 10**400

            def step(self, action):
                observation, _, *others = super().step(action)
                return observation, self.reward, *others

        for reward in (10**400, "1"):
            Huge.reward = reward
            with pytest.raises(EnvironmentFailureError, match="Environment Huge: step 1 took or returned a value"):
                self.play(BatchPipeline(Huge(), Constant(), 10), 1)


class TestVector:
    def pipeline(self, plan, mode="NextStep", **arguments):
        def make():
            mode_of = {"autoreset_mode": gym.vector.AutoresetMode(mode)}
            return gym.vector.SyncVectorEnv([lambda: Brittle(plan), lambda: Brittle({})], **mode_of)

        return BatchPipeline(make, Constant(np.zeros(2, int)), 10, on_env_error="restart", seed=7, **arguments)

    @pytest.fixture(autouse=True)
    def act_on_all(self, monkeypatch):
        monkeypatch.setattr(Constant, "act_batch", lambda self, observations: self.action, raising=False)

    @pytest.mark.parametrize("mode", ["NextStep", "SameStep", "Disabled"])
    @pytest.mark.parametrize("problem", ["raise", "reward"])
    def test_all_are_made_anew_and_none_learns_from_the_broken_step(self, mode, problem):
        pipeline = self.pipeline({(0, 3): problem}, mode)
        (window,) = windows_of(pipeline, 1)
        assert window.rewards.shape == (10, 2)
        np.testing.assert_array_equal(window.rewards[:5, 0], [1, 2, 3, 1, 2])
        np.testing.assert_array_equal(window.rewards[:5, 1], [1, 2, 3, 1, 2])
        np.testing.assert_array_equal(np.flatnonzero(window.truncated[:, 0]), [2])
        np.testing.assert_array_equal(window.next_observations[2], [[0, 3], [1, 3]])
        np.testing.assert_array_equal(window.observations[3], [[2, 0], [3, 0]])
        np.testing.assert_array_equal(window.completed_returns, [21.0, 21.0])
        if window.valid is not None:
            assert window.valid[:9].all()
            assert not window.valid[9].any()  # only resets, after the ends at step 8

    @pytest.mark.parametrize("mode", ["NextStep", "SameStep", "Disabled"])
    def test_an_evaluation_keeps_what_was_finished(self, mode):
        pipeline = self.pipeline({(0, 14): "raise"}, mode)
        act = type("Act", (), {"batch": lambda observations: np.zeros(2, int)})
        result = pipeline.play_episodes(act, 6, seed=3)
        assert sorted(result.returns) == [21.0, 21.0, 21.0, 21.0, 57.0, 57.0]
        assert pipeline.num_env_restarts == 1
        assert "2 episodes of evaluations" in pipeline.notes[1]

    def test_a_step_that_would_only_have_reset_is_a_real_one_in_the_new_environment(self):
        pipeline = self.pipeline({(0, 6): "reset"})
        (window,) = windows_of(pipeline, 1)
        np.testing.assert_array_equal(window.rewards[:, 0], [1, 2, 3, 4, 5, 6, 1, 2, 3, 4])
        assert window.valid.all()
        assert not window.truncated.any()
        np.testing.assert_array_equal(window.completed_returns, [21.0, 21.0])


class TestActions:
    """An agent that gives NaN is to blame, not the environment."""

    class Continuous(Brittle):
        action_space = gym.spaces.Box(-1.0, 1.0, (1,), np.float64)

        def step(self, action):
            observation, *rest = super().step(action)
            return observation + float(action[0]), *rest

    class Mad:
        def __init__(self, when):
            self.when = when
            self.num_acts = 0

        def act(self, observation):
            self.num_acts += 1
            return np.array([np.nan if self.num_acts == self.when else 0.0])

    @pytest.mark.parametrize("when", [1, 5, 10])
    def test_nan_is_caught_and_named_before_the_window_is_seen(self, when):
        pipeline = BatchPipeline(lambda: self.Continuous(), self.Mad(when), 10, seed=0, on_env_error="restart")
        with pytest.raises(NonFiniteError, match=rf"agent gave environment Continuous an action.*step {when}\."):
            windows_of(pipeline, 1)
        assert pipeline.num_env_restarts == 0

    def test_an_environment_that_chokes_on_it_is_not_blamed(self):
        class Chokes(self.Continuous):
            def step(self, action):
                if np.isnan(action).any():
                    raise ValueError("bad action")
                return super().step(action)

        pipeline = BatchPipeline(Chokes, self.Mad(5), 10, seed=0, on_env_error="restart")
        with pytest.raises(NonFiniteError, match=r"action that is NaN or infinite at step 5"):
            windows_of(pipeline, 1)


def test_a_run_goes_on_and_says_so(tmp_path):
    from tensor_optix import RLOptimizer

    class Learns(StatefulAgent):
        def act_batch(self, observations):
            return np.zeros(len(observations), int)

        def learn(self, window):
            assert np.isfinite(window.rewards).all()
            return super().learn(window)

    agent = Learns()
    pipeline = BatchPipeline(lambda: Brittle({(0, 13): "raise"}), agent, 10, seed=7, on_env_error="restart")
    result = RLOptimizer(
        agent,
        pipeline,
        RewardEvaluator(),
        checkpoint_dir=str(tmp_path),
        max_episodes=4,
        report_episodes=20,
        evaluation_env=lambda: Brittle({(life, 50): "raise" for life in range(10)}),
        seed=0,
    ).run()
    assert result.windows == 4
    assert result.report.num_episodes == 20
    assert any(note.startswith("the environment failed and was made anew once; last:") for note in result.notes)
    assert any(note.startswith("evaluation_env: the environment failed and was made anew") for note in result.notes)
    assert any("episodes of evaluations broke off" in note for note in result.notes)
