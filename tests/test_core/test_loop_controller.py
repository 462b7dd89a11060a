"""The real loop, driven by fakes: counts, order, and which weights earned which score."""

import logging
import math
import threading

import numpy as np
import pytest

from tensor_optix import (
    BackoffScheduler,
    BaseOptimizer,
    CheckpointRegistry,
    EvalMetrics,
    HyperparamSet,
    LoopCallback,
    LoopController,
    LoopState,
)
from tensor_optix.exceptions import InvalidArgumentError, InvalidTypeError, NonFiniteError
from tensor_optix.testing.fakes import (
    RecordingCallback,
    RewardEvaluator,
    ScriptedPipeline,
    SixMethodAgent,
    StatefulAgent,
)


class NoTuning(BaseOptimizer):
    def suggest(self, current_hyperparams, metrics_history):
        return current_hyperparams.copy()

    def on_improvement(self, metrics):
        pass

    def on_plateau(self, metrics_history):
        pass


def make_loop(tmp_path, scores, agent=None, live=False, optimizer=None, callbacks=(), scheduler=None, **arguments):
    recorder = RecordingCallback()
    loop = LoopController(
        agent or StatefulAgent(),
        arguments.pop("evaluator", None) or RewardEvaluator(),
        optimizer or NoTuning(),
        scores if hasattr(scores, "episodes") else ScriptedPipeline(scores, live=live),
        CheckpointRegistry(str(tmp_path / "run")),
        scheduler or BackoffScheduler(),
        callbacks=[*callbacks, recorder],
        seed=0,
        **arguments,
    )
    return loop, recorder


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

        class CountUp(NoTuning):
            def suggest(self, current_hyperparams, metrics_history):
                seen.append([metrics.hyperparams.params["x"] for metrics in metrics_history])
                return HyperparamSet({"x": current_hyperparams.params["x"] + 1.0}, 0)

        class LearnsX(RewardEvaluator):
            def score(self, episode_data, train_diagnostics):
                metrics = super().score(episode_data, train_diagnostics)
                return EvalMetrics(metrics.primary_score, {}, metrics.episode_id)

        used = []
        agent.learn = lambda window: used.append(agent.hyperparams.params["x"]) or {"loss": 0.0}
        loop, recorder = make_loop(tmp_path, [1.0] * 4, agent, optimizer=CountUp(), evaluator=LearnsX())
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


class CollapsingPipeline(ScriptedPipeline):
    """100 while the agent's weight is below 30, then 1: the policy itself is damaged."""

    def __init__(self, agent):
        super().__init__(lambda k: 100.0 if agent.weight < 30 else 1.0)


class TestDegradation:
    def test_a_collapse_fires_once_within_five_windows(self, tmp_path):
        loop, recorder = make_loop(tmp_path, [100.0] * 12 + [1.0] * 30)
        loop.run()
        assert recorder.count("on_degradation") == 1
        ((window, metrics),) = recorder.arguments("on_degradation")
        assert 12 <= window < 17
        assert metrics.primary_score == 1.0

    def test_a_noisy_collapse_fires_once_within_five_windows(self, tmp_path):
        rng = np.random.default_rng(5)
        scores = np.concatenate([rng.normal(100, 5, 25), rng.normal(1, 0.3, 40)])
        loop, recorder = make_loop(tmp_path, scores)
        loop.run()
        windows = [window for window, _ in recorder.arguments("on_degradation")]
        assert len(windows) == 1
        assert 25 <= windows[0] < 30

    @pytest.mark.parametrize("agent_class", [SixMethodAgent, StatefulAgent])
    def test_rollback_brings_everything_back_and_the_bad_window_is_not_learned(self, tmp_path, agent_class):
        agent = agent_class({"x": 7.0})
        pipeline = CollapsingPipeline(agent)

        class Drift(NoTuning):
            def suggest(self, current_hyperparams, metrics_history):
                return HyperparamSet({"x": current_hyperparams.params["x"] + 1.0}, 0)

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
            optimizer=Drift(),
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

    def test_without_rollback_the_loop_keeps_learning(self, tmp_path):
        agent = StatefulAgent()
        loop, recorder = make_loop(tmp_path, [100.0] * 12 + [1.0] * 12, agent)
        loop.run()
        assert recorder.count("on_degradation") == 1
        assert agent.learned_windows == list(range(24))

    def test_a_second_collapse_after_recovery_fires_again(self, tmp_path):
        loop, recorder = make_loop(tmp_path, [100.0] * 12 + [1.0] * 10 + [100.0] * 12 + [1.0] * 10)
        loop.run()
        assert recorder.count("on_degradation") == 2


