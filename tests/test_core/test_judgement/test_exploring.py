"""Where training explores, greedy episodes say who is champion, whether a trial paid, and when the end has come."""

import numpy as np
import pytest
from four_agents import LENGTH, env_of, fresh_agent
from loop_fakes import Learner, make_playing_loop

from tensor_optix import BatchPipeline, HyperparamSet, RLOptimizer
from tensor_optix.core.judgement.judge import Judge
from tensor_optix.core.types import EvalMetrics
from tensor_optix.monitoring.trend import Trend
from tensor_optix.testing.fakes import PlayablePipeline, RecordingCallback

MOST_WINDOWS = 3_000


class Explorer(Learner):
    """Its greedy skill has a ceiling; what windows score besides is told by the script."""

    explores = True
    warm_windows = 0

    @property
    def is_warming_up(self):
        return len(self.learned_windows) < self.warm_windows


def run(folder, agent, script, **arguments):
    rng = np.random.default_rng(1)
    loop, recorder, pipeline = make_playing_loop(
        folder, agent, lambda k: script(k) + 0.3 * rng.normal(), max_episodes=MOST_WINDOWS, **arguments
    )
    return loop.run(), recorder, pipeline


class TestChampions:
    def test_scores_that_rise_because_exploration_falls_crown_nobody(self, tmp_path):
        agent = Explorer(ceiling=10.0)
        result, recorder, _ = run(tmp_path, agent, lambda k: min(agent.skill - 10.0, 0.0) + min(k, 400) / 4.0)
        crowned = [snapshot.episode_id for (snapshot,) in recorder.arguments("on_improvement")]
        assert agent.skill == 10.0
        assert result.report.mean == pytest.approx(10.0, abs=0.5)
        assert len([window for window in crowned if window > 120]) <= 2, "chance wins one challenge in twenty"

    def test_what_samples_from_its_own_policy_is_crowned_by_its_scores(self, tmp_path):
        agent = Learner(ceiling=10.0)
        _, recorder, _ = run(tmp_path, agent, lambda k: min(agent.skill - 10.0, 0.0) + min(k, 400) / 4.0)
        crowned = [snapshot.episode_id for (snapshot,) in recorder.arguments("on_improvement")]
        assert len([window for window in crowned if window > 120]) > 5

    def test_before_there_is_anything_to_pay_with_scores_decide(self, tmp_path):
        agent = Explorer()
        loop, _, _ = make_playing_loop(tmp_path, agent, max_episodes=30, report_episodes=0)
        loop.run()
        assert loop.best_snapshot.episode_id > 20

    def test_where_nothing_can_be_played_scores_decide(self, tmp_path, monkeypatch):
        monkeypatch.setattr(PlayablePipeline, "request_barrier", lambda self: False)
        monkeypatch.setattr(PlayablePipeline, "play_episodes", lambda self, act, num_episodes, *, seed: None)
        agent = Explorer()
        loop, _, _ = make_playing_loop(tmp_path, agent, max_episodes=400)
        loop.run()
        assert loop.best_snapshot.eval_metrics.primary_score > 35

    def test_dqn_is_crowned_while_it_learns_and_not_while_epsilon_falls(self, tmp_path):
        """The greedy policy is right within 800 steps; what a random action costs falls for 4,000."""
        recorder = RecordingCallback()
        agent = fresh_agent("dqn", epsilon_decay_steps=4_000)
        pipeline = BatchPipeline(env_of("dqn"), agent, window_size=50)
        arguments = {"max_episodes": 80, "callbacks": [recorder], "seed": 0, "report_episodes": 20}
        result = RLOptimizer(agent, pipeline, checkpoint_dir=str(tmp_path), **arguments).run()
        scores = [score for score in result.history["score"] if score is not None]
        assert np.mean(scores[-10:]) - np.mean(scores[20:30]) > 1.0
        assert result.report.mean == LENGTH
        crowned = [snapshot.episode_id for (snapshot,) in recorder.arguments("on_improvement")]
        assert max(crowned) < 30, crowned


class TestTrials:
    def trial(self, folder, bold_ceiling, explores):
        """Return a run whose trial explores less, which is worth 5 to the scores of training."""
        agent = Explorer()
        agent.explores, agent.bold = explores, HyperparamSet({"x": 99.0}, 0)
        learn = agent.learn

        def learn_bolder(window):
            agent.ceiling = bold_ceiling if agent.hyperparams.params["x"] == 99.0 else 40.0
            return learn(window)

        agent.learn = learn_bolder
        result, recorder, _ = run(
            folder, agent, lambda k: agent.skill - (0.0 if agent.hyperparams.params["x"] == 99.0 else 5.0)
        )
        assert ({"x": 1.0}, {"x": 99.0}) in recorder.arguments("on_hyperparam_update")
        return agent.hyperparams.params["x"], result

    def test_one_that_only_explores_less_does_not_pay(self, tmp_path):
        assert self.trial(tmp_path / "explores", 40.0, explores=True)[0] == 1.0
        assert self.trial(tmp_path / "samples", 40.0, explores=False)[0] == 99.0, "by scores it would"

    def test_one_that_makes_the_greedy_policy_better_pays(self, tmp_path):
        x, result = self.trial(tmp_path, 60.0, explores=True)
        assert x == 99.0
        assert result.report.mean > 55.0


class TestTheEnd:
    def test_what_is_still_to_fall_is_no_plateau(self, tmp_path):
        agent = Explorer(ceiling=10.0)
        at_once, recorder, _ = run(tmp_path / "at once", agent, lambda k: agent.skill)
        assert at_once.reason == "trained"
        late = Explorer(ceiling=10.0)
        late.warm_windows = 1_500
        result, recorder, _ = run(tmp_path / "late", late, lambda k: late.skill)
        (plateau,) = recorder.arguments("on_plateau")
        assert result.reason == "trained"
        assert at_once.windows < 1_000 < 1_500 < plateau[0] < result.windows

    def test_the_last_look_waits_for_a_greedy_comparison(self, tmp_path, monkeypatch):
        """What exploring costs hides what the greedy policy gains: windows stand still, it does not."""
        make = PlayablePipeline._window

        def told(pipeline, score):
            window = make(pipeline, score)
            window.completed_returns = np.array([score])
            return window

        monkeypatch.setattr(PlayablePipeline, "_window", told)

        def end(name, agent):
            rng = np.random.default_rng(1)
            loop, _, _ = make_playing_loop(
                tmp_path / name,
                agent,
                lambda k: min(agent.skill, 10.0) + 0.3 * rng.normal(),
                max_episodes=MOST_WINDOWS,
            )
            loop.scheduler.dormant_threshold = 80  # by then episodes are paid for
            return loop.run()

        waits, does_not = end("explores", Explorer(ceiling=400.0)), end("samples", Learner(ceiling=400.0))
        assert waits.reason == does_not.reason == "trained"
        assert does_not.windows < 200
        assert waits.report.mean == pytest.approx(400.0, abs=1.0)


@pytest.mark.parametrize("is_warming_up", [True, False])
def test_a_plateau_is_shown_by_looks_that_count(is_warming_up):
    judge, trends = Judge(), []
    for k in range(400):
        metrics = EvalMetrics(min(k, 50) + 0.1 * np.sin(k), {}, k)
        trends.append(judge.weigh(metrics, is_warming_up=is_warming_up and k < 300).trend)
    first = trends.index(Trend.PLATEAU)
    assert (first > 300) is is_warming_up


def test_an_agent_that_says_nothing_does_not_explore():
    assert not Learner().explores
    assert not Learner().is_warming_up
