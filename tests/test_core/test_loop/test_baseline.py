"""A baseline plays the report's very episodes, changes nothing in the run, and costs at most the comparison."""

import gymnasium as gym
import numpy as np
import pytest
from logged_runs import make_optimizer
from resume_fakes import LinearAgent

from tensor_optix.core.loop.result_file import read_environment_state, read_outcome
from tensor_optix.exceptions import InvalidArgumentError, InvalidTypeError

SHORT = {"max_env_steps": None, "max_episodes": 3, "report_episodes": 4}


class Left:
    """A policy that always goes left."""

    version = 0

    def act(self, observation, *, greedy=False):
        return 0

    def act_batch(self, observations, *, greedy=False):
        return np.zeros(len(observations), np.int64)


def push_left(observation):
    return 0


@pytest.mark.parametrize("num_envs", [1, 2])
@pytest.mark.parametrize("baseline", [push_left, Left()])
def test_it_plays_the_report_s_episodes(tmp_path, num_envs, baseline):
    """CartPole's pole falls after 8 to 11 steps to the left: the baseline's returns."""
    optimizer = make_optimizer(tmp_path, num_envs=num_envs, baseline=baseline, **SHORT)
    report = optimizer.run().report
    assert report.num_episodes == report.against.num_episodes == 4
    assert set(report.against.returns) <= {8.0, 9.0, 10.0, 11.0}
    assert report.difference == pytest.approx(report.mean - report.against.mean)
    assert report.difference_interval[0] <= report.difference <= report.difference_interval[1]


def test_an_agent_held_against_itself_is_no_better(tmp_path):
    optimizer = make_optimizer(tmp_path / "first", **SHORT)
    optimizer.run()
    champion = optimizer._agent  # which holds the champion now
    again = make_optimizer(tmp_path / "second", baseline=champion, **SHORT, agent=LinearAgent())
    report = again.run().report
    np.testing.assert_array_equal(report.returns, report.against.returns)
    assert report.difference == 0.0


def test_the_run_is_the_same_with_and_without(tmp_path):
    def wrapped():
        return gym.wrappers.NormalizeObservation(gym.make("CartPole-v1"))

    plain = make_optimizer(tmp_path / "plain", env=wrapped, **SHORT)
    compared = make_optimizer(tmp_path / "compared", env=wrapped, baseline=push_left, **SHORT)
    one, other = plain.run(), compared.run()
    assert one.history == other.history
    np.testing.assert_array_equal(one.report.returns, other.report.returns)
    assert other.env_steps["report"] == one.env_steps["report"] + other.report.against.env_steps
    assert read_environment_state(plain.run_dir) == read_environment_state(compared.run_dir), "its own are forgotten"


def test_it_is_read_back_from_the_folder(tmp_path):
    optimizer = make_optimizer(tmp_path, baseline=push_left, **SHORT)
    report = optimizer.run().report
    read = read_outcome(optimizer.run_dir).result.report
    np.testing.assert_array_equal(read.against.returns, report.against.returns)
    assert read.against.interval == report.against.interval
    assert read.difference_interval == report.difference_interval


def test_one_that_fails_costs_the_comparison_only(tmp_path):
    def fails(observation):
        raise ZeroDivisionError("no idea")

    result = make_optimizer(tmp_path, baseline=fails, **SHORT).run()
    assert result.report.num_episodes == 4
    assert result.report.against is None
    assert any("the baseline failed, so nothing is compared with it: " in note for note in result.notes)


def test_it_is_in_the_printed_result(tmp_path):
    assert "difference, paired by seed: " in str(make_optimizer(tmp_path, baseline=push_left, **SHORT).run())


def test_what_is_wrong_is_said_before_the_first_step(tmp_path):
    with pytest.raises(InvalidTypeError, match="`baseline` must be an agent or policy"):
        make_optimizer(tmp_path, baseline="random")
    with pytest.raises(InvalidTypeError, match="`baseline` is the class Left"):
        make_optimizer(tmp_path, baseline=Left)
    with pytest.raises(InvalidArgumentError, match="`report_episodes` is 0"):
        make_optimizer(tmp_path, baseline=push_left, report_episodes=0)
