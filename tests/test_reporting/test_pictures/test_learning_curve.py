"""The learning curve: what its band is, and when there is one."""

import numpy as np
import pytest
from written_runs import write_run

from tensor_optix.core.types import LoopState
from tensor_optix.reporting.pictures.learning_curve import STATE_LOOKS, learning_curve, noise_band
from tensor_optix.reporting.run import Run


def test_the_band_holds_eight_of_ten_windows_around():
    scores = np.arange(101.0)
    low, middle, high = noise_band(scores, 50, np.array([0, 50, 100]))
    assert (low[1], middle[1], high[1]) == (10.0, 50.0, 90.0)
    assert (low[0], middle[0], high[0]) == (5.0, 25.0, 45.0), "at the beginning there are those behind only"
    rng = np.random.default_rng(0)
    noisy = rng.normal(size=20_000)
    low, _, high = noise_band(noisy, 2000, np.array([10_000]))
    assert np.mean((noisy >= low[0]) & (noisy <= high[0])) == pytest.approx(0.8, abs=0.02)


@pytest.fixture
def path(tmp_path):
    entries = [{"kind": "champion", "windows": 5, "window": 4, "score": 5.0, "greedy_mean": 4.5, "greedy_episodes": 5}]
    states = ["active"] * 20 + ["cooling"] * 10 + ["dormant"] * 10
    alarms = [None] * 30 + [True] + [None] * 9
    scores = [float(i) for i in range(40)]
    return write_run(tmp_path, scores, state=states, alarm=alarms, entries=entries, baseline=(1.0, 2.0, 3.0))


def test_it_is_drawn_over_steps_and_over_time(path):
    run = Run.load(path)
    over_steps, over_time = learning_curve(run), learning_curve(run, over_time=True)
    assert over_steps.name != over_time.name
    assert over_steps.text == "Scores of 40 windows over environment steps of training, from 0 to 39."
    assert "wall time [seconds]" in over_time.text
    assert over_steps.wide[:4] == over_time.narrow[:4] == b"\x89PNG"


def test_without_a_logbook_there_is_none_over_time(tmp_path):
    run = Run.load(write_run(tmp_path, [1.0, 2.0], has_logbook=False))
    assert learning_curve(run, over_time=True) is None
    assert learning_curve(run) is not None


def test_without_scores_there_is_none(tmp_path):
    assert learning_curve(Run.load(write_run(tmp_path, []))) is None


def test_states_are_told_apart_without_colours():
    looks = [tuple(look.values()) for look in STATE_LOOKS.values()]
    assert set(STATE_LOOKS) == set(LoopState) - {LoopState.ACTIVE}
    assert len(set(looks)) == len(looks)
    assert all(len(set(look["facecolor"][i : i + 2] for i in (1, 3, 5))) == 1 for look in STATE_LOOKS.values()), "greys"
