"""The bounded history: what it keeps is what a plain list would say."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tensor_optix.monitoring.score_bins import ScoreBins


def filled(scores: list[float], capacity: int = 8) -> ScoreBins:
    bins = ScoreBins(capacity)
    for score in scores:
        bins.add(score)
    return bins


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=200))
def test_means_and_scatters_are_those_of_the_scores(scores: list[float]) -> None:
    bins = filled(scores)
    assert bins.num_bins < 8
    whole = bins.num_bins * bins.bin_size
    assert len(scores) - whole < bins.bin_size
    table = np.array(scores[:whole]).reshape(bins.num_bins, bins.bin_size)
    assert bins.values() + scores[0] == pytest.approx(table.mean(axis=1), abs=1e-9)
    assert bins.scatters[: bins.num_bins] == pytest.approx(table.var(axis=1) * bins.bin_size, abs=1e-6)
    assert bins.roughness[: bins.num_bins].sum() == pytest.approx(np.sum(np.diff(scores[:whole]) ** 2), abs=1e-6)


def test_difference_sd_is_the_noise_of_white_scores() -> None:
    scores = np.random.default_rng(0).normal(5.0, 2.0, size=4096).tolist()
    assert filled(scores, 512).difference_sd() == pytest.approx(2.0, rel=0.05)


def test_last_is_the_newest_difference() -> None:
    assert filled([7.0, 9.0, 4.0]).last == -3.0


def test_state_goes_through_json() -> None:
    scores = np.random.default_rng(1).normal(size=333).tolist()
    one = filled(scores[:150])
    other = ScoreBins(8)
    other.load_state_dict(json.loads(json.dumps(one.state_dict())))
    for score in scores[150:]:
        one.add(score)
        other.add(score)
    assert other.state_dict() == one.state_dict()
