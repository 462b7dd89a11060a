"""Every block of README and docs runs as pasted, page by page, in order; only the budgets are cut short."""

from __future__ import annotations

import functools
import importlib
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
from typer.testing import CliRunner

from tensor_optix import RLOptimizer
from tensor_optix.algorithms import ppo
from tensor_optix.cli.main import app

ROOT = Path(__file__).parent.parent
PAGES = {
    path.name: path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
}
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
APART = ("between_runs.md", "deploy.md", "watching.md")
"""Pages that a test of their own runs."""

INSTALLS = ("pip install .", "pip install .[plots]", "pip wheel --no-deps .")
"""What a block may install; `benchmarks/version_bounds.py` does it."""


@pytest.fixture
def in_a_new_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    known, modules = dict(gym.registry), set(sys.modules)
    yield
    gym.registry.clear()
    gym.registry.update(known)
    for name in set(sys.modules) - modules:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def short_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = RLOptimizer.__init__

    @functools.wraps(whole)
    def short(self: RLOptimizer, *arguments: Any, **settings: Any) -> None:
        windows = min(settings.get("max_episodes") or 2, 2)
        whole(self, *arguments, **{**settings, "max_episodes": windows, "report_episodes": 2})

    monkeypatch.setattr(RLOptimizer, "__init__", short)
    monkeypatch.setattr(ppo, "pays_to_compile", lambda *_: False)


@pytest.mark.parametrize("page", [page for page, text in PAGES.items() if BLOCK.search(text) and page not in APART])
@pytest.mark.usefixtures("in_a_new_project", "short_runs")
def test_every_block_of_a_page_runs_in_order(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    namespace: dict[str, Any] = {"__name__": "pasted"}
    for language, block in BLOCK.findall(PAGES[page]):
        if language == "python":
            run_python(block, namespace)
        elif language == "bash":
            for command in [command for line in block.splitlines() for command in unrolled(line)]:
                run_command(shlex.split(command, comments=True), monkeypatch)


def test_no_block_is_of_an_unknown_language() -> None:
    languages = {language for text in PAGES.values() for language, _ in BLOCK.findall(text)}
    assert languages <= {"python", "bash", ""}  # without a name: what is printed, and drawings
    for text in PAGES.values():
        assert not [
            block for language, block in BLOCK.findall(text) if not language and re.match("(python|pip|make) ", block)
        ]


@pytest.mark.parametrize("page", PAGES)
def test_nobody_is_told_to_install_the_other_program_of_this_name(page: str) -> None:
    warning = "on PyPI another program has this name, so `pip install tensor-optix`"
    assert re.findall(r"pip install [^`\n]*tensor-optix[^`\n]*", PAGES[page].replace(warning, "")) == []


FILES = [
    path.relative_to(ROOT)
    for top in ("tensor_optix", "tests", "benchmarks", "docs", "examples", "website")
    for path in (ROOT / top).rglob("*")
]


@pytest.mark.parametrize("page", [*PAGES, "CONTRIBUTING.md"])
def test_each_file_and_folder_that_a_page_names_is_there(page: str) -> None:
    text = PAGES.get(page) or (ROOT / page).read_text(encoding="utf-8")
    to_be_made = re.findall(r"^(?:# (?:[\w.]+/)*(?=\w+\.py)|from [\w.]+\.(?=\w+ import))(\w+)", text, re.MULTILINE)
    named = set(re.findall(r"`((?:[\w.]+/)*[\w.]+\.(?:py|md)|(?:[\w.]+/)+)`", BLOCK.sub("", text)))
    named = {name for name in named if Path(name).stem.removeprefix("test_") not in to_be_made}
    known = {f"/{path.as_posix()}" + "/" * (ROOT / path).is_dir() for path in FILES}
    known |= {f"/{name}" for name in ("CHANGELOG.md", "tests/", "benchmarks/", "docs/", "examples/", "website/")}
    assert sorted(name for name in named if not any(path.endswith(f"/{name}") for path in known)) == []


def unrolled(line: str) -> list[str]:
    """Return what a loop of the shell does, one after the other; any other line as it is."""
    loop = re.fullmatch(r"for (\w+) in ([^;]+); do (.*); done", line)
    return [loop[3].replace(f"${loop[1]}", value) for value in loop[2].split()] if loop else [line]


def run_python(block: str, namespace: dict[str, Any]) -> None:
    """Run a block, or write it to the file that its first line names."""
    name = re.match(r"# (\w+\.py)\n", block)
    if name:
        Path(name[1]).write_text(block, encoding="utf-8")
        importlib.invalidate_caches()
    else:
        exec(compile(block, "<block>", "exec"), namespace)


def run_command(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a command of ours; of others, check that what they name is there."""
    if not command:
        return
    program, *arguments = command
    if program == "tensor-optix":
        done = CliRunner(env={"COLUMNS": "120"}).invoke(app, arguments)
        assert done.exit_code == 0, f"{command}: {done.output}{done.exception}"
    elif program == "pytest":
        done = subprocess.run([sys.executable, "-m", *command, "-q"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    elif program == "export":
        name, _, value = arguments[0].partition("=")
        monkeypatch.setenv(name, value)
    elif program == "python":
        source = (ROOT / arguments[0]).read_text(encoding="utf-8")
        assert [option for option in arguments if option.startswith("--") and f'"{option}"' not in source] == []
    elif program == "make":
        assert re.search(rf"^{arguments[0]}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    else:
        assert " ".join(command) in INSTALLS, command
