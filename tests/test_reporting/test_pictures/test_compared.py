"""Pictures of a comparison: there where there is something to draw."""

import pytest
from written_runs import write_run

from tensor_optix.reporting.comparison.figures import compare_runs
from tensor_optix.reporting.pictures.compared import compared_curves, interquartile_means, performance_profiles


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    parent = tmp_path_factory.mktemp("runs")
    paths = [
        write_run(parent, [float(i * seed) for i in range(20 + seed)], seed=seed, agent=agent, returns=[seed, seed + 1])
        for agent in ("PPOAgent", "DQNAgent")
        for seed in (1, 2, 3)
    ]
    return compare_runs([*paths, write_run(parent, [1.0, 2.0], agent="SACAgent")])[0]


def test_all_of_them_are_drawn(comparison):
    pictures = [
        compared_curves(comparison),
        compared_curves(comparison, over_time=True),
        interquartile_means(comparison),
        performance_profiles(comparison),
    ]
    assert len({picture.name for picture in pictures}) == 4
    assert all(picture.wide[:4] == picture.narrow[:4] == b"\x89PNG" for picture in pictures)


def test_without_reports_only_curves_are_drawn(tmp_path):
    (comparison,) = compare_runs([write_run(tmp_path, [1.0, 2.0], returns=None, has_logbook=False)])
    assert compared_curves(comparison) is not None
    assert compared_curves(comparison, over_time=True) is None
    assert interquartile_means(comparison) is performance_profiles(comparison) is None


def test_without_a_history_no_curve_is_drawn(tmp_path):
    (comparison,) = compare_runs([write_run(tmp_path, [])])
    assert compared_curves(comparison) is None
    assert interquartile_means(comparison) is not None
