"""Ctrl-C: once, and the run ends cleanly and soon; twice, and it ends at once."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import gymnasium as gym
import pytest
import resume_fakes
from resume_fakes import LinearAgent, MeanReturn, make_run
from threadpoolctl import ThreadpoolController

from tensor_optix import BatchPipeline, LoopCallback, RLOptimizer
from tensor_optix.core.storage.json_files import read_sealed_json

pytestmark = pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")


def press_ctrl_c():
    os.kill(os.getpid(), signal.SIGINT)


class At(LoopCallback):
    """Does something after a window."""

    def __init__(self, window, act):
        self.window, self.act = window, act

    def on_episode_end(self, episode_id, metrics):
        if episode_id == self.window:
            self.act()


def test_the_first_ends_the_run_after_the_window_with_a_short_report_and_no_last_choice(tmp_path):
    stopped = make_run(
        tmp_path / "stopped", callbacks=[At(70, lambda: stopped.stop())], report_episodes=40, max_env_steps=9_000
    )
    settled = stopped.run()
    assert (settled.reason, settled.is_interrupted, settled.report.num_episodes) == ("stopped", False, 40)
    result = make_run(tmp_path / "cut", callbacks=[At(70, press_ctrl_c)], report_episodes=40, max_env_steps=9_000).run()
    assert (result.reason, result.is_interrupted, result.report.num_episodes) == ("stopped", True, 10)
    assert result.windows == settled.windows == 72
    assert "interrupted by Ctrl-C, so the report is at most 10 episodes, and no last choice" in result.explanation
    assert result.env_steps["evaluation"] < settled.env_steps["evaluation"]
    assert read_sealed_json(tmp_path / "cut" / "run-0001" / "result.json")["is_interrupted"] is True
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("report_episodes", [0, 3])
def test_a_shorter_report_stays_as_short(tmp_path, report_episodes):
    result = make_run(tmp_path, callbacks=[At(20, press_ctrl_c)], report_episodes=report_episodes).run()
    assert result.is_interrupted
    assert (result.report is None) if report_episodes == 0 else result.report.num_episodes == report_episodes


class PressAfterSteps(gym.Wrapper):
    """Presses after so many steps of an environment that only greedy episodes are played in."""

    def __init__(self, env, num_steps):
        super().__init__(env)
        self.left = num_steps
        self.num_steps = 0

    def step(self, action):
        self.left -= 1
        self.num_steps += 1
        if self.left == 0:
            press_ctrl_c()
        return self.env.step(action)


def evaluated_in(folder, env, **arguments):
    agent = LinearAgent()
    return RLOptimizer(
        agent,
        BatchPipeline(lambda: gym.make("CartPole-v1"), agent, 60),
        MeanReturn(),
        checkpoint_dir=str(folder),
        seed=0,
        evaluation_env=env,
        **arguments,
    ).run()


def test_in_the_middle_of_the_report_it_ends_that_too(tmp_path):
    env = PressAfterSteps(gym.make("CartPole-v1"), 100)
    result = evaluated_in(tmp_path, env, max_episodes=1, report_episodes=1000)
    assert (result.reason, result.is_interrupted, result.report.num_episodes) == ("budget", True, 10)
    assert env.num_steps < 100 + 10 * 60
    assert "the report is at most 10 episodes" in result.explanation
    assert "no last choice" not in result.explanation


def test_a_second_one_ends_the_run_at_once_and_the_next_run_knows_nothing_of_it(tmp_path):
    optimizer = make_run(tmp_path, callbacks=[At(20, lambda: (press_ctrl_c(), press_ctrl_c()))])
    with pytest.raises(KeyboardInterrupt):
        optimizer.run()
    assert optimizer.last_result is None
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    result = make_run(tmp_path, seed=None).run(resume=True)
    assert (result.reason, result.is_interrupted) == ("budget", False)


def test_in_another_thread_nothing_is_changed(tmp_path):
    results = []
    thread = threading.Thread(target=lambda: results.append(make_run(tmp_path).run()))
    thread.start()
    thread.join()
    assert results[0].is_interrupted is False


@pytest.mark.parametrize("kind", ["single", "made", "given", "unshielded"])
def test_sent_to_the_whole_process_group_it_ends_the_run_as_cleanly(tmp_path, kind):
    """As a terminal does: the processes of AsyncVectorEnv get it, too."""
    command = [sys.executable, str(Path(resume_fakes.__file__).with_name("interrupted_run.py")), kind, str(tmp_path)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout.readline() == "GO\n", process.stderr.read()
        os.killpg(process.pid, signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "Traceback (most recent call last)" not in errors or kind == "unshielded"
    num_episodes = None if kind == "unshielded" else 10
    assert output.startswith(f"stopped True {num_episodes}\nTrue "), output + errors
    assert ("there is no report: the environment" in output) == (kind == "unshielded")


def blas_threads():
    return [library["num_threads"] for library in ThreadpoolController().select(user_api="blas").info()]


LOADS_SCIPY_LATE = """
from threadpoolctl import ThreadpoolController
from tensor_optix.core.loop.process import ONE_BLAS_THREAD

def threads():
    return [library["num_threads"] for library in ThreadpoolController().select(user_api="blas").info()]

first = len(threads())
import scipy.linalg
before = threads()
with ONE_BLAS_THREAD:
    print(len(before) - first, max(before), threads(), end=" ")
print(threads() == before)
"""


def test_a_library_that_was_loaded_after_the_loop_has_one_thread_too():
    command = [sys.executable, "-c", LOADS_SCIPY_LATE]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    num_later, most, during = told.split(maxsplit=2)
    if int(num_later) == 0 or int(most) < 2:
        pytest.skip("SciPy has no library of its own, or there is one thread as it is")
    assert set(during.removesuffix(" True\n")) <= set("[1, ]"), told
    assert told.endswith("True\n")


def test_the_number_of_blas_threads_comes_back_after_runs_that_overlap(tmp_path):
    before = blas_threads()
    if not before or max(before) < 2:
        pytest.skip("one thread as it is")
    first_is_on, second_is_on, seen = threading.Event(), threading.Event(), []

    class First(LoopCallback):
        def on_loop_start(self):
            first_is_on.set()
            second_is_on.wait(60)

    class Second(LoopCallback):
        def on_loop_start(self):
            second_is_on.set()
            first.join(60)
            seen.append(blas_threads())

    first = threading.Thread(target=make_run(tmp_path / "a", callbacks=[First()]).run)
    second = threading.Thread(target=make_run(tmp_path / "b", callbacks=[Second()]).run)
    first.start()
    first_is_on.wait(60)
    second.start()
    second.join(60)
    assert seen == [[1] * len(before)]
    assert blas_threads() == before
