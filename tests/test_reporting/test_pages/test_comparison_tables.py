"""The tables of a comparison, cell by cell."""

import pytest
from written_runs import write_run

from tensor_optix.reporting.comparison.figures import compare_runs
from tensor_optix.reporting.pages.comparison_tables import group_rows, improvement_rows, run_rows


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    parent = tmp_path_factory.mktemp("runs")
    rising, flat = [float(i) for i in range(20)], [0.0] * 20
    paths = [write_run(parent, rising, seed=seed, returns=[10.0, 10.0]) for seed in (1, 2)]
    paths.append(write_run(parent, flat, seed=3, returns=[10.0, 10.0]))
    paths.append(write_run(parent, flat, seed=1, agent="DQNAgent", returns=[2.0, 4.0]))
    return compare_runs(paths, score=7.0)[0]


def test_groups(comparison):
    headings, rows = group_rows(comparison)
    assert headings == ["Group", "Runs", "Interquartile mean", "95 % interval", "Steps to 7", "Time to 7"]
    assert rows == [
        ["PPOAgent", "3", "10.00", "10.00 to 10.00", "1,000 (2 of 3 runs)", "10.0 seconds"],
        ["DQNAgent", "1", "3.00", "-", "never", "-"],
    ]


def test_runs(comparison):
    headings, rows = run_rows(comparison)
    assert len(headings) == len(rows[0])
    assert rows[0][:5] == ["run-0001", "PPOAgent", "1", "trained", "10.00"]
    assert rows[0][6:] == ["2,000", "20.0 seconds"]
    assert [row[2] for row in rows] == ["1", "2", "3", "1"]


def test_improvements(comparison):
    assert improvement_rows(comparison)[1] == [["PPOAgent over DQNAgent", "1.00", "-"]]


def test_a_run_without_a_report_has_dashes(tmp_path):
    (comparison,) = compare_runs([write_run(tmp_path, [1.0], returns=None)])
    assert group_rows(comparison)[1] == [["PPOAgent", "0 of 1", "-", "-"]]
    assert run_rows(comparison)[1][0][4:6] == ["-", "-"]
