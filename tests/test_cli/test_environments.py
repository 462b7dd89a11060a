"""One way to name an environment: what was typed is found again, and what only a folder names is not imported."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import RUN, SMALL, assert_fails, forget, invoke, said, was_imported, write_module

import tensor_optix
from tensor_optix.cli.environments import typed_environment
from tensor_optix.core.storage.json_files import read_sealed_json, write_sealed_json
from tensor_optix.exceptions import InvalidArgumentError

TRAINED = ["cellar:cellar-v0", "--env-kwargs", "size=7", "--wrapper", "cellar:Plus", "--wrapper", "cellar:twice"]
RETURN = "mean return 160.00"
"""Of ten steps, (7 + 1) * 2 each: the wrappers in their order."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder with a module in it and a run in that module's environment, and what the command said."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_module("cellar")
        done = invoke("train", *TRAINED, *SMALL)
        assert done.exit_code == 0, done.output
        forget("cellar")
    yield folder, done.output
    forget("cellar")


@pytest.fixture
def place(trained: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of that folder, in a process that has not imported the module."""
    shutil.copytree(trained[0], tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    forget("cellar")
    yield tmp_path
    forget("cellar")


def edit(file: str, **changes: Any) -> None:
    """Change what a run's file says, as a stranger would who knows how to seal it."""
    path = Path(RUN, file)
    document = read_sealed_json(path)
    part = document["pipeline"] if file == "run.json" else document
    part.update(changes)
    write_sealed_json(path, document)


class TestFoundAgain:
    def test_training_takes_arguments_and_wrappers_in_their_order(self, trained: tuple[Path, str]) -> None:
        assert RETURN in trained[1]

    def test_what_was_given_is_kept_in_the_folder(self, place: Path) -> None:
        kept = {"env_id": "cellar:cellar-v0", "env_kwargs": {"size": 7}, "wrappers": ["cellar:Plus", "cellar:twice"]}
        assert kept.items() <= read_sealed_json(Path(RUN, "run.json"))["pipeline"].items()
        assert kept.items() <= read_sealed_json(Path(RUN, "command.json")).items()

    @pytest.mark.parametrize("naming", [["--trust-env"], ["cellar:cellar-v0"], TRAINED])
    def test_evaluate_plays_it(self, place: Path, naming: list[str]) -> None:
        done = invoke("evaluate", RUN, *naming, "--episodes", "3")
        assert done.exit_code == 0, done.output
        assert RETURN in done.output
        assert "cellar:cellar-v0 (size=7, in cellar:Plus, in cellar:twice)" in said(done)

    @pytest.mark.parametrize("naming", [["--trust-env"], ["cellar:cellar-v0"]])
    def test_resume_goes_on_in_it(self, place: Path, naming: list[str]) -> None:
        done = invoke("resume", RUN, *naming, "--max-windows", "3", "--quiet")
        assert done.exit_code == 0, done.output
        assert RETURN in done.output
        assert "env_kwargs was" not in done.output

    def test_what_is_typed_comes_before_what_is_kept(self, place: Path) -> None:
        typed = ["cellar:cellar-v0", "--env-kwargs", "size=1", "--wrapper", "cellar:twice", "--episodes", "3"]
        assert "mean return 20.00" in invoke("evaluate", RUN, *typed).output

    def test_another_environment_has_nothing_of_the_kept_one(self, place: Path) -> None:
        write_module("attic")
        try:
            assert "mean return 30.00" in invoke("evaluate", RUN, "attic:attic-v0", "--episodes", "3").output
        finally:
            forget("attic")

    def test_the_code_that_is_shown_runs_as_pasted(self, place: Path, trained: tuple[Path, str]) -> None:
        code = trained[1].split("Load the champion with:\n")[1]
        Path("pasted.py").write_text(code, encoding="utf-8")
        home = str(Path(tensor_optix.__file__).parents[1])
        done = subprocess.run(
            [sys.executable, "pasted.py"],
            env={**os.environ, "PYTHONPATH": home},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.stdout.startswith("160.00 (95 % interval"), done.stderr

    def test_the_code_for_a_module_alone_needs_no_more_than_its_id(self, tmp_path: Path, monkeypatch: Any) -> None:
        monkeypatch.chdir(tmp_path)
        write_module("shed")
        try:
            done = invoke("train", "shed:shed-v0", *SMALL)
            code = done.output.split("Load the champion with:\n")[1]
            assert 'evaluate(agent, "shed:shed-v0")' in code
            forget("shed")
            exec(code, {})
        finally:
            forget("shed")


def test_statistics_that_begin_anew_are_said(place: Path) -> None:
    naming = ["cellar:cellar-v0", "--wrapper", "gymnasium.wrappers:NormalizeObservation"]
    done = invoke("evaluate", RUN, *naming, "--episodes", "2")
    assert done.exit_code == 0, done.output
    assert "Note: what the wrapper NormalizeObservation gathers over episodes begins anew" in said(done)


class TestNamedByAFileAlone:
    @pytest.mark.parametrize("command", ["evaluate", "resume"])
    def test_a_module_is_not_imported_and_the_message_says_what_to_do(self, place: Path, command: str) -> None:
        done = invoke(command, RUN)
        assert_fails(done, 1, "which would import the module 'cellar' and call 'cellar:Plus' and call 'cellar:twice'")
        assert "add --trust-env" in said(done)
        assert not was_imported("cellar")

    @pytest.mark.parametrize("command", ["evaluate", "resume"])
    def test_the_command_that_the_message_advises_works(self, place: Path, command: str) -> None:
        advised = said(invoke(command, RUN)).split("name it yourself: tensor-optix ")[1]
        more = ["--episodes", "3"] if command == "evaluate" else ["--max-windows", "3", "--quiet"]
        done = invoke(*shlex.split(advised), *more)
        assert done.exit_code == 0, done.output
        assert RETURN in done.output

    @pytest.mark.parametrize("command", ["evaluate", "resume"])
    def test_a_module_that_is_there_is_not_imported_for_an_id_that_is_known(self, place: Path, command: str) -> None:
        for file in ("run.json", "command.json"):
            edit(file, env_id="antigravity:CartPole-v1", env_kwargs={}, wrappers=[])
        assert_fails(invoke(command, RUN), 1, "import the module 'antigravity'")
        assert "antigravity" not in sys.modules

    @pytest.mark.parametrize("command", ["evaluate", "resume"])
    def test_nothing_beside_or_in_the_run_is_imported_whoever_asks(
        self, place: Path, command: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for file in ("run.json", "command.json"):
            edit(file, env_id="payload:CartPole-v1", env_kwargs={}, wrappers=[])
        write_module("payload", Path(RUN))
        monkeypatch.chdir(RUN)
        monkeypatch.syspath_prepend("")
        assert_fails(invoke(command, "."), 1, "import the module 'payload'")
        for naming in (["--trust-env"], ["payload:CartPole-v1"]):
            done = invoke(command, ".", *naming)
            assert_fails(done, 2, "The current folder belongs to a run, and nothing is imported from there")
        assert not was_imported("payload")

    def test_a_run_below_the_current_folder_is_no_package(self, place: Path) -> None:
        Path(RUN).rename("loot")
        write_module("payload", Path("loot"))
        done = invoke("evaluate", "loot", "loot.payload:CartPole-v1")
        assert_fails(done, 1, "lies in the folder of a run")
        assert not was_imported("loot.payload")

    @pytest.mark.parametrize(
        ("wrapper", "is_harmless"),
        [
            ("gymnasium.wrappers.common:RecordEpisodeStatistics", True),
            ("gymnasium.wrappers.common:deepcopy", False),
            ("webbrowser:open", False),
        ],
    )
    def test_only_own_wrappers_of_gymnasium_are_called(self, place: Path, wrapper: str, is_harmless: bool) -> None:
        edit("run.json", env_kwargs={}, wrappers=[wrapper])
        done = invoke("evaluate", RUN, "cellar:cellar-v0", "--episodes", "3")
        assert (done.exit_code == 0) is is_harmless, done.output
        assert is_harmless or f"call '{wrapper}'" in said(done)

    @pytest.mark.parametrize(
        ("value", "is_harmless"),
        [
            *((7, True), ("8x8", True), ([1.5, "up"], True), (-100_000, True)),
            *(("/etc/passwd", False), ("evil:f", False), ({"a": 1}, False)),
            *((100_001, False), ([1, -1e9], False)),
        ],
    )
    def test_only_plain_arguments_are_passed(self, place: Path, value: Any, is_harmless: bool) -> None:
        edit("run.json", env_id="CartPole-v1", env_kwargs={"size": value}, wrappers=[])
        done = invoke("evaluate", RUN)
        assert ("which would pass size=" not in said(done)) is is_harmless
        assert done.exit_code == 1, "CartPole has no size, so it fails either way"
        assert is_harmless or "environment CartPole-v1 could not be made" not in said(done)

    def test_no_window_is_opened(self, place: Path) -> None:
        edit("run.json", env_id="CartPole-v1", env_kwargs={"render_mode": "human"}, wrappers=[])
        for naming in ([], ["CartPole-v1"]):
            assert_fails(invoke("evaluate", RUN, *naming), 1, 'which would pass render_mode="human"')

    def test_a_path_is_passed_on_only_where_the_user_gives_it_too(self, place: Path) -> None:
        for file in ("run.json", "command.json"):
            edit(file, env_kwargs={"size": "/etc/passwd"})
        for command in ("evaluate", "resume"):
            assert_fails(invoke(command, RUN, "cellar:cellar-v0"), 1, 'which would pass size="/etc/passwd"')
        done = invoke("evaluate", RUN, *TRAINED, "--episodes", "3")
        assert done.exit_code == 0, done.output
        assert RETURN in done.output

    def test_no_module_of_an_algorithm_is_imported(self, place: Path) -> None:
        edit("command.json", algorithm="antigravity:flying")
        assert_fails(invoke("resume", RUN), 1, "would import the module 'cellar'")
        assert_fails(invoke("resume", RUN, "cellar:cellar-v0"), 1, "which would import the module 'antigravity'")
        assert "antigravity" not in sys.modules
        edit("command.json", algorithm="payload:flying")
        write_module("payload")
        done = invoke("resume", RUN, "--trust-env")
        assert_fails(done, 2, "The module 'payload' registers no algorithm 'flying'")
        forget("payload")

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"env_id": 7}, "must be text"),
            ({"env_id": "x" * 300}, "is named by an id"),
            ({"env_id": "os.path;import:CartPole-v1"}, "is named by an id"),
            ({"env_kwargs": []}, "must be a dict"),
            ({"env_kwargs": {"a b": 1}}, "must have a Python name"),
            ({"env_kwargs": {"num_envs": 10**9}}, "cannot be called 'num_envs'"),
            ({"env_kwargs": {"text": "x" * 70_000}}, "at most 65536 bytes"),
            ({"env_kwargs": {"max_episode_steps": 10**400}}, "at most 64 bits. Received: one of 1329 bits"),
            ({"env_kwargs": {"sizes": [[1, {"a": -(2**63)}]]}}, "at most 64 bits"),
            ({"wrappers": "cellar:twice"}, "must be a list"),
            ({"wrappers": [3]}, "is named like 'module:function'"),
            ({"wrappers": ["cellar:twice.__globals__"]}, "is named like 'module:function'"),
            ({"wrappers": ["cellar:twice"] * 33}, "At most 32 wrappers"),
        ],
    )
    @pytest.mark.parametrize("file", ["run.json", "command.json"])
    def test_what_is_no_name_is_refused(self, place: Path, file: str, changes: dict[str, Any], message: str) -> None:
        edit(file, **changes)
        done = invoke("evaluate" if file == "run.json" else "resume", RUN, "--trust-env")
        assert_fails(done, 1, message)
        assert not was_imported("cellar")

    def test_python_imports_nothing_for_a_folder_either(self, place: Path) -> None:
        edit("run.json", env_id="antigravity:CartPole-v1")
        tensor_optix.load_agent(RUN)
        assert not was_imported("cellar")
        assert "antigravity" not in sys.modules

    @pytest.mark.parametrize(
        "changes",
        [
            {"seed": -1},
            {"num_envs": 10**9},
            {"num_envs": True},
            {"window_size": 10**12},
            {"num_envs": 4096, "window_size": 10_000},
            {"overrides": {"hidden_units": [100_000, 100_000]}},
            {"overrides": {"hidden_units": [10**12]}},
            {"max_windows": "3"},
            {"target_score": "high"},
            {"rollback": 1},
            {"algorithm": ["ppo"]},
            {"overrides": {"hidden_units": {"a": 1}}},
            {"overrides": {"gamma": "x" * 300}},
        ],
    )
    def test_a_plan_of_wrong_types_is_refused(self, place: Path, changes: dict[str, Any]) -> None:
        edit("command.json", **changes)
        assert_fails(invoke("resume", RUN, "--trust-env"), 1, "says something that no command asked for")


