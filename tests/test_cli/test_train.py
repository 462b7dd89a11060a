"""`tensor-optix train` from outside."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
from command_line import RUN, SMALL, assert_fails, forget, invoke, write_module

import tensor_optix
from tensor_optix.algorithms.registry import registered
from tensor_optix.cli.options import ALGORITHMS

COMMAND = [sys.executable, "-c", "from tensor_optix.cli.main import main; main()"]
CONFIG = """
env = "CartPole-v1"
algorithm = "policy_gradient"
num_envs = 2
window_size = 50
max_windows = 2
checkpoint_dir = "here"
[agent]
hidden_units = [4]
gamma = 0.9
"""
TINY = ["--num-envs", "2", "--window-size", "64", "--set", "hidden_units=[8]"]
SHORT = ["--max-windows", "3", "--seed", "0", "--quiet", *TINY]


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_short_run_says_what_was_reached_and_gives_code_that_works() -> None:
    done = invoke("train", "CartPole-v1", *SHORT)
    assert done.exit_code == 0, done.output
    for part in ("budget: max_episodes=3", "mean return", "95 % interval", "100 fresh greedy episodes", "Seed"):
        assert part in done.output
    code = done.output.split("Load the champion with:\n")[1]
    assert "evaluate(agent" in code
    namespace: dict[str, Any] = {}
    exec(code, namespace)
    assert isinstance(namespace["agent"], tensor_optix.TFAgent)


def test_the_same_seed_is_the_same_run() -> None:
    first, second = (invoke("train", "CartPole-v1", *SHORT) for _ in range(2))
    assert reached(first.output) == reached(second.output)
    assert "run-0001" in first.output
    assert "run-0002" in second.output


def test_progress_is_shown_unless_quiet() -> None:
    assert "  window 1  " in invoke("train", "CartPole-v1", "--max-windows", "2", *TINY).output
    assert "  window 1  " not in invoke("train", "CartPole-v1", "--max-windows", "2", *TINY, "-q").output


def test_several_environments_and_a_folder_of_choice() -> None:
    done = invoke("train", "CartPole-v1", *SHORT, "--num-envs", "2", "--window-size", "50", "--checkpoint-dir", "here")
    assert done.exit_code == 0, done.output
    assert "300 training" in done.output
    assert Path("here/run-0001/manifest.json").is_file()


@pytest.mark.parametrize(
    ("algorithm", "env_id", "agent"),
    [
        ("auto", "CartPole-v1", tensor_optix.PPOAgent),
        ("dqn", "CartPole-v1", tensor_optix.DQNAgent),
        ("sac", "Pendulum-v1", tensor_optix.SACAgent),
        ("policy_gradient", "Pendulum-v1", tensor_optix.TFAgent),
    ],
)
def test_the_algorithm_is_the_one_asked_for(algorithm: str, env_id: str, agent: type) -> None:
    num_windows = "20" if algorithm == "sac" else "3"  # windows of SAC are 16 steps, and an episode has to end
    options = ["--max-windows", num_windows, "--seed", "0", "--quiet", "--set", "hidden_units=[8]"]
    done = invoke("train", env_id, *options, "--algorithm", algorithm)
    assert done.exit_code == 0, done.output
    assert type(tensor_optix.load_agent("tensor_optix_checkpoints/run-0001")) is agent


def test_settings_reach_the_agent() -> None:
    done = invoke("train", "CartPole-v1", *SHORT, "--learning-rate", "0.001")
    assert done.exit_code == 0, done.output
    agent = tensor_optix.load_agent("tensor_optix_checkpoints/run-0001")
    assert agent.get_hyperparams().params["learning_rate"] == pytest.approx(0.001)
    assert [layer.units for layer in agent.model.layers if hasattr(layer, "units")] == [8, 2]


def test_memory_is_asked_for_by_its_kind() -> None:
    done = invoke("train", "CartPole-v1", *SHORT, "--set", "memory_units=4", "--memory", "gru")
    assert done.exit_code == 0, done.output
    agent = tensor_optix.load_agent("tensor_optix_checkpoints/run-0001")
    assert [state.shape for state in agent.memory_states(2)] == [(2, 4)]
    refused = invoke("train", "CartPole-v1", *SHORT, "--memory", "gru", "--algorithm", "dqn")
    assert refused.exit_code != 0
    assert "is for ppo" in refused.output


@pytest.mark.parametrize("typed", ["Ppo", "DQN", "Auto"])
def test_an_algorithm_is_taken_in_any_case(typed: str) -> None:
    done = invoke("train", "CartPole-v1", *SHORT, "--algorithm", typed, "--json")
    assert done.exit_code == 0, done.output


def test_the_help_lists_the_algorithms_that_there_are() -> None:
    assert [*ALGORITHMS[1:]] == list(registered())
    assert all(name in invoke("train", "--help").output for name in ALGORITHMS)


def test_a_file_of_settings_is_a_run_and_what_is_typed_comes_first() -> None:
    Path("cartpole.toml").write_text(CONFIG)
    done = invoke("train", "--config", "cartpole.toml", "--set", "num_envs=3", "--seed", "9", "--quiet", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["env_steps"]["training"] == 2 * 3 * 50
    assert json.loads(done.stdout)["seed"] == 9
    agent = tensor_optix.load_agent("here/run-0001")
    assert agent.get_hyperparams().params["gamma"] == pytest.approx(0.9)


@pytest.mark.parametrize("name", ["", "run.json"])
def test_a_run_is_repeated_to_the_bit_from_its_folder(name: str) -> None:
    """Without a seed of the user's: the one that was drawn is repeated, too."""
    options = ["--max-windows", "4", "--quiet", "--num-envs", "2", "--window-size", "60", "--set", "hidden_units=[8]"]
    invoke(
        "train", "CartPole-v1", *options, "--checkpoint-dir", "runs", "--wrapper", "gymnasium.wrappers:NormalizeReward"
    )
    done = invoke("train", "--config", f"runs/run-0001/{name}", "--quiet")
    assert done.exit_code == 0, done.output
    first, second = (Path("runs", run) for run in ("run-0001", "run-0002"))
    assert (first / "history.jsonl").read_bytes() == (second / "history.jsonl").read_bytes()
    weights = [tensor_optix.load_agent(run).model.get_weights() for run in (first, second)]
    assert all((one == other).all() for one, other in zip(*weights, strict=True))
    assert (first / "command.json").read_bytes() == (second / "command.json").read_bytes()


