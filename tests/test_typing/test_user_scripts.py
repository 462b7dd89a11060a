"""What type checkers say of users' scripts: nothing of the right one, and of the wrong one each line that is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
RIGHT, WRONG = HERE / "right_script.py", HERE / "wrong_script.py"


@pytest.fixture(scope="module", params=["mypy", "basedpyright"])
def checked(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, dict[str, set[int]]]:
    """A checker and the lines it objects to, by file; the scripts lie where users' lie: outside the checkout."""
    folder = tmp_path_factory.mktemp("a_project")
    for script in (RIGHT, WRONG):
        shutil.copy(script, folder)
    complaints_of = {"mypy": mypy_complaints, "basedpyright": basedpyright_complaints}[request.param]
    return request.param, complaints_of(folder)


def test_the_right_script_passes(checked: tuple[str, dict[str, set[int]]]) -> None:
    assert lines_of(RIGHT, checked[1].get(RIGHT.name, set())) == []


def test_each_wrong_line_is_found_and_no_other(checked: tuple[str, dict[str, set[int]]]) -> None:
    checker, found_in = checked
    marked = re.compile(rf"# wrong(: {checker})?$")
    expected = {i for i, line in enumerate(WRONG.read_text().splitlines(), 1) if marked.search(line)}
    found = found_in[WRONG.name]
    assert lines_of(WRONG, expected - found) == [], "not found"
    assert lines_of(WRONG, found - expected) == [], "found where nothing is wrong"


def test_no_complaint_is_about_the_package(checked: tuple[str, dict[str, set[int]]]) -> None:
    assert set(checked[1]) <= {RIGHT.name, WRONG.name}


def mypy_complaints(folder: Path) -> dict[str, set[int]]:
    cache = ROOT / ".mypy_cache" / "user_scripts"
    printed = run([sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(cache), *scripts()], folder)
    lines: dict[str, set[int]] = {}
    for path, line in re.findall(r"^(.+?):(\d+): error:", printed, re.MULTILINE):
        lines.setdefault(path, set()).add(int(line))
    return lines


def basedpyright_complaints(folder: Path) -> dict[str, set[int]]:
    program = shutil.which("basedpyright", path=str(Path(sys.executable).parent)) or shutil.which("basedpyright")
    if program is None:
        pytest.skip("basedpyright is not installed (requirements-dev.txt)")
    printed = run([program, "--outputjson", "--level", "error", "--pythonpath", sys.executable, *scripts()], folder)
    lines: dict[str, set[int]] = {}
    for item in json.loads(printed)["generalDiagnostics"]:
        lines.setdefault(Path(item["file"]).name, set()).add(item["range"]["start"]["line"] + 1)
    return lines


def scripts() -> list[str]:
    return [RIGHT.name, WRONG.name]


def run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=200)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


def lines_of(script: Path, numbers: set[int]) -> list[str]:
    text = script.read_text().splitlines()
    return [f"{number}: {text[number - 1]}" for number in sorted(numbers)]
