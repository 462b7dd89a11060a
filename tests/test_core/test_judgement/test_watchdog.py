"""The watchdog of a frozen policy: its baselines, its alarms, its state."""

from __future__ import annotations

import json

import numpy as np
import pytest
from loop_fakes import CountUp, make_loop
from scipy.signal import lfilter

from tensor_optix import LoopCallback, LoopState
from tensor_optix.core.judgement.watchdog import CALIBRATION_WINDOWS, Watchdog
from tensor_optix.testing.fakes import ScriptedPipeline, StatefulAgent


def alarm_of(scores: np.ndarray, watchdog: Watchdog | None = None) -> int | None:
    watchdog = watchdog or Watchdog()
    return next((i for i, score in enumerate(scores.tolist()) if watchdog.update(score)), None)


def steady(seed: int, length: int = 700) -> np.ndarray:
    return np.random.default_rng(seed).normal(100.0, 5.0, length)


def num_in_baseline(watchdog: Watchdog) -> int:
    return int(watchdog.state_dict()["detector"]["first"]["count"])


def test_stays_quiet_on_a_steady_policy() -> None:
    assert sum(alarm_of(steady(seed, 1_000)) is not None for seed in range(40)) <= 3


@pytest.mark.parametrize(("at", "least"), [(20, 18), (120, 38), (180, 38), (400, 38)])
def test_finds_a_drop_soon_whenever_it_comes(at: int, least: int) -> None:
    found = []
    for seed in range(40):
        scores = steady(seed)
        scores[at:] -= 20.0
        found.append(alarm_of(scores))
    assert sum(alarm is not None and at <= alarm <= at + 8 for alarm in found) >= least


@pytest.mark.parametrize("kind", ["normal", "skewed up"])
@pytest.mark.parametrize("at", [130, 180, 400])
def test_a_drop_of_one_spread_is_found_within_25_windows(at: int, kind: str) -> None:
    rng = np.random.default_rng(8)
    series = rng.normal(size=(50, at + 80)) if kind == "normal" else rng.exponential(size=(50, at + 80))
    series[:, at:] -= 1.0
    delays = [np.inf if alarm is None else alarm - at + 1 for alarm in map(alarm_of, series) if not (alarm or at) < at]
    assert np.median(delays) <= 25


def test_the_last_baseline_knows_all_windows_so_far() -> None:
    watchdog = Watchdog()
    for score in steady(2, CALIBRATION_WINDOWS[-1]).tolist():
        watchdog.update(score)
    assert num_in_baseline(watchdog) == CALIBRATION_WINDOWS[-1]


def test_a_drop_before_the_first_baseline_is_not_learned_as_normal() -> None:
    found = []
    for seed in range(40):
        scores = steady(seed, 60)
        scores[20:] -= 25.0
        found.append(alarm_of(scores))
    assert sum(alarm is not None and 20 <= alarm < 50 for alarm in found) >= 28


@pytest.mark.parametrize(("at", "at_most"), [(90, 34), (240, 16)])
def test_a_baseline_waits_until_a_drop_that_has_begun_is_judged(at: int, at_most: int) -> None:
    delays = []
    for seed in range(40):
        scores = steady(seed)
        scores[at:] -= 7.5
        alarm = alarm_of(scores)
        delays.append(np.inf if alarm is None else alarm - at + 1)
    assert np.median(delays) <= at_most


def test_a_late_baseline_is_made_once_scores_are_calm() -> None:
    due = CALIBRATION_WINDOWS[1]
    scores = steady(5)
    scores[due - 4 : due] -= 11.0
    watchdog = Watchdog()
    for score in scores[:due].tolist():
        assert not watchdog.update(score)
    count_when_due = num_in_baseline(watchdog)
    for score in scores[due : due + 60].tolist():
        watchdog.update(score)
    assert count_when_due < due < num_in_baseline(watchdog) <= due + 60


def test_scores_at_a_ceiling_with_rare_dips_are_steady() -> None:
    rng = np.random.default_rng(4)
    series = np.minimum(0.0, rng.normal(0.3, 1.0, size=(60, 600)))
    assert sum(alarm_of(scores) is not None for scores in series) <= 2


