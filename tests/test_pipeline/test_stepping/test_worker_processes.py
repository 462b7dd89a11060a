"""Worker processes that end unasked: noticed, told, replaced where that was asked for, and never waited for."""

import multiprocessing
import os
import signal
import threading
import time

import gymnasium as gym
import numpy as np
import pytest
from crossed import crossed
from gymnasium.vector import AsyncVectorEnv

from tensor_optix import BatchPipeline, RLOptimizer, evaluate
from tensor_optix.exceptions import EnvironmentFailureError
from tensor_optix.testing.fakes import RewardEvaluator, StatefulAgent

NUM_ENVS = 3
SECONDS = 20.0


class Right:
    def act(self, observation):
        return 1


class Unsendable(Exception):
    def __init__(self):
        super().__init__("cannot be sent to another process")
        self.lock = threading.Lock()


class Mortal(gym.Env):
    """Episodes of six steps; its process ends, once, where it is told to by a file that is there."""

    observation_space = gym.spaces.Box(-1.0, 1.0, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, order, end, moment, after=8):
        self.order, self.end, self.moment, self.after = order, end, moment, after
        self.num_calls, self.num_steps = 0, 0

    def _pass(self, moment):
        self.num_calls += 1
        is_worker = multiprocessing.parent_process() is not None
        if is_worker and moment == self.moment and self.num_calls > self.after and self.order.exists():
            self.order.unlink()
            self.end()

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._pass("reset")
        self.num_steps = 0
        return self.np_random.uniform(-1, 1, 2).astype(np.float32), {}

    def step(self, action):
        self._pass("step")
        self.num_steps += 1
        return self.np_random.uniform(-1, 1, 2).astype(np.float32), 1.0, self.num_steps == 6, False, {}

    def close(self):
        self._pass("close")


def exits():
    os._exit(3)


def is_killed():
    os.kill(os.getpid(), signal.SIGKILL)


def leaves_a_child_that_holds_the_pipe():
    if os.fork() == 0:
        time.sleep(SECONDS / 2)
    os._exit(3)


def fails_and_cannot_say_how():
    raise Unsendable


WAYS = {exits: "ended with exit code 3", is_killed: "was ended by SIGKILL"}
STRANGE_WAYS = {
    leaves_a_child_that_holds_the_pipe: "ended with exit code 3",
    fails_and_cannot_say_how: "failed and could not say how",
}


@pytest.fixture(autouse=True)
def nothing_is_waited_for_and_no_worker_stays():
    before = set(multiprocessing.active_children())
    started = time.monotonic()
    yield
    assert time.monotonic() - started < SECONDS
    assert set(multiprocessing.active_children()) <= before


def maker_of(tmp_path, end, moment, *, shared_memory=True, after=8, mortal=NUM_ENVS - 1):
    """Return what makes a vector of which one dies; by default the last: the others have answered by then."""
    order = tmp_path / "die"
    order.touch()

    def make_one(number):
        at = order if number == mortal else tmp_path / "never"
        return lambda: Mortal(at, end, moment, after)

    return lambda: AsyncVectorEnv(
        [make_one(n) for n in range(NUM_ENVS)], shared_memory=shared_memory, context="fork"
    )  # fmt: skip


def windows_of(make, on_env_error, count=4):
    pipeline = BatchPipeline(make, Right(), 10, seed=0, on_env_error=on_env_error)
    try:
        windows = pipeline.episodes()
        return [next(windows) for _ in range(count)], pipeline.notes
    finally:
        pipeline.teardown()


@pytest.mark.parametrize(("end", "moment", "shared_memory"), crossed(WAYS, ["step", "reset"], [True, False]))
def test_training_goes_on_in_a_new_environment(tmp_path, end, moment, shared_memory):
    windows, notes = windows_of(maker_of(tmp_path, end, moment, shared_memory=shared_memory), "restart")
    assert [window.rewards.shape for window in windows] == [(10, NUM_ENVS)] * 4
    assert sum(window.metadata.get("num_env_restarts", 0) for window in windows) == 1
    assert f"process of sub-environment 2 {WAYS[end]}" in notes[0]


