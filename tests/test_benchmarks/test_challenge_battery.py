"""A worse challenger seldom becomes champion; the script behind that figure runs."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "challenge_battery.py"


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """By group and case: by rule, how often the challenger wins, and in how many pairs."""
    spec = importlib.util.spec_from_file_location("challenge_battery", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    sys.modules["challenge_battery"] = script
    spec.loader.exec_module(script)
    return {
        title: {name: script.measure(case, 200, seed) for seed, (name, case) in enumerate(cases.items())}
        for title, cases in script.battery().items()
    }


def column(cases: dict[str, Any], rule: str, place: int) -> np.ndarray:
    return np.array([by_rule[rule][place] for by_rule in cases.values()])


@pytest.mark.parametrize("rule", ["now", "not told"])
def test_a_worse_challenger_wins_at_most_15_times_in_a_hundred(found: dict[str, Any], rule: str) -> None:
    wins = column(found["worse"], rule, 0)
    assert wins.max() <= 0.15 + 2.33 * np.sqrt(0.15 * 0.85 / 200)
    assert wins.mean() <= 0.15
    assert column(found["worse"], "before", 0).max() > 0.4, "the battery is one that the earlier rule fails"


@pytest.mark.parametrize("rule", ["now", "not told"])
def test_it_takes_at_most_20_pairs_and_one_and_a_half_times_as_many_as_before(found: dict[str, Any], rule: str) -> None:
    for title in ("worse", "better", "neither"):
        pairs = column(found[title], rule, 1)
        assert pairs.max() <= 20
        assert pairs.mean() <= 1.5 * column(found[title], "before", 1).mean()


def test_a_better_challenger_wins_nearly_as_often_as_before(found: dict[str, Any]) -> None:
    assert column(found["better"], "now", 0).mean() >= column(found["better"], "before", 0).mean() - 0.05
