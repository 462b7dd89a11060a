"""What the README shows must work as it stands."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

import tensor_optix
from tensor_optix.cli.main import app

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_there_is_python_in_it() -> None:
    assert len(BLOCKS) >= 2
    assert "opt.run()" in BLOCKS[0]


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_each_block_is_python_and_imports_what_there_is(block: str) -> None:
    for node in ast.walk(ast.parse(block)):
        if isinstance(node, ast.ImportFrom) and node.module == "tensor_optix":
            assert [alias.name for alias in node.names if alias.name not in tensor_optix.__all__] == []


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#]+)[^)]*\)", README))
def test_each_link_leads_somewhere(target: str) -> None:
    assert target.startswith("http") or (ROOT / target).exists()


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:benchmarks|examples|docs)/[\w./]+)`", README))))
def test_each_file_that_is_named_exists(path: str) -> None:
    assert (ROOT / path).exists()


def test_the_quick_start_runs_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    short = BLOCKS[0].replace("pipeline=pipeline)", "pipeline=pipeline, max_episodes=2, report_episodes=3)")
    assert short != BLOCKS[0]
    namespace: dict[str, object] = {}
    exec(short, namespace)
    assert namespace["result"].reason == "budget"
    exec(BLOCKS[1], namespace)


COMMANDS = re.findall(r"^tensor-optix (train \S+-v\d[^#\n]*?)(?:\s+# (.*))?$", README, re.MULTILINE)
FIGURE = re.compile(r"mean return (-?\d+\.\d+)")


def test_each_training_command_says_what_it_reaches() -> None:
    assert len(COMMANDS) >= 2
    for command, claim in COMMANDS:
        assert re.search(r"reaches -?\d+ or more", claim), command


@pytest.mark.slow
@pytest.mark.parametrize(("command", "claim"), COMMANDS)
def test_each_training_command_reaches_what_is_said(
    command: str, claim: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As typed, in a folder of its own; what is claimed holds for fresh greedy episodes."""
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, shlex.split(command))
    assert done.exit_code == 0, done.output
    reached = FIGURE.search(done.output)
    claimed = re.search(r"reaches (-?\d+) or more", claim)
    assert reached is not None
    assert claimed is not None
    assert float(reached[1]) >= float(claimed[1]), done.output