@pytest.mark.parametrize(("end", "mortal", "shared_memory"), crossed(WAYS, range(NUM_ENVS), [True, False]))
def test_or_the_error_says_which_process_ended_and_how(tmp_path, end, mortal, shared_memory):
    make = maker_of(tmp_path, end, "step", shared_memory=shared_memory, mortal=mortal)
    with pytest.raises(EnvironmentFailureError, match=f"process of sub-environment {mortal} {WAYS[end]}"):
        windows_of(make, "raise")


@pytest.mark.parametrize("end", list(STRANGE_WAYS))
def test_a_worker_is_not_waited_for_that_cannot_tell(tmp_path, end):
    with pytest.raises(EnvironmentFailureError, match=STRANGE_WAYS[end]):
        windows_of(maker_of(tmp_path, end, "step"), "raise")


@pytest.mark.parametrize("shared_memory", [True, False])
def test_an_episode_that_is_evaluated_is_played_anew(tmp_path, shared_memory):
    make = maker_of(tmp_path, is_killed, "step", shared_memory=shared_memory)
    pipeline = BatchPipeline(make, Right(), 10, seed=0, on_env_error="restart")
    result = pipeline.play_episodes(lambda observation: 1, 9, seed=1)
    pipeline.teardown()
    assert result.lengths.tolist() == [6] * 9
    assert "SIGKILL" in pipeline.notes[0]
    assert "counted for nothing, and played anew" in pipeline.notes[1]


def test_what_was_given_as_an_instance_is_ended_and_can_be_closed(tmp_path):
    env = maker_of(tmp_path, exits, "step")()
    with pytest.raises(EnvironmentFailureError, match="ended with exit code 3"):
        evaluate(lambda observation: 1, env, 9)
    env.close()


def test_an_instance_whose_process_is_gone_is_refused(tmp_path):
    env = maker_of(tmp_path, exits, "step")()
    env.processes[1].kill()
    env.processes[1].join()
    with pytest.raises(EnvironmentFailureError, match=r"sub-environment 1 was ended by SIGKILL. Make it anew"):
        BatchPipeline(env, Right(), 10)
    env.close()


def test_a_process_that_ends_while_it_closes_is_ended_with_the_others(tmp_path):
    windows, _ = windows_of(maker_of(tmp_path, exits, "close", after=0), "raise", count=1)
    assert len(windows) == 1


@pytest.mark.parametrize("shared_memory", [True, False])
def test_a_whole_run_survives_one_in_training_and_one_in_its_report(tmp_path, shared_memory):
    order = tmp_path / "die"
    make = maker_of(tmp_path, is_killed, "step", shared_memory=shared_memory)
    pipeline = BatchPipeline(make, window_size=10, on_env_error="restart")

    class DiesInTheReport(StatefulAgent):
        def act_greedy(self, observation):
            if pipeline.num_env_restarts == 1:
                order.touch()
            return super().act_greedy(observation)

    optimizer = RLOptimizer(
        DiesInTheReport(), pipeline, RewardEvaluator(), checkpoint_dir=str(tmp_path / "runs"), max_env_steps=300, seed=0
    )
    result = optimizer.run()
    assert result.reason == "budget", result.explanation
    assert result.report.lengths.tolist() == [6] * len(result.report.lengths)
    assert pipeline.num_env_restarts == 2
    assert any("made anew 2 times" in note and "SIGKILL" in note for note in result.notes)


def test_a_whole_run_ends_with_the_error(tmp_path):
    optimizer = RLOptimizer(
        StatefulAgent(),
        BatchPipeline(maker_of(tmp_path, is_killed, "step"), window_size=10),
        RewardEvaluator(),
        checkpoint_dir=str(tmp_path / "runs"),
        max_env_steps=300,
        seed=0,
    )
    with pytest.raises(EnvironmentFailureError, match="sub-environment 2 was ended by SIGKILL"):
        optimizer.run()
