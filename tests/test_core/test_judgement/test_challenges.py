"""Who plays for the championship, for how long, and what it costs."""

from collections import Counter
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
from loop_fakes import Learner, make_playing_loop
from resume_fakes import LinearAgent
from step_counts import CountedEnv, StepCount, counted, spent

from tensor_optix import BatchPipeline, RLOptimizer
from tensor_optix.core.judgement.track_record import PlayedSet, TrackRecord
from tensor_optix.core.types import EvaluationResult
from tensor_optix.functional.statistics import mean_interval
from tensor_optix.testing.fakes import PlayablePipeline


def test_training_luck_is_corrected_by_episodes_at_barriers(tmp_path):
    agent = Learner(ceiling=30.0)
    rng = np.random.default_rng(4)

    def script(k):  # training scores flatter windows 10-12
        return agent.skill + (50.0 if 10 <= k < 13 else 0.0) + 0.3 * rng.normal()

    loop, _, _ = make_playing_loop(tmp_path, agent, script, barrier_every=10, max_episodes=400)
    result = loop.run()
    assert agent.weight > 25
    assert result.report.mean > 25


def test_choosing_takes_at_most_a_tenth_of_the_steps(tmp_path):
    agent = Learner()
    loop, _, _ = make_playing_loop(tmp_path, agent, barrier_every=5, max_episodes=1500)
    result = loop.run()
    closing = 2 * 20
    assert result.env_steps["evaluation"] - closing <= 0.1 * result.env_steps["training"] + 1


@pytest.mark.parametrize("budget", [111, 333, 2_000])
def test_training_and_choosing_stay_within_the_budget(tmp_path, budget):
    loop, _, _ = make_playing_loop(tmp_path, Learner(ceiling=10.0), barrier_every=20, max_env_steps=budget)
    loop.scheduler.dormant_threshold = 10**6
    result = loop.run()
    spent = result.env_steps["training"] + result.env_steps["evaluation"] + result.env_steps["diagnosis"]
    assert result.reason == "budget"
    assert spent <= budget
    assert result.env_steps["training"] >= 0.8 * budget
    assert result.env_steps["evaluation"] > 0, "the last policy plays for the championship too"


@pytest.mark.parametrize("seed", range(5))
def test_the_budget_holds_where_episodes_differ_in_length(tmp_path, monkeypatch, seed):
    rng = np.random.default_rng(seed)
    play = PlayablePipeline.play_episodes

    def play_long_ones(pipeline, act, num_episodes, *, seed):
        lengths = np.where(rng.random(num_episodes) < 0.3, 20, 1)
        return replace(play(pipeline, act, num_episodes, seed=seed), lengths=lengths, env_steps=int(lengths.sum()))

    monkeypatch.setattr(PlayablePipeline, "play_episodes", play_long_ones)
    loop, _, _ = make_playing_loop(tmp_path, Learner(ceiling=10.0), barrier_every=20, max_env_steps=3_000)
    loop.scheduler.dormant_threshold = 10**6
    result = loop.run()
    spent = sum(steps for use, steps in result.env_steps.items() if use != "report")
    assert 0.85 * 3_000 <= spent <= 3_000


def test_the_episodes_that_report_are_not_those_that_chose(tmp_path):
    agent = Learner()
    loop, _, pipeline = make_playing_loop(tmp_path, agent, barrier_every=20, max_episodes=300)
    result = loop.run()
    assert result.report.num_episodes == 10
    assert pipeline.seeds_played[-1] not in pipeline.seeds_played[:-1]
    times = Counter(pipeline.seeds_played[:-1])
    pairs = [seed for seed in pipeline.seeds_played if times[seed] == 2]
    assert pairs[::2] == pairs[1::2], "challenger and champion play the same seeds, and no others do"
    assert list(times.values()).count(1) <= 1, "one champion that never played is assessed"


@pytest.mark.parametrize(("num_envs", "episodes"), [(1, 5), (3, 6), (8, 8), (64, 20)])
def test_a_round_leaves_no_environment_idle(tmp_path, monkeypatch, num_envs, episodes):
    monkeypatch.setattr(PlayablePipeline, "num_envs", num_envs, raising=False)
    play, rounds = PlayablePipeline.play_episodes, []

    def note(pipeline, act, num_episodes, *, seed):
        rounds.append(num_episodes)
        return play(pipeline, act, num_episodes, seed=seed)

    monkeypatch.setattr(PlayablePipeline, "play_episodes", note)
    loop, _, _ = make_playing_loop(tmp_path, Learner(), barrier_every=20, max_episodes=600, report_episodes=0)
    loop.run()
    assert rounds[-2:] == [episodes, episodes], "the last challenge begins with a whole round, and is decided by it"


def test_what_was_not_played_before_follows_until_the_budget_ends(tmp_path):
    loop, _, _ = make_playing_loop(tmp_path, Learner(), max_episodes=500, report_episodes=0)
    loop.parts.incumbent.track_record = TrackRecord([PlayedSet(7, np.zeros(5)), PlayedSet(8, np.zeros(30))])
    loop.parts.ledger.steps["training"] = 10**6
    rounds = list(loop.parts.challenges.diagnosis_rounds())
    assert rounds[:2] == [(7, 5), (8, 20)]
    assert [count for _, count in rounds[2:]] == [5, 5, 5]
    loop.parts.ledger.steps["training"] = 0
    assert [count for _, count in loop.parts.challenges.diagnosis_rounds()] == [5, 5]