def test_greedy_episodes_may_be_played_elsewhere() -> None:
    write_module("elsewhere")
    write_module("training")
    try:
        done = invoke(
            *("train", "training:training-v0", *SMALL, "--wrapper", "training:twice", "--json"),
            *("--evaluation-env", "elsewhere:elsewhere-v0", "--evaluation-env-kwargs", "size=5"),
        )
    finally:
        forget("elsewhere")
        forget("training")
    assert done.exit_code in (0, 3), done.output
    assert json.loads(done.stdout)["confirmed_mean"] == 2 * 5 * 10


def test_callbacks_are_asked_for_by_name_and_again_when_the_run_goes_on() -> None:
    done = invoke("train", "CartPole-v1", *SMALL, "--callback", "csv", "--callback", "progress")
    assert done.exit_code == 0, done.output
    before = {path.name: path.read_text() for path in Path(RUN).glob("*.csv")}
    assert before
    assert invoke("resume", RUN, "--max-windows", "4", "--quiet").exit_code == 0
    assert all(len(Path(RUN, name).read_text()) > len(text) for name, text in before.items())


def test_a_document_of_the_result_is_all_there_is_on_standard_output() -> None:
    done = invoke("train", "CartPole-v1", "--max-windows", "2", "--seed", "0", *TINY, "--json")
    document = json.loads(done.stdout)
    assert document["reason"] == "budget"
    assert document["next"][0].startswith("tensor-optix resume tensor_optix_checkpoints/run-0001 --max-windows")
    assert "window 1" in done.stderr, "progress is shown beside it"
    failed = invoke("train", "Cartpole-v1", "--json")
    assert failed.exit_code == 2
    assert "Did you mean CartPole-v1" in json.loads(failed.stdout)["error"]


