"""The definitions and rules behind the judgement's table, against numbers worked out by hand."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest


@pytest.fixture(scope="module")
def scripts() -> Any:
    """The scripts, importable as they import each other."""
    names = ("judgement_truth", "judgement_rules", "judgement_curves", "judgement_coverage")
    return {name: importlib.import_module(name) for name in names}


def run_of(scripts: Any, returns: np.ndarray, kind: str = "good") -> Any:
    """A run of windows of 100 steps in each of which one episode ends."""
    meta = {"kind": kind, "env": "Made", "name": "made"}
    initial = np.array([-1.0, 0.0, 1.0, 0.0] * 5)
    counts = np.ones(len(returns), np.int32)
    return scripts["judgement_truth"].Run(meta, 100, counts, np.asarray(returns, float), initial)


def rising(length: int = 3_000, share: float = 0.2) -> np.ndarray:
    return 100.0 * np.minimum(np.arange(length) / (share * length), 1.0)


def test_definitions(scripts: Any) -> None:
    run = run_of(scripts, rising())
    assert run.steps == 300_000
    assert run.final == 100.0
    assert run.gained == 100.0
    assert run.t95 == pytest.approx(0.19 * run.steps, rel=0.05)
    assert run.has_learned
    assert run.is_flat
    assert run.level(0.1 * run.steps) == pytest.approx(50.0, abs=1.0)
    assert run.shortfall(0.1 * run.steps) == pytest.approx(0.5, abs=0.01)


def test_a_level_is_not_moved_by_a_lucky_episode(scripts: Any) -> None:
    returns = rising()
    returns[2_000] = 1e6
    assert run_of(scripts, returns).level(200_000) == 100.0


def test_what_never_rose_has_not_learned(scripts: Any) -> None:
    noise = np.random.default_rng(0).normal(size=1_000)
    assert not run_of(scripts, noise).has_learned
    assert not run_of(scripts, rising(), kind="noise").has_learned
    assert not run_of(scripts, 100.0 * np.arange(1_000) / 1_000).is_flat


def test_looks_hold_five_episodes(scripts: Any) -> None:
    steps, scores = scripts["judgement_rules"].looks_of(run_of(scripts, np.arange(12.0)))
    assert steps.tolist() == [500, 1000]
    assert scores.tolist() == [2.0, 7.0]
    steps, _ = scripts["judgement_rules"].looks_of(run_of(scripts, np.arange(12.0)), merge=3)
    assert steps.tolist() == [600, 1200]


def test_the_other_rules_by_hand(scripts: Any) -> None:
    rules = scripts["judgement_rules"]
    steps = np.arange(1, 12)
    scores = np.array([0.0, 1.0, 2.0, 1.0, 1.5, 3.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    assert rules.patience(steps, scores, 3) == (9, "trained")
    assert rules.patience(steps, scores, 6) is None
    assert rules.sb3_no_improvement(steps, scores, max_no_improvement_evals=3, min_evals=2) == (10, "trained")
    assert rules.keras_early_stopping(steps, scores, patience=3) == (9, "trained")
    assert rules.slope_test(steps, scores, looks=5) == (5, "trained")


def test_the_loop_is_replayed(scripts: Any) -> None:
    rng = np.random.default_rng(1)
    run = run_of(scripts, rising() + rng.normal(size=3_000))
    events = scripts["judgement_rules"].replay_loop(run)
    step, verdict = events["dormant"]
    assert verdict == "trained"
    assert run.t95 < events["trained"][0] < events["cooling"][0] < step < 0.5 * run.steps
    assert events["alarms"] == 0


def test_a_record_comes_back_as_it_was(scripts: Any, tmp_path: Path) -> None:
    curves = scripts["judgement_curves"]
    record = {
        "meta": {"env": "Made"},
        "window_steps": 100,
        "counts": np.array([1, 2], np.int32),
        "returns": np.array([1.0, 2.0, 3.0], np.float32),
        "initial": np.array([0.0], np.float32),
    }
    curves.save(record, tmp_path / "one.npz")
    (loaded,) = curves.load(tmp_path / "one.npz")
    assert loaded["meta"] == record["meta"]
    assert loaded["returns"].tolist() == [1.0, 2.0, 3.0]
    assert len({task["name"] for task in curves.tasks()}) == len(curves.tasks())


def test_coverage_is_tested_against_what_exact_intervals_show(scripts: Any) -> None:
    coverage = scripts["judgement_coverage"]
    assert pytest.approx(0.938, abs=0.001) == coverage.EXPECTED
    records = [{"env": "Catch", "covered": i >= 12, "low": 0.0, "high": 1.0} for i in range(200)]
    assert coverage.summary(records)["p_value"] > 0.5
    assert (
        coverage.summary([{**r, "covered": r["covered"] and i % 4 > 0} for i, r in enumerate(records)])["p_value"]
        < 1e-6
    )
