import pytest
from extra_venvs import run_with

from tensor_optix.reporting.tensorboard import TENSORBOARD_FOLDER

RUN = """
import sys, csv
from pathlib import Path
import numpy as np
import logged_runs
from logged_runs import make_optimizer, crashed_and_resumed
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensor_optix.reporting.tensorboard import TensorBoardCallback

logged_runs.save_at_every_barrier()
root = Path(sys.argv[1])
def callbacks():
    return [TensorBoardCallback(histogram_windows=10), "csv"]

def read(run):
    accumulator = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0, "histograms": 0})
    accumulator.Reload()
    return accumulator

def check(run):
    events = read(run)
    tags = events.Tags()
    with (run / "progress.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for key in ("rollout/ep_rew_mean", "rollout/ep_len_mean", "time/fps", "time/total_timesteps", "train/loss"):
        assert key in tags["scalars"], (key, tags["scalars"])
    loss = events.Scalars("train/loss")
    steps = [event.step for event in loss]
    assert steps == [int(float(row["time/total_timesteps"])) for row in rows if row["train/loss"]], steps
    losses = [float(row["train/loss"]) for row in rows if row["train/loss"]]
    np.testing.assert_allclose([event.value for event in loss], losses, rtol=1e-6)
    assert len(steps) == len(set(steps)) > 20
    assert "result/mean" in tags["scalars"]
    (histogram,) = [tag for tag in tags["histograms"] + tags.get("tensors", []) if tag.startswith("policy/")][:1]
    return events

optimizer = make_optimizer(root / "whole", callbacks())
optimizer.run()
events = check(optimizer.run_dir)
hparams = events.summary_metadata["_hparams_/session_start_info"]
assert b"learning_rate" in hparams.plugin_data.content and b"LinearAgent" in hparams.plugin_data.content
crashed_and_resumed(root / "crashed", callbacks)
check(root / "crashed" / "run-0001")
optimizer = make_optimizer(root / "again", ["tensorboard"], max_env_steps=None, max_episodes=3)
optimizer.run()
optimizer.run()
assert [event.step for event in read(optimizer.run_dir).Scalars("run/score")][-1] == 600
print("read")
"""


@pytest.mark.extras
def test_tensorboard_reads_what_was_written(tmp_path):
    assert run_with("tensorboard", RUN, tmp_path).splitlines()[-1] == "read"


def test_its_folder_is_found_below_the_folder_of_runs():
    assert TENSORBOARD_FOLDER == "tensorboard"