class TestStates:
    def test_constant_scores_go_cooling_then_dormant_and_end_the_run_as_stalled(self, tmp_path):
        loop, recorder = make_loop(tmp_path, [5.0] * 2000)
        result = loop.run()
        assert result.reason == "stalled"
        assert result.windows < 200
        assert loop.state is LoopState.DORMANT
        names = [name for name in recorder.names() if name in ("on_plateau", "on_dormant")]
        assert names == ["on_plateau", "on_dormant"]
        assert recorder.arguments("on_plateau")[0][1] is LoopState.COOLING

    def test_a_rise_to_a_ceiling_ends_as_trained(self, tmp_path):
        rng = np.random.default_rng(2)
        scores = np.minimum(500, 500 * (1 - np.exp(-np.arange(3000) / 60)) + rng.normal(0, 15, 3000))
        loop, _ = make_loop(tmp_path, scores)
        result = loop.run()
        assert result.reason == "trained"
        assert 120 < result.windows < 1200

    def test_live_goes_on_as_watchdog_frozen_until_degradation(self, tmp_path):
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

    def test_a_frozen_champion_is_announced_and_its_scores_credited_to_what_made_it(self, tmp_path):
        rng = np.random.default_rng(4)

        class CountUp(NoTuning):
            def suggest(self, current_hyperparams, metrics_history):
                return HyperparamSet({"x": current_hyperparams.params["x"] + 1.0}, 0)

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

    def test_dormant_on_a_batch_pipeline_ends_run_and_a_second_run_goes_on(self, tmp_path):
        loop, recorder = make_loop(tmp_path, ScriptedPipeline(lambda k: 5.0))
        first = loop.run()
        second = loop.run()
        assert second.windows > first.windows
        assert recorder.count("on_loop_start") == recorder.count("on_loop_stop") == 2


class TestStopping:
    def test_max_episodes_counts_windows_yielded(self, tmp_path):
        pipeline = ScriptedPipeline(lambda k: float(k))
        agent = StatefulAgent()
        loop, _ = make_loop(tmp_path, pipeline, agent, max_episodes=7)
        result = loop.run()
        assert result.windows == 7
        assert agent.learned_windows == list(range(7))
        assert pipeline.num_windows <= 7
        assert result.reason == "budget"
        assert "max_episodes=7" in result.explanation
        assert pipeline.num_teardowns == 1

    def test_max_env_steps_is_not_exceeded(self, tmp_path):
        loop, _ = make_loop(tmp_path, ScriptedPipeline(lambda k: float(k)), max_env_steps=9)
        result = loop.run()
        assert result.env_steps["training"] == 9
        assert "max_env_steps=9" in result.explanation

    def test_stop_from_another_thread_ends_after_the_current_window(self, tmp_path):
        started = threading.Event()

        class Signal(LoopCallback):
            def on_episode_end(self, episode_id, eval_metrics):
                started.set()

        loop, recorder = make_loop(tmp_path, ScriptedPipeline(lambda k: 1.0 + k), callbacks=[Signal()])
        results = []
        thread = threading.Thread(target=lambda: results.append(loop.run()))
        thread.start()
        assert started.wait(10)
        loop.stop()
        thread.join(10)
        assert results[0].reason == "stopped"
        assert recorder.count("on_loop_stop") == 1

    def test_the_end_of_the_stream_ends_the_run(self, tmp_path):
        loop, _ = make_loop(tmp_path, [1.0, 2.0])
        result = loop.run()
        assert (result.reason, result.windows) == ("stopped", 2)
        assert "stream ended" in result.explanation

    def test_an_error_keeps_what_was_saved_and_closes_everything(self, tmp_path):
        agent = StatefulAgent()
        pipeline = ScriptedPipeline(lambda k: 5.0)

        def broken(window):
            raise RuntimeError("disk on fire")

        agent.learn = broken
        loop, recorder = make_loop(tmp_path, pipeline, agent)
        with pytest.raises(RuntimeError, match="disk on fire"):
            loop.run()
        assert loop.last_result.reason == "error"
        assert "disk on fire" in loop.last_result.explanation
        assert loop.last_result.champion is not None
        assert recorder.count("on_loop_stop") == 1
        assert pipeline.num_teardowns == 1
        assert CheckpointRegistry(str(tmp_path / "run")).best is not None


class TestCallbacks:
    def test_one_that_raises_is_logged_with_its_traceback_and_stops_nothing(self, tmp_path, caplog):
        class Broken(LoopCallback):
            def on_episode_end(self, episode_id, eval_metrics):
                raise ZeroDivisionError("my mistake")

        with caplog.at_level(logging.ERROR):
            loop, recorder = make_loop(tmp_path, [1.0] * 3, callbacks=[Broken()])
            loop.run()
        assert recorder.count("on_episode_end") == 3
        assert sum("my mistake" in (record.exc_text or "") for record in caplog.records) == 3

    def test_objects_with_only_some_hooks_will_do(self, tmp_path):
        class Partial:
            seen = 0

            def on_loop_start(self):
                self.seen += 1

        partial = Partial()
        loop, _ = make_loop(tmp_path, [1.0], callbacks=[partial])
        loop.run()
        assert partial.seen == 1


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


def test_the_history_has_one_entry_a_window(tmp_path):
    loop, _ = make_loop(tmp_path, [1.0, math.nan, 3.0])
    history = loop.run().history
    assert history["score"] == [1.0, None, 3.0]
    assert history["window"] == [0, 1, 2]
    assert history["loss"] == [1.0, 0.5, pytest.approx(1 / 3)]
    assert history["state"] == ["active"] * 3


def test_same_seed_same_history(tmp_path):
    def run(name):
        rng = np.random.default_rng(9)
        loop, recorder = make_loop(tmp_path / name, rng.normal(5, 1, 300))
        return loop.run().history, recorder.names()

    assert run("a") == run("b")
