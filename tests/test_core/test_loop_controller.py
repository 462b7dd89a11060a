"""The real loop, driven by fakes: counts, order, and which weights earned which score."""

import math

import numpy as np
import pytest
from loop_fakes import CountUp, make_loop

from tensor_optix import (
    EvalMetrics,
    LoopState,
)
from tensor_optix.exceptions import InvalidArgumentError, InvalidTypeError, NonFiniteError
from tensor_optix.testing.fakes import (
    RewardEvaluator,
    ScriptedPipeline,
    SixMethodAgent,
    StatefulAgent,
)


@pytest.mark.parametrize("agent_class", [SixMethodAgent, StatefulAgent])
class TestChampion:
    def test_one_window_makes_the_first_snapshot_before_learning(self, tmp_path, agent_class):
        agent = agent_class()
        loop, recorder = make_loop(tmp_path, [3.0], agent, max_episodes=1)
        result = loop.run()
        assert recorder.count("on_improvement") == 1
        assert result.champion.eval_metrics.primary_score == 3.0
        assert agent.learned_windows == [0]
        assert agent.weight == 0.0, "the agent must hold the weights that earned the score"

    def test_a_clear_rise_is_seen_within_ten_windows(self, tmp_path, agent_class):
        loop, recorder = make_loop(tmp_path, [3.0 * (k + 1) for k in range(10)], agent_class())
        loop.run()
        scores = [snapshot.eval_metrics.primary_score for (snapshot,) in recorder.arguments("on_improvement")]
        assert len(scores) >= 2
        assert scores == sorted(scores)

    def test_the_snapshot_holds_the_weights_that_earned_its_score(self, tmp_path, agent_class):
        agent = agent_class()
        loop, recorder = make_loop(tmp_path, ScriptedPipeline(lambda k: 10.0 * agent.weight), agent, max_episodes=30)
        result = loop.run()
        assert result.champion.eval_metrics.primary_score == 10.0 * agent.weight
        for (snapshot,) in recorder.arguments("on_improvement"):
            assert snapshot.eval_metrics.primary_score == 10.0 * snapshot.episode_id

    def test_a_lucky_window_does_not_stay_champion(self, tmp_path, agent_class):
        rng = np.random.default_rng(0)
        scores = rng.normal(10.0, 1.0, 40)
        scores[7] = 60.0
        scores[20:] += 30.0
        loop, _ = make_loop(tmp_path, scores, agent_class())
        result = loop.run()
        assert result.champion.episode_id >= 20

    def test_a_lucky_first_window_does_not_stay_champion(self, tmp_path, agent_class):
        rng = np.random.default_rng(1)
        scores = rng.normal(10.0, 1.0, 40)
        scores[0] = 60.0
        loop, _ = make_loop(tmp_path, scores, agent_class())
        assert loop.run().champion.eval_metrics.primary_score < 20.0


class TestEvidence:
    def test_a_window_without_evidence_changes_nothing(self, tmp_path):
        agent = StatefulAgent({"x": 1.0})
        loop, recorder = make_loop(tmp_path, [math.nan] * 50, agent)
        result = loop.run()
        assert result.champion is None
        assert recorder.count("on_episode_end") == 50
        assert all(metrics is None for _, metrics in recorder.arguments("on_episode_end"))
        assert agent.learned_windows == list(range(50))
        assert loop.state is LoopState.ACTIVE
        assert loop.scheduler.consecutive_non_improvements == 0
        assert not {"on_improvement", "on_plateau", "on_degradation"} & set(recorder.names())

    def test_windows_without_evidence_between_others_change_no_verdict(self, tmp_path):
        rng = np.random.default_rng(3)
        scores = 50.0 * (1 - np.exp(-np.arange(150) / 30)) + rng.normal(0, 1, 150)
        padded = np.full(450, math.nan)
        padded[::3] = scores
        events = []
        for name, script in (("plain", scores), ("padded", padded)):
            loop, recorder = make_loop(tmp_path / name, script)
            loop.run()
            events.append([event for event in recorder.names() if event not in ("on_episode_end",)])
        assert events[0] == events[1]

    def test_infinite_scores_are_named(self, tmp_path):
        loop, _ = make_loop(tmp_path, [1.0, math.inf])
        with pytest.raises(NonFiniteError, match="gave inf for window 1"):
            loop.run()
        assert loop.last_result.reason == "error"
        assert loop.last_result.champion is not None

    def test_an_evaluator_that_returns_a_number_is_named(self, tmp_path):
        class Number(RewardEvaluator):
            def score(self, episode_data, train_diagnostics):
                return 3.0

        loop, _ = make_loop(tmp_path, [1.0], evaluator=Number())
        with pytest.raises(InvalidTypeError, match=r"must return EvalMetrics\. Received: 3\.0"):
            loop.run()


