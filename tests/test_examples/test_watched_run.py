"""The example of a watched run, cut short."""

import csv
import runpy
from pathlib import Path

from short_runs import cut_short

EXAMPLE = Path(__file__).parents[2] / "examples" / "watched_run.py"


def test_it_runs_and_its_files_are_there(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    cut_short(max_windows=3, put=monkeypatch.setattr)
    namespace = runpy.run_path(str(EXAMPLE))
    run_dir = Path(namespace["result"].run_dir)
    with (run_dir / "progress.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert float(rows[-1]["rollout/ep_rew_std"]) > 0
    assert (run_dir / "0.monitor.csv").exists()
    assert len(namespace["every"].evaluations["timesteps"]) == 1
    assert "ended: budget" in capsys.readouterr().out
