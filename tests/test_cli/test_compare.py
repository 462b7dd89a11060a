"""`tensor-optix compare` from outside."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from command_line import assert_fails, invoke, said
from written_runs import write_run

RISING = [float(i) for i in range(20)]


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def runs() -> None:
    for seed in range(3):
        write_run(Path("runs"), RISING, seed=seed, returns=[float(10 + seed)])
    write_run(Path("others"), RISING, agent="DQNAgent", returns=[5.0])


def test_a_folder_of_seeds_is_compared(runs: None) -> None:
    done = invoke("compare", "runs")
    assert done.exit_code == 0, done.output
    for part in ("CartPole-v1", "PPOAgent 3 11.00 10.00 to 12.00", "run-0003 PPOAgent 2 trained 12.00"):
        assert part in said(done)
    assert "Page: comparison.html" in said(done)
    assert "Next: tensor-optix report runs/run-0001" in said(done)
    assert Path("comparison.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_its_document_holds_the_same(runs: None) -> None:
    done = invoke("compare", "runs", "others/run-0001", "--score", "7", "--json", "-o", "page.html")
    document = json.loads(done.stdout)
    (comparison,) = document["comparisons"]
    ours, theirs = comparison["groups"]
    assert (ours["name"], ours["scores"], ours["interquartile_mean"]) == ("PPOAgent", [10.0, 11.0, 12.0], 11.0)
    assert ours["steps_to_score"] == [1000.0] * 3
    assert ours["interval"] == [10.0, 12.0]
    assert theirs["interval"] is None
    (pair,) = comparison["improvements"]
    assert (pair["better"], pair["other"], pair["probability"]) == ("PPOAgent", "DQNAgent", 1.0)
    assert document["page"] == "page.html"


def test_groups_are_named_on_the_command_line(runs: None) -> None:
    done = invoke("compare", "mine=runs", "yours=others/run-0001", "--json")
    (comparison,) = json.loads(done.stdout)["comparisons"]
    assert [(group["name"], len(group["runs"])) for group in comparison["groups"]] == [("mine", 3), ("yours", 1)]


def test_without_matplotlib_there_is_a_table_and_no_page(runs: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    done = invoke("compare", "runs")
    assert done.exit_code == 0, done.output
    assert "PPOAgent 3 11.00" in said(done)
    assert "Note: there is no page. Reports need Matplotlib" in said(done)
    assert not Path("comparison.html").exists()


def test_one_run_and_other_environments_are_told() -> None:
    one = write_run(Path("runs"), RISING)
    other = write_run(Path("runs"), RISING, env_id="Acrobot-v1", returns=None)
    done = invoke("compare", str(one), str(other))
    assert done.exit_code == 0, done.output
    assert "whose scores cannot be compared" in said(done)
    assert "one run with a report tells nothing of other seeds" in said(done)
    assert "run-0002 has no report" in said(done)


def test_what_is_wrong_is_one_message(runs: None) -> None:
    Path("empty").mkdir()
    assert_fails(invoke("compare", "nowhere"), 1, "There is no run folder 'nowhere'")
    assert_fails(invoke("compare", "empty"), 1, "'empty' is not the folder of a run")
    assert_fails(invoke("compare", "runs", "runs/run-0002"), 2, "runs/run-0002 is named twice. Name each run once.")
    assert invoke("compare").exit_code == 2
