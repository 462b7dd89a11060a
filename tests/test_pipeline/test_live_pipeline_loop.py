"""LivePipeline under the real loop: however a run ends, no thread stays; and a watch costs no memory."""

import os
import signal
import sys
import threading
import time

import numpy as np
import pytest
from live_fakes import BlockingFeed, EchoFeed, feed_threads

from tensor_optix.core.callbacks import LoopCallback
from tensor_optix.core.loop import run_checkpoint
from tensor_optix.core.types import LoopState
from tensor_optix.exceptions import StopRun, StreamError
from tensor_optix.optimizer import RLOptimizer
from tensor_optix.pipeline import live_pipeline
from tensor_optix.pipeline.live_pipeline import LivePipeline
from tensor_optix.testing.fakes import RewardEvaluator, SixMethodAgent, StatefulAgent

pytestmark = pytest.mark.usefixtures("no_thread_left")


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
            self.failed_at = time.monotonic()
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


def test_a_callback_ends_it(tmp_path):
    def enough(optimizer, pipeline):
        raise StopRun("enough")

    result = run(tmp_path, EchoFeed(endless_episode=True), function=enough)
    assert (result.reason, result.windows) == ("stopped", 4)
    assert result.explanation.endswith("raised StopRun: enough")
    assert not feed_threads()


def test_ctrl_c_ends_it(tmp_path):
    def interrupt(optimizer, pipeline):
        os.kill(os.getpid(), signal.SIGINT)

    result = run(tmp_path, EchoFeed(endless_episode=True), function=interrupt)
    assert result.reason == "stopped"
    assert result.windows <= 5


def test_a_second_ctrl_c_ends_it_at_once(tmp_path):
    interrupted_at = []

    def interrupt_twice(optimizer, pipeline):
        interrupted_at.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, EchoFeed(endless_episode=True), function=interrupt_twice)
    assert not feed_threads()
    assert time.monotonic() - interrupted_at[0] < 2.0


def test_a_callback_that_raises_ends_nothing(tmp_path):
    result = run(tmp_path, EchoFeed(endless_episode=True), function=lambda optimizer, pipeline: 1 / 0)
    assert result.windows == 200


@pytest.mark.parametrize("method", ["act", "learn"])
def test_an_error_of_the_agent_ends_it(tmp_path, method):
    agent = FailingAgent(method)
    with pytest.raises(RuntimeError, match="the agent broke"):
        run(tmp_path, EchoFeed(endless_episode=True), agent)
    assert not feed_threads()
    assert time.monotonic() - agent.failed_at < 2.0


def test_an_error_of_the_source_ends_it(tmp_path):
    failed_at = []

    class Feed:
        def stream(self):
            yield [0.0], 0.0, False, False, {}
            failed_at.append(time.monotonic())
            raise TypeError("a mistake")

    with pytest.raises(StreamError, match="a mistake"):
        run(tmp_path, Feed())
    assert not feed_threads()
    assert time.monotonic() - failed_at[0] < 2.0


def test_a_blocked_read_does_not_hold_the_end_up(tmp_path):
    feed, stopped_at = BlockingFeed(items=40), []

    def stop_once_blocked(optimizer):
        # not in the loop's thread: while it has the agent, the feed may have to wait for an action
        if feed.blocked.wait(60):
            stopped_at.append(time.monotonic())
            optimizer.stop()

    def on_window(optimizer, pipeline):
        threading.Thread(target=stop_once_blocked, args=(optimizer,), daemon=True).start()

    result = run(tmp_path, feed, function=on_window)
    assert result.reason == "stopped"
    assert time.monotonic() - stopped_at[0] < 10
    assert feed.close_calls == 1


class LongUpdate(SixMethodAgent):
    """Its third update lasts until told otherwise."""

    def __init__(self):
        super().__init__()
        self.is_updating = threading.Event()
        self.may_end = threading.Event()

    def learn(self, episode_data):
        if len(self.learned_windows) == 2:
            self.is_updating.set()
            assert self.may_end.wait(20)
        return super().learn(episode_data)


@pytest.mark.parametrize("make_feed", [lambda: EchoFeed(endless_episode=True), lambda: BlockingFeed(items=100)])
def test_the_thread_ends_though_an_update_goes_on(tmp_path, make_feed):
    agent = LongUpdate()
    pipeline = LivePipeline(make_feed(), agent, LivePipeline.every_n_steps(8))
    optimizer = RLOptimizer(agent, pipeline, RewardEvaluator(), checkpoint_dir=str(tmp_path), seed=0)
    running = threading.Thread(target=optimizer.run)
    running.start()
    assert agent.is_updating.wait(20)
    assert feed_threads()
    optimizer.stop()
    deadline = time.monotonic() + 2.0
    while feed_threads() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not feed_threads()
    agent.may_end.set()
    running.join(20)
    assert not running.is_alive()
    assert optimizer.last_result.reason == "stopped"


class OneStepEnv:
    def reset(self, *, seed=None, options=None):
        return np.zeros(1), {}

    def step(self, action):
        return np.zeros(1), 1.0, True, False, {}

    def close(self):
        pass


