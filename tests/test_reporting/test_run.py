"""A run read back from its folder: what it was, whatever is missing or damaged in it."""

import importlib.util
import json
import shutil

import numpy as np
import pytest
from logged_runs import make_optimizer

from tensor_optix.core.storage.run_folder import RunFolder
from tensor_optix.exceptions import CheckpointError, MissingExtraError
from tensor_optix.reporting.run import Run


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    optimizer = make_optimizer(tmp_path_factory.mktemp("runs"))
    return optimizer.run(), optimizer.run_dir


@pytest.fixture
def copy(finished, tmp_path):
    return shutil.copytree(finished[1], tmp_path / "run-0001")


def test_it_is_what_the_run_returned(finished):
    result, run_dir = finished
    run = Run.load(run_dir)
    assert run.history == result.history
    assert run.result.confirmed_mean == result.confirmed_mean
    assert run.result.confirmed_interval == result.confirmed_interval
    assert run.result.champion.snapshot_id == run.champion.snapshot_id == result.champion.snapshot_id
    assert run.champions[-1].eval_metrics.primary_score == result.champion.eval_metrics.primary_score
    assert (run.verdict, run.env_id, run.algorithm, run.seed) == ("budget", "CartPole-v1", "LinearAgent", 0)
    assert run.env_steps == result.env_steps["training"]
    assert run.command is None
    assert run.notes == ()


def test_its_columns_are_those_of_the_history(finished):
    run = Run.load(finished[1])
    assert run.columns["env_steps"].tolist() == run.history["env_steps"]
    assert [score if score == score else None for score in run.columns["score"].tolist()] == run.history["score"]


def test_a_thinned_history_has_the_last_window(finished):
    run = Run.load(finished[1])
    thinned = run.thinned_history(every=7)
    assert thinned["window"][:2] == [0, 7]
    assert thinned["window"][-1] == run.history["window"][-1]
    assert len(thinned["window"]) == 6 < len(run.history["window"])


def test_seconds_rise_with_the_steps(finished):
    result, run_dir = finished
    seconds = Run.load(run_dir).seconds_at([100, 1000, 10**9])
    assert 0 < seconds[0] < seconds[1] < seconds[2] <= result.seconds


def test_a_run_of_before_there_was_a_logbook_has_no_seconds(copy):
    (copy / "logbook.jsonl").unlink()
    run = Run.load(copy)
    assert run.seconds_at([100]) is None
    assert run.notes == ()
    assert run.history["score"]


def test_damaged_lines_are_told_and_left_out(copy, caplog):
    whole = Run.load(copy).history
    with (copy / "history.jsonl").open("ab") as file:
        file.write(b'{"window": 9\n\xff\xff\n')
    with (copy / "logbook.jsonl").open("ab") as file:
        file.write(b"nothing\n")
    run = Run.load(copy)
    assert run.history == whole
    assert run.notes == (
        "One line of logbook.jsonl is damaged and left out.",
        "2 lines of history.jsonl are damaged and left out.",
    )
    assert "2 lines of history.jsonl" in caplog.text


@pytest.mark.parametrize("name", ["run.json", "result.json", "manifest.json", "history.jsonl"])
def test_what_else_there_is_is_read_without_one_file(copy, name):
    (copy / name).unlink()
    run = Run.load(copy)
    assert (run.result is None) == (name == "result.json")
    assert (run.history == {}) == (name == "history.jsonl")
    assert len(run.champions) > 0
    assert repr(run)
    assert run._repr_html_()


@pytest.mark.parametrize("name", ["run.json", "result.json"])
def test_a_damaged_file_is_told(copy, name):
    document = json.loads((copy / name).read_text())
    (copy / name).write_text(json.dumps({**document, "seed": 12345}))
    run = Run.load(copy)
    assert any(name in note for note in run.notes), run.notes
    assert run.history["score"]


def test_one_that_goes_on_says_so(tmp_path):
    with RunFolder.create(tmp_path) as folder:
        folder.write_run_json({"seed": 3, "pipeline": {"env_id": "Maze-v0"}})
        folder.history.append({"window": 0, "state": "active", "env_steps": 40, "score": 1.5, "champion": None})
        folder.history.flush()
        run = Run.load(folder.path)
    assert repr(run) == f"Run({folder.path.as_posix()!r}, running, Maze-v0, 40 env steps)"
    assert Run.load(folder.path).verdict == "unfinished"
    assert run.champion is None


def test_folders_that_are_no_runs_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match="There is no run folder"):
        Run.load(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match=r"'.*empty' is not the folder of a run: it holds none of run\.json, "):
        Run.load(tmp_path / "empty")
    make_optimizer(tmp_path / "runs", max_env_steps=None, max_episodes=1, report_episodes=0).run()
    with pytest.raises(CheckpointError, match=r"is not a run, but holds some\. Name one: .*run-0001"):
        Run.load(tmp_path / "runs")


def test_nothing_is_changed_by_reading(copy):
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    assert Run.load(copy).history
    assert {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == before


def test_a_data_frame_where_pandas_is_there(finished, monkeypatch):
    run = Run.load(finished[1])
    if importlib.util.find_spec("pandas") is not None:
        frame = run.to_pandas()
        assert list(frame.columns) == list(run.history)
        np.testing.assert_array_equal(frame["env_steps"], run.history["env_steps"])
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(MissingExtraError, match="pip install pandas"):
        run.to_pandas()


def test_it_shows_itself_in_a_line_and_in_a_notebook(finished):
    result, run_dir = finished
    run = Run.load(run_dir)
    assert repr(run).startswith(f"Run({run_dir.as_posix()!r}, budget, confirmed_mean={result.confirmed_mean:.6g}")
    assert len(repr(run)) < 250
    assert f"{result.confirmed_mean:.2f} (95 % interval" in run._repr_html_()
