"""What follows from a look: what is counted, who is told, what the end waits for; a champion that falls far short."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest

from tensor_optix import (
    BackoffOptimizer,
    BackoffScheduler,
    BatchPipeline,
    CheckpointRegistry,
    LoopController,
    RLOptimizer,
    make_agent,
)
from tensor_optix.core.callbacks import CallbackList
from tensor_optix.core.judgement.challenges import ASSESSMENT_EPISODES, SURE_EPISODES
from tensor_optix.core.judgement.judge import Judge, Verdict
from tensor_optix.core.judgement.looks import Looks, Shortfall
from tensor_optix.core.judgement.track_record import PlayedSet, TrackRecord
from tensor_optix.core.loop.result_file import read_outcome
from tensor_optix.core.types import EvalMetrics, EvaluationResult, LoopState
from tensor_optix.functional.statistics import mean_interval
from tensor_optix.monitoring.trend import Trend
from tensor_optix.testing.fakes import PlayablePipeline, RecordingCallback, RewardEvaluator, StatefulAgent


class Around:
    """Looks over fakes that note what is asked of them."""

    def __init__(self, plateau_threshold=2, dormant_threshold=4):
        self.scheduler = BackoffScheduler(plateau_threshold=plateau_threshold, dormant_threshold=dormant_threshold)
        self.judge = SimpleNamespace(num_looks=0)
        self.recorder = RecordingCallback()
        self.told, self.is_waited_for, self.is_short = [], False, False
        self.looks = Looks(
            self.judge,
            self.scheduler,
            self,
            self,
            SimpleNamespace(puts_off_the_end=lambda: False),
            lambda: self.told.append("plateau"),
            CallbackList([self.recorder]),
            lambda name: self.told.append(f"ask {name}") or True,
        )

    def count_look(self, metrics):
        self.told.append("trial counts")

    def begin_when_free(self, metrics):
        self.told.append("trial begins")

    def puts_off_the_end(self):
        return self.is_short

    def look(self, trend, score=1.0):
        self.judge.num_looks += 1
        self.told.clear()
        self.looks.count(Verdict(trend=trend, look_score=score), EvalMetrics(score, {}, self.judge.num_looks))
        return self.scheduler.current_state


def test_an_improvement_starts_the_count_anew_with_its_score():
    around = Around()
    around.look(Trend.PLATEAU)
    assert around.look(Trend.IMPROVING, 7.0) is LoopState.ACTIVE
    assert (around.scheduler.best_score, around.scheduler.consecutive_non_improvements) == (7.0, 0)
    assert around.told == ["trial counts"]


def test_a_warming_up_counts_for_nothing():
    around = Around()
    around.look(Trend.WARMING_UP)
    assert around.scheduler.consecutive_non_improvements == 0
    assert around.recorder.names() == []


@pytest.mark.parametrize("trend", [Trend.PLATEAU, Trend.STALLED])
def test_looks_of_a_plateau_lead_to_cooling_and_to_dormant_each_told_once(trend):
    around = Around()
    states = [around.look(trend) for _ in range(4)]
    assert states == [LoopState.ACTIVE, LoopState.COOLING, LoopState.COOLING, LoopState.DORMANT]
    assert around.recorder.arguments("on_plateau") == [(2, LoopState.COOLING)]
    assert around.recorder.arguments("on_dormant") == [(4,)]


def test_entering_cooling_tells_the_tuner_and_begins_a_trial():
    around = Around()
    around.look(Trend.PLATEAU)
    around.look(Trend.PLATEAU)
    assert around.told == ["trial counts", "plateau", "trial begins"]


def test_straight_into_dormant_there_is_no_trial():
    around = Around(plateau_threshold=1, dormant_threshold=1)
    assert around.look(Trend.PLATEAU) is LoopState.DORMANT
    assert around.told == ["trial counts", "plateau"]
    assert around.recorder.names() == ["on_plateau", "on_dormant"]


def test_while_cooling_challenges_come_at_the_schedulers_intervals():
    around = Around(plateau_threshold=1, dormant_threshold=100)
    around.scheduler.max_interval_episodes = 4
    asked_at = [n for n in range(1, 20) if around.look(Trend.PLATEAU) and "ask challenge" in around.told]
    assert asked_at == [4, 8, 12, 16]


@pytest.mark.parametrize("reason", ["is_waited_for", "is_short"])
def test_the_end_waits(reason):
    around = Around()
    setattr(around, reason, True)
    for _ in range(10):
        around.look(Trend.PLATEAU)
    assert around.scheduler.consecutive_non_improvements == 0
    setattr(around, reason, False)
    around.look(Trend.PLATEAU)
    assert around.scheduler.consecutive_non_improvements == 1


class Sampler(StatefulAgent):
    """Its sampled score grows by one a window up to 40; its greedy one follows `late` windows later, if ever."""

    def __init__(self, late):
        super().__init__({"x": 1.0})
        self.late = late

    @property
    def sampled(self):
        return min(self.weight, 40.0)

    @property
    def greedy(self):
        return 0.0 if self.weight < self.late else self.sampled


class LongWindows(PlayablePipeline):
    """Windows of 100 steps, so that episodes of one step are cheap beside them."""

    def _window(self, score):
        window = super()._window(score)
        for name in ("observations", "actions", "terminated", "truncated", "rewards"):
            setattr(window, name, np.repeat(getattr(window, name), 100, axis=0))
        window.rewards = window.rewards / 100
        window.infos = [{}] * 100
        return window


class FiveEpisodes(RewardEvaluator):
    """Takes each window's reward for the mean return of five episodes."""

    def score(self, episode_data, train_diagnostics):
        return replace(super().score(episode_data, train_diagnostics), num_episodes=5)


