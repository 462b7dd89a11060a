"""`tensor-optix video`: the champion's greedy episodes, as films."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import RUN, SMALL, assert_fails, forget, invoke, write_module
from extra_venvs import run_with

from tensor_optix.cli import video as module

FILM = """
import json
from pathlib import Path

from command_line import RUN, SMALL, invoke

invoke("train", "CartPole-v1", *SMALL)
done = invoke("video", RUN, "--episodes", "2", "--seed", "3", "--json")
assert done.exit_code == 0, done.output
document = json.loads(done.stdout)
assert len(document["videos"]) == 2, document
for file in document["videos"]:
    assert Path(file).parent == Path(RUN, "videos")
    assert b"ftyp" in Path(file).read_bytes()[:64]
played = json.loads(invoke("evaluate", RUN, "--episodes", "2", "--seed", "3", "--json").stdout)
assert document["returns"] == played["returns"]
assert invoke("video", RUN, "-o", "films").exit_code == 0
print(len(list(Path("films").glob("*.mp4"))))
"""


@pytest.fixture(autouse=True)
def a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    write_module("dark")
    yield
    forget("dark")


@pytest.fixture
def moviepy(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if MoviePy were there: what is refused is refused before it is asked for anything."""
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: find("json" if name == "moviepy" else name))


@pytest.mark.extras
def test_greedy_episodes_are_filmed_and_are_those_of_an_evaluation(tmp_path: Path) -> None:
    assert int(run_with("video", FILM, cwd=tmp_path).splitlines()[-1]) == 1


def test_without_moviepy_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    invoke("train", "CartPole-v1", *SMALL)
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "moviepy" else find(name))
    assert_fails(invoke("video", RUN), 1, "Videos need MoviePy, the extra tensor-optix[video]: pip install moviepy")


def test_an_environment_that_draws_nothing_is_told(moviepy: None) -> None:
    invoke("train", "dark:dark-v0", *SMALL)
    assert_fails(invoke("video", RUN, "dark:dark-v0"), 1, "cannot be filmed: it has no render mode 'rgb_array'")


def test_a_recorder_that_lacks_something_is_one_message(moviepy: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here MoviePy itself, which was there when it was looked for."""
    monkeypatch.setitem(sys.modules, "moviepy", None)
    invoke("train", "CartPole-v1", *SMALL)
    assert_fails(invoke("video", RUN), 1, "Filming needs more: ")


def test_a_link_in_the_run_s_folder_is_not_written_through(moviepy: None) -> None:
    invoke("train", "CartPole-v1", *SMALL)
    Path("elsewhere").mkdir()
    Path(RUN, "videos").symlink_to(Path("elsewhere").absolute())
    done = invoke("video", RUN)
    assert done.exit_code == 1
    assert "Traceback" not in done.output
    assert list(Path("elsewhere").iterdir()) == []


def test_files_are_named_for_what_they_show() -> None:
    assert module._prefix(3) == "champion-seed-3"
