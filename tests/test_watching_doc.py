"""What docs/watching.md shows runs as it stands, each task in a few lines; what needs an extra, in its environment."""

import re
from pathlib import Path

import pytest
from extra_venvs import run_with
from short_runs import cut_short

PAGE = (Path(__file__).parent.parent / "docs" / "watching.md").read_text(encoding="utf-8")
TASKS = {
    title: block
    for title, text in re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.S | re.M)
    for block in re.findall(r"```python\n(.*?)```", text, re.S)
}
EXTRA_OF = {
    "TensorBoard": "tensorboard",
    "MLflow": "mlflow",
    "Weights & Biases": "wandb",
    "Trackio": "trackio",
    "Video": "video",
    "Optuna, with pruning": "optuna",
}
FILES_OF = {
    "A CSV file, and one of every episode": ["progress.csv", "0.monitor.csv"],
    "Regular evaluation": [],
    "One of your own": ["progress.csv"],
    "TensorBoard": ["tensorboard"],
    "Weights & Biases": ["wandb"],
    "Video": ["videos"],
}
LONGER = ("Optuna, with pruning", "One of your own")
"""Not one task in a few lines, but a function or a class of the user's."""


def runs(folder):
    return sorted((folder / "tensor_optix_checkpoints").glob("run-*"))


@pytest.mark.parametrize("title", [title for title in TASKS if title not in EXTRA_OF])
def test_every_block_runs(title, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cut_short(put=monkeypatch.setattr)
    exec(TASKS[title], {"__name__": "pasted"})
    (run,) = runs(tmp_path)
    assert [name for name in FILES_OF.get(title, []) if not (run / name).exists()] == []


@pytest.mark.extras
@pytest.mark.parametrize("title", EXTRA_OF)
def test_every_block_that_needs_an_extra_runs_with_it(title, tmp_path):
    env = {"HOME": str(tmp_path), "WANDB_SILENT": "true", "TRACKIO_DIR": str(tmp_path / "trackio")}
    env |= {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db"}
    run_with(EXTRA_OF[title], f"import short_runs\nshort_runs.cut_short()\n{TASKS[title]}", cwd=tmp_path, env=env)
    for run in runs(tmp_path):
        assert [name for name in FILES_OF.get(title, []) if not (run / name).exists()] == []
    assert runs(tmp_path)


@pytest.mark.parametrize("title", [title for title in TASKS if title not in LONGER])
def test_a_task_takes_at_most_five_lines(title):
    assert len([line for line in TASKS[title].splitlines() if line.strip()]) <= 5


def test_every_name_is_on_the_page():
    from tensor_optix.reporting.named_callbacks import NAMED_CALLBACKS

    assert set(NAMED_CALLBACKS) == set(re.findall(r'^\| `"(\w+)"` \|', PAGE, re.M))