def run(tmp_path, late, pipeline_class=LongWindows, evaluator=None):
    agent = Sampler(late)
    rng = np.random.default_rng(3)
    pipeline = pipeline_class(lambda k: agent.sampled + 0.3 * rng.normal(), lambda: agent.greedy, 0.3, barrier_every=2)
    loop = LoopController(
        agent,
        evaluator or FiveEpisodes(),
        BackoffOptimizer(),
        pipeline,
        CheckpointRegistry(str(tmp_path / "run")),
        BackoffScheduler(),
        seed=0,
        report_episodes=20,
        max_episodes=400,
    )
    return loop.run()


def is_told(result):
    return any("fall far short" in note for note in result.notes)


def test_the_end_waits_until_greedy_episodes_have_caught_up(tmp_path):
    at_once, later = run(tmp_path / "at once", late=0), run(tmp_path / "later", late=110)
    assert at_once.reason == later.reason == "trained"
    assert at_once.windows < 100 < later.windows < 160
    assert later.confirmed_mean == pytest.approx(40.0, abs=0.5)
    assert not is_told(at_once)
    assert not is_told(later)


def test_the_end_is_put_off_by_as_many_looks_again_at_most(tmp_path):
    at_once, never = run(tmp_path / "at once", late=0), run(tmp_path / "never", late=10_000)
    assert never.reason == "trained"
    assert 1.5 * at_once.windows < never.windows < 2.5 * at_once.windows
    note = next(note for note in never.notes if "fall far short" in note)
    assert f"{never.confirmed_mean:.4g}" in note
    assert note in str(never)


def test_scores_that_are_no_mean_returns_are_not_held_against_episodes(tmp_path):
    result, at_once = (run(tmp_path / str(late), late, evaluator=RewardEvaluator()) for late in (10_000, 0))
    assert result.windows == at_once.windows
    assert not is_told(result)


def test_a_champion_that_never_played_is_assessed_before_the_end(tmp_path):
    result = run(tmp_path, late=10_000, pipeline_class=PlayablePipeline)  # its windows pay for no episodes
    assert result.env_steps["report"] == ASSESSMENT_EPISODES + 20
    assert result.windows > 1.5 * run(tmp_path / "good", late=0, pipeline_class=PlayablePipeline).windows
    assert is_told(result)


def shortfall_of(returns, looks_of_plateau=19, level=100.0, first_level=0.0, spread=1.0, can_play=False, windows=200):
    rng = np.random.default_rng(0)
    judge, scheduler = Judge(), BackoffScheduler()
    for k in range(windows):
        mean = first_level + (level - first_level) * min(1.0, k / 30)
        metrics = EvalMetrics(mean + spread * rng.normal(), {}, k, num_episodes=5)
        judge.weigh(metrics)
    judge.crown(metrics)
    for _ in range(looks_of_plateau):
        scheduler.record_non_improvement()
    record = TrackRecord([PlayedSet(1, np.asarray(returns, float))] if len(returns) else [])
    return Shortfall(judge, SimpleNamespace(track_record=record), scheduler, ask=lambda name: can_play)


@pytest.mark.parametrize(
    ("returns", "expected"),
    [
        (np.full(20, 50.0), True),
        (np.full(20, 88.0), True),
        (np.full(20, 98.0), True),
        (np.full(20, 100.0), False),
        (np.full(20, 150.0), False),
        (np.linspace(40.0, 140.0, 20), False),  # its interval reaches up to the windows
        (np.full(4, 50.0), False),  # too few to tell
    ],
)
def test_what_is_beyond_noise_is_far(returns, expected):
    assert shortfall_of(returns).puts_off_the_end() is expected


def test_a_terrible_beginning_does_not_hide_a_shortfall():
    """As on a cliff: from -5,000 to -15.7 by sampling, and to -25.6 by the likeliest action."""
    assert shortfall_of(np.full(20, -25.6), level=-15.7, first_level=-5_000.0).puts_off_the_end()
    assert not shortfall_of(np.full(20, -15.0), level=-15.7, first_level=-5_000.0).puts_off_the_end()


@pytest.mark.parametrize("can_play", [True, False])
def test_the_end_waits_for_an_assessment_where_one_is_possible(can_play):
    assert shortfall_of([], can_play=can_play).puts_off_the_end() is can_play


