"""How one champion follows another: who is told, and who may not play."""

import math

import pytest
from loop_fakes import Learner, NoTuning, make_playing_loop

from tensor_optix import EvalMetrics, LoopState


@pytest.fixture
def agent():
    return Learner()


@pytest.fixture
def scene(tmp_path, agent):
    """A loop that has had three windows, the first of which made the champion; what noted its events; its pipeline."""
    loop, recorder, pipeline = make_playing_loop(tmp_path, agent, lambda k: 1.0, max_episodes=3, report_episodes=0)
    loop.run()
    return loop, recorder, pipeline


@pytest.fixture
def loop(scene):
    return scene[0]


@pytest.fixture
def played(scene):
    """The seeds of the episodes that were played so far."""
    return scene[2].seeds_played


def score(value, window=9):
    return EvalMetrics(value, {}, window)


def test_a_new_champion_is_told_to_everyone(scene, monkeypatch):
    loop, recorder, _ = scene
    told = []
    monkeypatch.setattr(NoTuning, "on_improvement", lambda self, metrics: told.append(metrics))
    loop.parts.succession.crown(score(5.0))
    assert loop.best_snapshot.episode_id == 9
    assert [metrics.primary_score for metrics in told] == [5.0]
    (snapshot,) = recorder.arguments("on_improvement")[-1]
    assert snapshot.snapshot_id == loop.best_snapshot.snapshot_id


def test_only_the_first_score_is_the_schedulers_best(loop):
    best = loop.scheduler.best_score
    loop.parts.succession.crown(score(5.0))
    assert best == loop.scheduler.best_score == 1.0


def test_a_better_policy_wins_and_a_worse_one_does_not(loop, agent):
    agent.weight = 30.0
    loop.parts.ledger.steps["training"] = 10**6
    loop.parts.succession.challenge(score(30.0, 10))
    assert loop.best_snapshot.episode_id == 10
    agent.weight = 2.0
    loop.parts.succession.challenge(score(30.0, 11))
    assert loop.best_snapshot.episode_id == 10, "its training scores flattered it"


def test_a_frozen_policy_does_not_play(loop, agent, played):
    agent.weight = 30.0
    loop.parts.ledger.steps["training"] = 10**6
    loop.scheduler.record_watch()
    assert loop.state is LoopState.WATCHDOG
    num_played = len(played)
    loop.parts.succession.challenge(score(30.0, 10))
    assert len(played) == num_played
    assert loop.best_snapshot.episode_id != 10


def test_the_champion_does_not_play_itself(loop, played):
    num_played = len(played)
    loop.parts.succession.choose_for_the_last_time(score(30.0, loop.best_snapshot.episode_id))
    assert len(played) == num_played


@pytest.mark.parametrize("is_first", [True, False])
def test_the_last_choice_asks_whether_it_is_paid_for_unless_it_is_the_first(loop, agent, is_first):
    agent.weight = 30.0
    loop.parts.ledger.steps["training"] = 0
    before = loop.best_snapshot.episode_id
    loop.parts.ledger.steps["evaluation"] = 0 if is_first else 1_000
    loop.parts.succession.choose_for_the_last_time(score(30.0, 10))
    assert loop.best_snapshot.episode_id == (10 if is_first else before)


def test_a_window_without_evidence_wins_by_the_latest_that_had_some(loop):
    evidence = loop.parts.succession.evidence_for(score(math.nan, 12))
    assert (evidence.primary_score, evidence.episode_id) == (1.0, 12)
    assert loop.parts.succession.evidence_for(score(4.0, 12)).primary_score == 4.0
