"""Our own pipelines keep to what any must, and the suite notices those that do not."""

import gymnasium as gym
import numpy as np
import pytest
from harness.masked_envs import SPACES, OnlyAllowed

from tensor_optix import BatchPipeline, LivePipeline
from tensor_optix.testing import PipelineConformance
from tensor_optix.testing.fakes import StatefulAgent


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


class Obedient(StatefulAgent):
    uses_action_masks = True

    def act(self, observation, *, action_mask=None):
        return 3 + int(np.flatnonzero(action_mask)[0])


class TestMaskedEnvironment(PipelineConformance):
    def make_agent(self):
        return Obedient()

    def make_pipeline(self):
        return BatchPipeline(lambda: OnlyAllowed(SPACES["discrete"]), window_size=30)


def rule_out_what_was_done(window, number):
    window.action_masks = ~window.action_masks


def test_masks_that_rule_out_what_was_done_are_noticed():
    class Suite(TestMaskedEnvironment):
        def make_pipeline(self):
            return spoils(rule_out_what_was_done)(lambda: OnlyAllowed(SPACES["discrete"]), window_size=30)

    with pytest.raises(AssertionError, match="was taken, which the mask"):
        Suite().test_masks_are_told_for_each_step()


class TestLiveFeed(TestSingleEnvironment):
    def make_pipeline(self):
        return LivePipeline(Feed(), episode_boundary_fn=LivePipeline.every_n_steps(20))


class Broken(BatchPipeline):
    """Breaks one rule: each window goes through ``spoil`` before it is yielded."""

    spoil = staticmethod(lambda window, number: None)

    def episodes(self):
        for number, window in enumerate(super().episodes()):
            type(self).spoil(window, number)
            yield window


def spoils(change):
    """Return a pipeline whose windows are changed so."""
    return type("Spoiled", (Broken,), {"spoil": staticmethod(change)})


def skip_numbers(window, number):
    window.episode_id = 2 * number


def cut_flags(window, number):
    window.truncated = window.truncated[:-1]


def pay_nan(window, number):
    window.rewards = np.full_like(window.rewards, np.nan)


def flag_by_numbers(window, number):
    window.terminated = window.terminated.astype(np.float32)


def lag_behind(window, number):
    window.next_observations = window.observations.copy()


def pay_half(window, number):
    window.rewards = window.rewards * 0.5


class Reuses(BatchPipeline):
    """Writes each window where the last one was."""

    def episodes(self):
        buffer = None
        for window in super().episodes():
            buffer = np.empty_like(window.observations) if buffer is None else buffer
            buffer[:] = window.observations
            window.observations = buffer
            yield window


class Unseeded(BatchPipeline):
    def set_seed(self, seed):
        pass


class NeverComes(BatchPipeline):
    def request_barrier(self):
        return True


class PlaysOthers(BatchPipeline):
    num_played = 0

    def play_episodes(self, act, num_episodes, *, seed):
        self.num_played += 1
        return super().play_episodes(act, num_episodes, seed=seed + self.num_played)


class ClosesOnce(BatchPipeline):
    is_open = True

    def teardown(self):
        if not self.is_open:
            raise AssertionError("closed already")
        self.is_open = False
        super().teardown()


@pytest.mark.parametrize(
    ("broken", "test", "message"),
    [
        (spoils(skip_numbers), "test_windows_are_numbered_without_gaps", "windows are numbered"),
        (spoils(cut_flags), "test_everything_in_a_window_is_of_one_length", r"truncated is \(29,\)"),
        (spoils(pay_nan), "test_numbers_are_finite_and_flags_are_flags", "a reward is NaN"),
        (spoils(flag_by_numbers), "test_numbers_are_finite_and_flags_are_flags", "terminated is no array of bool"),
        (spoils(lag_behind), "test_a_successor_is_the_next_observation_unless_the_episode_ended", "a successor"),
        (spoils(pay_half), "test_whole_returns_are_the_sums_of_their_rewards", "not what was paid"),
        (Reuses, "test_a_window_stays_as_it_was_yielded", "changed after it had been yielded"),
        (Unseeded, "test_same_seed_same_windows", "differs under the same seed"),
        (PlaysOthers, "test_episodes_that_are_played_follow_from_their_seed", "episodes with other returns"),
        (NeverComes, "test_a_barrier_comes_when_it_was_promised", "none of three windows"),
        (ClosesOnce, "test_teardown_may_come_twice_and_a_second_run_may_follow", "closed already"),
    ],
)
def test_a_broken_rule_is_noticed(broken, test, message):
    class Suite(TestSingleEnvironment):
        def make_pipeline(self):
            return broken(lambda: gym.make("CartPole-v1"), window_size=30)

    with pytest.raises(AssertionError, match=message):
        getattr(Suite(), test)()


def test_a_suite_must_say_what_is_made():
    with pytest.raises(NotImplementedError, match=r"make_pipeline\(\) -> BasePipeline"):
        PipelineConformance().test_windows_are_numbered_without_gaps()
    with pytest.raises(NotImplementedError, match=r"make_agent\(\) -> BaseAgent"):
        PipelineConformance().make_agent()
