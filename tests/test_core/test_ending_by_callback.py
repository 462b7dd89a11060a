"""How a callback ends a run, and what it is told at the end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tensor_optix import BackoffOptimizer, LoopCallback, RLOptimizer
from tensor_optix.core.callbacks import HOOKS
from tensor_optix.exceptions import InvalidTypeError, StopRun
from tensor_optix.testing.fakes import (
    PlayablePipeline,
    RecordingCallback,
    RewardEvaluator,
    ScriptedPipeline,
    StatefulAgent,
)


class Pruned(Exception):
    """What a search over hyperparameters raises."""


class Raises(LoopCallback):
    """Raises in one hook, from its ``after``-th call on."""

    def __init__(self, hook: str, error: Exception, after: int = 0) -> None:
        self.calls = 0

        def raising(*arguments: Any) -> None:
            self.calls += 1
            if self.calls > after:
                raise error

        setattr(self, hook, raising)


def make_run(folder: Path, *callbacks: Any, **more: Any) -> RLOptimizer:
    agent = StatefulAgent()
    pipeline = PlayablePipeline(lambda k: 1.0 + k, lambda: agent.weight, spread=0.1)
    options = {"max_episodes": 12, "seed": 0, **more}
    return RLOptimizer(agent, pipeline, RewardEvaluator(), checkpoint_dir=folder, callbacks=callbacks, **options)


class TestStopRun:
    def test_ends_the_run_with_the_window_report_and_files(self, tmp_path: Path) -> None:
        recorder = RecordingCallback()
        optimizer = make_run(tmp_path, Raises("on_episode_end", StopRun("enough"), after=3), recorder)
        result = optimizer.run()
        assert (result.reason, result.windows) == ("stopped", 4)
        assert result.explanation == "Raises.on_episode_end raised StopRun: enough"
        assert recorder.count("on_episode_end") == 4  # the others hear of the window, too
        assert result.report is not None
        assert result.report.num_episodes == 100
        written = json.loads((optimizer.run_dir / "result.json").read_text())
        assert (written["reason"], written["windows"]) == ("stopped", 4)

    def test_the_last_policy_plays_for_the_championship(self, tmp_path: Path) -> None:
        agent = StatefulAgent()
        pipeline = PlayablePipeline(lambda k: 1.0, lambda: agent.weight, spread=0.1)
        stop = Raises("on_episode_end", StopRun(), after=3)
        result = RLOptimizer(agent, pipeline, RewardEvaluator(), checkpoint_dir=tmp_path, callbacks=[stop]).run()
        assert result.explanation == "Raises.on_episode_end raised StopRun"
        assert agent.weight == 4.0  # four windows were learned from; the first champion's weight is 0
        assert result.confirmed_mean == pytest.approx(4.0, abs=0.1)
        assert result.env_steps["evaluation"] > 0

    @pytest.mark.parametrize("hook", ["on_improvement", "on_plateau", "on_dormant", "on_hyperparam_update"])
    def test_in_any_hook(self, hook: str, tmp_path: Path) -> None:
        agent = StatefulAgent({"x": 1.0})
        pipeline = ScriptedPipeline(lambda k: 1.0)
        callback = Raises(hook, StopRun("now"))
        tuner = BackoffOptimizer({"x": (0.5, 2.0)}) if hook == "on_hyperparam_update" else None
        optimizer = RLOptimizer(
            agent, pipeline, RewardEvaluator(), tuner, checkpoint_dir=tmp_path, callbacks=[callback], seed=0
        )
        result = optimizer.run()
        assert callback.calls > 0
        assert (result.reason, result.explanation) == ("stopped", f"Raises.{hook} raised StopRun: now")

    def test_before_the_first_window_no_window_is_played(self, tmp_path: Path) -> None:
        result = make_run(tmp_path, Raises("on_loop_start", StopRun("not today"))).run()
        assert (result.reason, result.windows, result.champion) == ("stopped", 0, None)
        assert result.explanation == "Raises.on_loop_start raised StopRun: not today"

    def test_the_next_run_is_a_new_one(self, tmp_path: Path) -> None:
        stop = Raises("on_episode_end", StopRun())
        optimizer = make_run(tmp_path, stop)
        assert (optimizer.run().reason, stop.calls) == ("stopped", 1)
        stop.on_episode_end = lambda *arguments: None  # type: ignore[method-assign]
        result = optimizer.run()
        assert (result.reason, result.windows) == ("budget", 13)

    def test_other_errors_do_not_end_a_run(self, tmp_path: Path) -> None:
        assert make_run(tmp_path, Raises("on_episode_end", Pruned())).run().reason == "budget"


class TestStopOn:
    def test_is_raised_again_after_report_files_and_hooks(self, tmp_path: Path) -> None:
        recorder, error = RecordingCallback(), Pruned("trial 7")
        optimizer = make_run(tmp_path, Raises("on_episode_end", error, after=2), recorder, stop_on=(Pruned,))
        with pytest.raises(Pruned, match="trial 7") as caught:
            optimizer.run()
        assert caught.value is error
        result = optimizer.last_result
        assert result is not None
        assert (result.reason, result.windows) == ("stopped", 3)
        assert result.report is not None
        assert json.loads((optimizer.run_dir / "result.json").read_text())["explanation"] == (
            "Raises.on_episode_end raised Pruned: trial 7"
        )
        assert recorder.names()[-2:] == ["on_run_end", "on_loop_stop"]
        assert recorder.arguments("on_run_end") == [(result,)]

    def test_also_from_the_last_hooks(self, tmp_path: Path) -> None:
        for hook in ("on_run_end", "on_loop_stop"):
            optimizer = make_run(tmp_path / hook, Raises(hook, Pruned()), stop_on=[Pruned])
            with pytest.raises(Pruned):
                optimizer.run()
            assert optimizer.last_result is not None
            assert optimizer.last_result.reason == "budget"

    @pytest.mark.parametrize(
        ("stop_on", "message"),
        [
            (Pruned, r"must be a tuple of classes.*Put it in a tuple: \(Pruned,\)"),
            ("Pruned", "must be a tuple of classes of exceptions.*Received: 'Pruned'"),
            (None, "must be a tuple of classes of exceptions.*Received: None"),
            ((Pruned(),), r"`stop_on\[0\]` must be a class derived from Exception.*Give the class, Pruned"),
            ((Pruned, KeyboardInterrupt), r"`stop_on\[1\]` must be a class derived from Exception"),
        ],
    )
    def test_what_is_no_class_of_exceptions_is_refused(self, stop_on: Any, message: str, tmp_path: Path) -> None:
        with pytest.raises(InvalidTypeError, match=message):
            make_run(tmp_path, stop_on=stop_on)
        assert list(tmp_path.iterdir()) == []


class TestOnRunEnd:
    def test_comes_once_with_the_result_that_is_on_disk(self, tmp_path: Path) -> None:
        seen = []

        class Reads(LoopCallback):
            def on_run_end(self, result: Any) -> None:
                seen.append((result, json.loads((Path(result.run_dir) / "result.json").read_text())["report"]["mean"]))

        recorder = RecordingCallback()
        result = make_run(tmp_path, Reads(), recorder).run()
        assert [one for one, _ in seen] == [result]
        assert seen[0][1] == result.confirmed_mean
        assert recorder.names()[-2:] == ["on_run_end", "on_loop_stop"]

    def test_comes_after_an_error(self, tmp_path: Path) -> None:
        def score(window: int) -> float:
            if window == 5:
                raise RuntimeError("disk on fire")
            return 1.0 + window

        recorder = RecordingCallback()
        agent = StatefulAgent()
        optimizer = RLOptimizer(
            agent, ScriptedPipeline(score), RewardEvaluator(), checkpoint_dir=tmp_path, callbacks=[recorder]
        )
        with pytest.raises(RuntimeError, match="disk on fire"):
            optimizer.run()
        ((result,),) = recorder.arguments("on_run_end")
        assert (result.reason, result.explanation) == ("error", "RuntimeError: disk on fire")
        assert result is optimizer.last_result
        assert recorder.names()[-2:] == ["on_run_end", "on_loop_stop"]

    def test_one_that_raises_changes_nothing(self, tmp_path: Path) -> None:
        recorder = RecordingCallback()
        result = make_run(tmp_path, Raises("on_run_end", RuntimeError()), recorder).run()
        assert result.reason == "budget"
        assert recorder.count("on_loop_stop") == 1

    def test_is_optional(self, tmp_path: Path) -> None:
        class Old:
            def on_loop_stop(self) -> None: ...

        assert HOOKS["on_run_end"] == ("result",)
        assert make_run(tmp_path, Old()).run().reason == "budget"