class Chance:
    """A pipeline's player to whom all policies are equal: every return is drawn anew around 0."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def __call__(self, act, num_episodes, *, seed):
        returns = self.rng.normal(size=num_episodes)
        lengths = np.ones(num_episodes, np.int64)
        return EvaluationResult(float(returns.mean()), mean_interval(returns), returns, lengths, num_episodes)


class TestTrackRecords:
    """What a champion is held against does not begin with the luck that made it one."""

    NUM_CHALLENGES = 1_500

    def records(self, folder):
        loop, _, _ = make_playing_loop(folder, Learner(), lambda k: 1.0, max_episodes=3, report_episodes=0)
        loop.run()
        challenges, ledger = loop.parts.challenges, loop.parts.ledger
        challenges._arena._play = Chance(seed=7)
        won = []
        for _ in range(self.NUM_CHALLENGES):
            ledger.steps["training"], ledger.steps["evaluation"] = 10_000, 0
            record = challenges.winner()
            if record is not None:
                won.append(record)
                assert ledger.steps["evaluation"] <= 1_000
        return won, loop.parts.incumbent.track_record

    def test_those_of_chance_winners_and_of_who_stays_are_not_biased(self, tmp_path):
        won, stayed = self.records(tmp_path)
        returns = np.concatenate([record.returns for record in won])
        assert len(won) > 20
        assert len(returns) == 20 * len(won)
        assert abs(returns.mean()) < 3.0 / np.sqrt(len(returns))
        assert len(stayed) >= 20

    def test_where_nothing_is_left_to_pay_with_there_is_none(self, tmp_path):
        loop, _, _ = make_playing_loop(tmp_path, Learner(), lambda k: 1.0, max_episodes=3, report_episodes=0)
        loop.run()
        ledger, agent = loop.parts.ledger, loop.parts.arena._agent
        agent.weight = 30.0
        loop.parts.incumbent.track_record.add(1, [1.0])
        ledger.steps["training"], ledger.steps["evaluation"] = 400, 0
        record = loop.parts.challenges.winner()
        assert record is not None
        assert len(record) == 0


def played_out(folder, length, num_envs, **budget):
    """Train where each of ``num_envs`` plays episodes of ``length`` steps."""
    count, interval = StepCount(), 480 if length is not None and length <= 20 else None
    agent = LinearAgent(num_inputs=2)
    pipeline = BatchPipeline(
        counted(count, num_envs, length=length), agent, 48 // num_envs, barrier_interval_steps=interval
    )
    arguments = {"seed": 0, "report_episodes": 0, **budget}
    result = RLOptimizer(agent, pipeline, checkpoint_dir=str(folder), **arguments).run()
    assert count.steps <= sum(result.env_steps.values())
    return result


@pytest.mark.parametrize("num_envs", [1, 4])
@pytest.mark.parametrize(("length", "round_steps"), [(2, 48), (20, 330), (400, 6416), (None, 16_000)])
@pytest.mark.parametrize("budget", [{"max_env_steps": 4000}, {"max_episodes": 90}])
def test_choosing_takes_a_tenth_of_the_steps_or_one_round_the_last_choice_included(
    tmp_path, num_envs, length, round_steps, budget
):
    result = played_out(tmp_path, length, num_envs, **budget)
    used = result.env_steps
    assert used["evaluation"] <= max(0.1 * used["training"], round_steps)
    assert used["evaluation"] <= 0.2 * used["training"]
    assert used["diagnosis"] <= max(0.1 * used["training"], 2 * round_steps)
    if "max_env_steps" in budget:
        assert spent(result) <= 4000
        assert 4000 - spent(result) <= 80
    said = "training scores alone chose the champion" in result.explanation
    assert said is any("never played fresh episodes" in note for note in result.notes), "there is no report"
    assert said is (result.champion is not None and used["evaluation"] == 0)
    if length is not None and length <= 20:
        assert not said


@pytest.mark.parametrize("num_envs", [1, 4])
def test_a_round_that_turns_out_longer_than_any_lately_is_broken_off_and_counted(tmp_path, num_envs):
    """Training ends its episodes by its own noise, greedy episodes go on and on."""

    class Noisy(CountedEnv):
        def step(self, action):
            observation, reward, _, truncated, info = super().step(action)
            return observation, reward, bool(action == 1), truncated, info

    class HalfAndHalf(Learner):
        def act(self, observation):
            return int(rng.random() < 0.2)

        def act_greedy(self, observation):
            return 0

    rng, count = np.random.default_rng(0), StepCount()
    makers = [lambda: Noisy(count, None)] * num_envs
    pipeline = BatchPipeline(
        makers[0] if num_envs == 1 else lambda: gym.vector.SyncVectorEnv(makers),
        window_size=40,
        barrier_interval_steps=400,
    )
    result = RLOptimizer(
        HalfAndHalf(), pipeline, checkpoint_dir=str(tmp_path), max_env_steps=8000, seed=0, report_episodes=0
    ).run()
    assert count.steps <= spent(result) <= 8000
    assert 0 < result.env_steps["evaluation"] <= 0.2 * result.env_steps["training"]


def test_a_champion_of_the_last_window_plays_alone(tmp_path):
    loop, _, pipeline = make_playing_loop(tmp_path, Learner(), max_episodes=1, report_episodes=0)
    result = loop.run()
    assert result.champion.episode_id == 0
    assert len(pipeline.seeds_played) == 1
    assert result.env_steps["evaluation"] == 5
    assert result.notes == ()
