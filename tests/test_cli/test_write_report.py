"""`tensor-optix report` from outside."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from command_line import RUN, SMALL, assert_fails, forget, invoke, said, write_module
from written_runs import write_run


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_run_is_reported_with_its_film() -> None:
    invoke("train", "CartPole-v1", *SMALL)
    done = invoke("report", RUN)
    assert done.exit_code == 0, done.output
    assert "The budget was used up" in said(done)
    assert f"Report: {RUN}/report/report.html" in said(done)
    folder = Path(RUN, "report")
    assert (folder / "film.gif").read_bytes().startswith(b"GIF89a")
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "One greedy episode of the champion" in page
    assert "tensor-optix" in page


def test_without_a_film_it_is_quick_and_says_so() -> None:
    path = write_run(Path("runs"), [1.0, 2.0, 3.0])
    done = invoke("report", str(path), "--no-film", "-o", "elsewhere", "--json")
    document = json.loads(done.stdout)
    assert document["report"] == "elsewhere/report.html"
    assert "elsewhere/learning_curve.png" in document["pictures"]
    assert not any(picture.endswith(".gif") for picture in document["pictures"])
    assert "It was not asked for." in Path("elsewhere/report.html").read_text(encoding="utf-8")


def test_a_run_without_a_champion_or_environment_has_a_report_that_says_why_it_has_no_film() -> None:
    done = invoke("report", str(write_run(Path("runs"), [1.0, 2.0])))
    assert done.exit_code == 0, done.output
    assert "Note: There is no film: " in said(done)
    done = invoke("report", str(write_run(Path("runs"), [1.0], env_id="Nowhere-v0")))
    assert done.exit_code == 0, done.output
    assert "Nowhere" in said(done)


def test_a_stranger_s_module_is_not_imported_for_a_film() -> None:
    write_module("mazes")
    try:
        done = invoke("report", str(write_run(Path("runs"), [1.0], env_id="mazes:mazes-v0")))
        assert done.exit_code == 0, done.output
        assert "import the module 'mazes'" in said(done)
        assert not Path("mazes-was-imported").exists()
    finally:
        forget("mazes")


def test_damage_is_told() -> None:
    path = write_run(Path("runs"), [1.0, 2.0])
    with (path / "history.jsonl").open("ab") as file:
        file.write(b"{\n")
    assert "Note: One line of history.jsonl is damaged and left out." in said(invoke("report", str(path), "--no-film"))


def test_what_is_wrong_is_one_message() -> None:
    Path("empty").mkdir()
    assert_fails(invoke("report", "nowhere"), 1, "There is no run folder 'nowhere'")
    assert_fails(invoke("report", "empty"), 1, "'empty' is not the folder of a run")
    path = write_run(Path("runs"), [1.0])
    Path("file").touch()
    assert_fails(invoke("report", str(path), "--no-film", "-o", "file"), 1, "file")
    os.symlink(Path.cwd() / "empty", path / "report")
    assert_fails(invoke("report", str(path), "--no-film"), 1, "report")
    assert list(Path("empty").iterdir()) == []