def test_a_drop_in_autocorrelated_scores_is_found_in_time() -> None:
    shocks = np.random.default_rng(6).normal(size=(60, 760))
    series = lfilter([0.8], [1.0, -0.6], shocks)[:, 60:]
    series[:, 300:] -= 2.0
    delays = [np.inf if alarm is None else alarm - 299 for alarm in map(alarm_of, series)]
    assert np.median(delays) <= 21


@pytest.mark.parametrize("cut", [0, 3, 30, 50, 100, 150, 250, 300])
def test_state_goes_through_json_exactly(cut: int) -> None:
    scores = steady(3).tolist()
    scores[500:] = [score - 8.0 for score in scores[500:]]
    one, other = Watchdog(), Watchdog()
    for score in scores[:cut]:
        one.update(score)
    other.load_state_dict(json.loads(json.dumps(one.state_dict())))
    assert [other.update(score) for score in scores[cut:]] == [one.update(score) for score in scores[cut:]]
    assert other.state_dict() == one.state_dict()


@pytest.mark.parametrize(("windows", "baselines", "as_now"), [(20, 0, 0), (70, 1, 50), (120, 2, 100), (260, 3, 250)])
def test_a_state_that_counts_its_baselines_goes_on(windows: int, baselines: int, as_now: int) -> None:
    watchdog, later = Watchdog(), Watchdog()
    for score in steady(7, windows).tolist():
        watchdog.update(score)
    state = watchdog.state_dict()
    del state["calibrated_at"]
    later.load_state_dict({**state, "baselines": baselines})
    assert later.state_dict() == {**state, "calibrated_at": as_now}


def test_a_state_that_does_not_tell_its_baselines_goes_on() -> None:
    watchdog, later = Watchdog(), Watchdog()
    for score in steady(7, 120).tolist():
        watchdog.update(score)
    state = watchdog.state_dict()
    del state["calibrated_at"]
    later.load_state_dict(state)
    assert later.state_dict() == watchdog.state_dict()


def test_live_goes_on_as_watchdog_frozen_until_degradation(tmp_path):
    rng = np.random.default_rng(4)
    agent = StatefulAgent()
    drop_at = {}

    class DropLater(ScriptedPipeline):
        def __init__(self):
            super().__init__(self.script, live=True)

        def script(self, k):
            if loop.state is LoopState.WATCHDOG and "watch" not in drop_at:
                drop_at["watch"] = k
            if k > 3000:
                return None
            dropped = "watch" in drop_at and k >= drop_at["watch"] + 60
            if dropped and "drop" not in drop_at:
                drop_at["drop"] = k
            return (1.0 if dropped else 5.0) + 0.05 * rng.normal()

    loop, recorder = make_loop(tmp_path, DropLater(), agent, max_episodes=3000)
    result = loop.run()
    assert recorder.count("on_dormant") >= 1
    window = recorder.arguments("on_degradation")[0][0]
    assert drop_at["drop"] <= window < drop_at["drop"] + 6
    frozen = range(drop_at["watch"], window + 1)
    assert not set(frozen) & set(agent.learned_windows)
    assert window + 1 in agent.learned_windows
    assert result.reason in ("budget", "stopped")


def test_a_frozen_champion_is_announced_and_its_scores_credited_to_what_made_it(tmp_path):
    rng = np.random.default_rng(4)

    class Watched(LoopCallback):
        def __init__(self):
            self.made_by = []

        def on_episode_end(self, episode_id, eval_metrics):
            if loop.state is LoopState.WATCHDOG:
                self.made_by.append(eval_metrics.hyperparams.params["x"])

    watched = Watched()
    pipeline = ScriptedPipeline(lambda k: None if watched.made_by[20:] else 5.0 + rng.normal(), live=True)
    loop, recorder = make_loop(
        tmp_path, pipeline, StatefulAgent({"x": 0.0}), optimizer=CountUp(), callbacks=[watched], max_episodes=3000
    )
    loop.run()
    champion = loop.best_snapshot.eval_metrics.hyperparams.params["x"]
    assert set(watched.made_by[1:]) == {champion}, "the first is of the window that was learned before"
    before, after = recorder.arguments("on_hyperparam_update")[-1]
    assert before["x"] > after["x"] == loop.best_snapshot.hyperparams.params["x"]