class TestPairing:
    def test_each_score_carries_the_hyperparameters_of_the_learn_that_made_its_weights(self, tmp_path):
        agent = SixMethodAgent({"x": 0.0})
        seen = []

        class NotesHistory(CountUp):
            def suggest(self, current_hyperparams, metrics_history):
                seen.append([metrics.hyperparams.params["x"] for metrics in metrics_history])
                return super().suggest(current_hyperparams, metrics_history)

        class LearnsX(RewardEvaluator):
            def score(self, episode_data, train_diagnostics):
                metrics = super().score(episode_data, train_diagnostics)
                return EvalMetrics(metrics.primary_score, {}, metrics.episode_id)

        used = []
        agent.learn = lambda window: used.append(agent.hyperparams.params["x"]) or {"loss": 0.0}
        loop, recorder = make_loop(tmp_path, [1.0] * 4, agent, optimizer=NotesHistory(), evaluator=LearnsX())
        loop.run()
        assert used == [1.0, 2.0, 3.0, 4.0]
        assert seen[-1] == [0.0, 1.0, 2.0, 3.0], "window k's weights were made by learn k - 1"
        assert recorder.arguments("on_hyperparam_update")[0] == ({"x": 0.0}, {"x": 1.0})

    def test_diagnostics_given_to_the_evaluator_are_those_of_the_previous_learn(self, tmp_path):
        given = []

        class Notes(RewardEvaluator):
            def score(self, episode_data, train_diagnostics):
                given.append(dict(train_diagnostics))
                return super().score(episode_data, train_diagnostics)

        loop, _ = make_loop(tmp_path, [1.0] * 3, evaluator=Notes())
        loop.run()
        assert given == [{}, {"loss": 1.0}, {"loss": 0.5}]


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"max_episodes": 0}, "`max_episodes` must be an integer >= 1"),
        ({"max_env_steps": -5}, "`max_env_steps` must be an integer >= 1"),
        ({"improvement_margin": -1.0}, "`improvement_margin` must be finite"),
        ({"improvement_margin": math.nan}, "`improvement_margin` must be finite"),
        ({"target_score": math.inf}, "`target_score` must be finite"),
        ({"report_episodes": -1}, "`report_episodes` must be an integer >= 0"),
    ],
)
def test_bad_arguments(tmp_path, arguments, match):
    with pytest.raises(ValueError, match=match):
        make_loop(tmp_path, [1.0], **arguments)


def test_a_pipeline_that_acts_with_another_agent_is_refused(tmp_path):
    pipeline = ScriptedPipeline([1.0])
    pipeline.agent = SixMethodAgent()
    loop, _ = make_loop(tmp_path, pipeline)
    with pytest.raises(InvalidArgumentError, match="another agent than the one that learns"):
        loop.run()


def test_same_seed_same_history(tmp_path):
    def run(name):
        rng = np.random.default_rng(9)
        loop, recorder = make_loop(tmp_path / name, rng.normal(5, 1, 300))
        return loop.run().history, recorder.names()

    assert run("a") == run("b")


def test_constant_scores_go_cooling_then_dormant_and_end_the_run_as_stalled(tmp_path):
    loop, recorder = make_loop(tmp_path, [5.0] * 2000)
    result = loop.run()
    assert result.reason == "stalled"
    assert result.windows < 200
    assert loop.state is LoopState.DORMANT
    names = [name for name in recorder.names() if name in ("on_plateau", "on_dormant")]
    assert names == ["on_plateau", "on_dormant"]
    assert recorder.arguments("on_plateau")[0][1] is LoopState.COOLING


def test_a_rise_to_a_ceiling_ends_as_trained(tmp_path):
    rng = np.random.default_rng(2)
    scores = np.minimum(500, 500 * (1 - np.exp(-np.arange(3000) / 60)) + rng.normal(0, 15, 3000))
    loop, _ = make_loop(tmp_path, scores)
    result = loop.run()
    assert result.reason == "trained"
    assert 120 < result.windows < 1200


def test_dormant_on_a_batch_pipeline_ends_run_and_a_second_run_goes_on(tmp_path):
    loop, recorder = make_loop(tmp_path, ScriptedPipeline(lambda k: 5.0))
    first = loop.run()
    second = loop.run()
    assert second.windows > first.windows
    assert recorder.count("on_loop_start") == recorder.count("on_loop_stop") == 2
