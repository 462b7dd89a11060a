"""What the loop decides by playing: causes, trials, champions, targets."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from helpers.loop_fakes import NoTuning

from tensor_optix import BackoffScheduler, CheckpointRegistry, HyperparamSet, LoopController, LoopState
from tensor_optix.core.complete import completed
from tensor_optix.core.judgement.arena import Arena, Player
from tensor_optix.core.judgement.diagnosis import Cause, find_cause, is_lower, is_lower_paired, is_unharmed
from tensor_optix.core.judgement.track_record import PlayedSet, TrackRecord
from tensor_optix.core.types import EvaluationResult
from tensor_optix.testing.fakes import PlayablePipeline, RecordingCallback, RewardEvaluator, StatefulAgent


class Learner(StatefulAgent):
    """Skill grows by one a window up to a ceiling; `damage` takes it away; the world may get harder."""

    def __init__(self, ceiling=40.0):
        super().__init__({"x": 1.0})
        self.ceiling = ceiling
        self.world_loss = 0.0
        self.changed_worlds = 0
        self.bold = None

    def learn(self, episode_data):
        diagnostics = super().learn(episode_data)
        self.weight = min(self.weight, self.ceiling)
        return diagnostics

    def on_world_change(self):
        self.changed_worlds += 1

    def bold_hyperparams(self):
        return self.bold

    @property
    def skill(self):
        return self.weight - self.world_loss


def make_loop(tmp_path, agent, script=None, barrier_every=0, spread=0.3, **arguments):
    rng = np.random.default_rng(0)
    pipeline = PlayablePipeline(
        script or (lambda k: agent.skill + 0.3 * rng.normal()), lambda: agent.skill, spread, barrier_every
    )
    recorder = RecordingCallback()
    arguments.setdefault("report_episodes", 10)
    loop = LoopController(
        agent,
        RewardEvaluator(),
        NoTuning(),
        pipeline,
        CheckpointRegistry(str(tmp_path / "run")),
        BackoffScheduler(),
        callbacks=[recorder],
        seed=0,
        **arguments,
    )
    return loop, recorder, pipeline


def damage_at(agent, window, rng):
    """A script that wrecks the policy itself at one window."""

    def script(k):
        if k == window:
            agent.weight = 2.0
            agent.ceiling = 2.0
        return agent.skill + 0.3 * rng.normal()

    return script


class TestCause:
    @pytest.mark.parametrize("roll_back", [True, False])
    def test_a_damaged_policy_is_rolled_back_where_asked_for(self, tmp_path, roll_back):
        agent = Learner()
        script = damage_at(agent, 60, np.random.default_rng(1))
        loop, recorder, _ = make_loop(tmp_path, agent, script, rollback_on_degradation=roll_back, max_episodes=66)
        loop.run()
        assert recorder.count("on_degradation") == 1
        assert agent.changed_worlds == 0
        champion = loop.best_snapshot
        assert champion.eval_metrics.primary_score > 30

    def test_the_bad_windows_are_not_learned_from(self, tmp_path):
        agent = Learner()
        script = damage_at(agent, 60, np.random.default_rng(1))
        loop, recorder, _ = make_loop(tmp_path, agent, script, rollback_on_degradation=True, max_episodes=70)
        loop.run()
        ((alarm, _),) = recorder.arguments("on_degradation")
        assert not {alarm, alarm + 1} & set(agent.learned_windows)
        assert alarm + 2 in agent.learned_windows

    def test_a_changed_world_is_accepted_and_voids_the_old_best(self, tmp_path):
        agent = Learner()
        rng = np.random.default_rng(2)

        def script(k):
            if k == 60:
                agent.world_loss = 25.0
            return agent.skill + 0.3 * rng.normal()

        loop, recorder, _ = make_loop(tmp_path, agent, script, rollback_on_degradation=True, max_episodes=75)
        loop.run()
        assert recorder.count("on_degradation") == 1
        assert agent.changed_worlds == 1
        assert loop.best_snapshot.eval_metrics.primary_score < 20, "the old best was earned in another world"
        assert loop.best_snapshot.episode_id > 60

    def test_a_false_alarm_changes_nothing(self, tmp_path):
        agent = Learner(ceiling=1000.0)
        rng = np.random.default_rng(3)
        loop, recorder, _ = make_loop(
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

    def test_a_false_alarm_of_a_steady_policy_costs_few_episodes(self, tmp_path):
        agent = Learner(ceiling=40.0)
        rng = np.random.default_rng(3)
        loop, recorder, _ = make_loop(
            tmp_path, agent, lambda k: (5.0 if 60 <= k < 64 else agent.skill) + 0.3 * rng.normal(), max_episodes=70
        )
        result = loop.run()
        assert recorder.count("on_degradation") == 1
        assert result.env_steps["diagnosis"] == 2 * 10, "of one step each; 40 of each policy were allowed"

    @pytest.mark.parametrize("num_now", [10, 40])
    @pytest.mark.parametrize("lost_spreads", [0.5, 1.5])
    def test_a_policy_that_lost_more_than_half_a_spread_is_rarely_acquitted(self, num_now, lost_spreads):
        rng = np.random.default_rng(0)

        def acquitted(lost_by_both, lost_by_current):
            then, first = rng.normal(0, 1, 40), rng.normal(0, 0.3, num_now)
            noise = rng.normal(0, 0.95, (2, num_now))
            champion, current = first + noise[0] - lost_by_both, first + noise[1] - lost_by_both - lost_by_current
            return is_unharmed(then, champion, current)

        assert np.mean([acquitted(lost_spreads, 0.0) for _ in range(2000)]) < 0.08
        assert np.mean([acquitted(0.0, lost_spreads) for _ in range(2000)]) < 0.08

    def test_a_policy_as_good_as_ever_is_acquitted_at_once_where_nothing_varies(self):
        assert is_unharmed([500.0] * 20, [500.0] * 10, [500.0] * 10)
        assert not is_unharmed([500.0] * 20, [500.0] * 9, [500.0] * 9), "nine of ten may hide a rare failure"

    def test_find_cause_on_known_cases(self):
        rng = np.random.default_rng(0)
        good, bad = rng.normal(100, 5, 20), rng.normal(60, 5, 20)
        assert find_cause(good, rng.normal(100, 5, 20), bad) is Cause.POLICY_DAMAGED
        assert find_cause(good, bad, rng.normal(60, 5, 20)) is Cause.WORLD_CHANGED
        assert find_cause(good, rng.normal(100, 5, 20), rng.normal(100, 5, 20)) is Cause.FALSE_ALARM
        assert find_cause([500.0] * 20, [500.0] * 20, [9.0] * 20) is Cause.POLICY_DAMAGED
        assert find_cause([500.0] * 20, [500.0] * 19 + [480.0], [500.0] * 20) is Cause.FALSE_ALARM

    @pytest.mark.parametrize(("world_loss", "expected"), [(0.0, Cause.FALSE_ALARM), (25.0, Cause.WORLD_CHANGED)])
    def test_the_champion_is_held_against_the_very_episodes_it_played(self, tmp_path, world_loss, expected):
        agent = Learner()
        loop, _, pipeline = make_loop(tmp_path, agent, spread=60.0, max_episodes=60, report_episodes=20)
        loop.run()
        reported = pipeline.seeds_played[-1]
        agent.world_loss = world_loss
        assert loop.parts.alarm.play_for_cause() is expected, (
            "less than half a spread: fresh episodes would not show it"
        )
        assert pipeline.seeds_played.count(reported) == 3

    def test_what_was_not_played_before_follows_until_the_budget_ends(self, tmp_path):
        loop, _, _ = make_loop(tmp_path, Learner(), max_episodes=500, report_episodes=0)
        loop.parts.incumbent.record = TrackRecord([PlayedSet(7, np.zeros(5)), PlayedSet(8, np.zeros(30))])
        loop.parts.ledger.steps["training"] = 10**6
        rounds = list(loop.parts.challenges.diagnosis_rounds())
        assert rounds[:2] == [(7, 5), (8, 20)]
        assert [count for _, count in rounds[2:]] == [5, 5, 5]
        loop.parts.ledger.steps["training"] = 0
        assert [count for _, count in loop.parts.challenges.diagnosis_rounds()] == [5, 15]

    def test_a_loss_that_hides_in_the_spread_of_first_states_shows_in_the_same_episodes(self):
        then = np.linspace(-300.0, 0.0, 20)
        rng = np.random.default_rng(0)
        now = then - np.where(np.arange(20) % 2, 0.0, 90.0) - rng.normal(0, 2, 20)
        assert find_cause(then, now, now) is Cause.FALSE_ALARM
        assert find_cause(then, now, now, then) is Cause.WORLD_CHANGED
        assert is_unharmed(then, then, then, then)
        assert not is_unharmed(then, now, now, then)


class TestTrial:
    def run(self, tmp_path, bold_ceiling):
        agent = Learner()
        agent.bold = HyperparamSet({"x": 99.0}, 0)
        learn = agent.learn

        def learn_bolder(window):
            agent.ceiling = bold_ceiling if agent.hyperparams.params["x"] == 99.0 else 40.0
            return learn(window)

        agent.learn = learn_bolder
        loop, recorder, _ = make_loop(tmp_path, agent, max_episodes=2000)
        return loop.run(), recorder, agent

    def test_a_trial_that_does_not_pay_is_taken_back(self, tmp_path):
        result, recorder, agent = self.run(tmp_path, bold_ceiling=40.0)
        updates = recorder.arguments("on_hyperparam_update")
        assert ({"x": 1.0}, {"x": 99.0}) in updates
        assert ({"x": 99.0}, {"x": 1.0}) in updates
        assert agent.hyperparams.params == {"x": 1.0}
        assert result.reason == "trained"

    def test_a_trial_that_pays_is_kept(self, tmp_path):
        result, _, agent = self.run(tmp_path, bold_ceiling=60.0)
        assert agent.hyperparams.params == {"x": 99.0}
        assert result.report.mean > 55


class TestChampion:
    def test_training_luck_is_corrected_by_episodes_at_barriers(self, tmp_path):
        agent = Learner(ceiling=30.0)
        rng = np.random.default_rng(4)

        def script(k):  # training scores flatter windows 10-12
            return agent.skill + (50.0 if 10 <= k < 13 else 0.0) + 0.3 * rng.normal()

        loop, _, _ = make_loop(tmp_path, agent, script, barrier_every=10, max_episodes=400)
        result = loop.run()
        assert agent.weight > 25
        assert result.report.mean > 25

    def test_choosing_takes_at_most_a_tenth_of_the_steps(self, tmp_path):
        agent = Learner()
        loop, _, _ = make_loop(tmp_path, agent, barrier_every=5, max_episodes=1500)
        result = loop.run()
        closing = 2 * 20
        assert result.env_steps["evaluation"] - closing <= 0.1 * result.env_steps["training"] + 1

    @pytest.mark.parametrize("budget", [111, 333, 2_000])
    def test_training_and_choosing_stay_within_the_budget(self, tmp_path, budget):
        loop, _, _ = make_loop(tmp_path, Learner(ceiling=10.0), barrier_every=20, max_env_steps=budget)
        loop.scheduler.dormant_threshold = 10**6
        result = loop.run()
        spent = result.env_steps["training"] + result.env_steps["evaluation"] + result.env_steps["diagnosis"]
        assert result.reason == "budget"
        assert spent <= budget
        assert result.env_steps["training"] >= 0.8 * budget
        assert result.env_steps["evaluation"] > 0, "the last policy plays for the championship too"

    @pytest.mark.parametrize("seed", range(5))
    def test_the_budget_holds_where_episodes_differ_in_length(self, tmp_path, monkeypatch, seed):
        rng = np.random.default_rng(seed)
        play = PlayablePipeline.play_episodes

        def play_long_ones(pipeline, act, num_episodes, *, seed):
            lengths = np.where(rng.random(num_episodes) < 0.3, 20, 1)
            return replace(play(pipeline, act, num_episodes, seed=seed), lengths=lengths, env_steps=int(lengths.sum()))

        monkeypatch.setattr(PlayablePipeline, "play_episodes", play_long_ones)
        loop, _, _ = make_loop(tmp_path, Learner(ceiling=10.0), barrier_every=20, max_env_steps=3_000)
        loop.scheduler.dormant_threshold = 10**6
        result = loop.run()
        spent = sum(steps for use, steps in result.env_steps.items() if use != "report")
        assert 0.85 * 3_000 <= spent <= 3_000

    def test_the_episodes_that_report_are_not_those_that_chose(self, tmp_path):
        agent = Learner()
        loop, _, pipeline = make_loop(tmp_path, agent, barrier_every=20, max_episodes=300)
        result = loop.run()
        assert result.report.num_episodes == 10
        assert pipeline.seeds_played[-1] not in pipeline.seeds_played[:-1]
        times = Counter(pipeline.seeds_played[:-1])
        pairs = [seed for seed in pipeline.seeds_played if times[seed] == 2]
        assert pairs[::2] == pairs[1::2], "challenger and champion play the same seeds, and no others do"
        assert list(times.values()).count(1) <= 1, "one champion that never played is assessed"

    @pytest.mark.parametrize(("num_envs", "episodes"), [(1, 5), (8, 8), (64, 20)])
    def test_a_round_leaves_no_environment_idle(self, tmp_path, monkeypatch, num_envs, episodes):
        monkeypatch.setattr(PlayablePipeline, "num_envs", num_envs, raising=False)
        play, rounds = PlayablePipeline.play_episodes, []

        def note(pipeline, act, num_episodes, *, seed):
            rounds.append(num_episodes)
            return play(pipeline, act, num_episodes, seed=seed)

        monkeypatch.setattr(PlayablePipeline, "play_episodes", note)
        loop, _, _ = make_loop(tmp_path, Learner(), barrier_every=20, max_episodes=600, report_episodes=0)
        loop.run()
        assert rounds[-2:] == [episodes, episodes], "the last challenge begins with a whole round, and is decided by it"


class TestTarget:
    def test_the_run_ends_as_soon_as_the_lower_bound_reaches_the_target(self, tmp_path):
        agent = Learner()
        loop, _, _ = make_loop(tmp_path, agent, target_score=20.0)
        result = loop.run()
        assert result.reason == "target"
        assert result.report.mean >= 20.0
        assert agent.weight < 30

    def test_a_target_out_of_reach_is_never_claimed(self, tmp_path):
        agent = Learner()
        loop, _, _ = make_loop(tmp_path, agent, target_score=45.0)
        result = loop.run()
        assert result.reason == "trained"
        assert loop.state is LoopState.DORMANT


def test_pairs_show_what_the_spread_of_first_states_hides():
    champion = np.linspace(-300.0, 0.0, 12)
    damaged = champion - 60.0 - 10.0 * np.sin(np.arange(12))
    assert not is_lower(damaged, champion)
    assert is_lower_paired(damaged, champion)
    assert find_cause(champion, champion, damaged) is Cause.POLICY_DAMAGED
    assert not is_lower_paired(champion, champion)
    assert not is_lower_paired(damaged[:6], champion)
    assert not is_lower_paired(champion - 1.0, champion), "too little to matter"


def test_environments_that_wait_are_paid_for_beforehand():
    def play(act, num_episodes, *, seed):  # of 8 environments, 5 play and 3 wait
        lengths = np.full(num_episodes, 100)
        return EvaluationResult(0.0, (0.0, 0.0), np.zeros(num_episodes), lengths, env_steps=8 * 100)

    player = completed(play, Player)
    arena = Arena(StatefulAgent(), player, seed=0)
    assert arena.play(5, seed=1).env_steps == 800
    assert arena.steps_for_pairs(5) == 2 * 800
    assert arena.num_pairs(2 * 800) == 5
    resumed = Arena(StatefulAgent(), player, seed=0)
    resumed.load_state_dict(arena.state_dict())
    assert resumed.steps_for_pairs(5) == 2 * 800
