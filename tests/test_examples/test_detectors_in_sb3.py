"""The Stable-Baselines3 example: its callback, fed as that library would, without the library."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tensor_optix.monitoring import Trend

EXAMPLE = Path(__file__).parents[2] / "examples" / "detectors_in_sb3.py"


@pytest.fixture(scope="module")
def judgement_class() -> Any:
    spec = importlib.util.spec_from_file_location("detectors_in_sb3", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Judgement


def feed(callback: Any, returns: np.ndarray) -> int | None:
    """Step the callback through one episode after another; return the episode at which it ends training."""
    for number, value in enumerate(returns.tolist()):
        callback.num_timesteps += 10
        callback.locals = {"infos": [{}, {"episode": {"r": value, "l": 10}}]}
        if not callback._on_step():
            return number
    return None


def test_stops_after_the_plateau_and_not_before(judgement_class: Any) -> None:
    rng = np.random.default_rng(0)
    level = np.minimum(np.arange(1_500) / 300.0, 1.0)
    callback = judgement_class()
    stop = feed(callback, 100.0 * level + 10.0 * rng.normal(size=1_500))
    assert stop is not None
    assert 300 < stop < 900
    assert callback.trend is Trend.PLATEAU
    assert callback.degraded_at == []


def test_tells_a_collapse(judgement_class: Any) -> None:
    rng = np.random.default_rng(1)
    returns = np.concatenate([100.0 + 5.0 * rng.normal(size=200), 5.0 * rng.normal(size=50)])
    callback = judgement_class(looks_to_stop=10_000)
    assert feed(callback, returns) is None
    assert len(callback.degraded_at) == 1
    assert 2_000 < callback.degraded_at[0] <= 2_000 + 10 * 5 * 5


def test_waits_while_returns_rise(judgement_class: Any) -> None:
    rng = np.random.default_rng(2)
    callback = judgement_class()
    assert feed(callback, np.arange(600.0) + 20.0 * rng.normal(size=600)) is None
    assert callback.trend is Trend.IMPROVING
