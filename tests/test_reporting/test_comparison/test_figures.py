"""The figures of a comparison, against numbers worked out by hand."""

import numpy as np
import pytest
from written_runs import STEPS, write_run

from tensor_optix.exceptions import CheckpointError, InvalidArgumentError, InvalidTypeError
from tensor_optix.reporting.comparison.figures import compare_runs, reaches
from tensor_optix.reporting.run import Run

RISING = [float(i) for i in range(20)]


@pytest.fixture
def make(tmp_path):
    return lambda *scores, **given: write_run(tmp_path, scores or RISING, **given)


def test_a_group_s_mean_interval_and_profile(make):
    runs = [
        make(seed=seed, returns=[reached]) for seed, reached in enumerate((1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 90.0))
    ]
    (comparison,) = compare_runs(runs)
    (group,) = comparison.groups
    assert group.mean == 4.5
    low, high = group.interval
    assert 2.0 < low < 4.5 < high < 60.0
    at = np.searchsorted(comparison.thresholds, 50.0)
    assert group.profile[at] == 1 / 8
    assert group.profile_band[0][at] <= 1 / 8 <= group.profile_band[1][at]
    assert comparison.notes[-1].startswith("81.") or "90% of the way" in comparison.notes[-1]


def test_one_run_has_no_interval_and_that_is_said(make):
    (comparison,) = compare_runs([make(returns=[5.0, 7.0])])
    assert comparison.groups[0].mean == 6.0
    assert comparison.groups[0].interval is comparison.groups[0].profile_band is None
    assert comparison.improvements == ()
    assert any("tells nothing of other seeds" in note for note in comparison.notes)


def test_the_probability_of_improvement_of_two_groups(make):
    ours = [make(seed=seed, returns=[reached]) for seed, reached in enumerate((1.0, 3.0, 5.0))]
    theirs = [make(seed=seed, returns=[reached], agent="DQNAgent") for seed, reached in enumerate((0.0, 3.0))]
    (comparison,) = compare_runs([*ours, *theirs])
    (pair,) = comparison.improvements
    assert (pair.better, pair.other) == ("PPOAgent", "DQNAgent")
    assert pair.probability == pytest.approx((3 + 0 + 0.5 + 1) / 6)
    assert pair.interval[0] <= pair.probability <= pair.interval[1]


def test_a_score_is_reached_where_five_windows_in_a_row_have_it(make):
    run = Run.load(make(0.0, 0.0, 100.0, 0.0, 0.0, 0.0, 10.0, 10.0, 0.0, 10.0, 0.0))
    assert reaches(run, 10.0) == (10 * STEPS, 10.0), "one lucky window is not enough: three of five are"
    assert reaches(run, 50.0) == (None, None)
    assert reaches(run, None) == (None, None)
    assert reaches(Run.load(make(5.0, 5.0)), 1.0) == (None, None), "too few windows to tell"


def test_without_a_logbook_steps_are_known_and_seconds_are_not(make):
    assert reaches(Run.load(make(has_logbook=False)), 4.0) == (7 * STEPS, None)


def test_the_score_is_asked_for_or_most_of_the_way(make):
    paths = [make(returns=[10.0], seed=0), make(returns=[8.0], seed=1)]
    assert compare_runs(paths)[0].score == pytest.approx(9.0)
    (asked,) = compare_runs(paths, score=4.0)
    assert asked.score == 4.0
    assert asked.groups[0].steps_to_score == (7 * STEPS, 7 * STEPS)
    assert asked.groups[0].seconds_to_score == (7.0, 7.0)


def test_other_environments_have_a_part_of_their_own_and_it_is_said(make):
    one, other = compare_runs([make(), make(env_id="Acrobot-v1"), make(seed=1)])
    assert (one.environment, other.environment) == ("CartPole-v1", "Acrobot-v1")
    assert len(one.groups[0].runs) == 2
    assert one.notes[0] == other.notes[0]
    assert "of 2 environments, whose scores cannot be compared" in one.notes[0]


def test_a_run_without_a_report_is_named(make):
    (comparison,) = compare_runs([make(), make(seed=1), make(seed=2, returns=None)])
    (group,) = comparison.groups
    assert (len(group.runs), len(group.scores)) == (3, 2)
    assert "PPOAgent: run-0003 has no report; only the training scores are drawn." in comparison.notes
    (nothing,) = compare_runs([make(seed=3, returns=None)])
    assert (nothing.groups[0].mean, nothing.score, len(nothing.thresholds)) == (None, None, 0)


def test_a_seed_that_is_there_twice_is_named(make):
    (comparison,) = compare_runs([make(seed=4), make(seed=4)])
    assert any("seed 4 is there more than once" in note for note in comparison.notes)


def test_damaged_history_is_told(make):
    path = make()
    with (path / "history.jsonl").open("ab") as file:
        file.write(b"{no line\n")
    (comparison,) = compare_runs([path])
    assert any("run-0001: One line of history.jsonl is damaged" in note for note in comparison.notes)


def test_groups_may_be_named(make):
    (comparison,) = compare_runs({"mine": [make(seed=0), make(seed=1, agent="DQNAgent")], "yours": [make(seed=2)]})
    assert [(group.name, len(group.runs)) for group in comparison.groups] == [("mine", 2), ("yours", 1)]


def test_same_seed_same_intervals(make):
    paths = [make(seed=seed, returns=[float(seed**2)]) for seed in range(6)]

    def interval(seed):
        return compare_runs(paths, seed=seed, num_resamples=300)[0].groups[0].interval

    assert interval(1) == interval(1)
    assert interval(1) != interval(2)


def test_what_is_wrong_is_said(make, tmp_path):
    with pytest.raises(InvalidArgumentError, match=r"at least one run\. Received none"):
        compare_runs([])
    with pytest.raises(InvalidTypeError, match="a list of runs or their folders"):
        compare_runs(str(make()))
    with pytest.raises(InvalidTypeError, match="`score` must be a number"):
        compare_runs([make()], score="high")
    with pytest.raises(InvalidArgumentError, match=r"`score` must be a finite number\. Received: nan"):
        compare_runs([make()], score=float("nan"))
    with pytest.raises(InvalidArgumentError, match="`num_resamples` must be an integer >= 1"):
        compare_runs([make()], num_resamples=0)
    with pytest.raises(CheckpointError, match="There is no run folder"):
        compare_runs([tmp_path / "nowhere"])
