"""Modules that a user names: found where a script would find them, never in the folder of a run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tensor_optix.exceptions import UnknownEnvironmentError, UnsafeFileError
from tensor_optix.pipeline.named_modules import import_named, is_in_run_folder, keep_off_the_path

NAMES = ("hayloft", "this", "stable", "stable.stall")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, which is not on the path, with a module in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    (tmp_path / "hayloft.py").write_text("bales = 3", encoding="utf-8")
    yield tmp_path
    for name in NAMES:
        sys.modules.pop(name, None)


def test_a_module_of_the_current_folder_is_found_and_its_neighbours_later(here: Path) -> None:
    assert import_named("hayloft", "hayloft:Env-v0").bales == 3
    assert sys.path[-1] == str(here)


def test_the_path_is_as_before_where_the_folder_was_not_needed(here: Path) -> None:
    before = [*sys.path]
    assert import_named("json", "json:Env-v0").__name__ == "json"
    assert sys.path == before


@pytest.mark.parametrize("is_first", [True, False])
def test_which_comes_first_is_for_the_caller_to_say(here: Path, is_first: bool) -> None:
    (here / "this.py").write_text("", encoding="utf-8")  # Python has one of this name
    sys.modules.pop("this", None)
    found = import_named("this", "this:Env-v0", current_folder_first=is_first)
    assert (found.__file__ == str(here / "this.py")) is is_first


@pytest.mark.parametrize(
    ("code", "message"),
    [("1 / 0", "ZeroDivisionError: division by zero"), ("raise SystemExit(3)", "SystemExit: 3")],
)
def test_a_module_that_fails_is_named_with_what_was_asked(here: Path, code: str, message: str) -> None:
    (here / "hayloft.py").write_text(code, encoding="utf-8")
    with pytest.raises(UnknownEnvironmentError, match=f"'hayloft' of 'hayloft:Env-v0' cannot be imported: {message}"):
        import_named("hayloft", "hayloft:Env-v0")
    assert str(here) not in sys.path


@pytest.mark.parametrize("mark", ["run.json", "run.lock"])
def test_a_run_is_told_by_its_files_wherever_in_it_one_is(tmp_path: Path, mark: str) -> None:
    inner = tmp_path / "run" / "snapshots" / "deep"
    inner.mkdir(parents=True)
    assert not is_in_run_folder(inner)
    (tmp_path / "run" / mark).touch()
    assert is_in_run_folder(inner)
    assert is_in_run_folder(tmp_path / "run")
    assert not is_in_run_folder(tmp_path)
    assert is_in_run_folder(tmp_path / "plain", tmp_path)  # one that is told is one whatever lies in it


def test_code_of_a_run_is_data(here: Path) -> None:
    run = here / "run-0001"
    run.mkdir()
    (run / "run.json").touch()
    (run / "hayloft.py").write_text("raise AssertionError('was run')", encoding="utf-8")
    sys.path.insert(0, str(run))
    with pytest.raises(UnsafeFileError, match=r"'hayloft' lies in the folder of a run \(.*run-0001"):
        import_named("hayloft", "hayloft:Env-v0")
    keep_off_the_path()
    assert str(run) not in sys.path
    assert import_named("hayloft", "hayloft:Env-v0").bales == 3


def test_a_package_of_a_run_is_not_entered_for_a_module_in_it(here: Path) -> None:
    (here / "stable").mkdir()
    (here / "stable" / "run.lock").touch()
    (here / "stable" / "__init__.py").write_text("raise AssertionError('was run')", encoding="utf-8")
    (here / "stable" / "stall.py").write_text("", encoding="utf-8")
    with pytest.raises(UnsafeFileError, match=r"'stable\.stall' lies in the folder of a run"):
        import_named("stable.stall", "stable.stall:Env-v0")


def test_in_a_run_the_current_folder_is_left_out_and_that_is_said(here: Path) -> None:
    (here / "run.json").touch()
    with pytest.raises(UnknownEnvironmentError, match="The current folder belongs to a run"):
        import_named("hayloft", "hayloft:Env-v0")
