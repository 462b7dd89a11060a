"""Statistics over runs against numbers worked out by hand, and against rliable on the same data and draws."""

import json

import numpy as np
import pytest
from extra_venvs import run_with

from tensor_optix.exceptions import InvalidArgumentError, NonFiniteError
from tensor_optix.functional.run_statistics import (
    improvement_interval,
    interquartile_mean,
    interquartile_mean_interval,
    performance_profile,
    probability_of_improvement,
    profile_interval,
    stratified_resamples,
)

EIGHT = np.array([[1.0], [2.0], [3.0], [4.0], [5.0], [6.0], [7.0], [1000.0]])


def test_the_interquartile_mean_leaves_a_quarter_out_at_either_end():
    assert interquartile_mean(EIGHT) == 4.5  # 3, 4, 5, 6
    assert interquartile_mean([[1.0, 2.0], [30.0, 4.0]]) == 3.0  # 2, 4
    assert interquartile_mean([[1.0], [2.0], [9.0]]) == 4.0, "a quarter of three runs is none"


def test_the_probability_of_improvement_counts_pairs_and_half_the_ties():
    assert probability_of_improvement([[3.0], [1.0]], [[2.0], [1.0]]) == (1 + 1 + 0 + 0.5) / 4
    assert probability_of_improvement(EIGHT, EIGHT) == 0.5
    x, y = [[1.0, 5.0]], [[0.0, 9.0]]
    assert probability_of_improvement(x, y) == 0.5, "won in the one task, lost in the other"


def test_a_profile_tells_what_share_is_above_each_threshold():
    assert performance_profile(EIGHT, [0.0, 1.0, 4.0, 999.0, 1000.0]).tolist() == [1.0, 7 / 8, 4 / 8, 1 / 8, 0.0]


def test_resamples_have_each_task_s_runs_apart_and_as_many_as_asked_for():
    blocks = list(stratified_resamples(3, 2, 10_000, np.random.default_rng(0)))
    drawn = np.concatenate(blocks)
    assert drawn.shape == (10_000, 3, 2)
    assert set(np.unique(drawn)) == {0, 1, 2}
    assert np.abs(np.corrcoef(drawn[:, 0, 0], drawn[:, 0, 1])[0, 1]) < 0.05
    scores = [[1.0, 10.0], [1.0, 10.0], [1.0, 10.0]]
    assert interquartile_mean_interval(scores, iter(blocks)) == (5.5, 5.5), "no task takes another's place"


def test_same_seed_same_interval():
    def interval(seed):
        return interquartile_mean_interval(EIGHT, stratified_resamples(8, 1, 500, np.random.default_rng(seed)))

    assert interval(1) == interval(1)
    assert interval(1) != interval(2)


def test_the_interval_of_a_mean_agrees_with_theory():
    """Of three equally likely values without trimming: the mean of 27 equally likely triples."""
    draws = stratified_resamples(3, 1, 200_000, np.random.default_rng(0))
    low, high = interquartile_mean_interval([[0.0], [3.0], [6.0]], draws, confidence=0.9)
    assert (low, high) == (1.0, 5.0)  # P(mean = 0) = 1/27 < 0.05, P(mean <= 1) = 4/27


@pytest.mark.parametrize("scores", [[1.0, 2.0], [[]], [[[1.0]]]])
def test_scores_of_another_shape_are_refused(scores):
    with pytest.raises(InvalidArgumentError, match=r"one number for each run and task, \[runs, tasks\]"):
        interquartile_mean(scores)


def test_what_else_is_refused():
    with pytest.raises(NonFiniteError, match=r"must be finite numbers. Received: nan"):
        interquartile_mean([[np.nan]])
    with pytest.raises(InvalidArgumentError, match=r"same tasks, a column each. Received 1 and 2"):
        probability_of_improvement([[1.0]], [[1.0, 2.0]])
    with pytest.raises(InvalidArgumentError, match=r"`thresholds` must be a sequence"):
        performance_profile(EIGHT, [])
    draws = stratified_resamples(8, 1, 10, np.random.default_rng(0))
    with pytest.raises(InvalidArgumentError, match=r"inside \(0, 1\). Received: 95"):
        interquartile_mean_interval(EIGHT, draws, confidence=95)


RLIABLE = """
import json, sys
import numpy as np
from rliable import library, metrics

given = json.loads(open(sys.argv[1]).read())
x, y = np.array(given["x"]), np.array(given["y"])
taus = np.array(given["taus"])
draws = {name: np.array(given["draws_" + name]) for name in "xy"}
columns = np.arange(x.shape[1])[None]

class Ours(library.StratifiedBootstrap):
    def update_indices(self):
        self.number = getattr(self, "number", -1) + 1
        return draws["x"][self.number], columns

class OursOfTwo(library.StratifiedIndependentBootstrap):
    def update_indices(self):
        self.number = getattr(self, "number", -1) + 1
        return [(draws[name][self.number], columns) for name in "xy"], {}

library.StratifiedBootstrap, library.StratifiedIndependentBootstrap = Ours, OursOfTwo
count = len(draws["x"])
iqm = library.get_interval_estimates({"x": x}, lambda s: np.array([metrics.aggregate_iqm(s)]), reps=count)
poi = library.get_interval_estimates(
    {"xy": [x, y]}, lambda a, b: np.array([metrics.probability_of_improvement(a, b)]), reps=count)
profile = library.create_performance_profile({"x": x}, taus, reps=count)
found = {"iqm": iqm, "poi": poi, "profile": profile}
plain = {name: [part[key].tolist() for part in parts for key in part] for name, parts in found.items()}
print("FOUND" + json.dumps(plain))
"""


@pytest.mark.extras
@pytest.mark.parametrize("shape", [(3, 1), (10, 1), (7, 4)])
def test_the_same_as_rliable(tmp_path, shape):
    """Estimates, and intervals from the same draws: to 1e-6."""
    rng = np.random.default_rng(shape)
    x, y = rng.gamma(2.0, 50.0, shape), rng.gamma(2.0, 60.0, (shape[0] + 2, shape[1])).round(-1)
    x[0] = y[0]  # ties
    taus = np.linspace(0.0, 300.0, 11)
    draws_x, draws_y = (
        np.concatenate(list(stratified_resamples(*scores.shape, 400, np.random.default_rng(i))))
        for i, scores in enumerate((x, y))
    )
    given = {"x": x, "y": y, "taus": taus, "draws_x": draws_x, "draws_y": draws_y}
    (tmp_path / "given.json").write_text(json.dumps({name: array.tolist() for name, array in given.items()}))
    printed = run_with("rliable", RLIABLE, tmp_path / "given.json")
    theirs = json.loads(printed.partition("FOUND")[2])

    def agrees(ours, name):
        point, interval = theirs[name]
        np.testing.assert_allclose(ours[0], np.squeeze(point), atol=1e-6, rtol=0)
        np.testing.assert_allclose(ours[1], np.squeeze(interval), atol=1e-6, rtol=0)

    agrees((interquartile_mean(x), interquartile_mean_interval(x, iter([draws_x]))), "iqm")
    agrees((probability_of_improvement(x, y), improvement_interval(x, y, iter([draws_x]), iter([draws_y]))), "poi")
    agrees((performance_profile(x, taus), profile_interval(x, taus, iter([draws_x]))), "profile")
