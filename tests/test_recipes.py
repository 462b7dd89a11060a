"""The recipes of CONTRIBUTING.md, as they are written there."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tensor_optix import load_agent
from tensor_optix.algorithms import unregister
from tensor_optix.algorithms.registry import registered
from tensor_optix.cli.main import app
from tensor_optix.core.storage.json_files import read_sealed_json, write_sealed_json
from tensor_optix.core.storage.run_folder import RunFolder

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```\w+\n(.*?)^```", re.DOTALL | re.MULTILINE)
RUN = "tensor_optix_checkpoints/run-0001"
SMALL = ["--quiet", "--seed", "0", "--max-windows", "2", "--num-envs", "2", "--window-size", "50"]
SMALL += ["--set", "hidden_units=[4]", "--set", "jit_compile=false"]


def blocks_of(recipe: str) -> list[str]:
    section = PAGE.split(f"## Recipe: {recipe}\n")[1].split("\n## ")[0]
    return BLOCK.findall(section)


def invoke(*arguments: str) -> Any:
    return CliRunner(env={"COLUMNS": "120"}).invoke(app, list(arguments))


def said(done: Any) -> str:
    return " ".join(done.output.split())


def forget() -> None:
    """Make this process one that never heard of the module, as the next command's."""
    sys.modules.pop("careful", None)
    if "careful" in registered():
        unregister("careful")


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """What training said, in a folder with the module of the recipe, the process as if nothing had happened."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    module, commands, _ = blocks_of("a new algorithm")
    Path("careful.py").write_text(module, encoding="utf-8")
    train = shlex.split(commands.splitlines()[0])[1:]
    done = invoke(*train, *SMALL)
    assert done.exit_code in (0, 3), done.output
    forget()
    yield done.output
    forget()


def test_a_new_algorithm_is_trained_evaluated_resumed_and_loaded(trained: str) -> None:
    _, commands, loading = blocks_of("a new algorithm")
    evaluate = shlex.split(commands.splitlines()[1])[1:]
    done = invoke(*evaluate, "--episodes", "2")
    assert "mean return" in done.output, done.output
    forget()
    resumed = invoke("resume", RUN, "--trust-env", "--max-windows", "3", "--quiet")
    assert resumed.exit_code in (0, 3), resumed.output
    forget()
    found: dict[str, Any] = {}
    exec(compile(loading, "CONTRIBUTING.md", "exec"), found)
    assert type(found["agent"]) is found["careful"].CarefulAgent
    assert found["agent"].patience == 3


def test_the_code_that_the_command_shows_runs_as_pasted(trained: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = trained.split("Load the champion with:\n")[1]
    assert code.strip().startswith("import careful")
    exec(compile(code.replace('"CartPole-v1")', '"CartPole-v1", 2)'), "pasted.py", "exec"), {})
    assert "95 % interval" in capsys.readouterr().out


def test_a_folder_alone_makes_no_module_be_imported(trained: str) -> None:
    for command in ("evaluate", "resume"):
        done = invoke(command, RUN)
        assert done.exit_code == 1
        assert (
            f"add --trust-env, or name it yourself: tensor-optix {command} {RUN} --algorithm careful:careful"
            in said(done)
        )
        assert "careful" not in sys.modules
    with pytest.raises(OSError, match=r"The saved agent is a 'CarefulAgent': a class of your own.*register"):
        load_agent(RUN)


def test_a_folder_that_lies_about_the_algorithm_gets_nowhere(trained: str) -> None:
    path = Path(RUN, "command.json")
    write_sealed_json(path, {**read_sealed_json(path), "algorithm": "os:system"})
    for command in ("evaluate", "resume"):
        done = invoke(command, RUN)
        assert done.exit_code == 2
        assert "The module 'os' registers no algorithm 'system'" in said(done)


def test_the_module_of_the_environment_may_register_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    Path("careful.py").write_text(blocks_of("a new algorithm")[0], encoding="utf-8")
    try:
        done = invoke("train", "careful:CartPole-v1", "--algorithm", "careful", *SMALL)
        assert "import careful  # registers the algorithm" in done.output
        forget()
        assert "mean return" in invoke("evaluate", RUN, "careful:CartPole-v1", "--episodes", "2").output
    finally:
        forget()


def test_another_algorithm_than_the_run_s_is_refused(trained: str) -> None:
    done = invoke("resume", RUN, "--algorithm", "ppo")
    assert done.exit_code == 2
    assert "was trained by 'careful:careful', not by 'ppo'" in said(done)


@pytest.mark.parametrize("name", ["nowhere_to_be:found", "careful:", "careful:careless"])
def test_an_algorithm_that_is_not_there_is_a_usage_error(name: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    Path("careful.py").write_text(blocks_of("a new algorithm")[0], encoding="utf-8")
    try:
        done = invoke("train", "CartPole-v1", "--algorithm", name, *SMALL)
    finally:
        forget()
    assert done.exit_code == 2, done.output
    assert "Traceback" not in done.output
    assert not Path("tensor_optix_checkpoints").exists()


ENDS = """
import sys
from pathlib import Path

