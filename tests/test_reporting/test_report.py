"""The picture of a run, and the numbers it is drawn from."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from results import result

from tensor_optix.core.types import LoopState
from tensor_optix.exceptions import (
    CheckpointError,
    InvalidArgumentError,
    InvalidTypeError,
    MissingExtraError,
    UnsafeFileError,
)
from tensor_optix.reporting.report import champion_changes, evidence, plot_run, smooth, state_spans

ROWS = [
    {"window": 0, "state": "active", "env_steps": 200, "score": 20.0, "champion": 20.0},
    {"window": 1, "state": "active", "env_steps": 400, "score": None, "champion": 20.0},
    {"window": 2, "state": "active", "env_steps": 600, "score": 90.0, "champion": 90.0, "alarm": True},
    {"window": 3, "state": "cooling", "env_steps": 800, "score": 88.0, "champion": 90.0},
    {"window": 4, "state": "dormant", "env_steps": 1000, "score": 91.0, "champion": 90.0},
]
HISTORY: dict[str, list[Any]] = {name: [row.get(name) for row in ROWS] for name in (*ROWS[0], "alarm")}


class TestNumbers:
    def test_states_follow_each_other_without_gaps(self) -> None:
        assert list(state_spans(HISTORY["env_steps"], HISTORY["state"])) == [
            (LoopState.ACTIVE, 0, 600),
            (LoopState.COOLING, 600, 800),
            (LoopState.DORMANT, 800, 1000),
        ]

    def test_windows_without_evidence_are_left_out(self) -> None:
        steps, scores = evidence(HISTORY)
        assert steps.tolist() == [200, 600, 800, 1000]
        assert scores.tolist() == [20.0, 90.0, 88.0, 91.0]

    def test_no_evidence_at_all_is_empty(self) -> None:
        steps, scores = evidence({"env_steps": [200], "score": [None]})
        assert steps.size == scores.size == 0

    def test_champions_are_the_changes(self) -> None:
        assert champion_changes([1, 2, 3, 4], [None, 5.0, 5.0, 7.0]) == [(2, 5.0), (4, 7.0)]

    def test_smoothing_takes_medians_of_what_is_there(self) -> None:
        assert smooth(np.array([1.0, 100.0, 3.0, 4.0]), 1).tolist() == [50.5, 3.0, 4.0, 3.5]


class TestPicture:
    def test_numbers_that_no_axis_can_hold_are_left_out(self, tmp_path: Path) -> None:
        rows = [{**ROWS[0], "window": i, "env_steps": 10 ** (i * 25), "score": (-1) ** i * 1.7e308} for i in range(13)]
        (tmp_path / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        assert plot_run(tmp_path, tmp_path / "run.png").stat().st_size > 1000

    def test_a_result_becomes_an_image(self, tmp_path: Path) -> None:
        path = plot_run(result(history=HISTORY), tmp_path / "deep" / "run.png")
        assert path.read_bytes().startswith(b"\x89PNG")

    def test_a_folder_becomes_an_image(self, tmp_path: Path) -> None:
        (tmp_path / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
        assert "<svg" in plot_run(tmp_path, tmp_path / "run.svg").read_text(encoding="utf-8")

    def test_no_history_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match="no history to draw in this result"):
            plot_run(result(history={}), tmp_path / "run.png")

    @pytest.mark.parametrize("score", [1e308, -1e308, 5e-324, 0.0])
    def test_extreme_numbers_can_be_drawn(self, tmp_path: Path, score: float) -> None:
        rows = [{**row, "score": score, "champion": score} for row in ROWS]
        assert plot_run(result(history={name: [row.get(name) for row in rows] for name in HISTORY}), tmp_path / "a.png")

    def test_a_long_run_is_drawn_from_some_of_its_windows(self, tmp_path: Path) -> None:
        states = ["active", "cooling"] * 10_000
        history = {
            "env_steps": [float(i) for i in range(20_000)],
            "state": states,
            "score": [float(i % 100) for i in range(20_000)],
            "champion": [float(i) for i in range(20_000)],
            "alarm": [True] * 20_000,
        }
        svg = plot_run(result(history=history), tmp_path / "run.svg").read_text(encoding="utf-8")
        assert len(svg) < 3_000_000

    def test_a_link_out_of_the_folder_is_not_followed(self, tmp_path: Path) -> None:
        (tmp_path / "outside.jsonl").write_text(json.dumps(ROWS[0]) + "\n", encoding="utf-8")
        run = tmp_path / "run"
        run.mkdir()
        (run / "history.jsonl").symlink_to(tmp_path / "outside.jsonl")
        with pytest.raises(UnsafeFileError, match="is a link that leads outside"):
            plot_run(run, tmp_path / "run.png")

    def test_what_cannot_be_drawn_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match="There is no run folder"):
            plot_run(tmp_path / "nowhere", tmp_path / "run.png")
        with pytest.raises(CheckpointError, match="no history to draw in"):
            plot_run(tmp_path, tmp_path / "run.png")
        (tmp_path / "history.jsonl").write_text('{"window": 0}\n{"state": "odd", "env_steps": 1}\n', encoding="utf-8")
        with pytest.raises(CheckpointError, match="no history to draw in"):
            plot_run(tmp_path, tmp_path / "run.png")

    @pytest.mark.parametrize("name", ["run.xyz", "run", "run.png.", ""])
    def test_a_name_that_is_no_picture_is_an_error(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(InvalidArgumentError, match=r"must end in one of \.png, \.svg, \.pdf"):
            plot_run(result(history=HISTORY), str(tmp_path / name) if name else "")

    def test_a_file_that_cannot_be_written_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "folder.png").mkdir()
        with pytest.raises(InvalidArgumentError, match="is a folder; name a file"):
            plot_run(result(history=HISTORY), tmp_path / "folder.png")
        (tmp_path / "file").touch()
        with pytest.raises(CheckpointError, match="Could not write"):
            plot_run(result(history=HISTORY), tmp_path / "file" / "run.png")
        with pytest.raises(InvalidTypeError, match="must be a file's name"):
            plot_run(result(history=HISTORY), 3)  # type: ignore[arg-type]

    def test_something_else_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidTypeError, match="must be a RunResult or a folder"):
            plot_run(3, tmp_path / "run.png")  # type: ignore[arg-type]

    def test_without_matplotlib_the_error_names_the_extra(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
        with pytest.raises(MissingExtraError, match=r"tensor-optix\[plots\]"):
            plot_run(result(history=HISTORY), tmp_path / "run.png")
