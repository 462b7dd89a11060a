"""LivePipeline under the real loop: however a run ends, no thread stays."""

import os
import signal
import threading
import time

import pytest
from live_fakes import BlockingFeed, EchoFeed

from tensor_optix.core import run_checkpoint
from tensor_optix.core.callbacks import LoopCallback
from tensor_optix.exceptions import StreamError
from tensor_optix.optimizer import RLOptimizer
from tensor_optix.pipeline.live_pipeline import LivePipeline
from tensor_optix.testing.fakes import RewardEvaluator, SixMethodAgent, StatefulAgent


@pytest.fixture(autouse=True)
def _no_thread_left():
    yield
    assert not [thread for thread in threading.enumerate() if thread.name == "tensor-optix-feed"]


class OnWindow(LoopCallback):
    """Calls a function at the end of window 3."""

    def __init__(self, function):
        self.function = function

    def on_episode_end(self, episode_id, eval_metrics):
        if episode_id == 3:
            self.function()


class FailingAgent(SixMethodAgent):
    def __init__(self, method):
        super().__init__()
        self.calls = 0
        setattr(self, method, self.fail)

    def fail(self, argument):
        self.calls += 1
        if self.calls == 5:
            raise RuntimeError("the agent broke")
        return 0


def run(tmp_path, feed, agent=None, function=None, **options):
    agent = agent or SixMethodAgent()
    pipeline = LivePipeline(feed, agent, LivePipeline.every_n_steps(8), **options)
    callbacks = [] if function is None else [OnWindow(lambda: function(optimizer, pipeline))]
    optimizer = RLOptimizer(
        agent, pipeline, RewardEvaluator(), checkpoint_dir=str(tmp_path), callbacks=callbacks, max_episodes=200, seed=0
    )
    return optimizer.run()


def test_after_an_error_it_is_resumed_and_says_what_was_not_exact(tmp_path, monkeypatch):
    monkeypatch.setattr(run_checkpoint, "SAVE_INTERVAL_SECONDS", 0.0)

    def boom(optimizer, pipeline):
        if not optimizer.was_resumed:
            raise KeyboardInterrupt

    def optimizer_for(agent):
        pipeline = LivePipeline(EchoFeed(endless_episode=True), agent, LivePipeline.every_n_steps(8))
        callbacks = [OnWindow(lambda: boom(optimizer, pipeline))]
        optimizer = RLOptimizer(
            agent, pipeline, RewardEvaluator(), checkpoint_dir=tmp_path, callbacks=callbacks, max_episodes=20, seed=0
        )
        optimizer.was_resumed = False
        return optimizer

    first = optimizer_for(StatefulAgent())
    with pytest.raises(KeyboardInterrupt):
        first.run()
    second = optimizer_for(StatefulAgent())
    second.was_resumed = True
    result = second.run(resume=True)
    assert result.reason == "budget"
    assert result.run_dir == str(first.run_dir)
    assert result.windows == 20
    assert result.history["window"] == list(range(20))
    assert "the run was resumed, but not exactly: a live feed cannot be rewound" in result.notes


def test_a_budget_ends_it(tmp_path):
    result = run(tmp_path, EchoFeed(endless_episode=True))
    assert result.reason == "budget"
    assert result.windows == 200


def test_a_feed_that_ends_for_good_ends_it(tmp_path):
    result = run(tmp_path, EchoFeed([20, 20]), reconnect_on_disconnect=False)
    assert result.reason == "stopped"
    assert result.windows == 5


def test_a_stop_ends_it(tmp_path):
    result = run(tmp_path, EchoFeed(endless_episode=True), function=lambda optimizer, pipeline: optimizer.stop())
    assert result.reason == "stopped"
    assert result.windows <= 5


def test_ctrl_c_ends_it(tmp_path):
    def interrupt(optimizer, pipeline):
        os.kill(os.getpid(), signal.SIGINT)

    result = run(tmp_path, EchoFeed(endless_episode=True), function=interrupt)
    assert result.reason == "stopped"
    assert result.windows <= 5


def test_a_callback_that_raises_ends_nothing(tmp_path):
    result = run(tmp_path, EchoFeed(endless_episode=True), function=lambda optimizer, pipeline: 1 / 0)
    assert result.windows == 200


@pytest.mark.parametrize("method", ["act", "learn"])
def test_an_error_of_the_agent_ends_it(tmp_path, method):
    with pytest.raises(RuntimeError, match="the agent broke"):
        run(tmp_path, EchoFeed(endless_episode=True), FailingAgent(method))


def test_an_error_of_the_source_ends_it(tmp_path):
    class Feed:
        def stream(self):
            yield [0.0], 0.0, False, False, {}
            raise TypeError("a mistake")

    with pytest.raises(StreamError, match="a mistake"):
        run(tmp_path, Feed())


def test_a_blocked_read_does_not_hold_the_end_up(tmp_path):
    feed = BlockingFeed(items=40)

    def stop(optimizer, pipeline):
        assert feed.blocked.wait(10)
        optimizer.stop()
        pipeline.request_stop()

    started = time.monotonic()
    result = run(tmp_path, feed, function=stop)
    assert result.reason == "stopped"
    assert time.monotonic() - started < 10
    assert feed.close_calls == 1
