import pytest
from extra_venvs import run_with

RUN = """
import sqlite3, sys
from pathlib import Path
import logged_runs
from logged_runs import make_optimizer, crashed_and_resumed
import trackio
from trackio.sqlite_storage import SQLiteStorage
from tensor_optix.reporting.trackio import TrackioCallback

logged_runs.save_at_every_barrier()
root = Path(sys.argv[1])

def steps(project):
    (run,) = trackio.Api().runs(project)
    logs = SQLiteStorage.get_logs(project, run.name)
    return [log["step"] for log in logs if "train/loss" in log], run

make_optimizer(root / "whole", [TrackioCallback("whole", every_seconds=0.0)]).run()
whole, run = steps("whole")
assert len(whole) > 20 and run.config["env_id"] == "CartPole-v1", (whole, run.config)
crashed_and_resumed(root / "crashed", lambda: [TrackioCallback("crashed", every_seconds=0.0)])
assert steps("crashed")[0] == whole, steps("crashed")[0]
print("read")
"""


@pytest.mark.extras
def test_the_local_store_has_what_was_logged(tmp_path):
    env = {"TRACKIO_DIR": str(tmp_path / "trackio"), "HOME": str(tmp_path)}
    assert run_with("trackio", RUN, tmp_path, cwd=tmp_path, env=env).splitlines()[-1] == "read"
