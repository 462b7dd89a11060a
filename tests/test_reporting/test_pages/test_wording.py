"""What pages say in sentences, for runs of every kind."""

import shlex

import numpy as np
import pytest
from typer.testing import CliRunner
from written_runs import evaluation, write_run

from tensor_optix.cli.main import app
from tensor_optix.core.types import EvaluationResult
from tensor_optix.reporting.pages.wording import (
    difference_sentence,
    duration,
    joined,
    number,
    reached,
    reproducing_command,
    reproducing_script,
    verdict_sentence,
)
from tensor_optix.reporting.run import Run


def test_a_verdict_tells_mean_interval_and_episodes(tmp_path):
    run = Run.load(write_run(tmp_path, [1.0], returns=[10.0, 12.0, 11.0]))
    said = verdict_sentence(run)
    assert said.startswith("Trained: nothing more was to be gained. The champion reaches a mean return of 11.00 (95 %")
    assert said.endswith("in 3 fresh greedy episodes.")


def test_a_run_without_an_end_says_so(tmp_path):
    path = write_run(tmp_path, [1.0])
    (path / "result.json").unlink()
    assert verdict_sentence(Run.load(path)) == "It never came to an end: it can be resumed."


def test_one_episode_has_no_interval():
    one = EvaluationResult(5.0, (-np.inf, np.inf), np.array([5.0]), np.array([3]), 3, num_cut=1)
    said = "a mean return of 5.00 (one episode, so no interval) in 1 fresh greedy episodes, 1 of them cut"
    assert said in reached(one)


@pytest.mark.parametrize(("theirs", "is_unclear"), [([1.0, 2.0, 3.5], False), ([30.0, 1.0, 3.0], True)])
def test_the_baseline_is_held_against_it(theirs, is_unclear):
    said = difference_sentence(evaluation([10.0, 12.0, 11.0], theirs))
    assert f"The baseline reaches {np.mean(theirs):.2f} in the same episodes" in said
    assert f"{11.0 - np.mean(theirs):+.2f} (95 % interval" in said
    assert ("which may be chance" in said) == is_unclear
    assert difference_sentence(evaluation([1.0, 2.0])) == ""


@pytest.mark.parametrize(
    ("seconds", "said"), [(1.23, "1.2 seconds"), (300, "5.0 minutes"), (9000, "2.5 hours"), (864_000, "10.0 days")]
)
def test_durations(seconds, said):
    assert duration(seconds) == said


def test_numbers():
    assert (number(1234.567), number(None), number(float("nan")), number(3, 0)) == ("1,234.57", "-", "-", "3")
    assert joined({"a": 0.1 + 0.2, "b": [1], "c": None}) == "a = 0.3, b = [1], c = None"
    assert joined("no table") == ""


def test_the_command_trains_the_same_once_more(tmp_path, monkeypatch):
    """What is typed is read back as the plan that it was made from."""
    monkeypatch.chdir(tmp_path)
    typed = ["train", "CartPole-v1", "--seed", "3", "--num-envs", "2", "--window-size", "20", "--max-windows", "1"]
    typed += ["--algorithm", "policy_gradient", "--set", "hidden_units=[4]", "--env-kwargs", "max_episode_steps=9"]
    typed += ["--wrapper", "gymnasium.wrappers:FlattenObservation", "--callback", "csv", "--rollback"]
    done = CliRunner().invoke(app, [*typed, "--quiet"])
    assert done.exit_code == 0, done.output
    first = Run.load("tensor_optix_checkpoints/run-0001")
    words = shlex.split(reproducing_command(first))
    assert words[:3] == ["tensor-optix", "train", "CartPole-v1"]
    assert CliRunner().invoke(app, [*words[1:], "--quiet"]).exit_code == 0
    second = Run.load("tensor_optix_checkpoints/run-0002")
    assert second.history == first.history
    assert {**second.command, "sha256": 0} == {**first.command, "sha256": 0}


def test_where_a_script_started_a_run_no_command_is_told(tmp_path):
    run = Run.load(write_run(tmp_path, [1.0], seed=8))
    assert reproducing_command(run) is None
    assert "RLOptimizer(..., seed=8)" in reproducing_script(run)


def test_texts_that_look_like_numbers_are_quoted(tmp_path):
    plan = {"env_id": "A-v0", "env_kwargs": {"a": "1", "b": 1, "c": "x y", "d": [1, "2"]}}
    words = shlex.split(reproducing_command(Run.load(write_run(tmp_path, [1.0], plan=plan))))
    assert [word for word in words if "=" in word] == ['a="1"', "b=1", "c=x y", 'd=[1, "2"]']
