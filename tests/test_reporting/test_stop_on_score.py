import pytest
from logged_runs import RowKeeper, crashed_and_resumed, make_optimizer
from loop_fakes import make_loop

from tensor_optix.exceptions import InvalidArgumentError, InvalidTypeError
from tensor_optix.reporting.stop_on_score import StopOnScore


def test_a_run_ends_with_the_window_whose_episodes_reach_the_score(tmp_path):
    keeper = RowKeeper()
    result = make_optimizer(tmp_path, [StopOnScore(15.0, num_episodes=10), keeper]).run()
    assert result.reason == "stopped"
    assert "StopOnScore.on_window raised StopRun: the latest 10 episodes reached" in result.explanation
    returns = [reached for window in keeper.windows for reached in window.completed_returns]
    assert sum(returns[-10:]) / 10 >= 15.0
    assert result.report is not None


def test_one_that_is_not_reached_ends_nothing(tmp_path):
    assert make_optimizer(tmp_path, [StopOnScore(501.0)]).run().reason == "budget"


def test_too_few_episodes_are_not_enough(tmp_path):
    result = make_optimizer(tmp_path, [StopOnScore(1.0, num_episodes=100_000)], max_env_steps=500).run()
    assert result.reason == "budget"


def test_where_no_episodes_are_told_windows_count(tmp_path):
    loop, _ = make_loop(tmp_path, [1.0, 5.0, float("nan"), 7.0, 9.0, 9.0], callbacks=[StopOnScore(6.0, num_episodes=2)])
    result = loop.run()
    assert (result.reason, result.windows) == ("stopped", 4)


def test_a_resumed_run_ends_where_the_whole_one_does(tmp_path, save_at_every_barrier):
    def callbacks():
        return [StopOnScore(20.0, num_episodes=100)]

    whole = make_optimizer(tmp_path / "whole", callbacks()).run()
    resumed = crashed_and_resumed(tmp_path / "crashed", callbacks, crash_at=whole.windows - 2)
    assert (resumed.reason, resumed.windows) == (whole.reason, whole.windows)
    assert resumed.notes == whole.notes


def test_bad_arguments_are_refused():
    with pytest.raises(InvalidTypeError, match="score"):
        StopOnScore("high")
    with pytest.raises(InvalidArgumentError, match="num_episodes"):
        StopOnScore(1.0, num_episodes=0)