class TestRunsOfScripts:
    def test_what_only_the_script_can_make_is_said(self, place: Path) -> None:
        edit("run.json", env_id="CartPole-v1", env_kwargs={}, wrappers=[], unnamed=["the wrapper __main__:Mine(...)"])
        done = invoke("evaluate", RUN)
        assert_fails(done, 1, "was trained in CartPole-v1 with the wrapper __main__:Mine(...), which only its script")
        assert "--wrapper module:function" in said(done)

    def test_a_run_that_names_none_takes_the_one_that_is_typed(self, place: Path) -> None:
        edit("run.json", env_id=None)
        assert_fails(invoke("evaluate", RUN), 1, "does not say which environment it was trained in")
        assert "mean return 30.00" in invoke("evaluate", RUN, "cellar:cellar-v0", "--episodes", "2").output


class TestTyped:
    @pytest.mark.parametrize(
        ("naming", "message"),
        [
            (["nowhere:Env-v0"], "'nowhere' of 'nowhere:Env-v0' cannot be imported: No module named 'nowhere'"),
            (
                ["cellar:cellar-v1"],
                "No environment is registered as 'cellar:cellar-v1'. Did you mean cellar:cellar-v0?",
            ),
            (["cellar:Attic-v3"], "No environment is registered as 'cellar:Attic-v3'. Did you mean cellar:cellar-v0?"),
            (["a:b:c"], "is named by an id like 'CartPole-v1' or 'module:Env-v0'"),
            ([""], "is named by an id"),
            (["broken:Env-v0"], "'broken' of 'broken:Env-v0' cannot be imported: ZeroDivisionError"),
            (["exits:Env-v0"], "cannot be imported: SystemExit: 3"),
            (["cellar:cellar-v0", "--wrapper", "cellar:Thrice"], "has no function or class 'Thrice'"),
            (["cellar:cellar-v0", "--wrapper", "cellar"], "A wrapper is named like 'module:function'"),
            (["cellar:cellar-v0", "--env-kwargs", "size"], "--env-kwargs takes key=value"),
            (["cellar:cellar-v0", "--env-kwargs", "size=NaN"], "must be such that JSON holds them"),
            (["cellar:cellar-v0", "--env-kwargs", "num_envs=3"], "cannot be called 'num_envs'"),
        ],
    )
    def test_a_wrong_name_is_a_usage_error(self, place: Path, naming: list[str], message: str) -> None:
        Path("broken.py").write_text("1 / 0", encoding="utf-8")
        Path("exits.py").write_text("import sys; sys.exit(3)", encoding="utf-8")
        assert_fails(invoke("train", *naming, *SMALL), 2, message)

    @pytest.mark.parametrize(
        ("naming", "message"),
        [
            (["--env-kwargs", "colour=red"], "Environment cellar:cellar-v0 could not be made: TypeError"),
            (["--wrapper", "builtins:print"], "The wrapper builtins:print must return a gymnasium.Env"),
        ],
    )
    def test_what_cannot_be_made_is_one_message(self, place: Path, naming: list[str], message: str) -> None:
        assert_fails(invoke("train", "cellar:cellar-v0", *naming, *SMALL), 1, message)


def test_arguments_are_read_and_wrappers_keep_their_order() -> None:
    wrappers = ["gymnasium.wrappers:RecordEpisodeStatistics", "gymnasium.wrappers:NormalizeObservation"]
    typed = typed_environment("CartPole-v1", ["sutton_barto_reward=true"], wrappers)
    assert (typed.env_id, dict(typed.kwargs)) == ("CartPole-v1", {"sutton_barto_reward": True})
    assert typed.wrappers == tuple(wrappers)
    assert not typed.is_trusted


def test_nothing_typed_is_nothing() -> None:
    typed = typed_environment(None, None, None, True)
    assert (typed.env_id, dict(typed.kwargs), typed.wrappers, typed.is_trusted) == (None, {}, (), True)


@pytest.mark.parametrize(
    ("pairs", "message"),
    [(["size"], "--env-kwargs takes key=value, for example --env-kwargs size=7"), (["a=1", "a=2"], "gives 'a' twice")],
)
def test_what_is_no_pair_is_told_with_its_option(pairs: list[str], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        typed_environment("CartPole-v1", pairs, None)