from loop_fakes import make_loop

scores = [5.0] * 25 + [50.0] + [5.0 + 0.1 * (k % 2) for k in range(1000)]
loop, _ = make_loop(Path(sys.argv[1]), scores, max_episodes=200)
result = loop.run()
print(f"{result.reason}, {result.windows} windows, window {result.champion.episode_id}: {result.explanation}")
"""


def end_of_a_run(house: Path, folder: Path) -> str:
    """Return what is said of a run of fakes, by the package that lies in a folder."""
    path = os.pathsep.join([str(house), str(ROOT / "tests" / "helpers")])
    done = subprocess.run(
        [sys.executable, "-c", ENDS, str(folder)],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": path}, cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_new_stopping_rule_is_a_class_and_a_line(tmp_path: Path) -> None:
    """The recipe is followed to the letter in a copy of the package."""
    rule, line = (block.split("\n", 1) for block in blocks_of("a new stopping rule"))
    home = tmp_path / "house"
    shutil.copytree(ROOT / "tensor_optix", home / "tensor_optix", ignore=shutil.ignore_patterns("__pycache__"))
    before = end_of_a_run(home, tmp_path)
    stopping, assembly = (home / head.removeprefix("# ") for head, _ in (rule, line))
    stopping.write_text(stopping.read_text(encoding="utf-8") + "\n\n" + rule[1], encoding="utf-8")
    text = assembly.read_text(encoding="utf-8")
    rules = text.index("return (", text.index("def _rules("))
    text = text[: rules + 9] + line[1] + text[rules + 9 :]
    last_import = text.index("from tensor_optix.core.loop.stopping import")
    text = text[:last_import] + "from tensor_optix.core.loop.stopping import OldChampion\n" + text[last_import:]
    assembly.write_text(text, encoding="utf-8")
    after = end_of_a_run(home, tmp_path)
    assert "nothing has beaten" not in before
    found = re.match(r"stopped, (\d+) windows, window (\d+): nothing has beaten the champion of window (\d+)", after)
    assert found, after
    assert int(found[1]) == int(found[3]) + 31


@pytest.fixture
def with_new_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command of the recipe is there, and the folder of a run with the seed 7."""
    file, line = blocks_of("a new command")
    module = types.ModuleType("tensor_optix.cli.seed")
    exec(compile(file, "seed.py", "exec"), vars(module))
    monkeypatch.setitem(sys.modules, "tensor_optix.cli.seed", module)
    monkeypatch.setattr(app, "registered_commands", [*app.registered_commands])
    exec(compile(line, "main.py", "exec"), {"app": app})
    monkeypatch.chdir(tmp_path)
    with RunFolder.create("runs") as run:
        run.write_run_json({"seed": 7})


def test_a_new_command_is_a_file_and_a_line(with_new_command: None) -> None:
    done = invoke("seed", "runs/run-0001")
    assert (done.output, done.exit_code) == ("7\n", 0)
    assert "Print the seed that repeats a run." in invoke("--help").output


def test_a_new_command_fails_as_the_others_do(with_new_command: None) -> None:
    missing = invoke("seed", "nowhere")
    assert missing.exit_code == 1
    assert said(missing).startswith("Error: There is no run folder 'nowhere'")
    assert invoke("seed").exit_code == 2