@pytest.mark.parametrize(("count", "expected"), [(20, True), (SURE_EPISODES, False)])
def test_what_seems_to_fall_short_is_played_for_until_that_is_sure(count, expected):
    """A mean of 90 that few returns of this spread leave open: as surely as a report, and no surer."""
    returns = 90.0 + np.where(np.arange(count) % 2, 60.0, -60.0)
    assert shortfall_of(returns, can_play=True).puts_off_the_end() is expected
    assert not shortfall_of(returns, can_play=False).puts_off_the_end()
    assert not shortfall_of(returns + 10.0, can_play=True).puts_off_the_end()


def test_a_shortfall_that_few_episodes_hide_is_found_before_the_report_does(tmp_path):
    """Greedy returns of 25 or 45, 35 on average, against windows of 40."""

    class Wide(LongWindows):
        def play_episodes(self, act, num_episodes, *, seed):
            signs = np.where(np.random.default_rng(seed).random(num_episodes) < 0.5, 1.0, -1.0)
            returns = self._play_score() - 5.0 + 10.0 * signs
            lengths = np.ones(num_episodes, np.int64)
            return EvaluationResult(float(returns.mean()), mean_interval(returns), returns, lengths, num_episodes)

    short = run(tmp_path / "short", late=0, pipeline_class=Wide)
    at_once = run(tmp_path / "at once", late=0)
    assert short.reason == "trained"
    assert short.windows > 1.5 * at_once.windows


def test_only_the_look_that_would_be_the_last_is_put_off():
    assert not shortfall_of(np.zeros(20), looks_of_plateau=18).puts_off_the_end()


def test_a_difference_inside_the_noise_is_none():
    assert not shortfall_of(np.full(20, 88.0), spread=80.0).puts_off_the_end()


def test_state_goes_with_the_run():
    one, other = shortfall_of(np.zeros(20)), shortfall_of(np.zeros(20))
    assert one.puts_off_the_end()
    other.load_state_dict(one.state_dict())
    assert other.state_dict() == one.state_dict() == {"first_look": 200}


@pytest.mark.parametrize(("returns", "expected"), [([50.0, 51.0, 50.0], 1), ([99.0, 100.0, 101.0], 0), ([50.0], 0)])
def test_the_report_is_held_against_the_windows(returns, expected):
    array = np.array(returns)
    report = EvaluationResult(float(array.mean()), mean_interval(array), array, np.ones(len(array), np.int64), 3)
    assert len(shortfall_of([]).notes_on(report)) == expected
    assert shortfall_of([]).notes_on(None) == ()


def test_a_run_that_is_on_no_plateau_is_told_nothing():
    array = np.zeros(20)
    report = EvaluationResult(0.0, (0.0, 0.0), array, np.ones(20, np.int64), 20)
    assert shortfall_of([], windows=20).notes_on(report) == ()


class TestBothFigures:
    """What the latest windows scored stands beside the report where the two differ beyond noise."""

    def beside(self, *returns, **told):
        array = np.array(returns)
        report = EvaluationResult(float(array.mean()), mean_interval(array), array, np.ones(len(array), np.int64), 3)
        return shortfall_of([], **told).training_mean_beside(report)

    @pytest.mark.parametrize("returns", [(80.0, 81.0, 80.5), (120.0, 121.0, 120.5)])
    def test_they_differ(self, returns):
        assert self.beside(*returns) == pytest.approx(100.0, abs=1.0)

    def test_they_do_not(self):
        assert self.beside(95.0, 103.0, 101.0) is None

    def test_before_there_are_windows_enough_nothing_is_told(self):
        assert self.beside(50.0, 51.0, windows=4) is None

    def test_without_a_report_there_is_nothing_beside_it(self):
        assert shortfall_of([]).training_mean_beside(None) is None


class ShortCorridor(gym.Env):
    """Sutton and Barto, example 13.1: in the middle of three alike cells left is right and right is left.

    Whoever goes right with a probability of 0.59 needs 11.6 steps; whoever takes the likeliest action never arrives.
    """

    observation_space, action_space = gym.spaces.Box(0.0, 1.0, (1,), np.float32), gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place = 0
        return np.ones(1, np.float32), {}

    def step(self, action):
        forward = (action == 1) != (self.place == 1)
        self.place = max(0, self.place + (1 if forward else -1))
        return np.ones(1, np.float32), -1.0, self.place == 3, False, {}


def test_a_result_names_what_sampling_reaches_and_what_the_likeliest_action_does(tmp_path):
    env = gym.wrappers.TimeLimit(ShortCorridor(), 60)
    agent = make_agent(env, "ppo", seed=0, hidden_units=(4,), jit_compile=False)
    pipeline = BatchPipeline(env, agent, window_size=250)
    arguments = {"max_episodes": 8, "seed": 0, "report_episodes": 5, "checkpoint_dir": str(tmp_path)}
    result = RLOptimizer(agent, pipeline, **arguments).run()
    assert result.report.mean == -60.0
    assert -25.0 < result.training_mean < -9.0
    assert f"{result.training_mean:.2f}" in str(result)
    assert f"{result.report.mean:.2f}" in str(result)
    outcome = read_outcome(Path(result.run_dir))
    assert outcome.result.training_mean == pytest.approx(result.training_mean)