@pytest.mark.slow
def test_what_is_said_to_be_next_can_be_done() -> None:
    done = invoke("train", "CartPole-v1", *SHORT)
    advised = [line.strip() for line in done.output.split("Next:\n")[1].split("\n\n")[0].splitlines()]
    for line in advised:
        command, *arguments = line.removeprefix("tensor-optix ").split()
        assert invoke(command, *arguments, *(["-q"] if command == "resume" else [])).exit_code == 0, line


def test_an_unknown_environment_gets_the_nearest_names() -> None:
    done = invoke("train", "Cartpole-v1")
    assert_fails(done, 2, "No environment is registered as 'Cartpole-v1'. Did you mean CartPole-v1")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "num_env=4"], "Of the run's own settings: Did you mean 'num_envs'"),
        (["--set", "seed=1", "--seed", "1"], "'seed' is given twice"),
        (["--callback", "csvv"], "Did you mean 'csv'"),
        (["--num-envs", "5000"], "`num_envs` must be"),
        (["--algorithm", "a3c"], "`algorithm` must be one of auto, ppo"),
        (["--set", "gama=0.9"], "Did you mean 'gamma'?"),
        (["--set", "gamma"], "--set takes key=value"),
        (["--set", "gamma=7"], "gamma"),
        (["--learning-rate", "nan"], "learning_rate"),
    ],
)
def test_a_bad_setting_is_one_message(arguments: list[str], message: str) -> None:
    assert_fails(invoke("train", "CartPole-v1", "--quiet", *arguments), 2, message)


def test_an_environment_that_raises_is_one_message() -> None:
    gym.register("Breaks-v0", entry_point=Breaks, max_episode_steps=1000)
    try:
        done = invoke("train", "Breaks-v0", *SMALL, "--max-windows", "20")
    finally:
        del gym.registry["Breaks-v0"]
    assert_fails(done, 1, "the sensor fell off")
    assert "Reason" in done.output, "what was reached is told all the same"


def test_without_an_environment_one_is_asked_for() -> None:
    assert_fails(invoke("train"), 2, "Which environment? Name it, as in: tensor-optix train CartPole-v1")


def test_a_number_out_of_range_is_a_usage_error() -> None:
    assert invoke("train", "CartPole-v1", "--num-envs", "0").exit_code == 2


class Breaks(gym.Env[Any, Any]):
    """Works for 200 steps, then raises."""

    observation_space = gym.spaces.Box(-1.0, 1.0, (3,))
    action_space = gym.spaces.Discrete(2)
    num_steps = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return self.observation_space.sample() * 0, {}

    def step(self, action: Any) -> Any:
        self.num_steps += 1
        if self.num_steps > 200:
            raise OSError("the sensor fell off")
        return self.observation_space.sample() * 0, 1.0, self.num_steps % 20 == 0, False, {}


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
class TestInterrupt:
    def start(self, *more: str) -> subprocess.Popen[str]:
        options = ["--algorithm", "policy_gradient", "--num-envs", "1", "--set", "hidden_units=[8]"]
        command = [*COMMAND, "train", "CartPole-v1", "--seed", "0", *options, *more]
        running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert running.stdout is not None
        while "  learning  " not in running.stdout.readline():  # the first window is done
            assert running.poll() is None
        return running

    def test_the_first_ends_the_run_with_its_summary(self) -> None:
        running = self.start()
        running.send_signal(signal.SIGINT)
        output, errors = running.communicate(timeout=120)
        assert running.returncode == 130, errors
        assert re.search(r"stopped: asked to stop;.* interrupted by Ctrl-C, so the report is at most 10", output)
        assert "10 fresh greedy episodes" in output
        assert "mean return" in output
        assert "Traceback" not in errors

    def test_the_second_ends_it_at_once(self) -> None:
        running = self.start()
        running.send_signal(signal.SIGINT)
        assert "Once more to end at once" in running.stderr.readline()
        running.send_signal(signal.SIGINT)
        output, errors = running.communicate(timeout=120)
        assert running.returncode == 130, errors
        assert "Interrupted" in output
        assert "load_agent" in output
        assert "Traceback" not in errors


def reached(output: str) -> list[str]:
    """Return the lines that must not differ between two runs with one seed."""
    return [line for line in output.splitlines() if line.startswith(("Reached", "Env steps", "Seed"))]
