"""Callbacks: what could never be called is refused before the first step, and what raises stops nothing."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from loop_fakes import make_loop

from tensor_optix import LoopCallback, RLOptimizer
from tensor_optix.core.callbacks import HOOKS, CallbackList
from tensor_optix.exceptions import InvalidArgumentError, InvalidTypeError
from tensor_optix.testing.fakes import RecordingCallback, RewardEvaluator, ScriptedPipeline, SixMethodAgent


class Misspelt(LoopCallback):
    def on_improvment(self, snapshot: Any) -> None: ...


class TakesNothing(LoopCallback):
    def on_improvement(self) -> None: ...  # type: ignore[override]


class NoMethod(LoopCallback):
    on_improvement = 5  # type: ignore[assignment]


class OneHook:
    def on_improvement(self, champion: Any, extra: int = 0) -> None: ...


class AnyArguments:
    def on_episode_end(self, *arguments: Any) -> None: ...


def loop_with(callbacks: Any, folder: Path) -> RLOptimizer:
    agent, pipeline = SixMethodAgent(), ScriptedPipeline([1.0])
    return RLOptimizer(agent, pipeline, RewardEvaluator(), checkpoint_dir=str(folder), callbacks=callbacks)


@pytest.mark.parametrize(
    ("callbacks", "error", "message"),
    [
        (print, InvalidTypeError, "`callbacks` must be a list of callbacks. Received: <built-in function print>"),
        ([print], InvalidTypeError, r"`callbacks\[0\]` must be a callback: an object with hooks. Received: <built-in"),
        (RecordingCallback(), InvalidTypeError, r"`callbacks` must be a list of callbacks.*Put it in a list: \[...\]"),
        (
            [RecordingCallback(), RecordingCallback],
            InvalidTypeError,
            r"`callbacks\[1\]` is the class RecordingCallback",
        ),
        ("Progress", InvalidTypeError, "`callbacks` must be a list of callbacks. Received: 'Progress'"),
        ({"log": RecordingCallback()}, InvalidTypeError, "must be a list of callbacks. Received: {'log'"),
        (5, InvalidTypeError, "must be a list of callbacks. Received: 5.*Derive a class from LoopCallback"),
        ([None], InvalidTypeError, r"`callbacks\[0\]` must be a callback: an object with hooks. Received: None"),
        (
            [Misspelt()],
            InvalidArgumentError,
            "Misspelt.on_improvment would never be called.*Did you mean 'on_improvement'",
        ),
        (
            [TakesNothing()],
            InvalidArgumentError,
            r"TakesNothing.on_improvement must be a method that takes \(snapshot\)",
        ),
        ([NoMethod()], InvalidArgumentError, r"NoMethod.on_improvement must be a method that takes.*Received: 5"),
    ],
)
def test_what_could_never_be_called_is_refused(
    callbacks: Any, error: type[Exception], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        loop_with(callbacks, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "callback", [OneHook(), AnyArguments(), LoopCallback(), RecordingCallback(), Mock(LoopCallback)]
)
def test_any_object_with_a_hook_is_one(callback: Any) -> None:
    assert CallbackList([callback]).callbacks == [callback]
    assert CallbackList(iter((callback,))).callbacks == [callback]


def test_every_hook_of_the_contract_is_known() -> None:
    promised = "loop_start loop_stop episode_end improvement plateau dormant degradation hyperparam_update"
    assert {f"on_{name}" for name in promised.split()} <= set(HOOKS)


def test_one_that_raises_is_logged_with_its_traceback_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(LoopCallback):
        def on_episode_end(self, episode_id: int, eval_metrics: Any) -> None:
            raise ZeroDivisionError("my mistake")

    with caplog.at_level(logging.ERROR):
        loop, recorder = make_loop(tmp_path, [1.0] * 3, callbacks=[Broken()])
        loop.run()
    assert recorder.count("on_episode_end") == 3
    assert sum("my mistake" in (record.exc_text or "") for record in caplog.records) == 3


def test_objects_with_only_some_hooks_will_do(tmp_path: Path) -> None:
    class Partial:
        seen = 0

        def on_loop_start(self) -> None:
            self.seen += 1

    partial = Partial()
    loop, _ = make_loop(tmp_path, [1.0], callbacks=[partial])
    loop.run()
    assert partial.seen == 1