def test_the_feed_is_closed_before_the_end_is_played_out(tmp_path):
    """Nobody takes its steps any more, and playing keeps the interpreter busy."""
    threads_while_playing = []

    class Env(OneStepEnv):
        def reset(self, *, seed=None, options=None):
            threads_while_playing.append(len(feed_threads()))
            return super().reset(seed=seed, options=options)

    agent = SixMethodAgent()
    RLOptimizer(
        agent,
        LivePipeline(EchoFeed(endless_episode=True), agent, LivePipeline.every_n_steps(8)),
        RewardEvaluator(),
        checkpoint_dir=str(tmp_path),
        max_episodes=3,
        evaluation_env=_env_with_spaces(Env()),
        report_episodes=5,
        seed=0,
    ).run()
    assert threads_while_playing[-5:] == [0] * 5


def test_greedy_episodes_give_way_to_an_open_feed(tmp_path, monkeypatch):
    """Before each step; once the feed is closed they go on at full speed."""
    naps = []
    monkeypatch.setattr(live_pipeline.time, "sleep", naps.append)

    agent = SixMethodAgent()
    pipeline = LivePipeline(EchoFeed(endless_episode=True), agent, LivePipeline.every_n_steps(8))
    result = RLOptimizer(
        agent,
        pipeline,
        RewardEvaluator(),
        checkpoint_dir=str(tmp_path),
        max_episodes=3,
        evaluation_env=_env_with_spaces(OneStepEnv()),
        target_score=0.0,
        report_episodes=7,
        seed=0,
    ).run()
    assert result.reason == "target"
    claimed = result.env_steps["report"] - 7  # the episodes that a target is claimed by are part of the report
    assert claimed > 0
    assert len(naps) == result.env_steps["evaluation"] + claimed
    assert 0.0 < min(naps) == max(naps) < 1e-2


def _env_with_spaces(env):
    import gymnasium as gym

    class WithSpaces(gym.Env):
        observation_space = gym.spaces.Box(-1.0, 1.0, (1,), np.float64)
        action_space = gym.spaces.Discrete(2)
        reset, step, close = env.reset, env.step, env.close

    return WithSpaces()


class SteadyFeed:
    """Rewards around one level for ever, an episode of 50 steps after another; a drop on demand."""

    def __init__(self):
        self.level = 1.0
        self.rng = np.random.default_rng(0)

    def stream(self):
        while True:
            yield np.zeros(1), 0.0, False, False, {}
            for reward in (self.level + 0.1 * self.rng.standard_normal(50)).tolist():
                yield np.zeros(1), reward, False, False, {}
            yield np.zeros(1), 0.0, True, False, {}


class Memory(LoopCallback):
    """Notes memory every so many steps of a watch; then lets the level drop, and stops once that was seen."""

    def __init__(self, feed, every_windows, num_notes):
        self.feed, self.every_windows, self.num_notes = feed, every_windows, num_notes
        self.optimizer = None
        self.watched = 0
        self.blocks, self.resident_bytes, self.states = [], [], []

    def on_episode_end(self, episode_id, eval_metrics):
        state = self.optimizer.state
        if not self.states or self.states[-1] is not state:
            self.states.append(state)
        if state is LoopState.WATCHDOG:
            self.watched += 1
            if self.watched % self.every_windows == 0:
                with open("/proc/self/statm", encoding="ascii") as file:
                    self.resident_bytes.append(int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
                self.blocks.append(sys.getallocatedblocks())
                if len(self.blocks) == self.num_notes:
                    self.feed.level = -1.0
        elif len(self.blocks) >= self.num_notes:
            self.optimizer.stop()


def watch(tmp_path, window_steps, every_windows, num_notes):
    feed, agent = SteadyFeed(), StatefulAgent()
    memory = Memory(feed, every_windows, num_notes)
    pipeline = LivePipeline(feed, agent, LivePipeline.every_n_steps(window_steps))
    memory.optimizer = RLOptimizer(
        agent, pipeline, RewardEvaluator(), checkpoint_dir=str(tmp_path), callbacks=[memory], seed=0
    )
    result = memory.optimizer.run()
    assert memory.states[-2:] == [LoopState.WATCHDOG, LoopState.ACTIVE]
    assert result.env_steps["training"] > window_steps * every_windows * num_notes
    return memory, agent


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads the resident size from /proc")
def test_a_watch_of_a_million_steps_costs_no_memory(tmp_path):
    memory, agent = watch(tmp_path, window_steps=200, every_windows=250, num_notes=20)
    assert memory.watched * 200 > 1_000_000
    assert len(agent.learned_windows) < 1000
    # The rows of the latest 500 windows are kept, and the record of latencies: both are full by the third note.
    steady = slice(3, 20)
    assert max(memory.blocks[steady]) - min(memory.blocks[steady]) < 5_000
    assert max(memory.resident_bytes[steady]) - min(memory.resident_bytes[steady]) < 8 * 2**20
