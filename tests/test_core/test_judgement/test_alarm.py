"""A drop is told once and soon, and the champion comes back where that was asked for."""

import numpy as np
import pytest
from loop_fakes import CountUp, Learner, damage_at, make_loop, make_playing_loop

from tensor_optix import LoopCallback
from tensor_optix.core.judgement.diagnosis import Cause
from tensor_optix.testing.fakes import ScriptedPipeline, SixMethodAgent, StatefulAgent


class CollapsingPipeline(ScriptedPipeline):
    """100 while the agent's weight is below 30, then 1: the policy itself is damaged."""

    def __init__(self, agent):
        super().__init__(lambda k: 100.0 if agent.weight < 30 else 1.0)


def test_a_collapse_fires_once_within_five_windows(tmp_path):
    loop, recorder = make_loop(tmp_path, [100.0] * 12 + [1.0] * 30)
    loop.run()
    assert recorder.count("on_degradation") == 1
    ((window, metrics),) = recorder.arguments("on_degradation")
    assert 12 <= window < 17
    assert metrics.primary_score == 1.0


def test_a_noisy_collapse_fires_once_within_five_windows(tmp_path):
    rng = np.random.default_rng(5)
    scores = np.concatenate([rng.normal(100, 5, 25), rng.normal(1, 0.3, 40)])
    loop, recorder = make_loop(tmp_path, scores)
    loop.run()
    windows = [window for window, _ in recorder.arguments("on_degradation")]
    assert len(windows) == 1
    assert 25 <= windows[0] < 30


@pytest.mark.parametrize("agent_class", [SixMethodAgent, StatefulAgent])
def test_rollback_brings_everything_back_and_the_bad_window_is_not_learned(tmp_path, agent_class):
    agent = agent_class({"x": 7.0})
    pipeline = CollapsingPipeline(agent)

    after = {}

    class Peek(LoopCallback):
        def on_degradation(self, episode_id, eval_metrics):
            after["window"] = episode_id
            loop.stop()

        def on_episode_end(self, episode_id, eval_metrics):
            if episode_id == after.get("window"):
                after["weight"], after["x"] = agent.weight, agent.hyperparams.params["x"]
                after["slot"] = getattr(agent, "slot", None)

    loop, _ = make_loop(
        tmp_path,
        pipeline,
        agent,
        optimizer=CountUp(),
        callbacks=[Peek()],
        rollback_on_degradation=True,
        max_episodes=60,
    )
    loop.run()
    champion = loop.best_snapshot
    assert 30 <= after["window"] < 35
    assert after["window"] not in agent.learned_windows
    assert after["weight"] == champion.episode_id
    assert after["x"] == champion.hyperparams.params["x"]
    if agent_class is StatefulAgent:
        assert after["slot"] == 0.5 * champion.episode_id


def test_without_rollback_the_loop_keeps_learning(tmp_path):
    agent = StatefulAgent()
    loop, recorder = make_loop(tmp_path, [100.0] * 12 + [1.0] * 12, agent)
    loop.run()
    assert recorder.count("on_degradation") == 1
    assert agent.learned_windows == list(range(24))


def test_a_second_collapse_after_recovery_fires_again(tmp_path):
    loop, recorder = make_loop(tmp_path, [100.0] * 12 + [1.0] * 10 + [100.0] * 12 + [1.0] * 10)
    loop.run()
    assert recorder.count("on_degradation") == 2


@pytest.mark.parametrize("roll_back", [True, False])
def test_a_damaged_policy_is_rolled_back_where_asked_for(tmp_path, roll_back):
    agent = Learner()
    script = damage_at(agent, 60, np.random.default_rng(1))
    loop, recorder, _ = make_playing_loop(tmp_path, agent, script, rollback_on_degradation=roll_back, max_episodes=66)
    scores = loop.run().history["score"]
    ((alarm, _),) = recorder.arguments("on_degradation")
    assert max(scores[60 : alarm + 1]) < 5.0 < 30.0 < min(scores[50:60])
    is_back = scores[alarm + 2] > 30.0  # in the window between, the cause is found
    assert is_back is roll_back
    assert agent.changed_worlds == 0
    assert loop.best_snapshot.eval_metrics.primary_score > 30.0


def test_the_bad_windows_are_not_learned_from(tmp_path):
    agent = Learner()
    script = damage_at(agent, 60, np.random.default_rng(1))
    loop, recorder, _ = make_playing_loop(tmp_path, agent, script, rollback_on_degradation=True, max_episodes=70)
    loop.run()
    ((alarm, _),) = recorder.arguments("on_degradation")
    assert not {alarm, alarm + 1} & set(agent.learned_windows)
    assert alarm + 2 in agent.learned_windows


def test_a_changed_world_is_accepted_and_voids_the_old_best(tmp_path):
    agent = Learner()
    rng = np.random.default_rng(2)

    def script(k):
        if k == 60:
            agent.world_loss = 25.0
        return agent.skill + 0.3 * rng.normal()

    loop, recorder, _ = make_playing_loop(tmp_path, agent, script, rollback_on_degradation=True, max_episodes=75)
    loop.run()
    assert recorder.count("on_degradation") == 1
    assert agent.changed_worlds == 1
    assert loop.best_snapshot.eval_metrics.primary_score < 20, "the old best was earned in another world"
    assert loop.best_snapshot.episode_id > 60


def test_a_false_alarm_changes_nothing(tmp_path):
    agent = Learner(ceiling=1000.0)
    rng = np.random.default_rng(3)
    loop, recorder, _ = make_playing_loop(
        tmp_path,
        agent,
        lambda k: (5.0 if 60 <= k < 64 else agent.skill) + 0.3 * rng.normal(),
        rollback_on_degradation=True,
        max_episodes=90,
    )
    loop.run()
    assert recorder.count("on_degradation") == 1
    assert agent.changed_worlds == 0
    ((alarm, _),) = recorder.arguments("on_degradation")
    assert sorted(set(range(90)) - set(agent.learned_windows)) == [alarm]


def test_a_false_alarm_of_a_steady_policy_costs_few_episodes(tmp_path):
    agent = Learner(ceiling=40.0)
    rng = np.random.default_rng(3)
    loop, recorder, _ = make_playing_loop(
        tmp_path, agent, lambda k: (5.0 if 60 <= k < 64 else agent.skill) + 0.3 * rng.normal(), max_episodes=70
    )
    result = loop.run()
    assert recorder.count("on_degradation") == 1
    assert result.env_steps["diagnosis"] == 2 * 10, "of one step each; 40 of each policy were allowed"


@pytest.mark.parametrize(("world_loss", "expected"), [(0.0, Cause.FALSE_ALARM), (25.0, Cause.WORLD_CHANGED)])
def test_the_champion_is_held_against_the_very_episodes_it_played(tmp_path, world_loss, expected):
    agent = Learner()
    loop, _, pipeline = make_playing_loop(tmp_path, agent, spread=60.0, max_episodes=60, report_episodes=20)
    loop.run()
    reported = pipeline.seeds_played[-1]
    agent.world_loss = world_loss
    assert loop.parts.alarm.play_for_cause() is expected, "less than half a spread: fresh episodes would not show it"
    assert pipeline.seeds_played.count(reported) == 3
