"""What a message advises is tried: it is possible there, and it helps."""

from __future__ import annotations

import ast
import logging
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import keras
import numpy as np
import pytest
from command_line import SMALL, assert_fails, invoke, said

import tensor_optix
from tensor_optix import BatchPipeline, HyperparamSet, RLOptimizer, TFAgent, evaluate, load_agent, make_agent
from tensor_optix.exceptions import InvalidArgumentError, UnknownEnvironmentError, UnsupportedSpaceError
from tensor_optix.pipeline.environment_names import EnvironmentName


@keras.saving.register_keras_serializable(package="advice")
class Twice(keras.layers.Layer):
    """A user's own layer."""

    def call(self, inputs: Any) -> Any:
        return 2 * inputs


def script_parts() -> tuple[TFAgent, BatchPipeline]:
    """Return what a script trains with: a model with a layer of its own."""
    model = keras.Sequential([keras.layers.Input((4,)), Twice(), keras.layers.Dense(2)])
    agent = TFAgent(model, keras.optimizers.Adam(1e-3), HyperparamSet({"learning_rate": 1e-3}, episode_id=0))
    return agent, BatchPipeline(lambda: gym.make("CartPole-v1"), agent, window_size=50)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of the command in ``command/`` and one of a script in ``script/``."""
    folder = tmp_path_factory.mktemp("advice")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert invoke("train", "CartPole-v1", *SMALL, "--checkpoint-dir", "command").exit_code == 0
        RLOptimizer(*script_parts(), checkpoint_dir="script", max_episodes=2, seed=0, report_episodes=2).run()
    return folder


@pytest.fixture
def place(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(runs, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


class TestGoingOn:
    def test_a_run_of_the_command_is_resumed_by_the_command(
        self, place: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.WARNING):
            invoke("train", "CartPole-v1", *SMALL, "--checkpoint-dir", "command")
        advised = re.search(r"to go on with that one: tensor-optix (.*)", caplog.text)
        assert advised is not None
        done = invoke(*shlex.split(advised[1].rstrip(".")), "--quiet", "--max-windows", "3")
        assert done.exit_code == 0, done.output
        assert "run(resume" not in caplog.text

    def test_a_run_of_a_script_is_resumed_by_the_script(self, place: Path, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.WARNING):
            invoke("train", "CartPole-v1", *SMALL, "--checkpoint-dir", "script")
        advised = re.search(
            r"from the script that started it: RLOptimizer\(\.\.\.\)\.run\(resume='(.*)'\)", caplog.text
        )
        assert advised is not None
        optimizer = RLOptimizer(*script_parts(), checkpoint_dir="script", max_episodes=3, seed=0, report_episodes=2)
        assert optimizer.run(resume=advised[1]).windows == 3

    def test_so_it_is_where_the_command_is_asked_to(self, place: Path) -> None:
        done = invoke("resume", "script/run-0001")
        assert_fails(done, 1, "is resumed by that script: RLOptimizer(...).run(resume='script/run-0001')")


def test_a_run_that_had_ended_goes_on_with_what_is_advised(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        invoke("resume", "command/run-0001", "--quiet")
    assert "on the command line --max-env-steps, --max-windows" in caplog.text
    assert "in Python, give the agent of load_agent to a new RLOptimizer" in caplog.text
    assert "max_episodes=4" in invoke("resume", "command/run-0001", "--quiet", "--max-windows", "4").output
    agent = load_agent("command/run-0001")
    pipeline = BatchPipeline(lambda: gym.make("CartPole-v1"), agent, window_size=50)
    optimizer = RLOptimizer(agent, pipeline, checkpoint_dir="on", max_episodes=2, seed=1, report_episodes=2)
    assert optimizer.run().reason == "budget"


class TestPlaying:
    def test_a_layer_of_the_users_own_is_named_in_python(self, place: Path) -> None:
        done = invoke("evaluate", "script/run-0001")
        assert_fails(done, 1, "The command has no such option; in Python: evaluate(load_agent(")
        code = said(done).split("in Python: ")[1].rstrip(".")
        names = {"evaluate": evaluate, "load_agent": load_agent, "env": "CartPole-v1"}
        found = re.search(r"custom_objects=\{'([^']+)'", said(done))
        assert found is not None
        filled = code.replace("custom_objects=...", f"custom_objects={{{found[1]!r}: Twice}}").replace(
            ", env)", ", env, 3)"
        )
        assert eval(filled, {**names, "Twice": Twice}).num_episodes == 3

    def test_an_environment_that_is_not_named_is_named(self, place: Path) -> None:
        Path("command/run-0001/run.json").unlink()
        done = invoke("evaluate", "command/run-0001")
        assert_fails(done, 1, "Name it: tensor-optix evaluate RUN_DIR ENV")
        assert invoke("evaluate", "command/run-0001", "CartPole-v1", "--episodes", "2").exit_code == 0


class TestTraining:
    def test_a_folder_that_cannot_be_written_to_is_another_one(self, place: Path) -> None:
        Path("file").touch()
        done = invoke("train", "CartPole-v1", *SMALL, "--checkpoint-dir", "file")
        assert_fails(done, 1, "choose another place for runs: checkpoint_dir=, on the command line --checkpoint-dir")
        assert invoke("train", "CartPole-v1", *SMALL, "--checkpoint-dir", "elsewhere").exit_code == 0

    @pytest.mark.parametrize("typed", ["Cartpole-v1", "cartpole", "Acrobat-v1", "LunarLander-v1"])
    def test_the_nearest_environments_are_there(self, typed: str) -> None:
        with pytest.raises(UnknownEnvironmentError) as failure:
            EnvironmentName(typed).check()
        near = str(failure.value).split("Did you mean ")[1].rstrip("?").split(", ")
        for name in near:
            EnvironmentName(name).check()

    def test_all_that_gymnasium_knows_is_listed(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(UnknownEnvironmentError) as failure:
            EnvironmentName("qqqqqqqqq").check()
        advised = re.search('python -c "(.*)"', str(failure.value))
        assert advised is not None
        exec(advised[1], {})
        assert "CartPole-v1" in capsys.readouterr().out

    def test_the_nearest_setting_is_one(self) -> None:
        with pytest.raises(InvalidArgumentError) as failure:
            make_agent("CartPole-v1", gama=0.9)
        near = re.findall(r"Did you mean '(\w+)'", str(failure.value))
        assert make_agent("CartPole-v1", **{near[0]: 0.9}, hidden_units=(4,))

    def test_the_algorithms_that_are_named_can(self) -> None:
        with pytest.raises(UnsupportedSpaceError) as failure:
            make_agent("CartPole-v1", "sac")
        for name in str(failure.value).split("These can: ")[1].rstrip(".").split(", "):
            assert make_agent("CartPole-v1", name, hidden_units=(4,))

    def test_unbounded_actions_are_bounded_or_left_to_another_algorithm(self) -> None:
        env = Unbounded()
        with pytest.raises(UnsupportedSpaceError, match=r"PPOAgent for .*unbounded.*wrappers\.TransformAction"):
            make_agent(env, "sac")
        assert evaluate(make_agent(env, "ppo", hidden_units=(4,)), env, 1).num_episodes == 1
        bounded = gym.wrappers.TransformAction(env, lambda action: action, gym.spaces.Box(-1.0, 1.0, (1,)))
        assert evaluate(make_agent(bounded, "sac", hidden_units=(4,)), bounded, 1).num_episodes == 1


class Unbounded(gym.Env[Any, Any]):
    """Takes any action."""

    observation_space = gym.spaces.Box(-1.0, 1.0, (2,))
    action_space = gym.spaces.Box(-np.inf, np.inf, (1,))

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return np.zeros(2, np.float32), {}

    def step(self, action: Any) -> Any:
        assert np.isfinite(action).all()
        return np.zeros(2, np.float32), 1.0, True, False, {}


def test_no_message_takes_the_reader_for_a_script() -> None:
    """Whoever is told to call ``run(...)`` may have typed a command: the message must say where that is done."""
    offences = []
    for path in Path(tensor_optix.__file__).parent.rglob("*.py"):
        for text in messages_of(ast.parse(path.read_text(encoding="utf-8"))):
            if re.search(r"\brun\(", text) and not re.search("script|Python", text):
                offences.append(f"{path.name}: {text}")
    assert offences == []


def messages_of(tree: ast.Module) -> Iterator[str]:
    """Yield the texts of calls (of errors, of loggers, ...), as they are written."""
    for call in ast.walk(tree):
        if isinstance(call, ast.Call):
            for argument in call.args:
                parts = [node.value for node in ast.walk(argument) if isinstance(node, ast.Constant)]
                yield "".join(part for part in parts if isinstance(part, str))
